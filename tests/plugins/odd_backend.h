/* odd_backend: a backend with one device that opens and computes nothing; each file then breaks one thing. */
#ifndef M3_TESTS_PLUGINS_ODD_BACKEND_H
#define M3_TESTS_PLUGINS_ODD_BACKEND_H

#include "m3bsr/backend.h"

struct m3_backend {
    const m3_host *host;
};

static struct m3_backend odd_backend;

static inline m3_status odd_open(const m3_host *host, m3_backend **backend, m3_error *err)
{
    (void)err;
    odd_backend.host = host;
    *backend = &odd_backend;
    return M3_OK;
}

static inline void odd_close(m3_backend *backend)
{
    (void)backend;
}

static inline m3_status odd_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                                 m3_error *err)
{
    (void)backend, (void)err;
    *count = 1;
    if (capacity > 0) infos[0].device_class = M3_DEVICE_REFERENCE;
    return M3_OK;
}

static inline m3_status odd_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                        m3_error *err)
{
    (void)index, (void)options, (void)err;
    *device = (m3_device_impl *)(void *)backend;
    return M3_OK;
}

static inline void odd_device_close(m3_device_impl *device)
{
    (void)device;
}

static inline m3_status odd_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    (void)device, (void)err;
    limits->offset_alignment = 64;
    limits->largest_buffer = limits->largest_binding = 1u << 20;
    return M3_OK;
}

static inline m3_status odd_never(m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INTERNAL, "test", "computes nothing");
}

static inline m3_status odd_create(m3_device_impl *d, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err)
{
    (void)d, (void)bytes, (void)usage, (void)buffer;
    return odd_never(err);
}

static inline void odd_free(m3_device_impl *d, m3_buffer *buffer)
{
    (void)d, (void)buffer;
}

static inline m3_status odd_upload(m3_device_impl *d, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                                   uint64_t *value, m3_error *err)
{
    (void)d, (void)to, (void)offset, (void)from, (void)bytes, (void)value;
    return odd_never(err);
}

static inline m3_status odd_download(m3_device_impl *d, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                     uint64_t *value, m3_error *err)
{
    (void)d, (void)from, (void)offset, (void)to, (void)bytes, (void)value;
    return odd_never(err);
}

static inline m3_status odd_supports(m3_device_impl *d, const m3_node *node, m3_error *why)
{
    (void)d, (void)node;
    return odd_never(why);
}

static inline m3_status odd_compile(m3_device_impl *d, const m3_program *program, m3_buffer *const *buffers,
                                    m3_exec_impl **exec, m3_error *err)
{
    (void)d, (void)program, (void)buffers, (void)exec;
    return odd_never(err);
}

static inline void odd_exec_free(m3_device_impl *d, m3_exec_impl *exec)
{
    (void)d, (void)exec;
}

static inline m3_status odd_submit(m3_device_impl *d, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    (void)d, (void)exec, (void)value;
    return odd_never(err);
}

static inline m3_status odd_wait(m3_device_impl *d, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)d, (void)value, (void)timeout_ns;
    return odd_never(err);
}

/* Use: static const m3_backend_api api = ODD_BACKEND(odd_list, odd_limits); */
#define ODD_BACKEND_FUNCTIONS(list_, limits_)                                                                          \
    .open = odd_open, .close = odd_close, .list = (list_), .device_open = odd_device_open,                             \
    .device_close = odd_device_close, .limits = (limits_), .buffer_create = odd_create, .buffer_free = odd_free,       \
    .upload = odd_upload, .download = odd_download, .supports = odd_supports, .compile = odd_compile,                  \
    .exec_free = odd_exec_free, .submit = odd_submit, .wait = odd_wait
#define ODD_BACKEND(list_, limits_)                                                                                    \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_backend_api, measure_peak), ODD_BACKEND_FUNCTIONS(list_, limits_)                    \
    }

#define ODD_BACKEND_PLUGIN(plugin_name)                                                                                \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_plugin, table), .magic = M3_PLUGIN_MAGIC, .abi_major = M3_ABI_MAJOR,                 \
        .abi_minor = M3_ABI_MINOR, .kind = M3_PLUGIN_BACKEND, .name = (plugin_name), .version = "0.1",                 \
        .build = "test", .table = &api                                                                                 \
    }

#endif
