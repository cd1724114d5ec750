/* dropout: a draw depends on rng, site and element alone, so the gradient is the same op on dy and no mask is kept. */
#include "core/ops/common/draw.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "rng"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Probability of being dropped, from 0 and below 1.",
                      "Which draw of the step this is, from 0 to 2^32 - 1."),
    .summary = "Random elements zeroed, the others scaled",
    .types = "x, y: f32 or f64, of one type; rng: u32",
    .shapes = "x [...], rng [3] = {seed low, seed high, step} -> y [...]",
    .formula = "y_e = x_e / (1 - rate) where random_uniform(rng, site)_e >= rate, else 0",
    .gradient = "dx = dropout of dy with the same rng, rate and site",
    .special = "What is dropped is 0, NaN included; what is kept stays NaN or infinite.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    m3_status st;
    if ((st = m3_want_float(node, x, "x", 0, err)) != M3_OK) return st;
    if ((st = m3_want_rng(node, node->in[1], err)) != M3_OK) return st;
    if ((st = m3_want_fraction(node, 0, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, UINT32_MAX, err)) != M3_OK) return st;
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[M3_DROPOUT_X] = m3_dropout_node(b, dy[0], node->in[M3_DROPOUT_RNG], m3_node_float(node, M3_DROPOUT_RATE),
                                       (uint32_t)m3_node_int(node, M3_DROPOUT_SITE));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[M3_DROPOUT_X];
    m3_tensor *uniform =
        m3_random_uniform(b, node->in[M3_DROPOUT_RNG], x->shape, (uint32_t)m3_node_int(node, M3_DROPOUT_SITE));
    y[0] = m3_draw_keep(b, x, uniform, m3_node_float(node, M3_DROPOUT_RATE));
}

static uint64_t flops(const m3_node *node)
{
    return 2 * m3_tensor_count(node->out[0]);
}

/* x alone has rows. Dropout of fewer rows draws for those that are left: the same law, other draws. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    (void)node;
    return input == M3_DROPOUT_X ? (int32_t)axis : M3_ROWS_ALL;
}

static const m3_attr_desc attrs[] = {{"rate", M3_ATTR_FLOAT}, {"site", M3_ATTR_INT}};

const m3_op m3_op_dropout = {
    .size = M3_OP_SIZE,
    .name = "dropout",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_DRAWS,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .row_axis = row_axis,
};
