/* draws: random bits, uniforms and normals; see isa/philox.h and ops/draws.h.
 *   bits     the words themselves
 *   uniform  (bits >> 8) 2^-24
 *   normal   of each pair (u, v) of uniforms: sqrt(-2 log(1 - u)) times cos(2 pi v), then sin(2 pi v) */
#include "backends/cpu/ops/draws.h"

#include "backends/cpu/isa/philox.h"

/* Of the words of a block, 0 and 2 are u, 1 and 3 are v. */
INLINE void to_normal(vu w[4])
{
    for (int pair = 0; pair < 4; pair += 2) {
        vf sine, cosine, u = v_uniform(w[pair]), v = v_uniform(w[pair + 1]);
        vf radius = v_sqrt(v_set1(-2.0f) * v_log(v_set1(1.0f) - u));
        v_sin_cos(v_set1(6.28318530717958647692f) * v, &sine, &cosine);
        w[pair] = (vu)(radius * cosine);
        w[pair + 1] = (vu)(radius * sine);
    }
}

INLINE void to_uniform(vu w[4])
{
    for (int i = 0; i < 4; i++) w[i] = (vu)v_uniform(w[i]);
}

INLINE void to_bits(vu w[4])
{
    (void)w;
}

INLINE void draw(void *y, const uint32_t rng[3], uint32_t site, size_t begin, size_t end, uint64_t shift,
                 void (*map)(vu w[4]))
{
    const philox p = {{rng[0], rng[1]}, rng[2], site};
    for (size_t at = begin; at < end; at += CPU_DRAW) {
        vu w[4];
        uint32_t *to = (uint32_t *)y + at, rest[CPU_DRAW];
        size_t count = end - at < CPU_DRAW ? end - at : CPU_DRAW;
        v_philox(&p, at / 4 + shift, w);
        map(w);
        v_transpose_groups(w);
        for (size_t i = 0; i < 4; i++) v_store_u32((count == CPU_DRAW ? to : rest) + i * CPU_VW, w[i]);
        if (count < CPU_DRAW) memcpy(to, rest, count * sizeof *to);
    }
}

#define DRAW(name)                                                                                                     \
    static void name(void *y, const uint32_t rng[3], uint32_t site, size_t begin, size_t end, uint64_t shift)          \
    {                                                                                                                  \
        draw(y, rng, site, begin, end, shift, to_##name);                                                              \
    }
DRAW(bits)
DRAW(uniform)
DRAW(normal)

const cpu_draws_kernels CPU_FN(cpu_draws_kernels) = {bits, uniform, normal};
