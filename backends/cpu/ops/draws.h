/* draws: kernels that fill elements [begin, end) of a draw. begin is a multiple of 4. */
#ifndef CPU_OPS_DRAWS_H
#define CPU_OPS_DRAWS_H

#include "backends/cpu/step.h"

enum { CPU_DRAW_UNIT = 256 };

/* y is the first element of the whole draw; rng is {seed low, seed high, step}. Element e is a word of block e / 4 +
 * shift. */
typedef void (*cpu_draw_fn)(void *y, const uint32_t rng[3], uint32_t site, size_t begin, size_t end, uint64_t shift);

typedef struct cpu_draws_kernels {
    cpu_draw_fn bits, uniform, normal;
} cpu_draws_kernels;

CPU_DECLARE_KERNELS(cpu_draws_kernels);

/* How a part of a batch is drawn: `chunk` elements, a batch, take `blocks` blocks of each part. chunk 0: not a part. */
typedef struct cpu_draw_part {
    size_t chunk, blocks;
} cpu_draw_part;

static inline cpu_draw_part cpu_draw_part_of(size_t count, size_t repeats)
{
    const size_t chunk = count / repeats;
    return (cpu_draw_part){chunk, chunk / 4 + (chunk % 4 != 0)};
}

/* How far from `begin` on the blocks are neighbours, up to `end`, and the shift that their kernel takes.
 * rng has {part, parts} behind its step where this is a part. */
static inline size_t cpu_draw_until(const cpu_draw_part *p, const uint32_t *rng, size_t begin, size_t end,
                                    uint64_t *shift)
{
    *shift = 0;
    if (p->chunk == 0) return end;
    const size_t before = begin / p->chunk, next = (before + 1) * p->chunk;
    *shift = ((uint64_t)before * rng[4] + rng[3] - before) * p->blocks;
    return next < end ? next : end;
}

#endif
