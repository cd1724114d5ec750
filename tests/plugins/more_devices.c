/* more_devices: a backend that counts one device more than there was room for. */
#include "odd_backend.h"

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    m3_status st = odd_list(backend, infos, capacity, count, err);
    *count += capacity;
    return st;
}

static const m3_backend_api api = ODD_BACKEND(list, odd_limits);

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("more_devices");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
