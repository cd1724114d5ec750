/* reduce: kernels of a reduction over the middle axis of x [outer, length, inner] -> y [outer, inner]. */
#ifndef CPU_OPS_REDUCE_H
#define CPU_OPS_REDUCE_H

#include "backends/cpu/step.h"

/* x may be a view: element (o, l, i) lies at o * outer_stride + l * row_stride + i. y is dense. */
typedef struct cpu_reduction {
    size_t outer, length, inner;
    size_t outer_stride, row_stride;
} cpu_reduction;

typedef void (*cpu_reduce_fn)(const cpu_reduction *r, const void *x, void *y);

typedef struct cpu_reduce_kernels {
    cpu_reduce_fn sum_f32, max_f32, sum_i32, max_i32;
    cpu_reduce_fn sum_bf16, sum_f16; /* sums are f32 */
} cpu_reduce_kernels;

CPU_DECLARE_KERNELS(cpu_reduce_kernels);

/* A dense reduction whose work is divided among threads, for the steps of other ops too. The parts follow from the
 * shape alone, so the result does not depend on the number of threads. Results have 4 bytes, floats and whole numbers.
 */
typedef struct cpu_reduce_args {
    cpu_reduce_fn kernel;
    cpu_reduce_fn add; /* of the results of parts */
    size_t x_bytes;    /* of an element of x */
    const unsigned char *x;
    unsigned char *y;
    size_t outer, length, inner;
    size_t parts, part_length;    /* parts of the axis; the last may be shorter */
    size_t strips, strip_columns; /* strips of a long inner; the last may be narrower */
} cpu_reduce_args;

/* The kernel that adds elements of f32, bf16 or f16. */
cpu_reduce_fn cpu_reduce_sum_of(const cpu_machine *machine, m3_dtype type);
/* Divide the work of args whose kernels, x, y and extents are set; returns the bytes of scratch of a run. */
size_t cpu_reduce_split(cpu_reduce_args *args);
/* A step's run: args is a cpu_reduce_args. */
void cpu_reduce_run(const void *args, const cpu_run *cpu);

#endif
