/* softplus: smooth form of relu. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Smooth form of relu",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)",
    .gradient = "dx = sigmoid(x) dy",
    .special = "-infinity gives 0, infinity stays, NaN stays NaN.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_mul(b, dy[0], m3_sigmoid(b, node->in[0]));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0];
    y[0] = m3_add(b, m3_relu(b, x), m3_log1p(b, m3_exp(b, m3_neg(b, m3_abs(b, x)))));
}

static uint64_t flops(const m3_node *node)
{
    return 3 * m3_tensor_count(node->out[0]);
}

const m3_op m3_op_softplus = {
    .size = M3_OP_SIZE,
    .name = "softplus",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
