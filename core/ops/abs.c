/* abs: absolute value. */
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Absolute value",
    .types = "x, y: f32, f64 or i32, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = |x|",
    .gradient = "dx = sign(x) dy, 0 where x = 0",
    .special = "-0 gives 0, -infinity gives infinity, NaN stays NaN. The smallest i32 stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT | M3_TYPES_I32, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *zero = m3_scalar_like(b, x, 0.0);
    m3_tensor *falling = m3_where(b, m3_less(b, x, zero), m3_neg(b, dy[0]), zero);
    dx[0] = m3_where(b, m3_less(b, zero, x), dy[0], falling);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, fabs);
}

const m3_op m3_op_abs = {
    .size = M3_OP_SIZE,
    .name = "abs",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
