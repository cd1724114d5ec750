/* log1p: logarithm of 1 + x, exact near 0. */
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Natural logarithm of 1 + x, exact near 0",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = ln(1 + x)",
    .gradient = "dx = dy / (1 + x)",
    .special = "-1 gives -infinity, less gives NaN; infinity stays, NaN stays NaN, and -0 stays -0.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0];
    dx[0] = m3_div(b, dy[0], m3_add(b, x, m3_scalar_like(b, x, 1.0)));
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, log1p);
}

const m3_op m3_op_log1p = {
    .size = M3_OP_SIZE,
    .name = "log1p",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
