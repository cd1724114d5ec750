/* less_equal: comparison, not above. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Comparison, not above",
    .types = "x, y: f32, f64, i32 or u32, of one type; z: bool",
    .shapes = "x, y: broadcast as NumPy does -> z",
    .formula = "z = (x <= y)",
    .gradient = "None passes: z is bool.",
    .special = "False if either is NaN. 0 and -0 are equal.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_compare(node, M3_TYPES_NUMBER, out, err);
}

static double not_above(double x, double y)
{
    return x <= y ? 1.0 : 0.0;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_binary(node, in, out, not_above);
}

const m3_op m3_op_less_equal = {
    .size = M3_OP_SIZE,
    .name = "less_equal",
    .doc = &doc,
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
