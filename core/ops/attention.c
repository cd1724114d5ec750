/* attention: without its projections (MODEL.md 4). */
#include <math.h>

#include "core/ops/common/heads.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("q", "k", "v", "mask"),
    .input_count = 4,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Divides d."),
    .summary = "Attention of several heads, without its projections",
    .types = "q, k, v, y: f32, f64, f16 or bf16, of one type; mask: bool; beside 16 bits all is computed in f32, and y "
             "rounded once",
    .shapes = "q [..., Lq, d], k, v [..., Lk, d], mask [..., Lk] -> y [..., Lq, d]; heads lie side by side in d",
    .formula = "for each head of width w = d / heads:\n"
               "y = softmax over the valid keys of (q k^T / sqrt(w)) v",
    .gradient = "as attention_grad gives them",
    .special = "A query with no valid key gives 0. Masked keys and values may be anything, NaN included. NaN in a "
               "query spreads to its row, NaN in a valid key or value to all rows of its head.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_heads_check(node, err);
    if (st == M3_OK) *out = m3_desc_of(node->in[0]->dtype, node->in[0]->shape);
    return st;
}

/* The probabilities are computed again from q and k: keeping them costs Lq Lk numbers a head. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *in[5] = {node->in[0], node->in[1], node->in[2], node->in[3], dy[0]};
    b->api->emit(b, m3_op_attention_grad.name, in, 5, node->attr, 1, dx, 3);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *mask = node->in[3];
    m3_heads h = m3_heads_of(node);
    m3_tensor *scale = m3_scalar_like(b, q, 1.0 / sqrt((double)h.width));
    m3_tensor *qh = m3_heads_split(b, m3_mul(b, q, scale), &h);
    m3_tensor *kh = m3_heads_split(b, k, &h);
    m3_tensor *vh = m3_heads_split(b, m3_heads_valid(b, v, mask), &h);
    m3_tensor *p = m3_heads_probabilities(b, qh, kh, mask, &h);
    y[0] = m3_heads_merge(b, m3_matmul(b, p, vh, false, false), &q->shape);
}

/* Two products; scale and softmax. */
static uint64_t flops(const m3_node *node)
{
    m3_heads h = m3_heads_of(node);
    return h.rows * h.heads * h.queries * h.keys * (4 * h.width + 6);
}

/* Each query on its own. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    if (axis + 2 != node->out[0]->shape.rank) return M3_ROWS_MIXED;
    return input == M3_ATTENTION_Q ? (int32_t)axis : M3_ROWS_ALL;
}

/* v behind k, or both behind q. */
static m3_tensor *side_by_side(m3_builder *b, const m3_node *node, uint32_t first, uint32_t last, m3_tensor *joined)
{
    if (last != M3_ATTENTION_V || first >= last) return NULL;
    const bool all = first == M3_ATTENTION_Q;
    m3_tensor *in[M3_ATTENTION_PACKED_INPUTS] = {all ? joined : node->in[M3_ATTENTION_Q], all ? NULL : joined,
                                                 node->in[M3_ATTENTION_MASK]};
    return m3_emit(b, m3_op_attention_packed.name, in, M3_ATTENTION_PACKED_INPUTS, node->attr, M3_ATTENTION_ATTRS);
}

static const m3_attr_desc attrs[] = {{"heads", M3_ATTR_INT}};

const m3_op m3_op_attention = {
    .size = M3_OP_SIZE,
    .name = "attention",
    .doc = &doc,
    .min_inputs = 4,
    .max_inputs = 4,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .row_axis = row_axis,
    .halves = 1u << M3_ATTENTION_Q | 1u << M3_ATTENTION_K | 1u << M3_ATTENTION_V,
    .side_by_side = side_by_side,
};
