/* flip: an axis in the opposite order. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0."),
    .summary = "An axis in the opposite order",
    .types = "x, y: any type, the same",
    .shapes = "x [..., L, ...] -> y [..., L, ...]",
    .formula = "y_l = x_(L-1-l)",
    .gradient = "dx = dy, flipped likewise",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *x = node->in[M3_FLIP_X];
    if ((st = m3_check_rank(node, M3_FLIP_X, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, M3_FLIP_AXIS, 0, (int64_t)x->shape.rank - 1, err)) != M3_OK) return st;
    *out = (m3_tensor_desc){x->dtype, x->shape};
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_flip(b, dy[0], (int)m3_node_int(node, M3_FLIP_AXIS));
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const m3_line line = m3_line_of(&node->in[M3_FLIP_X]->shape, (uint32_t)m3_node_int(node, M3_FLIP_AXIS));
    for (uint64_t o = 0; o < line.outer; o++)
        for (uint64_t l = 0; l < line.length; l++)
            memcpy(out[0] + (o * line.length + l) * line.inner,
                   in[0] + (o * line.length + (line.length - 1 - l)) * line.inner, line.inner * sizeof *out[0]);
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"axis", M3_ATTR_INT}};

const m3_op m3_op_flip = {
    .size = M3_OP_SIZE,
    .name = "flip",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
