/* reduce_sum: sum over an axis. */
#include "core/ops/common/elementwise.h"
#include "core/ops/common/reduce.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0.", "1 leaves the axis with extent 1, 0 drops it."),
    .summary = "Sum over an axis",
    .types = "x, y: f32, f64 or i32, of one type",
    .shapes = "x [..., L, ...] -> y [..., 1, ...] when kept, else y [..., ...]",
    .formula = "y = sum over l of x_l; 0 when L = 0",
    .gradient = "dx = dy, repeated along the axis",
    .special = "NaN and infinities spread as in sums. The order of the terms is fixed, so the same device gives the "
               "same bits. i32 wraps.",
};

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_broadcast(b, m3_reduce_kept(b, node, dy[0]), node->in[0]->shape);
}

static double plus(double sum, double x)
{
    return sum + x;
}

static double plus_i32(double sum, double x)
{
    return m3_wrap((int64_t)sum + (int64_t)x, M3_I32);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_reduce(node, in[0], out[0], 0.0, node->in[0]->dtype == M3_I32 ? plus_i32 : plus);
}

const m3_op m3_op_reduce_sum = {
    .size = M3_OP_SIZE,
    .name = "reduce_sum",
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
