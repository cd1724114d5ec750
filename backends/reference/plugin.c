/* plugin: the symbol that the host looks for, and the table behind it. */
#include "backends/reference/reference.h"

static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    m3_backend *b = *backend = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "reference", sizeof *b);
    b->host = host;
    return M3_OK;
}

static void close_backend(m3_backend *backend)
{
    if (backend != NULL) backend->host->release(backend->host->user, backend);
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, measure_peak),
    .open = open_backend,
    .close = close_backend,
    .list = reference_list,
    .device_open = reference_device_open,
    .device_close = reference_device_close,
    .limits = reference_limits,
    .buffer_create = reference_buffer_create,
    .buffer_free = reference_buffer_free,
    .buffer_map = reference_buffer_map,
    .buffer_unmap = reference_buffer_unmap,
    .upload = reference_upload,
    .download = reference_download,
    .supports = reference_supports,
    .compile = reference_compile,
    .exec_free = reference_exec_free,
    .submit = reference_submit,
    .wait = reference_wait,
    .profile = reference_profile,
    .node_times = reference_node_times,
    .memory_used = reference_memory_used,
    .measure_peak = NULL, /* double precision, one element after another: a peak would say nothing */
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 0,
    .kind = M3_PLUGIN_BACKEND,
    .name = "reference",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
