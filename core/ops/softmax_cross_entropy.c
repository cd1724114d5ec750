/* softmax_cross_entropy: negative logarithm of the target's probability. */
#include "core/ops/common/cross_entropy.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("logits", "target"),
    .input_count = 2,
    .outputs = M3_NAMES("loss"),
    .output_count = 1,
    .summary = "Negative logarithm of the target's probability",
    .types = "logits, loss: f32 or f64, of one type; target: i32",
    .shapes = "logits [n, C], target [n] -> loss [n]",
    .formula = "loss_i = ln(sum over j of exp(logits_ij)) - logits_it, t = target_i; 0 where t is outside 0 .. C-1",
    .gradient = "as softmax_cross_entropy_grad gives it; none by target",
    .special = "Where the target is no class, 0 whatever the logits are. NaN or infinity in a row gives NaN; a "
               "target whose logit is -infinity gives infinity, other logits of -infinity count nothing.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_cross_entropy_check(node, err);
    if (st == M3_OK) *out = m3_desc_of(node->in[0]->dtype, node->in[1]->shape);
    return st;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *in[3] = {node->in[0], node->in[1], dy[0]};
    dx[0] = m3_emit(b, m3_op_softmax_cross_entropy_grad.name, in, 3, NULL, 0);
}

/* The target's logit is selected and summed with zeros: exact, and without an index that could pass 2^31. */
static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0], *zero = m3_zero_like(b, x);
    m3_tensor *shifted = m3_cross_entropy_shift(b, x);
    m3_tensor *total = m3_log(b, m3_reduce_sum(b, m3_exp(b, shifted), -1, M3_DROP));
    m3_tensor *mine = m3_reduce_sum(b, m3_where(b, m3_cross_entropy_hit(b, node), shifted, zero), -1, M3_DROP);
    y[0] = m3_where(b, m3_cross_entropy_counts(b, node), m3_sub(b, total, mine), zero);
}

/* Maximum, subtract, exp, sum. */
static uint64_t flops(const m3_node *node)
{
    return 4 * m3_tensor_count(node->in[0]);
}

const m3_op m3_op_softmax_cross_entropy = {
    .size = M3_OP_SIZE,
    .name = "softmax_cross_entropy",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
