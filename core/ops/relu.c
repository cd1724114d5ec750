/* relu: y = max(x, 0).   x [...] -> y [...]; NaN stays NaN. */
#include "core/ops/common/fused.h"

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
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .epilogue = M3_EPILOGUE_RELU,
};
