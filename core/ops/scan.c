/* scan: a linear recurrence along an axis.
 *   y_l = a_l y_(l-1) + b_l,  y_0 = b_0          forwards
 *   y_l = a_l y_(l+1) + b_l,  y_(L-1) = b_(L-1)  in reverse */
#include "core/ops/common/scan.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("a", "b"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0.", "1 begins at the end of the axis, 0 at its start."),
    .summary = "Linear recurrence along an axis",
    .types = "a, b, y: f32 or f64, of one type",
    .shapes = "a [..., L, ...], b the same -> y the same",
    .formula = "y_l = a_l y_(l-1) + b_l, y_0 = b_0; in reverse y_l = a_l y_(l+1) + b_l, y_(L-1) = b_(L-1)",
    .gradient = "db_l = dy_l + a_(l+1) db_(l+1), da_l = db_l y_(l-1) and da_0 = 0; in reverse likewise",
    .special = "The first a counts for nothing, whatever it is. NaN and infinities go on to what comes after, as "
               "products and sums have it.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *a = node->in[M3_SCAN_A], *x = node->in[M3_SCAN_B];
    m3_status st = m3_infer_scan(node, M3_SCAN_B, M3_SCAN_AXIS, M3_SCAN_REVERSE, out, err);
    if (st != M3_OK || (a->dtype == x->dtype && m3_shape_equal(&a->shape, &x->shape))) return st;
    return M3_FAIL_NODE(err, node, "a is %s %s and b is %s %s; give both one type and shape", m3_dtype_name(a->dtype),
                        M3_SHAPE_TEXT(&a->shape), m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape));
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    const int axis = (int)m3_node_int(node, M3_SCAN_AXIS);
    const bool reverse = m3_node_flag(node, M3_SCAN_REVERSE);
    m3_tensor *next = m3_shift_axis(b, node->in[M3_SCAN_A], axis, reverse ? 1 : -1);
    m3_tensor *before = m3_shift_axis(b, node->out[M3_SCAN_Y], axis, reverse ? -1 : 1);
    dx[M3_SCAN_B] = m3_scan(b, next, dy[0], axis, !reverse);
    dx[M3_SCAN_A] = m3_mul(b, dx[M3_SCAN_B], before);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    m3_evaluate_scan(&node->out[0]->shape, (uint32_t)m3_node_int(node, M3_SCAN_AXIS),
                     m3_node_flag(node, M3_SCAN_REVERSE), in[M3_SCAN_A], in[M3_SCAN_B], out[0]);
    return M3_OK;
}

/* A product and a sum. */
static uint64_t flops(const m3_node *node)
{
    return 2 * m3_tensor_count(node->out[0]);
}

static const m3_attr_desc attrs[] = {{"axis", M3_ATTR_INT}, {"reverse", M3_ATTR_INT}};

const m3_op m3_op_scan = {
    .size = M3_OP_SIZE,
    .name = "scan",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = flops,
};
