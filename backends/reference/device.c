/* device: the one device there is, and its options. */
#include "backends/reference/device.h"

#include <stdlib.h>
#include <string.h>

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

static m3_status set_number(const m3_option *option, uint64_t *number, m3_error *err)
{
    char *end = NULL;
    unsigned long long value = strtoull(option->value, &end, 10);
    if (option->value[0] < '0' || option->value[0] > '9' || *end != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is no number; give a whole number of at least 0",
                       option->value);
    *number = value;
    return M3_OK;
}

static m3_status set_option(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    if (strcmp(option->key, "fail_after") == 0) return set_number(option, &device->fail_after, err);
    if (strcmp(option->key, "largest_buffer") == 0) return set_number(option, &device->largest_buffer, err);
    if (strcmp(option->key, "refuse") != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key,
                       "no such option of the reference device; there are refuse=OP+OP (say no to these ops), "
                       "fail_after=N (be lost after N submits), largest_buffer=BYTES");
    const m3_host *host = device->host;
    size_t bytes = strlen(option->value) + 1;
    host->release(host->user, device->refused);
    device->refused = host->allocate(host->user, bytes, 1);
    if (device->refused == NULL) return M3_FAIL_MEMORY(err, option->key, bytes);
    memcpy(device->refused, option->value, bytes);
    return M3_OK;
}

m3_status reference_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                m3_error *err)
{
    m3_status st = host_device_create(backend->host, "reference", index, sizeof **device, device, err);
    if (st != M3_OK) return st;
    (*device)->offset_alignment = 16;
    for (uint32_t i = 0; i < options.count && st == M3_OK; i++)
        st = set_option(*device, (const m3_option *)m3_span_at(options, i), err);
    if (st == M3_OK) return M3_OK;
    host_device_close(*device);
    *device = NULL;
    return st;
}
