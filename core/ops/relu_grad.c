/* relu_grad: gradient of relu, and the gate of linear. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("y", "dy"),
    .input_count = 2,
    .outputs = M3_NAMES("dx"),
    .output_count = 1,
    .summary = "Gradient of relu, and the gate of linear",
    .types = "y, dy, dx: f32 or f64, of one type",
    .shapes = "y [...], dy [...] -> dx [...]",
    .formula = "dx = dy where y > 0, else 0",
    .gradient = "ddy = ddx where y > 0, else 0; none by y, whose derivative is 0 wherever there is one",
    .special = "Selects: under a y that is not above 0 or is NaN, dy may be anything.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *y = node->in[0], *dy = node->in[1];
    m3_status st;
    if ((st = m3_want_float(node, y, "y", 0, err)) != M3_OK) return st;
    if ((st = m3_want(node, dy, "dy", y->dtype, y->shape, "y", err)) != M3_OK) return st;
    *out = m3_desc_of(y->dtype, y->shape);
    return M3_OK;
}

/* Linear in dy; the derivative by y is 0 wherever it exists. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[1] = m3_relu_grad(b, node->in[0], dy[0]);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **dx)
{
    m3_tensor *y = node->in[0], *dy = node->in[1], *zero = m3_zero_like(b, y);
    dx[0] = m3_where(b, m3_less(b, zero, y), dy, zero);
}

const m3_op m3_op_relu_grad = {
    .size = M3_OP_SIZE,
    .name = "relu_grad",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .epilogue = M3_EPILOGUE_GATE,
};
