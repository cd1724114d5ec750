/* min: smaller of two. */
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Smaller of two",
    .types = "x, y, z: f32, f64, i32 or u32, of one type",
    .shapes = "x, y: broadcast as NumPy does -> z",
    .formula = "z = min(x, y)",
    .gradient = "dz goes to the smaller one, to x when both are equal, summed over the axes that repeated",
    .special = "NaN if either is NaN. 0 and -0 are equal.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_binary(node, M3_TYPES_NUMBER, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *y = node->in[1], *zero = m3_scalar_like(b, dy[0], 0.0);
    m3_tensor *first = m3_less_equal(b, x, y);
    dx[0] = m3_sum_to(b, m3_where(b, first, dy[0], zero), &x->shape);
    dx[1] = m3_sum_to(b, m3_where(b, first, zero, dy[0]), &y->shape);
}

static double real(double x, double y)
{
    if (isnan(x) || isnan(y)) return NAN;
    return x <= y ? x : y;
}

static int64_t whole(int64_t x, int64_t y)
{
    return x <= y ? x : y;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_arithmetic(node, in, out, real, whole);
}

const m3_op m3_op_min = {
    .size = M3_OP_SIZE,
    .name = "min",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
