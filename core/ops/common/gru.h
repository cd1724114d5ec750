/* gru: what gru_cell and its gradient share: PyTorch's gates r, z, n, which lie in that order in 3d columns. */
#ifndef M3_CORE_OPS_COMMON_GRU_H
#define M3_CORE_OPS_COMMON_GRU_H

#include "core/ops/common/fused.h"

typedef struct m3_gates {
    m3_tensor *r, *z, *n;
    m3_tensor *hidden; /**< n's part of the hidden projection, which r scales */
} m3_gates;

/** Checks xi, hh, h, mask. */
static inline m3_status m3_gru_check(const m3_node *node, m3_error *err)
{
    const m3_tensor *xi = node->in[0], *hh = node->in[1], *h = node->in[2], *mask = node->in[3];
    m3_status st;
    if ((st = m3_want_float(node, h, "h", 1, err)) != M3_OK) return st;
    m3_shape gates = h->shape;
    gates.dim[gates.rank - 1] *= 3;
    if ((st = m3_want(node, xi, "xi", h->dtype, gates, "h, three times as wide,", err)) != M3_OK) return st;
    if ((st = m3_want(node, hh, "hh", h->dtype, gates, "h, three times as wide,", err)) != M3_OK) return st;
    return m3_want(node, mask, "mask", M3_BOOL, m3_shape_leading(h, 1), "h without its last axis", err);
}

/** Gate 0, 1 or 2 of a projection [..., 3d] -> [..., d] */
static inline m3_tensor *m3_gru_part(m3_builder *b, m3_tensor *x, uint64_t gate)
{
    uint64_t d = m3_extent_back(x, 1) / 3;
    return m3_slice(b, x, -1, gate * d, d);
}

/** r = sigmoid(xi_r + hh_r), z = sigmoid(xi_z + hh_z), n = tanh(xi_n + r hh_n) */
static inline m3_gates m3_gru_gates(m3_builder *b, m3_tensor *xi, m3_tensor *hh)
{
    m3_gates g;
    g.hidden = m3_gru_part(b, hh, 2);
    g.r = m3_sigmoid(b, m3_add(b, m3_gru_part(b, xi, 0), m3_gru_part(b, hh, 0)));
    g.z = m3_sigmoid(b, m3_add(b, m3_gru_part(b, xi, 1), m3_gru_part(b, hh, 1)));
    g.n = m3_tanh(b, m3_add(b, m3_gru_part(b, xi, 2), m3_mul(b, g.r, g.hidden)));
    return g;
}

#endif
