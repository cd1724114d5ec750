/* sub: difference. */
#include "core/ops/common/constant.h"
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Difference",
    .types = "x, y, z: f32, f64, i32 or u32, of one type",
    .shapes = "x, y: broadcast as NumPy does -> z",
    .formula = "z = x - y",
    .gradient = "dx = dz, dy = -dz, summed over the axes that repeated",
    .special = "As IEEE 754: infinity - infinity is NaN, NaN spreads. Integers wrap.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_binary(node, M3_TYPES_NUMBER, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_sum_to(b, dy[0], &node->in[0]->shape);
    dx[1] = m3_neg(b, m3_sum_to(b, dy[0], &node->in[1]->shape));
}

static double real(double x, double y)
{
    return x - y;
}

static int64_t whole(int64_t x, int64_t y)
{
    return x - y;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_arithmetic(node, in, out, real, whole);
}

/* x - 0. */
static int32_t repeats(const m3_node *node)
{
    return m3_repeats_if(node, M3_BINARY_X, m3_constant_is(node->in[M3_BINARY_Y], 0.0));
}

const m3_op m3_op_sub = {
    .size = M3_OP_SIZE,
    .name = "sub",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .repeats = repeats,
};
