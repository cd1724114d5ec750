/* mingru: the interest of a sequence by gated linear recurrences, whose gates do not look at the state, so that a whole
 * sequence is one scan (MODEL.md 7; Feng et al. 2024, arXiv 2410.01201).
 *   every layer:
 *     u = LN1 x,  z = sigmoid(gate u)
 *     h_l = (1 - z_l) h_(l-1) + z_l (candidate u_l) where mask_l, else h_(l-1);  h_(-1) = 0
 *     x += h;  x += ffn2 ReLU(ffn1 LN2 x)
 *   y = LN(x at position L-1), and 0 for an empty sequence
 *
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("expert_layers", 1, 64, "2", "layers of an expert"),
    M3_DESCRIBE_INT("ffn_mult", 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
};

/* h of all positions. */
static m3_tensor *recurrence(m3_builder *b, m3_tensor *x, m3_tensor *mask)
{
    m3_tensor *u = m3_block_norm(b, "norm1", x);
    if (u == NULL) return NULL;
    const uint64_t d = u->shape.dim[u->shape.rank - 1];
    m3_tensor *z = m3_block_linear(b, "gate", u, d, M3_ACT_SIGMOID);
    m3_tensor *candidate = m3_block_linear(b, "candidate", u, d, M3_ACT_NONE);
    m3_tensor *one = m3_scalar_like(b, u, 1.0), *zero = m3_scalar_like(b, u, 0.0);
    m3_tensor *valid = m3_block_column(b, mask);
    m3_tensor *keep = m3_where(b, valid, m3_sub(b, one, z), one);
    m3_tensor *take = m3_where(b, valid, m3_mul(b, z, candidate), zero);
    return m3_scan(b, keep, take, -2, false);
}

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and the blocks know both forms */
    uint64_t hidden = args->width * (uint64_t)m3_option_int(args, "ffn_mult");
    int layers = (int)m3_option_int(args, "expert_layers");

    for (int i = 0; i < layers; i++) {
        char scope[24];
        (void)snprintf(scope, sizeof scope, "layer%d", i);
        m3_push(b, scope);
        x = m3_add(b, x, m3_dropout(b, recurrence(b, x, mask)));
        x = m3_add(b, x, m3_dropout(b, m3_block_ffn(b, m3_block_norm(b, "norm2", x), hidden)));
        m3_pop(b);
    }
    if (x == NULL) return NULL;
    m3_tensor *newest = m3_block_position(b, x, x->shape.dim[x->shape.rank - 2] - 1);
    return m3_mul(b, m3_block_norm(b, "norm", newest), m3_block_any(b, mask, x));
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .options = {.count = sizeof options / sizeof options[0], .stride = sizeof options[0], .data = options},
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "mingru",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
