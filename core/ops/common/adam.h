/* adam: what adamw and adamw_rows share: one AdamW update (MODEL.md 11), as PyTorch's.
 *   step f32 [3] = {lr, 1 - beta1^t, 1 - beta2^t}, scale f32 (of the gradients, by norm clipping)
 *   scale < 0: nothing changes; else
 *   g = scale grad,  m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2
 *   p' = p (1 - lr weight_decay) - lr (m' / step1) / (sqrt(v' / step2) + eps) */
#ifndef M3_CORE_OPS_COMMON_ADAM_H
#define M3_CORE_OPS_COMMON_ADAM_H

#include "core/ops/common/fused.h"

enum { M3_ADAM_BETA1 = 0, M3_ADAM_BETA2 = 1, M3_ADAM_EPS = 2, M3_ADAM_DECAY = 3, M3_ADAM_ATTRS = 4 };

static const m3_attr_desc m3_adam_attrs[M3_ADAM_ATTRS] = {
    {"beta1", M3_ATTR_FLOAT}, {"beta2", M3_ATTR_FLOAT}, {"eps", M3_ATTR_FLOAT}, {"weight_decay", M3_ATTR_FLOAT}};

/** Checks the attributes, step and scale. */
static inline m3_status m3_adam_check(const m3_node *node, m3_error *err)
{
    double decay = node->attr[M3_ADAM_DECAY].f;
    m3_status st;
    if ((st = m3_want_fraction(node, M3_ADAM_BETA1, err)) != M3_OK) return st;
    if ((st = m3_want_fraction(node, M3_ADAM_BETA2, err)) != M3_OK) return st;
    if ((st = m3_want_positive(node, M3_ADAM_EPS, err)) != M3_OK) return st;
    if (!(decay >= 0 && decay <= (double)FLT_MAX))
        return M3_FAIL_NODE(err, node, "weight_decay is %g; give 0 or a finite number above", decay);
    if ((st = m3_want(node, node->in[0], "step", M3_F32, M3_SHAPE(3), "{lr, 1 - beta1^t, 1 - beta2^t}", err)) != M3_OK)
        return st;
    return m3_want(node, node->in[1], "scale", M3_F32, m3_shape_of(0, NULL), "a factor for all gradients", err);
}

/** Entry of step as a scalar of p's type. */
static inline m3_tensor *m3_adam_entry(m3_builder *b, const m3_node *node, uint64_t entry, m3_dtype dtype)
{
    return m3_cast(b, m3_reshape(b, m3_slice(b, node->in[0], 0, entry, 1), m3_shape_of(0, NULL)), dtype);
}

/** Append the update of (p, m, v) by grad; out receives (p', m', v'). */
static inline void m3_adam_update(m3_builder *b, const m3_node *node, m3_tensor *const state[3], m3_tensor *grad,
                                  m3_tensor *out[3])
{
    m3_tensor *p = state[0], *m = state[1], *v = state[2];
    if (p == NULL) return;
    double beta1 = node->attr[M3_ADAM_BETA1].f, beta2 = node->attr[M3_ADAM_BETA2].f;
    double decay = node->attr[M3_ADAM_DECAY].f;
    m3_tensor *lr = m3_adam_entry(b, node, 0, p->dtype);
    m3_tensor *g = m3_mul(b, grad, m3_cast(b, node->in[1], p->dtype));
    m = m3_add(b, m3_mul(b, m, m3_scalar_like(b, p, beta1)), m3_mul(b, g, m3_scalar_like(b, p, 1.0 - beta1)));
    v = m3_add(b, m3_mul(b, v, m3_scalar_like(b, p, beta2)),
               m3_mul(b, m3_mul(b, g, g), m3_scalar_like(b, p, 1.0 - beta2)));
    m3_tensor *mean = m3_div(b, m, m3_adam_entry(b, node, 1, p->dtype));
    m3_tensor *spread = m3_sqrt(b, m3_div(b, v, m3_adam_entry(b, node, 2, p->dtype)));
    m3_tensor *change =
        m3_div(b, m3_mul(b, lr, mean), m3_add(b, spread, m3_scalar_like(b, p, node->attr[M3_ADAM_EPS].f)));
    if (decay != 0) p = m3_mul(b, p, m3_one_minus(b, m3_mul(b, lr, m3_scalar_like(b, p, decay))));
    m3_tensor *skips = m3_less(b, node->in[1], m3_scalar(b, 0.0F));
    out[0] = m3_where(b, skips, state[0], m3_sub(b, p, change));
    out[1] = m3_where(b, skips, state[1], m);
    out[2] = m3_where(b, skips, state[2], v);
}

/** Operations an element: see the formula. */
enum { M3_ADAM_FLOPS = 15 };

#endif
