/* draw: shape rule of the ops that draw an array of random numbers (rng u32 [3]; shape, site). */
#ifndef M3_CORE_OPS_COMMON_DRAW_H
#define M3_CORE_OPS_COMMON_DRAW_H

#include "core/ops/common/fused.h"

static inline m3_status m3_want_rng(const m3_node *node, const m3_tensor *rng, m3_error *err)
{
    return m3_want(node, rng, "rng", M3_U32, M3_SHAPE(3), "a draw (seed low, seed high, step)", err);
}

static inline m3_status m3_draw_infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    if ((st = m3_want_rng(node, node->in[0], err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, UINT32_MAX, err)) != M3_OK) return st;
    out->dtype = M3_F32;
    return m3_check_attr_shape(node, 0, &out->shape, err);
}

/** The shape attribute of a checked node. */
static inline m3_shape m3_draw_shape(const m3_node *node)
{
    m3_shape shape = m3_shape_of(0, NULL);
    (void)m3_check_attr_shape(node, 0, &shape, NULL);
    return shape;
}

#endif
