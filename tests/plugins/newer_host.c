/* newer_host: wants a newer host than this one. */
#include "odd.h"

static const m3_module_api api = ODD_API;

static const m3_plugin plugin = {.size = M3_STRUCT_SIZE(m3_plugin, table),
                                 .magic = M3_PLUGIN_MAGIC,
                                 .abi_major = M3_ABI_MAJOR,
                                 .host_minor = M3_ABI_MINOR + 1,
                                 .kind = M3_PLUGIN_EXPERT,
                                 .name = "newer_host",
                                 .abi_minor = M3_ABI_MINOR,
                                 .version = "0.1",
                                 .build = "test",
                                 .table = &api};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
