/* pool: the interest of a sequence as a learned mean (MODEL.md 7).
 *   a = softmax of (score x_l) over valid l;  v = sum_l a_l x_l
 *   y = LN(v + ffn2 ReLU(ffn1 v)), and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("ffn_mult", 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and the blocks know both forms */
    if (mask == NULL) return NULL;
    uint64_t hidden = args->width * (uint64_t)m3_option_int(args, "ffn_mult");

    m3_tensor *score = m3_reshape(b, m3_block_linear(b, "score", x, 1, M3_ACT_NONE), mask->shape);
    m3_tensor *a = m3_masked_softmax(b, score, mask);
    m3_tensor *v = m3_reduce_sum(b, m3_mul(b, x, m3_block_column(b, a)), -2, M3_DROP);
    m3_tensor *y = m3_add(b, v, m3_dropout(b, m3_block_ffn(b, v, hidden)));
    return m3_mul(b, m3_block_norm(b, "norm", y), m3_block_any(b, mask, x));
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
    .name = "pool",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
