/* conv: the interest of a sequence by causal depthwise convolutions: every channel has a filter over the newest places,
 * learned in the place of attention (MODEL.md 7; after FMLP-Rec, Zhou et al. 2022, arXiv 2202.13556, whose filters are
 * of the sequence's length).
 *   every layer:
 *     u = LN1 x where mask, else 0
 *     x_l += sum over k of filter_k u_(l-(K-1)+k);  x += ffn2 ReLU(ffn1 LN2 x)
 *   y = LN(x at position L-1), and 0 for an empty sequence
 *
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("expert_layers", 1, 64, "2", "layers of an expert"),
    M3_DESCRIBE_INT("expert_taps", 1, 1024, "8", "places that a filter of the expert conv spans"),
    M3_DESCRIBE_INT("ffn_mult", 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
};

static m3_tensor *filtered(m3_builder *b, m3_tensor *x, m3_tensor *mask, uint64_t taps)
{
    m3_tensor *u = m3_block_norm(b, "norm1", x);
    if (u == NULL) return NULL;
    const m3_shape shape = M3_SHAPE(u->shape.dim[u->shape.rank - 1], taps);
    m3_tensor *filter = m3_parameter(b, "filter", &shape, m3_init_normal(1.0 / sqrt((double)taps)));
    u = m3_where(b, m3_block_column(b, mask), u, m3_scalar_like(b, u, 0.0));
    return m3_causal_conv(b, u, filter, false);
}

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and the blocks know both forms */
    uint64_t hidden = args->width * (uint64_t)m3_option_int(args, "ffn_mult");
    uint64_t taps = (uint64_t)m3_option_int(args, "expert_taps");
    int layers = (int)m3_option_int(args, "expert_layers");

    for (int i = 0; i < layers; i++) {
        char scope[24];
        (void)snprintf(scope, sizeof scope, "layer%d", i);
        m3_push(b, scope);
        x = m3_add(b, x, m3_dropout(b, filtered(b, x, mask, taps)));
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
    .name = "conv",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
