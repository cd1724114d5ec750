/* softmax: kernels over rows of one length. */
#ifndef CPU_OPS_SOFTMAX_H
#define CPU_OPS_SOFTMAX_H

#include "backends/cpu/step.h"

typedef struct cpu_softmax_kernels {
    /* y = softmax of x over entries whose mask is not 0; zeros where there are none. repeat: mask[0] holds for all.
     * y may be x. */
    void (*masked)(float *y, const float *x, const uint8_t *mask, bool repeat, size_t n);
    /* log sum_j exp(x_j) - x_target; n > 0 */
    float (*loss)(const float *x, size_t target, size_t n);
    /* dx = scale (softmax(x) - [j = target]); dx may be x */
    void (*grad)(float *dx, const float *x, size_t target, float scale, size_t n);
} cpu_softmax_kernels;

CPU_DECLARE_KERNELS(cpu_softmax_kernels);

#endif
