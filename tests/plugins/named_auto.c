/* named_auto: a backend with the name that stands for any. */
#include "odd_backend.h"

static const m3_backend_api api = ODD_BACKEND(odd_list, odd_limits);

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("auto");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
