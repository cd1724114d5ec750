/* conv: kernels of causal_conv over one sequence. */
#ifndef CPU_OPS_CONV_H
#define CPU_OPS_CONV_H

#include "backends/cpu/step.h"

typedef struct cpu_conv {
    size_t length, channels, taps;
    const float *w; /* [taps, channels]: turned, so that a tap's weights are neighbours */
    bool reverse;
} cpu_conv;

typedef struct cpu_conv_kernels {
    void (*causal)(const cpu_conv *c, const float *x, float *y); /* x, y [length, channels] */
} cpu_conv_kernels;

CPU_DECLARE_KERNELS(cpu_conv_kernels);

#endif
