/* packed: what attention_packed and its gradient share: q, k and v as a product of one input makes them, side by side.
 *   two tensors  q [..., Lq, d], kv [..., Lk, 2 d]        one tensor  q [..., L, 3 d], and no kv */
#ifndef M3_CORE_OPS_COMMON_PACKED_H
#define M3_CORE_OPS_COMMON_PACKED_H

#include "core/ops/common/heads.h"
#include "m3bsr/ops.h"

/** The shape of y: that of q alone. */
static inline m3_shape m3_packed_shape(const m3_node *node)
{
    m3_shape shape = node->in[M3_ATTENTION_PACKED_Q]->shape;
    if (m3_node_input(node, M3_ATTENTION_PACKED_KV) == NULL) shape.dim[shape.rank - 1] /= 3;
    return shape;
}

/** Of a checked node. */
static inline m3_heads m3_packed_heads(const m3_node *node)
{
    const m3_tensor *q = node->in[M3_ATTENTION_PACKED_Q], *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    const m3_shape y = m3_packed_shape(node);
    const uint64_t heads = (uint64_t)m3_node_int(node, M3_ATTENTION_PACKED_HEADS);
    return (m3_heads){.rows = m3_extent_product(q, 0, q->shape.rank - 2),
                      .queries = m3_extent_back(q, 2),
                      .keys = m3_extent_back(kv != NULL ? kv : q, 2),
                      .heads = heads,
                      .width = y.dim[y.rank - 1] / heads};
}

/** Checks q, kv, mask and heads (attribute 0). */
static inline m3_status m3_packed_check(const m3_node *node, m3_error *err)
{
    const m3_tensor *q = node->in[M3_ATTENTION_PACKED_Q], *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    const m3_tensor *mask = m3_node_input(node, M3_ATTENTION_PACKED_MASK);
    const int64_t heads = m3_node_int(node, M3_ATTENTION_PACKED_HEADS);
    m3_status st;
    if ((st = m3_want_float_or_half(node, q, "q", 2, err)) != M3_OK) return st;
    if (kv == NULL && m3_extent_back(q, 1) % 3 != 0)
        return M3_FAIL_NODE(err, node, "q is %s %s and holds k and v, too; give a width that 3 divides, or kv",
                            M3_TENSOR_TEXT(q));
    m3_shape want = m3_packed_shape(node);
    const uint64_t d = want.dim[want.rank - 1];
    if (kv != NULL) {
        if ((st = m3_want_float_or_half(node, kv, "kv", 2, err)) != M3_OK) return st;
        want.dim[want.rank - 2] = m3_extent_back(kv, 2);
        want.dim[want.rank - 1] = 2 * d;
        if ((st = m3_want(node, kv, "kv", q->dtype, want, "q with as many keys", err)) != M3_OK) return st;
    }
    want.rank--;
    if (mask == NULL) return M3_FAIL_NODE(err, node, "mask is missing; give bool %s", M3_SHAPE_TEXT(&want));
    if ((st = m3_want(node, mask, "mask", M3_BOOL, want, "the keys", err)) != M3_OK) return st;
    if (heads >= 1 && d > 0 && d % (uint64_t)heads == 0) return M3_OK;
    return M3_FAIL_NODE(err, node, "heads is %lld and q has width %llu; give a number of heads that divides it",
                        (long long)heads, (unsigned long long)d);
}

/** q, k and v, each by itself. */
static inline void m3_packed_operands(m3_builder *b, const m3_node *node, m3_tensor *x[3])
{
    m3_tensor *q = node->in[M3_ATTENTION_PACKED_Q], *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    const m3_shape y = m3_packed_shape(node);
    const uint64_t d = y.dim[y.rank - 1];
    x[M3_ATTENTION_Q] = m3_slice(b, q, -1, 0, d);
    x[M3_ATTENTION_K] = kv != NULL ? m3_slice(b, kv, -1, 0, d) : m3_slice(b, q, -1, d, d);
    x[M3_ATTENTION_V] = kv != NULL ? m3_slice(b, kv, -1, d, d) : m3_slice(b, q, -1, 2 * d, d);
}

#endif
