/* device: the one device there is, and its options. */
#include "backends/reference/device.h"

#include "backends/host/options.h"

m3_status reference_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    (void)backend;
    const m3_status st = host_list(infos, capacity, count, err);
    if (st != M3_OK || capacity == 0) return st;
    infos->device_class = M3_DEVICE_REFERENCE;
    (void)snprintf(infos->name, sizeof infos->name, "reference");
    (void)snprintf(infos->driver, sizeof infos->driver, "plain C");
    (void)snprintf(infos->features, sizeof infos->features, "f64 single-thread");
    return M3_OK;
}

/* Options. */

const m3_option_desc reference_options[REFERENCE_OPTIONS] = {HOST_OPTIONS};

m3_status reference_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                m3_error *err)
{
    m3_status st = host_device_create(backend->host, "reference", index, sizeof **device, device, err);
    if (st != M3_OK) return st;
    (*device)->offset_alignment = 16;
    st = host_read_options(*device, options, err);
    if (st == M3_OK) return M3_OK;
    host_device_close(*device);
    *device = NULL;
    return st;
}
