/* short_table: a backend whose table ends behind list; what lies behind is not there, whatever its bytes are. */
#include "m3bsr/backend.h"

static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    (void)host;
    *backend = NULL;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "test", "never opens");
}

static void close_backend(m3_backend *backend)
{
    (void)backend;
}

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    (void)backend;
    (void)infos;
    (void)capacity;
    (void)err;
    *count = 0;
    return M3_OK;
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, list),
    .open = open_backend,
    .close = close_backend,
    .list = list,
    .device_open = (m3_status(*)(m3_backend *, uint32_t, m3_span, m3_device_impl **, m3_error *))8,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_BACKEND,
    .name = "short_table",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
