/* missing_build: an expert that cannot build. */
#include "odd.h"

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build)};

static const m3_plugin plugin = {ODD_PLUGIN("missing_build")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
