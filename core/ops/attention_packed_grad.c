/* attention_packed_grad: gradients of attention_packed, side by side as their operands are. */
#include "core/ops/common/list.h"
#include "core/ops/common/packed.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("q", "kv", "mask", "dy"),
    .input_count = 4,
    .outputs = M3_NAMES("dq", "dkv"),
    .output_count = 2,
    .attrs = M3_NAMES("As attention_packed had it."),
    .summary = "Gradients of attention_packed",
    .types = "q, kv, dy, dq, dkv: f32, f64, f16 or bf16, of one type; mask: bool; beside 16 bits all is computed in "
             "f32, and the gradients rounded once",
    .shapes = "q, dy [..., Lq, d], kv [..., Lk, 2 d], mask [..., Lk] -> dq like q, dkv like kv;\n"
              "or q [..., L, 3 d] without kv, mask [..., L], dy [..., L, d] -> dq like q alone",
    .formula = "the gradients of attention(q, k, v, mask), each where its operand lies",
    .gradient = "None: it is not differentiated again.",
    .special = "As in attention_grad.",
};

static uint32_t count_outputs(const m3_node *node)
{
    return m3_node_input(node, M3_ATTENTION_PACKED_GRAD_KV) != NULL ? 2 : 1;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *q = node->in[M3_ATTENTION_PACKED_GRAD_Q], *dy = m3_node_input(node, M3_ATTENTION_PACKED_GRAD_DY);
    m3_status st;
    if ((st = m3_packed_check(node, err)) != M3_OK) return st;
    const m3_shape y = m3_packed_shape(node);
    if (dy == NULL)
        return M3_FAIL_NODE(err, node, "dy is missing; give %s %s", m3_dtype_name(q->dtype), M3_SHAPE_TEXT(&y));
    if ((st = m3_want(node, dy, "dy", q->dtype, y, "y", err)) != M3_OK) return st;
    for (uint32_t i = 0; i < count_outputs(node); i++) out[i] = m3_desc_of(q->dtype, node->in[i]->shape);
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    m3_tensor *x[3], *dx[3] = {NULL};
    m3_packed_operands(b, node, x);
    m3_tensor *in[M3_ATTENTION_GRAD_INPUTS] = {x[M3_ATTENTION_Q], x[M3_ATTENTION_K], x[M3_ATTENTION_V],
                                               node->in[M3_ATTENTION_PACKED_GRAD_MASK],
                                               node->in[M3_ATTENTION_PACKED_GRAD_DY]};
    b->api->emit(b, m3_op_attention_grad.name, in, M3_ATTENTION_GRAD_INPUTS, node->attr, M3_ATTENTION_GRAD_ATTRS, dx,
                 M3_ATTENTION_GRAD_OUTPUTS);
    const int last = (int)node->in[M3_ATTENTION_PACKED_GRAD_Q]->shape.rank - 1;
    const bool two = count_outputs(node) == 2;
    out[0] = m3_concat(b, dx, two ? 1 : 3, last);
    if (two) out[1] = m3_concat(b, dx + 1, 2, last);
}

/* As attention_grad: five products; scale, softmax and four more a score. */
static uint64_t flops(const m3_node *node)
{
    m3_heads h = m3_packed_heads(node);
    return h.rows * h.heads * h.queries * h.keys * (10 * h.width + 10);
}

static const m3_attr_desc attrs[] = {{"heads", M3_ATTR_INT}};

const m3_op m3_op_attention_packed_grad = {
    .size = M3_OP_SIZE,
    .name = "attention_packed_grad",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 4,
    .count_outputs = count_outputs,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .halves = 1u << M3_ATTENTION_PACKED_GRAD_Q | 1u << M3_ATTENTION_PACKED_GRAD_KV | 1u << M3_ATTENTION_PACKED_GRAD_DY,
};
