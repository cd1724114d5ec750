/* heads: what attention and its gradient share. R = product of the leading axes, H heads of width w = d / H.
 *   [..., L, d] is seen as [R, L, H, w] and computed as [R, H, L, w], so that heads and rows are one batch. */
#ifndef M3_CORE_OPS_COMMON_HEADS_H
#define M3_CORE_OPS_COMMON_HEADS_H

#include "core/ops/common/fused.h"

typedef struct m3_heads {
    uint64_t rows, queries, keys, heads, width;
} m3_heads;

/** Of a checked node. */
static inline m3_heads m3_heads_of(const m3_node *node)
{
    const m3_tensor *q = node->in[0], *k = node->in[1];
    uint64_t heads = (uint64_t)node->attr[0].i[0];
    m3_heads h = {m3_extent_product(q, 0, q->shape.rank - 2), m3_extent_back(q, 2), m3_extent_back(k, 2), heads,
                  m3_extent_back(q, 1) / heads};
    return h;
}

/** Checks q, k, v, mask and heads (attribute 0). */
static inline m3_status m3_heads_check(const m3_node *node, m3_error *err)
{
    const m3_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *mask = node->in[3];
    m3_status st;
    if ((st = m3_want_float_or_half(node, q, "q", 2, err)) != M3_OK) return st;
    if ((st = m3_want_float_or_half(node, k, "k", 2, err)) != M3_OK) return st;
    uint64_t d = m3_extent_back(q, 1), keys = m3_extent_back(k, 2);
    m3_shape want = q->shape;
    want.dim[want.rank - 2] = keys;
    if ((st = m3_want(node, k, "k", q->dtype, want, "q with as many keys", err)) != M3_OK) return st;
    if ((st = m3_want(node, v, "v", q->dtype, want, "k", err)) != M3_OK) return st;
    want.rank--;
    if ((st = m3_want(node, mask, "mask", M3_BOOL, want, "k without its last axis", err)) != M3_OK) return st;
    int64_t heads = node->attr[0].i[0];
    if (heads < 1 || d == 0 || d % (uint64_t)heads != 0)
        return M3_FAIL_NODE(err, node, "heads is %lld and q has width %llu; give a number of heads that divides it",
                            (long long)heads, (unsigned long long)d);
    return M3_OK;
}

/** [R, A, B, w] -> [R, B, A, w]; moves nothing when either is 1. */
static inline m3_tensor *m3_heads_swap(m3_builder *b, m3_tensor *x)
{
    static const int64_t perm[4] = {0, 2, 1, 3};
    if (x == NULL) return NULL;
    const uint64_t *dim = x->shape.dim;
    if (dim[1] == 1 || dim[2] == 1) return m3_reshape(b, x, M3_SHAPE(dim[0], dim[2], dim[1], dim[3]));
    return m3_transpose(b, x, perm, 4);
}

/** x [..., L, d] -> [R, H, L, w] */
static inline m3_tensor *m3_heads_split(m3_builder *b, m3_tensor *x, const m3_heads *h)
{
    if (x == NULL) return NULL;
    return m3_heads_swap(b, m3_reshape(b, x, M3_SHAPE(h->rows, m3_extent_back(x, 2), h->heads, h->width)));
}

/** x [R, H, L, w] -> [..., L, d] */
static inline m3_tensor *m3_heads_merge(m3_builder *b, m3_tensor *x, const m3_shape *shape)
{
    return m3_reshape(b, m3_heads_swap(b, x), *shape);
}

/** Keys or values with zeros where masked: a product of a zero probability and a masked NaN must stay out. */
static inline m3_tensor *m3_heads_valid(m3_builder *b, m3_tensor *x, m3_tensor *mask)
{
    return m3_where(b, m3_column(b, mask), x, m3_zero_like(b, x));
}

/** Probabilities [R, H, Lq, Lk] of queries (already scaled) over the valid keys. */
static inline m3_tensor *m3_heads_probabilities(m3_builder *b, m3_tensor *q, m3_tensor *k, m3_tensor *mask,
                                                const m3_heads *h)
{
    m3_tensor *valid = m3_reshape(b, mask, M3_SHAPE(h->rows, 1, 1, h->keys));
    return m3_masked_softmax(b, m3_matmul(b, q, k, false, true), valid);
}

#endif
