/* many_devices: a backend that never sets how many devices it has. */
#include "odd_backend.h"

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    (void)backend, (void)infos, (void)capacity, (void)err;
    *count = 4000000000u;
    return M3_OK;
}

static const m3_backend_api api = ODD_BACKEND(list, odd_limits);

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("many_devices");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
