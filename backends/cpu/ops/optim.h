/* optim: kernels of the optimiser over runs of elements. */
#ifndef CPU_OPS_OPTIM_H
#define CPU_OPS_OPTIM_H

#include "backends/cpu/step.h"

/* One AdamW step:
 *   g' = scale g,  m' = beta1 m + rest1 g',  v' = beta2 v + rest2 g'^2
 *   p' = decay p - step_size m' / (sqrt(correction2 v') + eps) */
typedef struct cpu_adam {
    float scale, eps;
    float beta1, rest1; /* rest1 = 1 - beta1 */
    float beta2, rest2; /* rest2 = 1 - beta2 */
    float decay;        /* 1 - lr * weight_decay */
    float step_size;    /* lr / (1 - beta1^t) */
    float correction2;  /* 1 / (1 - beta2^t) */
} cpu_adam;

/* p, m, v before and after the step, which may be the same memory. */
enum { CPU_ADAM_P, CPU_ADAM_M, CPU_ADAM_V, CPU_ADAM_STATES };
typedef struct cpu_adam_state {
    const float *in[CPU_ADAM_STATES];
    float *out[CPU_ADAM_STATES];
} cpu_adam_state;

typedef struct cpu_optim_kernels {
    /* Elements [at, at + n) of the state, by gradients g[0 .. n). */
    void (*adam)(const cpu_adam *a, const cpu_adam_state *s, size_t at, const float *g, size_t n);
    double (*sum_of_squares)(const float *x, size_t n);
} cpu_optim_kernels;

CPU_DECLARE_KERNELS(cpu_optim_kernels);

#endif
