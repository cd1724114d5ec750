/* cross_entropy: what softmax_cross_entropy and its gradient share. */
#ifndef M3_CORE_OPS_COMMON_CROSS_ENTROPY_H
#define M3_CORE_OPS_COMMON_CROSS_ENTROPY_H

#include "core/ops/common/fused.h"

/** Checks logits and target. */
static inline m3_status m3_cross_entropy_check(const m3_node *node, m3_error *err)
{
    const m3_tensor *logits = node->in[0], *target = node->in[1];
    m3_status st;
    if ((st = m3_want_float(node, logits, "logits", 0, err)) != M3_OK) return st;
    if (logits->shape.rank != 2 || logits->shape.dim[1] > INT32_MAX)
        return M3_FAIL_NODE(err, node, "logits is %s %s; give 2 axes (row, class) and at most %d classes",
                            M3_TENSOR_TEXT(logits), INT32_MAX);
    return m3_want(node, target, "target", M3_I32, M3_SHAPE(logits->shape.dim[0]), "a class for each row of logits",
                   err);
}

/** bool [n, C]: is this class the row's target? */
static inline m3_tensor *m3_cross_entropy_hit(m3_builder *b, const m3_node *node)
{
    m3_tensor *classes = m3_iota(b, M3_SHAPE(node->in[0]->shape.dim[1]), 0);
    return m3_equal(b, m3_column(b, node->in[1]), classes);
}

/** bool [n]: is the target a class at all? */
static inline m3_tensor *m3_cross_entropy_counts(m3_builder *b, const m3_node *node)
{
    m3_tensor *target = node->in[1];
    m3_tensor *from = m3_less_equal(b, m3_scalar_i32(b, 0), target);
    return m3_and(b, from, m3_less(b, target, m3_scalar_i32(b, (int32_t)node->in[0]->shape.dim[1])));
}

/** x less the largest of its row: exp of it cannot overflow. */
static inline m3_tensor *m3_cross_entropy_shift(m3_builder *b, m3_tensor *x)
{
    return m3_sub(b, x, m3_reduce_max(b, x, -1, M3_KEEP));
}

#endif
