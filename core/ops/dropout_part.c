/* dropout_part: dropout for a part of a larger batch (philox_part). */
#include "core/ops/common/draw.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "rng"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Probability of being dropped, from 0 and below 1.",
                      "Which draw of the step this is, from 0 to 2^32 - 1.", M3_DRAW_REPEATS),
    .summary = "Random elements zeroed, the others scaled, in a part of a larger batch",
    .types = "x, y: f32 or f64, of one type; rng: u32",
    .shapes = "x [...], " M3_DRAW_PART_RNG " -> y [...]",
    .formula = "y_e = x_e / (1 - rate) where random_uniform_part(rng, site, repeats)_e >= rate, else 0",
    .gradient = "dx = dropout_part of dy with the same rng, rate, site and repeats",
    .special = "What is dropped is 0, NaN included; what is kept stays NaN or infinite.",
};

static uint32_t site_of(const m3_node *node)
{
    return (uint32_t)m3_node_int(node, M3_DROPOUT_PART_SITE);
}

static uint32_t repeats_of(const m3_node *node)
{
    return (uint32_t)m3_node_int(node, M3_DROPOUT_PART_REPEATS);
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[M3_DROPOUT_PART_X];
    m3_status st;
    if ((st = m3_want_float(node, x, "x", 0, err)) != M3_OK) return st;
    if ((st = m3_want_part_rng(node, node->in[M3_DROPOUT_PART_RNG], err)) != M3_OK) return st;
    if ((st = m3_want_fraction(node, M3_DROPOUT_PART_RATE, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, M3_DROPOUT_PART_SITE, 0, UINT32_MAX, err)) != M3_OK) return st;
    if ((st = m3_check_repeats(node, M3_DROPOUT_PART_REPEATS, m3_tensor_count(x), err)) != M3_OK) return st;
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[M3_DROPOUT_PART_X] =
        m3_dropout_part_node(b, dy[0], node->in[M3_DROPOUT_PART_RNG], m3_node_float(node, M3_DROPOUT_PART_RATE),
                             site_of(node), repeats_of(node));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[M3_DROPOUT_PART_X];
    m3_tensor *uniform =
        m3_random_uniform_part(b, node->in[M3_DROPOUT_PART_RNG], x->shape, site_of(node), repeats_of(node));
    y[0] = m3_draw_keep(b, x, uniform, m3_node_float(node, M3_DROPOUT_PART_RATE));
}

static uint64_t flops(const m3_node *node)
{
    return 2 * m3_tensor_count(node->out[0]);
}

/* x alone has rows, and fewer of them are drawn for anew as in dropout: of all parts alike, if the axis lies behind
 * those that the batch is repeated along and blocks still end with it. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    const m3_shape *x = &node->in[M3_DROPOUT_PART_X]->shape;
    const uint64_t repeats = repeats_of(node);
    uint64_t before = 1, others = 1;
    if (input != M3_DROPOUT_PART_X) return M3_ROWS_ALL;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (i < axis) before *= x->dim[i];
        if (i != axis) others *= x->dim[i];
    }
    const bool whole = before % repeats == 0 && others % (repeats * M3_DRAW_WORDS) == 0;
    return repeats == 1 || whole ? (int32_t)axis : M3_ROWS_MIXED;
}

static const m3_attr_desc attrs[] = {{"rate", M3_ATTR_FLOAT}, {"site", M3_ATTR_INT}, {"repeats", M3_ATTR_INT}};

const m3_op m3_op_dropout_part = {
    .size = M3_OP_SIZE,
    .name = "dropout_part",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_DRAWS,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 3,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .row_axis = row_axis,
};
