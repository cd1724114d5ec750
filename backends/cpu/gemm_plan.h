/* gemm_plan: how a product is cut into slices, blocks and tasks, and what scratch they take. gemm.c has the words. */
#ifndef CPU_GEMM_PLAN_H
#define CPU_GEMM_PLAN_H

#include "backends/cpu/gemm.h"

enum { LINE_FLOATS = 16 }; /* of a cache line: scratch is aligned to lines, against false sharing */

typedef struct gemm_plan {
    const cpu_gemm *gemm;
    const cpu_gemm_kernels *kernels;
    const cpu_pack *pack; /* of A and B */
    void (*tile)(const cpu_tile *tile);
    size_t in_bytes, out_bytes;
    size_t elements;           /* of A and B in a step of the sum: 2 of pairs, else 1 */
    size_t k;                  /* steps */
    size_t slices, slice;      /* of the sum, and the steps of one; the last may have fewer */
    size_t depth;              /* steps of the sum in a block; the last of a slice may have fewer */
    size_t columns;            /* of a block of columns */
    size_t panels;             /* of nr columns in B */
    size_t group;              /* tiles of A that are packed together; 0: A is read in place */
    size_t grid_m, grid_n;     /* rectangles of one C */
    size_t products, units;    /* a unit: a rectangle of a product, or a slice of it when `split` */
    size_t shared_batch[2];    /* products along each axis with a B of their own */
    size_t shared_floats;      /* of B packed as a whole; 0: each task packs its own */
    size_t partial_floats;     /* of the sums of all slices but the first, when `split` */
    size_t sum_floats;         /* of the sums of an operand, of all products and slices */
    size_t a_floats, b_floats; /* of a worker's panels of A and B */
    size_t worker_floats;      /* of all its scratch */
    uint32_t tasks;
    bool split;    /* slices are computed by tasks of their own */
    bool direct_b; /* whole panels of B are read in place */
    bool widen;    /* A and B become f32 */
    bool rounds;   /* C has 16 bits */
    bool kept;     /* C has 16 bits, and its sums take several blocks */
    float *shared, *partials, *sums, *workers;
} gemm_plan;

static inline size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static inline size_t round_up(size_t a, size_t unit)
{
    return ceil_div(a, unit) * unit;
}

/* The distance of panels. A whole number of pages would map them all to the same sets of the first cache. */
static inline size_t panel_pitch(size_t width, size_t depth)
{
    return round_up(width * depth, LINE_FLOATS) + LINE_FLOATS;
}

static inline size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Where part i starts when a length is split into n nearly equal parts: a small rest would be slow. */
static inline size_t part(size_t length, size_t n, size_t i)
{
    size_t rest = length % n;
    return length / n * i + (i < rest ? i : rest);
}

static inline const void *element(const void *base, size_t index, size_t bytes)
{
    return (const unsigned char *)base + index * bytes;
}

/* For this many threads. Depends on what cpu_gemm_scratch() may depend on. */
void gemm_plan_init(gemm_plan *p, const cpu_machine *machine, const cpu_gemm *g, size_t threads);
/* Of all scratch. */
size_t gemm_plan_floats(const gemm_plan *p, size_t threads);

#endif
