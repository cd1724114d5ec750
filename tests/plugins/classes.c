/* classes: a backend that lists a device of every class, the best ones late, and opens none. */
#include "m3bsr/backend.h"

static const m3_device_class classes[] = {M3_DEVICE_REFERENCE, M3_DEVICE_SOFTWARE, M3_DEVICE_INTEGRATED,
                                          M3_DEVICE_CPU,       M3_DEVICE_DISCRETE, M3_DEVICE_INTEGRATED};
enum { CLASSES = sizeof classes / sizeof classes[0] };

struct m3_backend {
    const m3_host *host;
};

static m3_status open_backend(const m3_host *host, m3_backend **backend, m3_error *err)
{
    *backend = host->allocate(host->user, 1, sizeof **backend);
    if (*backend == NULL) return M3_FAIL_MEMORY(err, "classes", sizeof **backend);
    (*backend)->host = host;
    return M3_OK;
}

static void close_backend(m3_backend *backend)
{
    backend->host->release(backend->host->user, backend);
}

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    (void)backend;
    (void)err;
    *count = CLASSES;
    for (uint32_t i = 0; i < capacity && i < CLASSES; i++) infos[i].device_class = classes[i];
    return M3_OK;
}

static m3_status open_device(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err)
{
    (void)backend;
    (void)options;
    *device = NULL;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "classes", "device %u is a pretence", index);
}

/* Nothing below is ever called. */

static m3_status never(m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INTERNAL, "classes", "no device was opened");
}

static void close_device(m3_device_impl *device)
{
    (void)device;
}

static m3_status limits(m3_device_impl *device, m3_device_limits *of, m3_error *err)
{
    (void)device, (void)of;
    return never(err);
}

static m3_status buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    (void)device, (void)bytes, (void)usage, (void)buffer;
    return never(err);
}

static void buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    (void)device, (void)buffer;
}

static m3_status upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    (void)device, (void)to, (void)offset, (void)from, (void)bytes, (void)value;
    return never(err);
}

static m3_status download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err)
{
    (void)device, (void)from, (void)offset, (void)to, (void)bytes, (void)value;
    return never(err);
}

static m3_status supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    (void)device, (void)node;
    return never(why);
}

static m3_status compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err)
{
    (void)device, (void)program, (void)buffers, (void)exec;
    return never(err);
}

static void exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    (void)device, (void)exec;
}

static m3_status submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    (void)device, (void)exec, (void)value;
    return never(err);
}

static m3_status wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)device, (void)value, (void)timeout_ns;
    return never(err);
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, measure_peak),
    .open = open_backend,
    .close = close_backend,
    .list = list,
    .device_open = open_device,
    .device_close = close_device,
    .limits = limits,
    .buffer_create = buffer_create,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .supports = supports,
    .compile = compile,
    .exec_free = exec_free,
    .submit = submit,
    .wait = wait,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_BACKEND,
    .name = "classes",
    .version = "0.1",
    .build = "test",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
