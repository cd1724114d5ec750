/* or: logical or. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Logical or",
    .types = "x, y, z: bool",
    .shapes = "x, y: broadcast as NumPy does -> z",
    .formula = "z = x or y",
    .gradient = "None passes: z is bool.",
    .special = "Does not arise: x, y and z are bool.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_compare(node, M3_TYPES_BOOL, out, err);
}

static double any(double x, double y)
{
    return x != 0.0 || y != 0.0 ? 1.0 : 0.0;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_binary(node, in, out, any);
}

const m3_op m3_op_or = {
    .size = M3_OP_SIZE,
    .name = "or",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
