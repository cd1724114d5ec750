/* expm1: exponential minus 1, exact near 0. */
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Exponential minus 1, exact near 0",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = e^x - 1",
    .gradient = "dx = (y + 1) dy",
    .special = "-infinity gives -1, infinity gives infinity, NaN stays NaN, and -0 stays -0.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *y = node->out[0];
    dx[0] = m3_mul(b, dy[0], m3_add(b, y, m3_scalar_like(b, y, 1.0)));
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, expm1);
}

const m3_op m3_op_expm1 = {
    .size = M3_OP_SIZE,
    .name = "expm1",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
