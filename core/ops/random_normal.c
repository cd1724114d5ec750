/* random_normal: Box-Muller over pairs of consecutive uniforms; 1 - u is exact in f32. */
#include "core/ops/common/draw.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("rng"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y.", "Which draw of the step this is, from 0 to 2^32 - 1."),
    .summary = "Normal random numbers, mean 0 and variance 1",
    .types = "rng: u32; y: f32",
    .shapes = "rng [3] = {seed low, seed high, step} -> y of the shape given",
    .formula = "(u, v) = random_uniform 2p and 2p + 1, r = sqrt(-2 ln(1 - u))\n"
               "y_2p = r cos(2 pi v), y_2p+1 = r sin(2 pi v)",
    .gradient = "None passes: it is a draw.",
    .special = "Never: u < 1, so the logarithm is finite.",
};

static const float two_pi = 6.28318530717958647692f;

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_shape shape = m3_draw_shape(node);
    uint64_t count = m3_shape_count(&shape), pairs = count / 2 + count % 2;
    m3_tensor *uniform = m3_random_uniform(b, node->in[0], M3_SHAPE(pairs, 2), (uint32_t)node->attr[1].i[0]);
    m3_tensor *u = m3_slice(b, uniform, 1, 0, 1), *v = m3_slice(b, uniform, 1, 1, 1);
    m3_tensor *radius = m3_sqrt(b, m3_mul(b, m3_scalar(b, -2.0f), m3_log(b, m3_one_minus(b, u))));
    m3_tensor *angle = m3_mul(b, m3_scalar(b, two_pi), v);
    m3_tensor *pair[2] = {m3_mul(b, radius, m3_cos(b, angle)), m3_mul(b, radius, m3_sin(b, angle))};
    m3_tensor *flat = m3_reshape(b, m3_concat(b, pair, 2, 1), M3_SHAPE(2 * pairs));
    y[0] = m3_reshape(b, m3_slice(b, flat, 0, 0, count), shape);
}

/* Logarithm, root, product, angle, sine or cosine, product; the first three serve two elements. */
static uint64_t flops(const m3_node *node)
{
    return 5 * m3_tensor_count(node->out[0]);
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"site", M3_ATTR_INT}};

const m3_op m3_op_random_normal = {
    .size = M3_OP_SIZE,
    .name = "random_normal",
    .doc = &doc,
    .flags = M3_OP_DRAWS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = m3_draw_infer,
    .decompose = decompose,
    .flops = flops,
    .zero_gradient = true,
};
