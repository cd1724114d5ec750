/* gru: kernels of gru_cell and its gradient over one row; a gate's values lie `width` apart. */
#ifndef CPU_OPS_GRU_H
#define CPU_OPS_GRU_H

#include "backends/cpu/step.h"

typedef struct cpu_gru {
    size_t width;
    const float *xi, *hh, *h; /* [3 width], [3 width], [width] */
} cpu_gru;

typedef struct cpu_gru_kernels {
    void (*forward)(const cpu_gru *g, float *y); /* y may be h */
    void (*backward)(const cpu_gru *g, const float *dy, float *dxi, float *dhh, float *dh);
} cpu_gru_kernels;

CPU_DECLARE_KERNELS(cpu_gru_kernels);

#endif
