/* layer_norm: normalisation of the last axis. */
#include "core/ops/common/list.h"
#include "core/ops/common/norm.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "gamma", "beta"),
    .input_count = 3,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Above 0."),
    .summary = "Normalisation of the last axis",
    .types = "x, y: f32, f64, f16 or bf16, of one type; gamma, beta: the same, or f32 beside 16 bits, where all is "
             "computed in f32 and y rounded once",
    .shapes = "x [..., d], gamma, beta [d]; or grouped x [G, ..., d], gamma, beta [G, d] -> y like x",
    .formula = "y = (x - mean) / sqrt(variance + eps) gamma + beta, mean and variance over the last axis",
    .gradient = "as layer_norm_grad gives them",
    .special = "NaN or an infinity in a row makes this row NaN and no other. A row of equal values gives beta, up to "
               "rounding.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0], *gamma = node->in[1], *beta = node->in[2];
    m3_status st;
    if ((st = m3_norm_check(node, err)) != M3_OK) return st;
    if ((st = m3_want(node, beta, "beta", gamma->dtype, gamma->shape, "gamma", err)) != M3_OK) return st;
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *in[3] = {node->in[0], node->in[1], dy[0]};
    b->api->emit(b, m3_op_layer_norm_grad.name, in, 3, node->attr, 1, dx, 3);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0], *gamma = node->in[1], *beta = node->in[2], *deviation = NULL;
    m3_tensor *rows = m3_reshape(b, x, m3_norm_shape(x, gamma));
    m3_tensor *normal = m3_norm_rows(b, rows, node->attr[0].f, &deviation);
    m3_tensor *scaled = m3_mul(b, normal, m3_norm_vector(b, gamma));
    y[0] = m3_reshape(b, m3_add(b, scaled, m3_norm_vector(b, beta)), x->shape);
}

/* Sum, subtract, square, sum, scale by the deviation, by gamma, add beta. */
static uint64_t flops(const m3_node *node)
{
    return 7 * m3_tensor_count(node->in[0]);
}

/* Rows are normalised each on its own; groups have a gamma and beta of their own. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    const bool grouped = node->in[M3_LAYER_NORM_GAMMA]->shape.rank == 2;
    if (axis + 1 == node->out[0]->shape.rank || (grouped && axis == 0)) return M3_ROWS_MIXED;
    return input == M3_LAYER_NORM_X ? (int32_t)axis : M3_ROWS_ALL;
}

static const m3_attr_desc attrs[] = {{"eps", M3_ATTR_FLOAT}};

const m3_op m3_op_layer_norm = {
    .size = M3_OP_SIZE,
    .name = "layer_norm",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .row_axis = row_axis,
    .halves = 1u << M3_LAYER_NORM_X,
};
