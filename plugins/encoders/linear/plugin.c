/* linear: the features of a modality through one linear map (MODEL.md 4).
 *   y = proj x     x f32 [*, n, L, D]  ->  y f32 [*, n, L, d] */
#include "m3bsr/plugin.h"
#include "m3bsr/blocks.h"

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)mask;
    (void)group;
    return m3_block_linear(b, "proj", x, args->width, M3_ACT_NONE);
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
    .kind = M3_PLUGIN_ENCODER,
    .name = "linear",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
