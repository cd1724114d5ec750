/* machine: the instruction set, the kernels of the matrix product for it, and the caches of the processor; determined
 * when a device is opened. The table of kernels starts as the portable one, and each instruction set that the processor
 * has overwrites entries, so it is always complete. */
#ifndef CPU_MACHINE_H
#define CPU_MACHINE_H

#include "backends/cpu/pool.h"
#include "m3bsr/tensor.h"

/* Each has the instructions of those before it. The last one is AVX-512 with VDPBF16PS, and differs in products alone.
 */
typedef enum cpu_isa { CPU_PORTABLE = 0, CPU_AVX2 = 1, CPU_AVX512 = 2, CPU_AVX512BF16 = 3 } cpu_isa;

typedef enum cpu_activation { CPU_ACT_NONE, CPU_ACT_RELU, CPU_ACT_SILU, CPU_ACT_SIGMOID, CPU_ACT_TANH } cpu_activation;

/* Lines of memory that later tiles touch, fetched while this one computes, one at each step of the sum: step s of stage
 * i fetches the line at `at + i * row + s * step`. Memory that lies in one piece is fetched from its begin to its end,
 * which the processor's own prefetching likes best. */
typedef struct cpu_ahead {
    const float *at; /* never NULL: what has nothing to fetch names memory that is in the cache, with steps of 0 */
    size_t step, row;
} cpu_ahead;

/* One tile of a product, i < m <= mr, j < n <= nr:
 *   C[i,j] = act(start[i,j] + bias[j] + sum_k A[i,k] B[k,j]) where gate[i,j] > 0, else 0;  k = 0, 1, … in order
 *   A[i,k] at a[i * a_row + k * a_step], B[k,j] at b[k * b_step + j]; B has whole vectors, readable up to nr.
 * start, bias and gate may be NULL; act is NONE or RELU. C is not read, but start may be C. Strides count elements.
 * In pairs, an element of A or B is two of bf16 that follow one another along k: A[i,2k] B[2k,j] + A[i,2k+1] B[2k+1,j].
 * A stage is `stage` >= 1 steps of the sum; the last may have fewer. */
typedef struct cpu_tile {
    const float *a, *b, *bias;
    const void *start, *gate;
    void *c;
    m3_dtype type; /* of start, gate and c: f32; in pairs bf16, too */
    size_t a_row, a_step, b_step, start_row, gate_row, c_row;
    size_t m, n, k, stage;
    cpu_activation act;
    cpu_ahead next_a, next_b, next_c; /* to the second cache: what is read; to the first: what is written */
} cpu_tile;

/* n elements of a row: c[j] = act(c[j] + x[j] + x[stride + j] + …, count parts) where gate[j] > 0, else 0.
 * gate may be NULL. */
typedef struct cpu_parts {
    float *c;
    const float *x, *gate;
    size_t n, count, stride;
    cpu_activation act;
} cpu_parts;

/* n elements of a row: c[j] = act(x[j] + start[j] + bias[j]) where gate[j] > 0, else 0. start, bias, gate may be NULL.
 */
typedef struct cpu_finish {
    const float *x, *bias;
    const void *start, *gate;
    void *c;
    m3_dtype type; /* of start, gate and c: bf16 or f16 */
    size_t n;
    cpu_activation act;
} cpu_finish;

/* sums[j] = sum over rows of x[row * stride + j], j < n; or that added to sums. */
typedef struct cpu_row_sums {
    const void *x;
    m3_dtype type; /* of x: bf16 or f16 */
    size_t rows, stride, n;
    float *sums;
    bool add;
} cpu_row_sums;

/* Panels of [k][width] at panel, panel + pitch, …, for count rows or columns; the last is padded with zeros.
 * copy: from src[k * stride + i]. transpose: from src[i * stride + k]. width <= nr. Strides count elements of src.
 * Of pairs: k counts pairs, panels have pairs, and the stride of transpose counts pairs. */
typedef struct cpu_pack {
    void (*copy)(float *panel, size_t pitch, size_t width, const void *src, size_t stride, size_t count, size_t k);
    void (*transpose)(float *panel, size_t pitch, size_t width, const void *src, size_t stride, size_t count, size_t k);
} cpu_pack;

enum { CPU_MAX_TILE = 14 * 32 }; /* mr * nr of any table */

typedef struct cpu_gemm_kernels {
    uint32_t vector; /* floats in a vector */
    uint32_t mr, nr; /* rows and columns of the largest tile; mr <= vector, nr = 2 vectors */
    void (*tile)(const cpu_tile *tile);
    void (*tile_pairs)(const cpu_tile *tile); /* NULL: there are no pairs */
    /* The epilogue for activations that need more registers than a tile leaves: C = act(C) where gate > 0, else 0. */
    void (*epilogue)(const cpu_tile *tile);
    void (*add_parts)(const cpu_parts *row);
    void (*finish)(const cpu_finish *row);
    void (*add_rows)(const cpu_row_sums *rows);
    cpu_pack pack, pack_bf16, pack_f16; /* into panels of f32 */
    cpu_pack pack_pairs;                /* of bf16, as they are */
    /* rounds * spin_flops independent operations, to measure the peak. */
    float (*spin)(uint64_t rounds);
    uint32_t spin_flops;
} cpu_gemm_kernels;

/* Each build of isa/gemm_kernel.c fills a whole table; isa/bf16/gemm_pairs.c adds pairs to that of avx512. */
void cpu_gemm_kernels_portable(cpu_gemm_kernels *kernels);
void cpu_gemm_kernels_avx2(cpu_gemm_kernels *kernels);
void cpu_gemm_kernels_avx512(cpu_gemm_kernels *kernels);
void cpu_gemm_kernels_avx512bf16(cpu_gemm_kernels *kernels);

typedef struct cpu_machine {
    cpu_isa isa;
    cpu_gemm_kernels gemm;
    size_t l1_bytes, l2_bytes; /* data caches of one core */
    size_t depth;              /* of a block of the sum (KC): a tile's rows of A stay in the first cache */
} cpu_machine;

const char *cpu_isa_name(cpu_isa isa);

/* Fill a machine for this processor.
 * isa: "portable", "avx2", "avx512" or "avx512bf16" holds it to that; NULL, "" or "auto" takes the best.
 * Returns M3_OK, M3_ERR_INVALID (no such name), M3_ERR_UNSUPPORTED (the processor or this build lacks it). */
m3_status cpu_machine_init(cpu_machine *machine, const char *isa, m3_error *err);

/* GFLOP/s of multiply-adds in registers on all threads of the pool together, the best of several runs of some
 * milliseconds. A NULL pool measures the calling thread. */
double cpu_measure_peak(const cpu_machine *machine, const cpu_pool *pool);

#endif
