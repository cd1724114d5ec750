/* memory: aligned memory of the host, and the count of what a device holds. */
#include "backends/host/memory.h"

#include <sys/mman.h>

#include "backends/host/device.h"

void *host_memory_allocate(const m3_host *host, uint64_t bytes, void **block)
{
    enum { LARGE_PAGE = 2 << 20 };
    const size_t alignment = bytes >= 2 * LARGE_PAGE ? LARGE_PAGE : HOST_MEMORY_ALIGNMENT;
    *block = NULL;
    if (bytes > SIZE_MAX / 2) return NULL;
    *block = host->allocate(host->user, (size_t)bytes + alignment, 1);
    if (*block == NULL) return NULL;
    void *data = (void *)(((uintptr_t)*block + alignment - 1) & ~(uintptr_t)(alignment - 1));
    /* Advice: without large pages it is only slower. */
    if (alignment == LARGE_PAGE) (void)madvise(data, (size_t)bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    return data;
}

m3_status host_memory_reserve(m3_device_impl *device, const char *what, uint64_t bytes, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t used = device->memory, left = device->memory_max > used ? device->memory_max - used : 0;
    if (bytes <= left) device->memory += bytes;
    pthread_mutex_unlock(&device->lock);
    if (bytes <= left) return M3_OK;
    return M3_FAIL(err, M3_ERR_MEMORY, what,
                   "%llu bytes were asked, %llu of %llu are left; use a smaller batch and raise accumulate",
                   (unsigned long long)bytes, (unsigned long long)left, (unsigned long long)device->memory_max);
}

void host_memory_release(m3_device_impl *device, uint64_t bytes)
{
    pthread_mutex_lock(&device->lock);
    device->memory -= bytes;
    pthread_mutex_unlock(&device->lock);
}

uint64_t host_memory_used(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t memory = device->memory;
    pthread_mutex_unlock(&device->lock);
    return memory;
}
