/* layer_norm_grad: gradients of layer_norm. */
#include "core/ops/common/list.h"
#include "core/ops/common/norm.h"
#include "m3bsr/ops.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "gamma", "dy"),
    .input_count = 3,
    .outputs = M3_NAMES("dx", "dgamma", "dbeta"),
    .output_count = 3,
    .attrs = M3_NAMES("As layer_norm had it."),
    .summary = "Gradients of layer_norm",
    .types = "x, dy, dx: f32, f64, f16 or bf16, of one type; gamma, dgamma, dbeta: the same, or f32 beside 16 bits, "
             "where all is computed in f32 and dx rounded once",
    .shapes = "x, dy [..., d], gamma [d]; or grouped x, dy [G, ..., d], gamma [G, d] -> dx like x, dgamma and dbeta "
              "like gamma",
    .formula = "with s = sqrt(variance + eps), n = (x - mean) / s, e = dy gamma:\n"
               "dx = (e - mean(e) - n mean(e n)) / s\n"
               "dgamma = sum over rows of dy n, dbeta = sum over rows of dy",
    .gradient = "None: it is not differentiated again.",
    .special = "NaN or an infinity in a row of x or dy spreads to this row of dx, and to dgamma or dbeta of its "
               "group.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0], *gamma = node->in[1], *dy = node->in[2];
    m3_status st;
    if ((st = m3_norm_check(node, err)) != M3_OK) return st;
    if ((st = m3_want(node, dy, "dy", x->dtype, x->shape, "x", err)) != M3_OK) return st;
    out[0] = m3_desc_of(x->dtype, x->shape);
    out[1] = out[2] = m3_desc_of(gamma->dtype, gamma->shape);
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    m3_tensor *x = node->in[0], *gamma = node->in[1], *deviation = NULL;
    m3_shape rows = m3_norm_shape(x, gamma);
    m3_tensor *n = m3_norm_rows(b, m3_reshape(b, x, rows), node->attr[0].f, &deviation);
    m3_tensor *dy = m3_reshape(b, node->in[2], rows);
    m3_tensor *e = m3_mul(b, dy, m3_norm_vector(b, gamma));
    m3_tensor *along = m3_mul(b, n, m3_norm_mean(b, m3_mul(b, e, n)));
    m3_tensor *across = m3_sub(b, m3_sub(b, e, m3_norm_mean(b, e)), along);
    out[0] = m3_reshape(b, m3_div(b, across, deviation), x->shape);
    out[1] = m3_reduce_sum(b, m3_mul(b, dy, n), -2, M3_DROP);
    out[2] = m3_reduce_sum(b, dy, -2, M3_DROP);
}

/* 5 for n, 8 for dx (product, two sums and a product, three to join, a division), 3 for dgamma and dbeta. */
static uint64_t flops(const m3_node *node)
{
    return 16 * m3_tensor_count(node->in[0]);
}

static m3_tensor *absorb(m3_builder *b, const m3_node *node, m3_epilogue step, m3_tensor *operand)
{
    m3_tensor *out[M3_LAYER_NORM_GRAD_ADD_OUTPUTS] = {NULL};
    if (step != M3_EPILOGUE_RESIDUAL) return NULL;
    m3_tensor *in[M3_LAYER_NORM_GRAD_ADD_INPUTS] = {node->in[M3_LAYER_NORM_GRAD_X], node->in[M3_LAYER_NORM_GRAD_GAMMA],
                                                    node->in[M3_LAYER_NORM_GRAD_DY], operand};
    b->api->emit(b, m3_op_layer_norm_grad_add.name, in, M3_LAYER_NORM_GRAD_ADD_INPUTS, node->attr,
                 M3_LAYER_NORM_GRAD_ADD_ATTRS, out, M3_LAYER_NORM_GRAD_ADD_OUTPUTS);
    return out[M3_LAYER_NORM_GRAD_ADD_DX];
}

static const m3_attr_desc attrs[] = {{"eps", M3_ATTR_FLOAT}};

const m3_op m3_op_layer_norm_grad = {
    .size = M3_OP_SIZE,
    .name = "layer_norm_grad",
    .doc = &doc,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 3,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .absorb = absorb,
    .halves = 1u << M3_LAYER_NORM_GRAD_X | 1u << M3_LAYER_NORM_GRAD_DY,
};
