/* softmax_cross_entropy_grad: dx_ij = dloss_i (softmax(x_i)_j - [j = target_i]); 0 where the target is no class.
 *   logits x [n, C], target i32 [n], dloss [n]  ->  dx [n, C] */
#include "core/ops/common/cross_entropy.h"

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0], *target = node->in[1];
    m3_status st;
    if ((st = m3_cross_entropy_check(node, err)) != M3_OK) return st;
    if ((st = m3_want(node, node->in[2], "dloss", x->dtype, target->shape, "a loss for each row", err)) != M3_OK)
        return st;
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *dloss = m3_column(b, node->in[2]);
    m3_tensor *e = m3_exp(b, m3_cross_entropy_shift(b, x));
    m3_tensor *p = m3_div(b, e, m3_reduce_sum(b, e, -1, M3_KEEP));
    m3_tensor *hit = m3_cast(b, m3_cross_entropy_hit(b, node), x->dtype);
    m3_tensor *counts = m3_column(b, m3_cross_entropy_counts(b, node));
    dx[0] = m3_where(b, counts, m3_mul(b, m3_sub(b, p, hit), dloss), m3_zero_like(b, x));
}

/* Maximum, subtract, exp, sum, divide, times dloss. */
static uint64_t flops(const m3_node *node)
{
    return 6 * m3_tensor_count(node->in[0]);
}

const m3_op m3_op_softmax_cross_entropy_grad = {
    .size = M3_OP_SIZE,
    .name = "softmax_cross_entropy_grad",
    .flags = M3_OP_INPLACE,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
};
