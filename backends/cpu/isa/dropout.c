/* dropout: y = factor x where uniform >= rate, else 0; see ops/dropout.h. The draws are random_uniform's, and stay in
 * registers. */
#include "backends/cpu/ops/dropout.h"

#include "backends/cpu/isa/philox.h"
#include "backends/cpu/isa/row.h"

static void fill(const cpu_dropout *d, size_t begin, size_t end, uint64_t shift)
{
    const philox p = {{d->rng[0], d->rng[1]}, d->rng[2], d->site};
    const vf rate = v_set1(d->rate), factor = v_set1(d->factor);
    for (size_t at = begin; at < end; at += CPU_DRAW) {
        vu w[4];
        v_philox(&p, at / 4 + shift, w);
        v_transpose_groups(w);
        for (size_t i = 0; i < 4 && at + i * CPU_VW < end; i++) {
            const size_t from = at + i * CPU_VW, left = end - from;
            vf kept = v_load_part(d->x + from, left) * factor;
            v_store_part(d->y + from, left, v_select(v_le(rate, v_uniform(w[i])), kept, v_zero()));
        }
    }
}

const cpu_dropout_kernels CPU_FN(cpu_dropout_kernels) = {fill};
