/* norm: kernels of layer_norm and its gradient over rows that share gamma and beta. */
#ifndef CPU_OPS_NORM_H
#define CPU_OPS_NORM_H

#include "backends/cpu/step.h"

typedef struct cpu_norm {
    size_t rows, width;
    float eps;
    m3_dtype type;        /* of x, y, dy and dx; gamma, beta and sums are f32 */
    const void *x;        /* [rows, width] */
    const float *gamma;   /* [width] */
    const void *residual; /* [rows, width], added to dx; or NULL */
} cpu_norm;

typedef struct cpu_norm_kernels {
    /* y may be x, or, of a single row, gamma or beta. */
    void (*forward)(const cpu_norm *n, const float *beta, void *y);
    /* sums [2, width]: dgamma and dbeta of these rows, which are overwritten. */
    void (*backward)(const cpu_norm *n, const void *dy, void *dx, float *sums);
} cpu_norm_kernels;

CPU_DECLARE_KERNELS(cpu_norm_kernels);

#endif
