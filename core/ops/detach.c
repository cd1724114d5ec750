/* detach: the same value, which gradients do not pass: for a loss that must not move what it looks at. */
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "The same value without its gradient",
    .types = "x, y: any type, the same",
    .shapes = "x [...] -> y [...]",
    .formula = "y = x",
    .gradient = "None passes: that is what it is for.",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_ANY, out, err);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    memcpy(out[0], in[0], m3_tensor_count(node->out[0]) * sizeof *out[0]);
    return M3_OK;
}

const m3_op m3_op_detach = {
    .size = M3_OP_SIZE,
    .name = "detach",
    .doc = &doc,
    .flags = M3_OP_ALIAS | M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .zero_gradient = true,
};
