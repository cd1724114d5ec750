/* equal: equality. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Equality",
    .types = "x, y: f32, f64, i32, u32, u8 or bool, of one type; z: bool",
    .shapes = "x, y: broadcast as NumPy does -> z",
    .formula = "z = (x = y)",
    .gradient = "None passes: z is bool.",
    .special = "NaN equals nothing, itself included. 0 and -0 are equal, and so are equal infinities.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_compare(node, M3_TYPES_NUMBER | M3_TYPES_BOOL | 1u << M3_U8, out, err);
}

static double same(double x, double y)
{
    return x == y ? 1.0 : 0.0;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_binary(node, in, out, same);
}

const m3_op m3_op_equal = {
    .size = M3_OP_SIZE,
    .name = "equal",
    .doc = &doc,
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
