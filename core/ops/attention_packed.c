/* attention_packed: attention whose q, k and v, or k and v, are one product, so that none of them is moved. */
#include "core/ops/common/list.h"
#include "core/ops/common/packed.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("q", "kv", "mask"),
    .input_count = 3,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Divides d."),
    .summary = "Attention whose operands lie side by side",
    .types = "q, kv, y: f32, f64, f16 or bf16, of one type; mask: bool; beside 16 bits all is computed in f32, and y "
             "rounded once",
    .shapes = "q [..., Lq, d], kv [..., Lk, 2 d], mask [..., Lk] -> y [..., Lq, d];\n"
              "or q [..., L, 3 d] without kv, mask [..., L] -> y [..., L, d]",
    .formula = "y = attention(q, k, v, mask); kv holds k and v side by side, or q holds q, k and v",
    .gradient = "as attention_packed_grad gives them",
    .special = "As in attention.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_packed_check(node, err);
    if (st == M3_OK) *out = m3_desc_of(node->in[M3_ATTENTION_PACKED_Q]->dtype, m3_packed_shape(node));
    return st;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    m3_tensor *in[M3_ATTENTION_PACKED_GRAD_INPUTS] = {node->in[M3_ATTENTION_PACKED_Q], kv,
                                                      node->in[M3_ATTENTION_PACKED_MASK], dy[0]};
    b->api->emit(b, m3_op_attention_packed_grad.name, in, M3_ATTENTION_PACKED_GRAD_INPUTS, node->attr,
                 M3_ATTENTION_PACKED_ATTRS, dx, kv != NULL ? 2 : 1);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x[3];
    m3_packed_operands(b, node, x);
    y[0] = m3_attention(b, x[M3_ATTENTION_Q], x[M3_ATTENTION_K], x[M3_ATTENTION_V], node->in[M3_ATTENTION_PACKED_MASK],
                        (uint32_t)m3_node_int(node, M3_ATTENTION_PACKED_HEADS));
}

/* As attention: two products; scale and softmax. */
static uint64_t flops(const m3_node *node)
{
    m3_heads h = m3_packed_heads(node);
    return h.rows * h.heads * h.queries * h.keys * (4 * h.width + 6);
}

static const m3_attr_desc attrs[] = {{"heads", M3_ATTR_INT}};

const m3_op m3_op_attention_packed = {
    .size = M3_OP_SIZE,
    .name = "attention_packed",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 3,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .halves = 1u << M3_ATTENTION_PACKED_Q | 1u << M3_ATTENTION_PACKED_KV,
};
