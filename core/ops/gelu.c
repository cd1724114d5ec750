/* gelu: input weighted by the normal distribution. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Input weighted by the normal distribution",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2",
    .gradient = "dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi)",
    .special = "-infinity gives NaN (it is multiplied by 0), infinity stays, NaN stays NaN.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

/* Phi(x). */
static m3_tensor *share(m3_builder *b, m3_tensor *x)
{
    m3_tensor *wave = m3_erf(b, m3_mul(b, x, m3_scalar_like(b, x, 0.70710678118654752)));
    m3_tensor *half = m3_scalar_like(b, x, 0.5);
    return m3_add(b, m3_mul(b, wave, half), half);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0];
    m3_tensor *bell = m3_exp(b, m3_mul(b, m3_mul(b, x, x), m3_scalar_like(b, x, -0.5)));
    m3_tensor *density = m3_mul(b, bell, m3_scalar_like(b, x, 0.39894228040143268));
    dx[0] = m3_mul(b, dy[0], m3_add(b, share(b, x), m3_mul(b, x, density)));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_mul(b, node->in[0], share(b, node->in[0]));
}

static uint64_t flops(const m3_node *node)
{
    return 4 * m3_tensor_count(node->out[0]);
}

const m3_op m3_op_gelu = {
    .size = M3_OP_SIZE,
    .name = "gelu",
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
