/* device: opening, closing, limits. */
#include "backends/host/device.h"

#include <unistd.h>

#include "backends/host/checks.h"
#include "backends/host/memory.h"

m3_status host_list(const m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    *count = 1;
    if (capacity == 0) return M3_OK;
    return host_check_size("m3_device_info", infos->size, M3_STRUCT_SIZE(m3_device_info, features), err);
}

m3_status host_device_create(const m3_host *host, const char *name, uint32_t index, size_t size,
                             m3_device_impl **device, m3_error *err)
{
    *device = NULL;
    if (index != 0) return M3_FAIL(err, M3_ERR_INVALID, name, "there is no device %u, only 0", index);
    m3_device_impl *d = host->allocate(host->user, 1, size);
    if (d == NULL) return M3_FAIL_MEMORY(err, name, size);
    d->host = host;
    d->name = name;
    d->offset_alignment = HOST_MEMORY_ALIGNMENT;
    d->largest_buffer = SIZE_MAX / 2;
    d->memory_max = d->fail_after = UINT64_MAX;
    pthread_mutex_init(&d->lock, NULL);
    *device = d;
    return M3_OK;
}

void host_device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    const m3_host *host = device->host;
    pthread_mutex_destroy(&device->lock);
    host->release(host->user, device->refused);
    host->release(host->user, device);
}

m3_status host_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    const m3_status st =
        host_check_size("m3_device_limits", limits->size, M3_STRUCT_SIZE(m3_device_limits, coherent), err);
    if (st != M3_OK) return st;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), max = device->memory_max;
    limits->offset_alignment = device->offset_alignment;
    limits->largest_buffer = limits->largest_binding = device->largest_buffer;
    limits->memory_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    limits->memory_free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    if (max != UINT64_MAX) {
        const uint64_t left = max - host_memory_used(device);
        if (limits->memory_total > max) limits->memory_total = max;
        if (limits->memory_free > left) limits->memory_free = left;
    }
    limits->map_alignment = 1;
    limits->unified = true;
    limits->coherent = true;
    return M3_OK;
}
