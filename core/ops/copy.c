/* copy: the executor puts it where a value must also lie in a state or in the output block. */
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "The same value in memory of its own",
    .types = "x, y: any type, the same",
    .shapes = "x [...] -> y [...]",
    .formula = "y = x",
    .gradient = "dx = dy",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_ANY, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)b;
    (void)node;
    dx[0] = dy[0];
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    memcpy(out[0], in[0], m3_tensor_count(node->out[0]) * sizeof *out[0]);
    return M3_OK;
}

const m3_op m3_op_copy = {
    .size = M3_OP_SIZE,
    .name = "copy",
    .doc = &doc,
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
