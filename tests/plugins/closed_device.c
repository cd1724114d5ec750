/* closed_device: a backend that lists a processor and cannot open it. */
#include "odd_backend.h"

static m3_status list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    m3_status st = odd_list(backend, infos, capacity, count, err);
    if (capacity > 0) infos[0].device_class = M3_DEVICE_CPU;
    return st;
}

static m3_status closed(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err)
{
    (void)backend, (void)index, (void)options;
    *device = NULL;
    return M3_FAIL(err, M3_ERR_IO, "closed_device:0", "is in use by somebody else");
}

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, measure_peak),
    .open = odd_open,
    .close = odd_close,
    .list = list,
    .device_open = closed,
    .device_close = odd_device_close,
    .limits = odd_limits,
    .buffer_create = odd_create,
    .buffer_free = odd_free,
    .upload = odd_upload,
    .download = odd_download,
    .supports = odd_supports,
    .compile = odd_compile,
    .exec_free = odd_exec_free,
    .submit = odd_submit,
    .wait = odd_wait,
};

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("closed_device");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
