/* softmax_cross_entropy_grad: gradient of softmax_cross_entropy. */
#include "core/ops/common/cross_entropy.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("logits", "target", "dloss"),
    .input_count = 3,
    .outputs = M3_NAMES("dlogits"),
    .output_count = 1,
    .summary = "Gradient of softmax_cross_entropy",
    .types = "logits, dloss, dlogits: f32 or f64, of one type; target: i32",
    .shapes = "logits [n, C], target [n], dloss [n] -> dlogits [n, C]",
    .formula = "dlogits_ij = dloss_i (softmax(logits_i)_j - [j = target_i]); 0 where target_i is outside 0 .. C-1",
    .gradient = "None: it is not differentiated again.",
    .special = "Where the target is no class, 0 whatever the logits are. NaN or infinity in a row makes this row NaN.",
};

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
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
};
