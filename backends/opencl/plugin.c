/* plugin: the symbol that the host looks for, and the table behind it. */
#include "backends/opencl/api.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/device.h"
#include "backends/opencl/kernels.h"
#include "backends/opencl/measure.h"
#include "backends/opencl/memory.h"
#include "backends/opencl/options.h"
#include "backends/opencl/platform.h"
#include "backends/opencl/program.h"
#include "backends/opencl/queue.h"
#include "backends/opencl/run.h"
#include "backends/opencl/tuning.h"

static void close_backend(m3_backend *backend)
{
    if (backend == NULL) return;
    opencl_api_close(&backend->cl);
    backend->host->release(backend->host->user, backend->devices);
    (void)pthread_mutex_destroy(&backend->parallel);
    backend->host->release(backend->host->user, backend);
}

static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    m3_backend *b = host->allocate(host->user, 1, sizeof *b);
    *backend = NULL;
    if (b == NULL) return M3_FAIL_MEMORY(err, "opencl", sizeof *b);
    b->host = host;
    (void)pthread_mutex_init(&b->parallel, NULL);
    m3_status st = opencl_platforms_find(b, err);
    if (st == M3_OK)
        *backend = b;
    else
        close_backend(b);
    return st;
}

/* Variants are measured, where the device was opened for it, before the program is compiled that uses them. */
static m3_status compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err)
{
    *exec = NULL;
    m3_status st = opencl_device_check(device, err);
    if (st == M3_OK) st = opencl_tuning_measure(device, program, err);
    return st == M3_OK ? opencl_program_compile(device, &device->traits, program, buffers, exec, err) : st;
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, submit_until),
    .open = open_backend,
    .close = close_backend,
    .list = opencl_devices_list,
    .device_open = opencl_device_open,
    .device_close = opencl_device_close,
    .limits = opencl_device_limits,
    .buffer_create = opencl_buffer_create,
    .buffer_free = opencl_buffer_free,
    .upload = opencl_buffer_upload,
    .download = opencl_buffer_download,
    .supports = opencl_program_supports,
    .compile = compile,
    .exec_free = opencl_exec_free,
    .submit = opencl_exec_submit,
    .wait = opencl_queue_wait,
    .profile = opencl_exec_profile,
    .node_times = opencl_exec_times,
    .memory_used = opencl_memory_used,
    .measure_peak = opencl_peak_measure,
    .describe = opencl_exec_describe,
    .tuning = opencl_tuning_info,
    .options = {OPENCL_OPTIONS, sizeof opencl_options[0], opencl_options},
    .kernels = opencl_kernels_tell,
    .submit_until = opencl_exec_submit_until,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 2, /* options come checked */
    .kind = M3_PLUGIN_BACKEND,
    .name = "opencl",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
