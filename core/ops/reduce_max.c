/* reduce_max: maximum over an axis. */
#include "core/ops/common/reduce.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0.", "1 leaves the axis with extent 1, 0 drops it."),
    .summary = "Maximum over an axis",
    .types = "x, y: f32, f64 or i32, of one type",
    .shapes = "x [..., L, ...] -> y [..., 1, ...] when kept, else y [..., ...]",
    .formula = "y = max over l of x_l",
    .gradient = "dx = dy / c where x = y, else 0; c = how many x_l equal y",
    .special = "NaN if any x_l is NaN. When L = 0, -infinity, or the smallest i32.",
};

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0];
    int axis = (int)node->attr[0].i[0];
    m3_tensor *largest = m3_equal(b, x, m3_reduce_kept(b, node, node->out[0]));
    m3_tensor *count = m3_reduce_sum(b, m3_cast(b, largest, x->dtype), axis, M3_KEEP);
    m3_tensor *share = m3_div(b, m3_reduce_kept(b, node, dy[0]), count);
    dx[0] = m3_where(b, largest, share, m3_scalar_like(b, x, 0.0));
}

static double larger(double max, double x)
{
    if (isnan(max) || isnan(x)) return NAN;
    return max >= x ? max : x;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_reduce(node, in[0], out[0], node->in[0]->dtype == M3_I32 ? INT32_MIN : -INFINITY, larger);
}

const m3_op m3_op_reduce_max = {
    .size = M3_OP_SIZE,
    .name = "reduce_max",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = m3_reduce_attrs,
    .attr_count = 2,
    .infer = m3_infer_reduce,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_input,
};
