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
} cpu_reduce_kernels;

CPU_DECLARE_KERNELS(cpu_reduce_kernels);

#endif
