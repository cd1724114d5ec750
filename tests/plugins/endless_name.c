/* endless_name: a backend whose device has a name without an end. */
#include "odd_backend.h"

#include <string.h>

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    if (capacity > 0) memset(infos[0].name, 'x', sizeof infos[0].name);
    return odd_list(backend, infos, capacity, count, err);
}

static const m3_backend_api api = ODD_BACKEND(list, odd_limits);

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("endless_name");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
