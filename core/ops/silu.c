/* silu: sigmoid-weighted input. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Sigmoid-weighted input",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = x sigmoid(x)",
    .gradient = "dx = dy (s + y (1 - s)), s = sigmoid(x)",
    .special = "-infinity gives NaN (it is multiplied by 0), infinity stays, NaN stays NaN.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

/* dx = dy (s + y (1 - s)),  s = sigmoid(x) */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *y = node->out[0];
    m3_tensor *s = m3_sigmoid(b, x);
    dx[0] = m3_mul(b, dy[0], m3_add(b, s, m3_mul(b, y, m3_one_minus(b, s))));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0];
    y[0] = m3_mul(b, x, m3_sigmoid(b, x));
}

static uint64_t flops(const m3_node *node)
{
    return 2 * m3_tensor_count(node->out[0]);
}

const m3_op m3_op_silu = {
    .size = M3_OP_SIZE,
    .name = "silu",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .epilogue = M3_EPILOGUE_SILU,
};
