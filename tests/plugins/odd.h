/* odd: what the plugins of this folder share: an expert that would be fine, each file then breaks one thing. */
#ifndef M3_TESTS_PLUGINS_ODD_H
#define M3_TESTS_PLUGINS_ODD_H

#include "m3bsr/backend.h"
#include "m3bsr/builder.h"
#include "m3bsr/plugin.h"

static inline m3_tensor *odd_build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask,
                                   uint32_t group)
{
    (void)args;
    (void)mask;
    (void)group;
    return m3_neg(b, x);
}

/* Use: static const m3_module_api api = ODD_API; then static const m3_plugin plugin = {ODD_PLUGIN("name"), ...}; */
#define ODD_API                                                                                                        \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_module_api, build), .build = odd_build                                               \
    }
#define ODD_PLUGIN(plugin_name)                                                                                        \
    .size = M3_STRUCT_SIZE(m3_plugin, table), .magic = M3_PLUGIN_MAGIC, .abi_major = M3_ABI_MAJOR,                     \
    .abi_minor = M3_ABI_MINOR, .kind = M3_PLUGIN_EXPERT, .name = (plugin_name), .version = "0.1", .build = "test",     \
    .table = &api

#endif
