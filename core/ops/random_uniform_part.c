/* random_uniform_part: random_uniform for a part of a larger batch (philox_part). */
#include "core/ops/common/draw.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("rng"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y.", "Which draw of the step this is, from 0 to 2^32 - 1.", M3_DRAW_REPEATS),
    .summary = "Uniform random numbers in [0, 1) of a part of a larger batch",
    .types = "rng: u32; y: f32",
    .shapes = M3_DRAW_PART_RNG " -> y of the shape given",
    .formula = "y_e = floor(philox_part_e / 2^8) / 2^24",
    .gradient = "None passes: it is a draw.",
    .special = "Never: 0 <= y < 1.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_draw_part_infer(node, M3_F32, out, err);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_draw_uniform(
        b, m3_philox_part(b, node->in[0], m3_draw_shape(node), m3_draw_site(node), (uint32_t)node->attr[2].i[0]));
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"site", M3_ATTR_INT}, {"repeats", M3_ATTR_INT}};

const m3_op m3_op_random_uniform_part = {
    .size = M3_OP_SIZE,
    .name = "random_uniform_part",
    .doc = &doc,
    .flags = M3_OP_DRAWS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 3,
    .infer = infer,
    .decompose = decompose,
    .zero_gradient = true,
};
