/* dropout: the kernel that fills elements [begin, end). begin is a multiple of 4. */
#ifndef CPU_OPS_DROPOUT_H
#define CPU_OPS_DROPOUT_H

#include "backends/cpu/ops/draws.h"

typedef struct cpu_dropout {
    const uint32_t *rng;
    const float *x;
    float *y; /* may be x */
    uint32_t site;
    float rate, factor; /* 1 / (1 - rate) */
} cpu_dropout;

typedef struct cpu_dropout_kernels {
    void (*fill)(const cpu_dropout *d, size_t begin, size_t end, uint64_t shift); /* as in draws.h */
} cpu_dropout_kernels;

CPU_DECLARE_KERNELS(cpu_dropout_kernels);

#endif
