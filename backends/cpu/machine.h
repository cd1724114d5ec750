/* machine: what the matrix product needs to know of the processor, chosen when a device is opened.
 * The table starts as the portable one and the sets of instructions that the processor has overwrite its entries,
 * so it is always complete. */
#ifndef CPU_MACHINE_H
#define CPU_MACHINE_H

#include "backends/cpu/pool.h"
#include "m3bsr/base.h"

typedef enum cpu_isa { CPU_PORTABLE = 0, CPU_AVX2 = 1, CPU_AVX512 = 2 } cpu_isa;

typedef enum cpu_activation { CPU_ACT_NONE, CPU_ACT_RELU, CPU_ACT_SILU, CPU_ACT_SIGMOID, CPU_ACT_TANH } cpu_activation;

/* Memory that later tiles read, and of which stage i of a tile asks for `rows` rows of `floats` at data + i * stage. */
typedef struct cpu_ahead {
    const float *data;
    size_t stage, row, rows, floats;
} cpu_ahead;

/* One tile of a product, i < m <= mr, j < n <= nr:
 *   C[i,j] = act(start[i,j] + bias[j] + sum_k A[i,k] B[k,j]) where gate[i,j] > 0, else 0;  k = 0, 1, … in order
 *   A[i,k] at a[i * a_row + k * a_step], B[k,j] at b[k * b_step + j]; B has whole vectors, readable up to nr.
 * start, bias and gate may be NULL; act is NONE or RELU. C is not read, but start may be C. Strides count floats.
 * A sum of CPU_LONG_SUM steps and more has m stages of equal depth; stage i asks the caches for row i of C and for
 * stage i of `ahead`. */
enum { CPU_LONG_SUM = 64 };

typedef struct cpu_tile {
    const float *a, *b, *start, *bias, *gate;
    float *c;
    size_t a_row, a_step, b_step, start_row, gate_row, c_row;
    size_t m, n, k;
    cpu_activation act;
    cpu_ahead ahead[3];
} cpu_tile;

typedef struct cpu_gemm_kernels {
    uint32_t vector; /* floats in a vector */
    uint32_t mr, nr; /* the largest tile; mr <= vector, nr = 2 vectors */
    void (*tile)(const cpu_tile *tile);
    /* The activations that are too long for the registers of a tile: C = act(C) where gate > 0, else 0. */
    void (*finish)(const cpu_tile *tile);
    /* Panels of [k][width] at panel, panel + pitch, …, for count rows or columns; the last is filled up with zeros.
     * copy: from src[k * stride + i]. transpose: from src[i * stride + k]. width <= nr. */
    void (*pack_copy)(float *panel, size_t pitch, size_t width, const float *src, size_t stride, size_t count,
                      size_t k);
    void (*pack_transpose)(float *panel, size_t pitch, size_t width, const float *src, size_t stride, size_t count,
                           size_t k);
    float (*spin)(uint64_t rounds); /* rounds * spin_flops operations that wait for nothing; for the peak */
    uint32_t spin_flops;
} cpu_gemm_kernels;

/* Each build of isa/gemm_kernel.c fills a whole table. */
void cpu_gemm_kernels_portable(cpu_gemm_kernels *kernels);
void cpu_gemm_kernels_avx2(cpu_gemm_kernels *kernels);
void cpu_gemm_kernels_avx512(cpu_gemm_kernels *kernels);

typedef struct cpu_machine {
    cpu_isa isa;
    cpu_gemm_kernels gemm;
    size_t l1_bytes, l2_bytes; /* data caches of one core */
    size_t depth;              /* of a block of the sum: a tile's rows of A stay in the first cache */
} cpu_machine;

const char *cpu_isa_name(cpu_isa isa);

/* Fill a machine for this processor.
 * isa: "portable", "avx2" or "avx512" holds it to that; NULL, "" or "auto" takes the best.
 * Returns M3_OK, M3_ERR_INVALID (no such name), M3_ERR_UNSUPPORTED (the processor or this build lacks it). */
m3_status cpu_machine_init(cpu_machine *machine, const char *isa, m3_error *err);

/* GFLOP/s of multiply-adds in registers on all threads of the pool together, the best of several runs of some
 * milliseconds. A NULL pool measures the calling thread. */
double cpu_measure_peak(const cpu_machine *machine, const cpu_pool *pool);

#endif
