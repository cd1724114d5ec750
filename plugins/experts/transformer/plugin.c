/* transformer: the interest of a sequence by pre-norm self-attention (MODEL.md 7).
 *   every layer:  x += Attn(LN1 x);  x += ffn2 ReLU(ffn1 LN2 x)
 *   y = LN(x at position L-1), and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d]
 * Only position L-1 of the last layer is read; the pass "sink" leaves the other rows out. */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("heads", 1, 1024, "2", "attention heads; a divisor of width"),
    M3_DESCRIBE_INT("expert_layers", 1, 64, "2", "layers of an expert"),
    M3_DESCRIBE_INT("ffn_mult", 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
};

static m3_tensor *layer(m3_builder *b, m3_tensor *x, m3_tensor *mask, uint32_t heads, uint64_t hidden)
{
    m3_tensor *a = m3_block_norm(b, "norm1", x);
    x = m3_add(b, x, m3_dropout(b, m3_block_attention(b, "attn", a, a, mask, heads)));
    m3_tensor *f = m3_block_norm(b, "norm2", x);
    return m3_add(b, x, m3_dropout(b, m3_block_ffn(b, f, hidden)));
}

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and the blocks know both forms */
    uint32_t heads = (uint32_t)m3_option_int(args, "heads");
    uint64_t hidden = args->width * (uint64_t)m3_option_int(args, "ffn_mult");
    int layers = (int)m3_option_int(args, "expert_layers");

    for (int i = 0; i < layers; i++) {
        char scope[24];
        (void)snprintf(scope, sizeof scope, "layer%d", i);
        m3_push(b, scope);
        x = layer(b, x, mask, heads, hidden);
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
    .name = "transformer",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
