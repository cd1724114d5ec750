/* mlp: the features of a modality through two linear maps (MODEL.md 4).
 *   y = proj2 ReLU(proj1 x)     x f32 [*, n, L, D]  ->  y f32 [*, n, L, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("ffn_mult", 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)mask;
    (void)group;
    uint64_t hidden = args->width * (uint64_t)m3_option_int(args, "ffn_mult");
    m3_tensor *h = m3_block_linear(b, "proj1", x, hidden, M3_ACT_RELU);
    return m3_block_linear(b, "proj2", h, args->width, M3_ACT_NONE);
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
    .kind = M3_PLUGIN_ENCODER,
    .name = "mlp",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
