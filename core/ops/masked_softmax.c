/* masked_softmax: an empty row gives zeros, never NaN (MODEL.md 4). */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "mask"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Probabilities over the valid entries of the last axis",
    .types = "x, y: f32 or f64, of one type; mask: bool",
    .shapes = "x [..., L], mask broadcast to x as NumPy does -> y [..., L]",
    .formula = "y_j = e_j / sum over k of e_k, e_j = exp(x_j - max over valid k of x_k) where mask_j, else 0",
    .gradient = "dx_j = y_j (dy_j - sum over k of y_k dy_k); none by mask",
    .special = "A row with no valid entry gives zeros. Masked entries may be anything. NaN or infinity among the "
               "valid entries makes the valid entries of the row NaN; -infinity gives 0 beside a finite one.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0], *mask = node->in[1];
    m3_status st;
    if ((st = m3_want_float(node, x, "x", 1, err)) != M3_OK) return st;
    if (mask->dtype != M3_BOOL || !m3_shape_broadcasts_to(&mask->shape, &x->shape))
        return M3_FAIL_NODE(err, node, "mask %s %s does not broadcast to x %s %s; give bool with extents of x or 1",
                            M3_TENSOR_TEXT(mask), M3_TENSOR_TEXT(x));
    *out = m3_desc_of(x->dtype, x->shape);
    return M3_OK;
}

/* dx = y (dy - sum_j y_j dy_j). y is 0 where masked, so the mask need not be read again; it has no gradient. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *y = node->out[0];
    m3_tensor *dot = m3_reduce_sum(b, m3_mul(b, y, dy[0]), -1, M3_KEEP);
    dx[0] = m3_mul(b, y, m3_sub(b, dy[0], dot));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0], *mask = node->in[1];
    m3_tensor *valid = m3_where(b, mask, x, m3_scalar_like(b, x, -(double)FLT_MAX)); /* a masked NaN stays out */
    m3_tensor *shifted = m3_sub(b, valid, m3_reduce_max(b, valid, -1, M3_KEEP));
    m3_tensor *e = m3_where(b, mask, m3_exp(b, shifted), m3_zero_like(b, x));
    m3_tensor *sum = m3_reduce_sum(b, e, -1, M3_KEEP);
    /* The largest valid entry adds exp(0): with finite x only an empty row sums below 1, and gives 0 / 1. */
    y[0] = m3_div(b, e, m3_max(b, sum, m3_scalar_like(b, x, 1.0)));
}

/* Maximum, subtract, exp, sum, divide. */
static uint64_t flops(const m3_node *node)
{
    return 5 * m3_tensor_count(node->in[0]);
}

const m3_op m3_op_masked_softmax = {
    .size = M3_OP_SIZE,
    .name = "masked_softmax",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
