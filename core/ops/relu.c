/* relu: rectifier. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Rectifier",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = max(x, 0)",
    .gradient = "dx = dy where y > 0, else 0",
    .special = "-infinity gives 0, infinity stays, NaN stays NaN.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

/* dx = dy where x > 0, which is where y > 0: x need not be kept. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_relu_grad(b, node->out[0], dy[0]);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0];
    y[0] = m3_max(b, x, m3_zero_like(b, x));
}

const m3_op m3_op_relu = {
    .size = M3_OP_SIZE,
    .name = "relu",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .epilogue = M3_EPILOGUE_RELU,
};
