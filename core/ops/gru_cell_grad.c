/* gru_cell_grad: gradients of gru_cell. */
#include "core/ops/common/gru.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("xi", "hh", "h", "mask", "dy"),
    .input_count = 5,
    .outputs = M3_NAMES("dxi", "dhh", "dh"),
    .output_count = 3,
    .summary = "Gradients of gru_cell",
    .types = "xi, hh, h, dy, dxi, dhh, dh: f32 or f64, of one type; mask: bool",
    .shapes = "xi, hh [..., 3d], h, dy [..., d], mask [...] -> dxi, dhh [..., 3d], dh [..., d]",
    .formula = "with r, z, n of gru_cell, da_* being the gradient of what a gate's function is given:\n"
               "da_n = dy (1 - z) (1 - n^2), da_z = dy (h - n) z (1 - z), da_r = da_n hh_n r (1 - r)\n"
               "dxi = [da_r, da_z, da_n], dhh = [da_r, da_z, da_n r], dh = dy z",
    .gradient = "None: it is not differentiated again.",
    .special = "Where the mask is false, dxi = dhh = 0 and dh = dy, whatever xi and hh are. Else NaN spreads to its "
               "element.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *xi = node->in[0], *h = node->in[2];
    m3_status st;
    if ((st = m3_gru_check(node, err)) != M3_OK) return st;
    if ((st = m3_want(node, node->in[4], "dy", h->dtype, h->shape, "h", err)) != M3_OK) return st;
    out[0] = out[1] = m3_desc_of(xi->dtype, xi->shape);
    out[2] = m3_desc_of(h->dtype, h->shape);
    return M3_OK;
}

/* s (1 - s) */
static m3_tensor *sigmoid_slope(m3_builder *b, m3_tensor *s)
{
    return m3_mul(b, s, m3_one_minus(b, s));
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    m3_tensor *h = node->in[2], *dy = node->in[4], *mask = m3_column(b, node->in[3]);
    m3_gates g = m3_gru_gates(b, node->in[0], node->in[1]);
    m3_tensor *dn = m3_mul(b, dy, m3_one_minus(b, g.z));
    m3_tensor *da_n = m3_mul(b, dn, m3_one_minus(b, m3_mul(b, g.n, g.n)));
    m3_tensor *da_z = m3_mul(b, m3_mul(b, dy, m3_sub(b, h, g.n)), sigmoid_slope(b, g.z));
    m3_tensor *da_r = m3_mul(b, m3_mul(b, da_n, g.hidden), sigmoid_slope(b, g.r));
    m3_tensor *dxi[3] = {da_r, da_z, da_n}, *dhh[3] = {da_r, da_z, m3_mul(b, da_n, g.r)};
    int last = (int)h->shape.rank - 1;
    out[0] = m3_where(b, mask, m3_concat(b, dxi, 3, last), m3_zero_like(b, h));
    out[1] = m3_where(b, mask, m3_concat(b, dhh, 3, last), m3_zero_like(b, h));
    out[2] = m3_where(b, mask, m3_mul(b, dy, g.z), dy);
}

/* The gates again, and 17 for the slopes and products. */
static uint64_t flops(const m3_node *node)
{
    return 25 * m3_tensor_count(node->in[2]);
}

const m3_op m3_op_gru_cell_grad = {
    .size = M3_OP_SIZE,
    .name = "gru_cell_grad",
    .doc = &doc,
    .min_inputs = 5,
    .max_inputs = 5,
    .outputs = 3,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
};
