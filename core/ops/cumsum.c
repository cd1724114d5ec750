/* cumsum: sums from the start of an axis, or from its end: scan with a = 1. */
#include "core/ops/common/scan.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0.", "1 begins at the end of the axis, 0 at its start."),
    .summary = "Sums from the start of an axis",
    .types = "x, y: f32 or f64, of one type",
    .shapes = "x [..., L, ...] -> y [..., L, ...]",
    .formula = "y_l = x_0 + ... + x_l; in reverse y_l = x_l + ... + x_(L-1)",
    .gradient = "dx = the sums of dy from the other end",
    .special = "NaN and infinities go on to what comes after, as sums have it.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_scan(node, M3_CUMSUM_X, M3_CUMSUM_AXIS, M3_CUMSUM_REVERSE, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_cumsum(b, dy[0], (int)m3_node_int(node, M3_CUMSUM_AXIS), !m3_node_flag(node, M3_CUMSUM_REVERSE));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[M3_CUMSUM_X];
    m3_tensor *ones = m3_broadcast(b, m3_scalar_like(b, x, 1.0), x->shape);
    y[0] = m3_scan(b, ones, x, (int)m3_node_int(node, M3_CUMSUM_AXIS), m3_node_flag(node, M3_CUMSUM_REVERSE));
}

static const m3_attr_desc attrs[] = {{"axis", M3_ATTR_INT}, {"reverse", M3_ATTR_INT}};

const m3_op m3_op_cumsum = {
    .size = M3_OP_SIZE,
    .name = "cumsum",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
};
