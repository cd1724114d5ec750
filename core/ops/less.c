/* less: z = (x < y), bool; x and y broadcast and have one type of f32, f64, i32, u32. False with NaN. */
#include "core/ops/common/elementwise.h"

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_compare(node, M3_TYPES_NUMBER, out, err);
}

static double below(double x, double y)
{
    return x < y ? 1.0 : 0.0;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_binary(node, in, out, below);
}

const m3_op m3_op_less = {
    .size = M3_OP_SIZE,
    .name = "less",
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
