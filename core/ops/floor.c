/* floor: largest whole number that is not above. */
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Largest whole number that is not above",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [...] -> y [...]",
    .formula = "y = floor(x)",
    .gradient = "None passes: y is flat almost everywhere.",
    .special = "-0 and infinities stay, NaN stays NaN.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_unary(node, in, out, floor);
}

const m3_op m3_op_floor = {
    .size = M3_OP_SIZE,
    .name = "floor",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
