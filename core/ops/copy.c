/* copy: y = x, any type and shape; the same value in memory of its own. The executor puts it where a value must also
 * lie in a state or in the output block.  dx = dy */
#include "core/ops/common/rules.h"

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
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
