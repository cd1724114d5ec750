/* norm: what layer_norm and its gradient share.
 * x [..., d] with gamma [d] is seen as rows [R, d]; grouped x [G, ..., d] with gamma [G, d] as [G, R, d]. */
#ifndef M3_CORE_OPS_COMMON_NORM_H
#define M3_CORE_OPS_COMMON_NORM_H

#include "core/ops/common/fused.h"

/** Checks x, gamma and eps (attribute 0). */
static inline m3_status m3_norm_check(const m3_node *node, m3_error *err)
{
    const m3_tensor *x = node->in[0], *gamma = node->in[1];
    m3_status st;
    if ((st = m3_want_float_or_half(node, x, "x", 1, err)) != M3_OK) return st;
    if ((st = m3_want_positive(node, 0, err)) != M3_OK) return st;
    uint64_t d = m3_extent_back(x, 1);
    if (d == 0) return M3_FAIL_NODE(err, node, "x is %s %s; give its last axis an element", M3_TENSOR_TEXT(x));
    if (gamma->shape.rank == 2 && x->shape.rank >= 2)
        return m3_want(node, gamma, "gamma", m3_sum_type(x->dtype), M3_SHAPE(x->shape.dim[0], d),
                       "a grouped x, by its first and last axis,", err);
    return m3_want(node, gamma, "gamma", m3_sum_type(x->dtype), M3_SHAPE(d), "the last axis of x", err);
}

static inline m3_shape m3_norm_shape(const m3_tensor *x, const m3_tensor *gamma)
{
    uint64_t d = m3_extent_back(x, 1);
    if (gamma->shape.rank == 2) return M3_SHAPE(x->shape.dim[0], m3_extent_product(x, 1, x->shape.rank - 1), d);
    return M3_SHAPE(m3_extent_product(x, 0, x->shape.rank - 1), d);
}

/** gamma or beta so that it broadcasts over the rows. */
static inline m3_tensor *m3_norm_vector(m3_builder *b, m3_tensor *v)
{
    return v->shape.rank == 2 ? m3_reshape(b, v, M3_SHAPE(v->shape.dim[0], 1, v->shape.dim[1])) : v;
}

static inline m3_tensor *m3_norm_mean(m3_builder *b, m3_tensor *x)
{
    if (x == NULL) return NULL;
    return m3_div(b, m3_reduce_sum(b, x, -1, M3_KEEP), m3_scalar_like(b, x, (double)m3_extent_back(x, 1)));
}

/** (x - mean) / deviation of each row; the variance is taken from what is left after the mean, not from squares of
 * x, whose difference loses its digits when the mean is large against the spread. */
static inline m3_tensor *m3_norm_rows(m3_builder *b, m3_tensor *rows, double eps, m3_tensor **deviation)
{
    m3_tensor *centred = m3_sub(b, rows, m3_norm_mean(b, rows));
    m3_tensor *variance = m3_norm_mean(b, m3_mul(b, centred, centred));
    *deviation = m3_sqrt(b, m3_add(b, variance, m3_scalar_like(b, rows, eps)));
    return m3_div(b, centred, *deviation);
}

#endif
