/* buffer: memory of the host, and copies, which are done when they are queued. */
#include "backends/host/buffer.h"

#include <string.h>
#include <unistd.h>

#include "backends/host/checks.h"
#include "backends/host/device.h"
#include "backends/host/memory.h"
#include "backends/host/queue.h"

static m3_status check_new(const m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_error *err)
{
    const m3_status st = host_check_buffer(bytes, usage, err);
    if (st != M3_OK) return st;
    if (bytes > device->largest_buffer)
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer", "%llu bytes were asked, the largest buffer is %llu",
                       (unsigned long long)bytes, (unsigned long long)device->largest_buffer);
    return M3_OK;
}

m3_status host_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err)
{
    const m3_host *host = device->host;
    *buffer = NULL;
    m3_status st = check_new(device, bytes, usage, err);
    if (st == M3_OK) st = host_memory_reserve(device, "buffer", bytes, err);
    if (st != M3_OK) return st;
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) {
        host_memory_release(device, bytes);
        return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    }
    b->usage = usage;
    b->bytes = bytes;
    b->data = host_memory_allocate(host, bytes, &b->block);
    if (b->data == NULL) {
        host_buffer_free(device, b);
        const unsigned long long left =
            (unsigned long long)sysconf(_SC_AVPHYS_PAGES) * (unsigned long)sysconf(_SC_PAGESIZE);
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer",
                       "%llu bytes were asked, %llu are free; free memory or use a smaller batch",
                       (unsigned long long)bytes, left);
    }
    *buffer = b;
    return M3_OK;
}

void host_buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == NULL) return;
    const m3_host *host = device->host;
    host_memory_release(device, buffer->bytes);
    host->release(host->user, buffer->block);
    host->release(host->user, buffer);
}

/* Does the device work, was the buffer made for this use, and is [offset, offset + bytes) inside? */
static m3_status check_use(m3_device_impl *device, const m3_buffer *buffer, uint32_t use, const char *what,
                           uint64_t offset, uint64_t bytes, m3_error *err)
{
    const m3_status st = host_queue_check(device, err);
    if (st != M3_OK) return st;
    return host_check_use(buffer->usage, buffer->bytes, use, what, offset, bytes, err);
}

m3_status host_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                          void **pointer, m3_error *err)
{
    *pointer = NULL;
    m3_status st = check_use(device, buffer, M3_BUFFER_MAPPABLE, "map", offset, bytes, err);
    if (st == M3_OK) st = host_check_map(buffer->mapped, access, err);
    if (st != M3_OK) return st;
    buffer->mapped = true;
    *pointer = buffer->data + offset;
    return M3_OK;
}

void host_buffer_unmap(m3_device_impl *device, m3_buffer *buffer)
{
    (void)device;
    buffer->mapped = false;
}

m3_status host_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                      uint64_t *value, m3_error *err)
{
    const m3_status st = check_use(device, to, M3_BUFFER_UPLOAD, "upload", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0) memcpy(to->data + offset, from, (size_t)bytes);
    *value = host_queue_advance(device);
    return M3_OK;
}

m3_status host_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    const m3_status st = check_use(device, from, M3_BUFFER_DOWNLOAD, "download", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0) memcpy(to, from->data + offset, (size_t)bytes);
    *value = host_queue_advance(device);
    return M3_OK;
}
