/* plugin: the symbol that the host looks for, and the table behind it. */
#include "backends/cpu/device.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/program.h"
#include "backends/host/buffer.h"
#include "backends/host/memory.h"
#include "backends/host/queue.h"

static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    m3_backend *b = *backend = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "cpu", sizeof *b);
    b->host = host;
    pthread_mutex_init(&b->parallel, NULL);
    return M3_OK;
}

static void close_backend(m3_backend *backend)
{
    if (backend == NULL) return;
    pthread_mutex_destroy(&backend->parallel);
    backend->host->release(backend->host->user, backend);
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, submit_until),
    .open = open_backend,
    .close = close_backend,
    .list = cpu_list,
    .device_open = cpu_device_open,
    .device_close = host_device_close,
    .limits = host_limits,
    .buffer_create = host_buffer_create,
    .buffer_free = host_buffer_free,
    .buffer_map = host_buffer_map,
    .buffer_unmap = host_buffer_unmap,
    .upload = host_upload,
    .download = host_download,
    .supports = cpu_supports,
    .compile = cpu_compile,
    .exec_free = host_exec_free,
    .submit = cpu_submit,
    .wait = host_wait,
    .profile = host_profile,
    .node_times = host_node_times,
    .memory_used = host_memory_used,
    .measure_peak = cpu_peak,
    .options = {CPU_OPTIONS, sizeof cpu_options[0], cpu_options},
    .kernels = cpu_kernels_tell,
    .submit_until = cpu_submit_until,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 2, /* options come checked */
    .kind = M3_PLUGIN_BACKEND,
    .name = "cpu",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
