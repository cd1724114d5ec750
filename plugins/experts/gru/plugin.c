/* gru: the interest of a sequence as the last state of a gated recurrent unit, PyTorch's gates (MODEL.md 7).
 *   h_l = GRU(input x_l, hidden h_(l-1)) where mask_l, else h_(l-1);  h_(-1) = 0
 *   y = LN(h_(L-1)), and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

/* [*, n, L] -> [*, n] at one position. */
static m3_tensor *mask_at(m3_builder *b, m3_tensor *mask, uint64_t position)
{
    m3_tensor *column = m3_slice(b, mask, -1, position, 1);
    if (column == NULL) return NULL;
    m3_shape shape = column->shape;
    shape.rank--;
    return m3_reshape(b, column, shape);
}

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and the blocks know both forms */
    if (x == NULL) return NULL;
    uint64_t length = x->shape.dim[x->shape.rank - 2], gates = 3 * (uint64_t)args->width;

    m3_tensor *xi = m3_block_linear(b, "input", x, gates, M3_ACT_NONE);
    m3_shape state = x->shape; /* [*, n, d] */
    state.dim[state.rank - 2] = args->width;
    state.rank--;
    m3_tensor *h = m3_broadcast(b, m3_scalar_like(b, x, 0.0), state);
    for (uint64_t l = 0; l < length; l++) {
        m3_tensor *hh = m3_block_linear(b, "hidden", h, gates, M3_ACT_NONE);
        h = m3_gru_cell(b, m3_block_position(b, xi, l), hh, h, mask_at(b, mask, l));
    }
    return m3_mul(b, m3_block_norm(b, "norm", h), m3_block_any(b, mask, x));
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "gru",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
