/* causal_conv: a short filter of its own for every channel, over the places of a sequence up to this one.
 *   y[.., t, c] = sum over k of w[c, k] x[.., t - (K-1) + k, c], 0 before the first place: w[c, K-1] is for place t
 * itself, as PyTorch's conv1d with groups = C has it; in reverse over the places from this one on, t + (K-1) - k. */
#include "core/ops/common/fused.h"
#include "core/ops/common/scan.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "w"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("1 goes over the places from this one on, 0 over those up to it."),
    .summary = "Causal depthwise convolution",
    .types = "x, w, y: f32 or f64, of one type",
    .shapes = "x [(G,) ..., L, C], w [(G,) C, K] -> y [(G,) ..., L, C]; with G each group has filters of its own",
    .formula = "y_(t,c) = sum over k < K of w_(c,k) x_(t-(K-1)+k,c), 0 before the first place; in reverse "
               "x_(t+(K-1)-k,c), 0 behind the last",
    .gradient = "dx = dy convolved with w in the other direction; dw_(c,k) = sum over places of dy_(t,c) times the x "
                "that w_(c,k) met",
    .special = "NaN and infinities spread as in sums over the places that are there; a place that is not there counts "
               "as 0 without a product.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[M3_CAUSAL_CONV_X], *w = node->in[M3_CAUSAL_CONV_W];
    m3_status st = m3_want_float(node, x, "x", 2, err);
    if (st != M3_OK || (st = m3_check_attr(node, M3_CAUSAL_CONV_REVERSE, 0, 1, err)) != M3_OK) return st;
    const uint32_t grouped = w->shape.rank == 3;
    if (w->dtype != x->dtype || w->shape.rank < 2 || w->shape.rank > 3 || x->shape.rank < 2 + grouped ||
        m3_extent_back(w, 2) != m3_extent_back(x, 1) || m3_extent_back(w, 1) == 0 ||
        (grouped && w->shape.dim[0] != x->shape.dim[0]))
        return M3_FAIL_NODE(err, node,
                            "w is %s %s and x is %s %s; give w [C, K] with the last extent of x as C and K >= 1, or "
                            "[G, C, K] with its first as G",
                            M3_TENSOR_TEXT(w), M3_TENSOR_TEXT(x));
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

/* x as w[:, k] meets it. */
static m3_tensor *met(m3_builder *b, const m3_node *node, uint64_t k)
{
    m3_tensor *x = node->in[M3_CAUSAL_CONV_X];
    const int64_t far = (int64_t)(m3_extent_back(node->in[M3_CAUSAL_CONV_W], 1) - 1 - k);
    return m3_shift_axis(b, x, (int)x->shape.rank - 2, m3_node_flag(node, M3_CAUSAL_CONV_REVERSE) ? -far : far);
}

/* w[:, k] as it meets x: [C], or [G, 1, .., 1, C]. */
static m3_tensor *weights(m3_builder *b, const m3_node *node, uint64_t k)
{
    const m3_tensor *x = node->in[M3_CAUSAL_CONV_X];
    m3_tensor *w = m3_slice(b, node->in[M3_CAUSAL_CONV_W], -1, k, 1);
    if (w == NULL) return NULL;
    m3_shape shape = {.rank = 1, .dim = {m3_extent_back(x, 1)}};
    if (w->shape.rank == 3) {
        shape.rank = x->shape.rank;
        for (uint32_t i = 0; i < shape.rank; i++) shape.dim[i] = 1;
        shape.dim[0] = x->shape.dim[0];
        shape.dim[shape.rank - 1] = m3_extent_back(x, 1);
    }
    return m3_reshape(b, w, shape);
}

/* dw, one column of w after the other. */
static m3_tensor *weights_gradient(m3_builder *b, const m3_node *node, m3_tensor *dy)
{
    const m3_shape w = node->in[M3_CAUSAL_CONV_W]->shape;
    const uint64_t groups = w.rank == 3 ? w.dim[0] : 1, channels = w.dim[w.rank - 2], taps = w.dim[w.rank - 1];
    const uint64_t rows = groups * channels == 0 ? 0 : m3_tensor_count(node->out[0]) / (groups * channels);
    m3_shape column = w;
    m3_tensor *dw = NULL;
    column.dim[column.rank - 1] = 1;
    for (uint64_t k = 0; k < taps; k++) {
        m3_tensor *each = m3_reshape(b, m3_mul(b, dy, met(b, node, k)), M3_SHAPE(groups, rows, channels));
        m3_tensor *part[2] = {dw, m3_reshape(b, m3_reduce_sum(b, each, 1, M3_DROP), column)};
        dw = k == 0 ? part[1] : m3_concat(b, part, 2, (int)w.rank - 1);
    }
    return dw;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    const bool reverse = m3_node_flag(node, M3_CAUSAL_CONV_REVERSE);
    dx[M3_CAUSAL_CONV_X] = m3_causal_conv(b, dy[0], node->in[M3_CAUSAL_CONV_W], !reverse);
    dx[M3_CAUSAL_CONV_W] = weights_gradient(b, node, dy[0]);
}

/* Places that are not there are zeros of the sum here, behind the product: 0 times an infinite weight is none of them.
 */
static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[M3_CAUSAL_CONV_X];
    const uint64_t K = m3_extent_back(node->in[M3_CAUSAL_CONV_W], 1);
    const bool reverse = m3_node_flag(node, M3_CAUSAL_CONV_REVERSE);
    y[0] = NULL;
    for (uint64_t k = 0; k < K; k++) {
        const int64_t far = (int64_t)(K - 1 - k);
        m3_tensor *part =
            m3_shift_axis(b, m3_mul(b, x, weights(b, node, k)), (int)x->shape.rank - 2, reverse ? -far : far);
        y[0] = k == 0 ? part : m3_add(b, y[0], part);
    }
}

static uint64_t flops(const m3_node *node)
{
    return 2 * m3_extent_back(node->in[M3_CAUSAL_CONV_W], 1) * m3_tensor_count(node->out[0]);
}

static const m3_attr_desc attrs[] = {{"reverse", M3_ATTR_INT}};

const m3_op m3_op_causal_conv = {
    .size = M3_OP_SIZE,
    .name = "causal_conv",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
