/* plugin: the symbol that the host looks for, and the table behind it. */
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/instance.h"
#include "backends/vulkan/kernels.h"
#include "backends/vulkan/limits.h"
#include "backends/vulkan/measure.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/options.h"
#include "backends/vulkan/program.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/run.h"
#include "backends/vulkan/transfer.h"
#include "backends/vulkan/tuning.h"

/* Without a loader, a driver or a device there is nothing to list, which is no failure; the log has the reason. */
static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    m3_error why = {0};
    m3_backend *b = *backend = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "vulkan", sizeof *b);
    b->host = host;
    (void)pthread_mutex_init(&b->parallel, NULL);
    const m3_status st = vulkan_instance_open(host, false, &b->instance, &why);
    if (st == M3_OK) return M3_OK;
    if (st == M3_ERR_MEMORY) {
        (void)pthread_mutex_destroy(&b->parallel);
        host->release(host->user, b);
        *backend = NULL;
        return M3_FAIL(err, st, why.subject, "%s", why.message);
    }
    char line[M3_ERROR_MESSAGE + 64];
    (void)snprintf(line, sizeof line, "vulkan lists no device: %s", why.message);
    host->log(host->user, M3_LOG_INFO, line);
    return M3_OK;
}

static void close_backend(m3_backend *backend)
{
    if (backend == NULL) return;
    vulkan_instance_close(backend->instance);
    (void)pthread_mutex_destroy(&backend->parallel);
    backend->host->release(backend->host->user, backend);
}

/* Variants are measured, where the device was opened for it, before the program is compiled that uses them. */
static m3_status compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err)
{
    *exec = NULL;
    m3_status st = vulkan_device_check(device, err);
    if (st == M3_OK) st = vulkan_tuning_measure(device, program, err);
    return st == M3_OK ? vulkan_program_compile(device, &device->traits, program, buffers, exec, err) : st;
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, submit_until),
    .open = open_backend,
    .close = close_backend,
    .list = vulkan_devices_list,
    .device_open = vulkan_device_open,
    .device_close = vulkan_device_close,
    .limits = vulkan_device_limits,
    .buffer_create = vulkan_buffer_create,
    .buffer_free = vulkan_buffer_free,
    .buffer_map = vulkan_buffer_map,
    .buffer_unmap = vulkan_buffer_unmap,
    .upload = vulkan_buffer_upload,
    .download = vulkan_buffer_download,
    .supports = vulkan_program_supports,
    .compile = compile,
    .exec_free = vulkan_exec_free,
    .submit = vulkan_exec_submit,
    .wait = vulkan_queue_wait,
    .profile = vulkan_exec_profile,
    .node_times = vulkan_exec_times,
    .memory_used = vulkan_memory_used,
    .measure_peak = vulkan_peak_measure,
    .describe = vulkan_exec_describe,
    .tuning = vulkan_tuning_info,
    .options = {VULKAN_OPTIONS, sizeof vulkan_options[0], vulkan_options},
    .kernels = vulkan_kernels_tell,
    .submit_until = vulkan_exec_submit_until,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 2, /* options come checked */
    .kind = M3_PLUGIN_BACKEND,
    .name = "vulkan",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
