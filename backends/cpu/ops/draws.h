/* draws: kernels that fill elements [begin, end) of a draw. begin is a multiple of CPU_DRAW_UNIT. */
#ifndef CPU_OPS_DRAWS_H
#define CPU_OPS_DRAWS_H

#include "backends/cpu/step.h"

enum { CPU_DRAW_UNIT = 256 };

/* y is the first element of the whole draw; rng is {seed low, seed high, step}. */
typedef void (*cpu_draw_fn)(void *y, const uint32_t rng[3], uint32_t site, size_t begin, size_t end);

typedef struct cpu_draws_kernels {
    cpu_draw_fn bits, uniform, normal;
} cpu_draws_kernels;

CPU_DECLARE_KERNELS(cpu_draws_kernels);

#endif
