/* gru_cell: one step of a GRU with PyTorch's gates. */
#include "core/ops/common/gru.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("xi", "hh", "h", "mask"),
    .input_count = 4,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "One step of a GRU with PyTorch's gates",
    .types = "xi, hh, h, y: f32 or f64, of one type; mask: bool",
    .shapes = "xi, hh [..., 3d] (parts r, z, n), h [..., d], mask [...] -> y [..., d]",
    .formula = "r = sigmoid(xi_r + hh_r), z = sigmoid(xi_z + hh_z), n = tanh(xi_n + r hh_n)\n"
               "y = (1 - z) n + z h where mask, else h",
    .gradient = "as gru_cell_grad gives them",
    .special = "Where the mask is false, y is h whatever xi and hh are. Else NaN spreads to its element, and "
               "infinities saturate the gates.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_gru_check(node, err);
    if (st == M3_OK) *out = m3_desc_of(node->in[2]->dtype, node->in[2]->shape);
    return st;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *in[5] = {node->in[0], node->in[1], node->in[2], node->in[3], dy[0]};
    b->api->emit(b, m3_op_gru_cell_grad.name, in, 5, NULL, 0, dx, 3);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *h = node->in[2], *mask = node->in[3];
    m3_gates g = m3_gru_gates(b, node->in[0], node->in[1]);
    m3_tensor *next = m3_add(b, m3_mul(b, m3_one_minus(b, g.z), g.n), m3_mul(b, g.z, h));
    y[0] = m3_where(b, m3_column(b, mask), next, h);
}

/* Three gates of sum and function, r's product, and the mix of n and h. */
static uint64_t flops(const m3_node *node)
{
    return 12 * m3_tensor_count(node->in[2]);
}

const m3_op m3_op_gru_cell = {
    .size = M3_OP_SIZE,
    .name = "gru_cell",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 4,
    .max_inputs = 4,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
