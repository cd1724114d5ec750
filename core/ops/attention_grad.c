/* attention_grad: gradients of attention. */
#include <math.h>

#include "core/ops/common/heads.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("q", "k", "v", "mask", "dy"),
    .input_count = 5,
    .outputs = M3_NAMES("dq", "dk", "dv"),
    .output_count = 3,
    .attrs = M3_NAMES("As attention had it."),
    .summary = "Gradients of attention",
    .types = "q, k, v, dy, dq, dk, dv: f32, f64, f16 or bf16, of one type; mask: bool; beside 16 bits all is computed "
             "in f32, and the gradients rounded once",
    .shapes = "q, dy [..., Lq, d], k, v [..., Lk, d], mask [..., Lk] -> dq like q, dk and dv like k",
    .formula = "for each head of width w = d / heads, with c = 1 / sqrt(w), p = softmax over the valid keys of (c q "
               "k^T):\n"
               "dv = p^T dy, dp = dy v^T, ds = p (dp - sum over keys of p dp)\n"
               "dq = c ds k, dk = c ds^T q",
    .gradient = "None: it is not differentiated again.",
    .special = "Masked keys and values get 0 and may be anything, NaN included; a query with no valid key gets 0. "
               "Else NaN spreads within its head.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *q = node->in[0], *k = node->in[1];
    m3_status st;
    if ((st = m3_heads_check(node, err)) != M3_OK) return st;
    if ((st = m3_want(node, node->in[4], "dy", q->dtype, q->shape, "q", err)) != M3_OK) return st;
    out[0] = m3_desc_of(q->dtype, q->shape);
    out[1] = out[2] = m3_desc_of(k->dtype, k->shape);
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    m3_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2], *mask = node->in[3];
    m3_heads h = m3_heads_of(node);
    m3_tensor *c = m3_scalar_like(b, q, 1.0 / sqrt((double)h.width));
    m3_tensor *qh = m3_heads_split(b, m3_mul(b, q, c), &h); /* carries c into the scores and into dk */
    m3_tensor *kh = m3_heads_split(b, m3_heads_valid(b, k, mask), &h);
    m3_tensor *vh = m3_heads_split(b, m3_heads_valid(b, v, mask), &h);
    m3_tensor *dyh = m3_heads_split(b, node->in[4], &h);
    m3_tensor *p = m3_heads_probabilities(b, qh, kh, mask, &h);
    m3_tensor *dp = m3_matmul(b, dyh, vh, false, true);
    m3_tensor *dot = m3_reduce_sum(b, m3_mul(b, p, dp), -1, M3_KEEP);
    m3_tensor *valid = m3_reshape(b, mask, M3_SHAPE(h.rows, 1, 1, h.keys));
    m3_tensor *ds = m3_where(b, valid, m3_mul(b, p, m3_sub(b, dp, dot)), m3_zero_like(b, q));
    m3_tensor *dq = m3_mul(b, m3_matmul(b, ds, kh, false, false), c);
    out[0] = m3_heads_merge(b, dq, &q->shape);
    /* A masked key gets 0 even where a query or dy is NaN, of which 0 times would be NaN. */
    out[1] = m3_heads_valid(b, m3_heads_merge(b, m3_matmul(b, ds, qh, true, false), &k->shape), mask);
    out[2] = m3_heads_valid(b, m3_heads_merge(b, m3_matmul(b, p, dyh, true, false), &v->shape), mask);
}

/* Five products; scale, softmax and four more a score. */
static uint64_t flops(const m3_node *node)
{
    m3_heads h = m3_heads_of(node);
    return h.rows * h.heads * h.queries * h.keys * (10 * h.width + 10);
}

static const m3_attr_desc attrs[] = {{"heads", M3_ATTR_INT}};

const m3_op m3_op_attention_grad = {
    .size = M3_OP_SIZE,
    .name = "attention_grad",
    .doc = &doc,
    .min_inputs = 5,
    .max_inputs = 5,
    .outputs = 3,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .halves =
        1u << M3_ATTENTION_GRAD_Q | 1u << M3_ATTENTION_GRAD_K | 1u << M3_ATTENTION_GRAD_V | 1u << M3_ATTENTION_GRAD_DY,
};
