/* pow: a power, as C's pow defines it. */
#include "core/ops/common/constant.h"
#include "core/ops/common/elementwise.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "y"),
    .input_count = 2,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Power",
    .types = "x, y, z: f32 or f64, of one type",
    .shapes = "x [...], y [...] -> z [...], broadcast",
    .formula = "z = x^y",
    .gradient = "dx = y x^(y-1) dz; dy = z ln(x) dz, 0 where x is 0",
    .special = "As C's pow: x^0 and 1^y are 1, whatever the other is; a negative x wants a whole y, else NaN; 0 to a "
               "negative y is infinity; signs of zeros and infinities count where y is odd.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_binary(node, M3_TYPES_FLOAT, out, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dz, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *y = node->in[1], *z = node->out[0];
    m3_tensor *zero = m3_scalar_like(b, x, 0.0);
    m3_tensor *slope = m3_mul(b, y, m3_pow(b, x, m3_sub(b, y, m3_scalar_like(b, y, 1.0))));
    m3_tensor *growth = m3_where(b, m3_equal(b, x, zero), zero, m3_mul(b, z, m3_log(b, x)));
    dx[0] = m3_sum_to(b, m3_mul(b, dz[0], m3_where(b, m3_equal(b, y, zero), zero, slope)), &x->shape);
    dx[1] = m3_sum_to(b, m3_mul(b, dz[0], growth), &y->shape);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    return m3_evaluate_binary(node, in, out, pow);
}

/* x^1. */
static int32_t repeats(const m3_node *node)
{
    return m3_repeats_if(node, M3_BINARY_X, m3_constant_is(node->in[M3_BINARY_Y], 1.0));
}

const m3_op m3_op_pow = {
    .size = M3_OP_SIZE,
    .name = "pow",
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
