/* rows: the kernel that depends on the instruction set. */
#ifndef CPU_OPS_ROWS_H
#define CPU_OPS_ROWS_H

#include "backends/cpu/step.h"

/* to[j] = sum over i < count of rows[index[i] * size + j], i rising, j < size; count >= 1. */
typedef void (*cpu_sum_rows_fn)(void *to, const void *rows, const uint32_t *index, size_t count, size_t size);

typedef struct cpu_rows_kernels {
    cpu_sum_rows_fn sum_f32, sum_i32;
} cpu_rows_kernels;

CPU_DECLARE_KERNELS(cpu_rows_kernels);

#endif
