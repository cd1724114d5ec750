/* not: logical negation. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Logical negation",
    .types = "x, y: bool",
    .shapes = "x [...] -> y [...]",
    .formula = "y = not x",
    .gradient = "None passes: y is bool.",
    .special = "Does not arise: x and y are bool.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_BOOL, out, err);
}

static double invert(double x)
{
    return x == 0.0 ? 1.0 : 0.0;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, invert);
}

const m3_op m3_op_not = {
    .size = M3_OP_SIZE,
    .name = "not",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
