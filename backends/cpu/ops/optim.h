/* optim: kernels of the optimiser over runs of elements. */
#ifndef CPU_OPS_OPTIM_H
#define CPU_OPS_OPTIM_H

#include "backends/cpu/step.h"

/* One AdamW step:  g' = scale g,  m' = beta1 m + (1 - beta1) g',  v' = beta2 v + (1 - beta2) g'^2
 *   p' = keep p - rate m' / (sqrt(spread v') + eps) */
typedef struct cpu_adam {
    float scale, beta1, rest1, beta2, rest2, eps; /* rest = 1 - beta */
    float keep, rate, spread;                     /* 1 - lr decay, lr / (1 - beta1^t), 1 / (1 - beta2^t) */
} cpu_adam;

/* Where p, m, v lie and where they go, which may be the same. */
typedef struct cpu_adam_state {
    const float *in[3];
    float *out[3];
} cpu_adam_state;

typedef struct cpu_optim_kernels {
    /* Elements [at, at + n) of the state, by gradients g[0 .. n). */
    void (*adam)(const cpu_adam *a, const cpu_adam_state *s, size_t at, const float *g, size_t n);
    double (*squares)(const float *x, size_t n); /* their sum */
} cpu_optim_kernels;

CPU_DECLARE_KERNELS(cpu_optim_kernels);

#endif
