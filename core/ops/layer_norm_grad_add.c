/* layer_norm_grad_add: layer_norm_grad where a residual passes by the norm, so that x has a gradient from there, too.
 */
#include "core/ops/common/list.h"
#include "core/ops/common/norm.h"
#include "m3bsr/ops.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "gamma", "dy", "residual"),
    .input_count = 4,
    .outputs = M3_NAMES("dx", "dgamma", "dbeta"),
    .output_count = 3,
    .attrs = M3_NAMES("As layer_norm had it."),
    .summary = "Gradients of layer_norm, and another added to dx",
    .types =
        "x, dy, residual, dx: f32, f64, f16 or bf16, of one type; gamma, dgamma, dbeta: the same, or f32 beside 16 "
        "bits, where all is computed in f32 and dx rounded once",
    .shapes = "x, dy, residual [..., d], gamma [d]; or grouped x, dy, residual [G, ..., d], gamma [G, d] -> dx like x, "
              "dgamma and dbeta like gamma",
    .formula = "dx = layer_norm_grad's dx + residual; dgamma and dbeta are layer_norm_grad's",
    .gradient = "None: it is not differentiated again.",
    .special = "As of layer_norm_grad; what residual holds stays in its element of dx.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[M3_LAYER_NORM_GRAD_ADD_X], *residual = node->in[M3_LAYER_NORM_GRAD_ADD_RESIDUAL];
    m3_status st = m3_op_layer_norm_grad.infer(node, out, err);
    return st == M3_OK ? m3_want(node, residual, "residual", x->dtype, x->shape, "x", err) : st;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    b->api->emit(b, m3_op_layer_norm_grad.name, node->in, M3_LAYER_NORM_GRAD_INPUTS, node->attr,
                 M3_LAYER_NORM_GRAD_ATTRS, out, M3_LAYER_NORM_GRAD_OUTPUTS);
    out[0] = m3_add(b, out[0], node->in[M3_LAYER_NORM_GRAD_ADD_RESIDUAL]);
}

static uint64_t flops(const m3_node *node)
{
    return m3_op_layer_norm_grad.flops(node) + m3_tensor_count(node->in[M3_LAYER_NORM_GRAD_ADD_X]);
}

static const m3_attr_desc attrs[] = {{"eps", M3_ATTR_FLOAT}};

const m3_op m3_op_layer_norm_grad_add = {
    .size = M3_OP_SIZE,
    .name = "layer_norm_grad_add",
    .doc = &doc,
    .min_inputs = 4,
    .max_inputs = 4,
    .outputs = 3,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .halves = 1u << M3_LAYER_NORM_GRAD_ADD_X | 1u << M3_LAYER_NORM_GRAD_ADD_DY | 1u << M3_LAYER_NORM_GRAD_ADD_RESIDUAL,
};
