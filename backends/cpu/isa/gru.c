/* gru: one step of a row that is not masked, and its gradient; see ops/gru.h and core/ops/gru_cell.c.
 *   r = sigmoid(xi_r + hh_r),  z = sigmoid(xi_z + hh_z),  n = tanh(xi_n + r hh_n),  y = (1 - z) n + z h
 *   da_n = dy (1 - z) (1 - n^2),  da_z = dy (h - n) z (1 - z),  da_r = da_n hh_n r (1 - r) */
#include "backends/cpu/ops/gru.h"

#include "backends/cpu/isa/row.h"

typedef struct gates {
    vf r, z, n, hidden; /* hidden: hh_n */
} gates;

INLINE gates gates_of(const cpu_gru *g, size_t j, size_t left)
{
    const size_t d = g->width;
    gates now = {.hidden = v_load_part(g->hh + 2 * d + j, left)};
    now.r = v_sigmoid(v_load_part(g->xi + j, left) + v_load_part(g->hh + j, left));
    now.z = v_sigmoid(v_load_part(g->xi + d + j, left) + v_load_part(g->hh + d + j, left));
    now.n = v_tanh(v_fma(now.r, now.hidden, v_load_part(g->xi + 2 * d + j, left)));
    return now;
}

static void forward(const cpu_gru *g, float *y)
{
    const vf one = v_set1(1.0f);
    for (size_t j = 0; j < g->width; j += CPU_VW) {
        const size_t left = g->width - j;
        const gates now = gates_of(g, j, left);
        v_store_part(y + j, left, v_fma(now.z, v_load_part(g->h + j, left), (one - now.z) * now.n));
    }
}

static void backward(const cpu_gru *g, const float *dy, float *dxi, float *dhh, float *dh)
{
    const size_t d = g->width;
    const vf one = v_set1(1.0f);
    for (size_t j = 0; j < d; j += CPU_VW) {
        const size_t left = d - j;
        const gates now = gates_of(g, j, left);
        const vf grad = v_load_part(dy + j, left), h = v_load_part(g->h + j, left);
        const vf da_n = grad * (one - now.z) * (one - now.n * now.n);
        const vf da_z = grad * (h - now.n) * now.z * (one - now.z);
        const vf da_r = da_n * now.hidden * now.r * (one - now.r);
        v_store_part(dxi + j, left, da_r);
        v_store_part(dhh + j, left, da_r);
        v_store_part(dxi + d + j, left, da_z);
        v_store_part(dhh + d + j, left, da_z);
        v_store_part(dxi + 2 * d + j, left, da_n);
        v_store_part(dhh + 2 * d + j, left, da_n * now.r);
        v_store_part(dh + j, left, grad * now.z);
    }
}

const cpu_gru_kernels CPU_FN(cpu_gru_kernels) = {forward, backward};
