/* unknown_kind: of a kind that nobody has heard of. */
#include "odd.h"

static const m3_module_api api = ODD_API;

static const m3_plugin plugin = {.size = M3_STRUCT_SIZE(m3_plugin, table),
                                 .magic = M3_PLUGIN_MAGIC,
                                 .abi_major = M3_ABI_MAJOR,
                                 .kind = (m3_plugin_kind)77,
                                 .name = "unknown_kind",
                                 .abi_minor = M3_ABI_MINOR,
                                 .version = "0.1",
                                 .build = "test",
                                 .table = &api};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
