/* not: y = not x, bool of any shape. */
#include "core/ops/common/elementwise.h"

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
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
