/* neg: negative. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Negative",
    .types = "x, y: f32, f64 or i32, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = -x",
    .gradient = "dx = -dy",
    .special = "0 and -0 turn into each other, NaN stays NaN. The smallest i32 stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT | M3_TYPES_I32, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)node;
    dx[0] = m3_neg(b, dy[0]);
}

static double negate(double x)
{
    return -x;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, negate);
}

const m3_op m3_op_neg = {
    .size = M3_OP_SIZE,
    .name = "neg",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
