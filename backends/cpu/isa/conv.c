/* conv: y[t, c] = sum over k of w[k, c] x[t - (K-1) + k, c], in reverse x[t + (K-1) - k, c], over the places that are
 * there; see ops/conv.h. Vectors lie across channels; taps are added in the order of k. */
#include "backends/cpu/ops/conv.h"

#include "backends/cpu/isa/row.h"

/* n channels of place t. */
INLINE void place(const cpu_conv *c, const float *x, float *y, size_t t, size_t channel, size_t n)
{
    const size_t behind = c->reverse ? c->length - 1 - t : t; /* places that are there, beside t */
    const size_t first = behind + 1 < c->taps ? c->taps - 1 - behind : 0;
    vf sum = v_zero();
    for (size_t k = first; k < c->taps; k++) {
        const size_t far = c->taps - 1 - k, from = c->reverse ? t + far : t - far;
        const vf w = v_load_part(c->w + k * c->channels + channel, n);
        sum = v_fma(w, v_load_part(x + from * c->channels + channel, n), sum);
    }
    v_store_part(y + t * c->channels + channel, n, sum);
}

static void causal(const cpu_conv *c, const float *x, float *y)
{
    for (size_t t = 0; t < c->length; t++) {
        size_t channel = 0;
        for (; channel + CPU_VW <= c->channels; channel += CPU_VW) place(c, x, y, t, channel, CPU_VW);
        if (channel < c->channels) place(c, x, y, t, channel, c->channels - channel);
    }
}

const cpu_conv_kernels CPU_FN(cpu_conv_kernels) = {causal};
