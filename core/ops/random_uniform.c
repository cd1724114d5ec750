/* random_uniform: y_e = (bits_e >> 8) 2^-24, bits = philox(rng, site).   rng u32 [3] -> y f32 shape, in [0, 1)
 * 24 bits are what f32 holds exactly, so every backend draws the same numbers and never 1. */
#include "core/ops/common/draw.h"

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    static const uint32_t low_byte = 256;
    m3_shape scalar = m3_shape_of(0, NULL);
    m3_tensor *bits = m3_philox(b, node->in[0], m3_draw_shape(node), (uint32_t)node->attr[1].i[0]);
    m3_tensor *high = m3_div(b, bits, m3_constant(b, M3_U32, &scalar, &low_byte)); /* truncates: a shift by 8 */
    y[0] = m3_mul(b, m3_cast(b, high, M3_F32), m3_scalar(b, 0x1p-24f));
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"site", M3_ATTR_INT}};

const m3_op m3_op_random_uniform = {
    .size = M3_OP_SIZE,
    .name = "random_uniform",
    .flags = M3_OP_DRAWS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = m3_draw_infer,
    .decompose = decompose,
    .zero_gradient = true,
};
