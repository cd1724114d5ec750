/* buffer: memory, which is the host's own, and copies, which are done when they are queued. */
#include "backends/cpu/cpu.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    KNOWN_USES = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE,
    LINE = 64,
    LARGE_PAGE = 2 << 20
};

void *cpu_allocate(const m3_host *host, uint64_t bytes, void **block)
{
    size_t alignment = bytes >= 2 * LARGE_PAGE ? LARGE_PAGE : LINE;
    *block = NULL;
    if (bytes > SIZE_MAX / 2) return NULL;
    *block = host->allocate(host->user, (size_t)bytes + alignment, 1);
    if (*block == NULL) return NULL;
    unsigned char *data = (unsigned char *)(((uintptr_t)*block + alignment - 1) & ~(uintptr_t)(alignment - 1));
    /* A wish: without large pages it is only slower. */
    if (alignment == LARGE_PAGE) (void)madvise(data, (size_t)bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    return data;
}

m3_status cpu_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err)
{
    const m3_host *host = device->host;
    *buffer = NULL;
    if (bytes == 0) return M3_FAIL(err, M3_ERR_INVALID, "buffer", "0 bytes were asked; ask for at least 1");
    if ((usage & ~(uint32_t)KNOWN_USES) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "buffer", "usage 0x%x has unknown bits 0x%x", usage,
                       usage & ~(uint32_t)KNOWN_USES);
    m3_status st = cpu_take_memory(device, "buffer", bytes, err);
    if (st != M3_OK) return st;
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) {
        cpu_give_memory(device, bytes);
        return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    }
    b->usage = usage;
    b->bytes = bytes;
    b->data = cpu_allocate(host, bytes, &b->block);
    if (b->data == NULL) {
        host->release(host->user, b);
        cpu_give_memory(device, bytes);
        unsigned long long there = (unsigned long long)sysconf(_SC_AVPHYS_PAGES) * (unsigned long)sysconf(_SC_PAGESIZE);
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer",
                       "%llu bytes were asked, %llu are free; free memory or use a smaller batch",
                       (unsigned long long)bytes, there);
    }
    *buffer = b;
    return M3_OK;
}

void cpu_buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == NULL) return;
    const m3_host *host = device->host;
    cpu_give_memory(device, buffer->bytes);
    host->release(host->user, buffer->block);
    host->release(host->user, buffer);
}

/* Is [offset, offset + bytes) inside, and was the buffer made for this? */
static m3_status check(const m3_buffer *buffer, uint32_t use, const char *what, uint64_t offset, uint64_t bytes,
                       m3_error *err)
{
    if ((buffer->usage & use) == 0)
        return M3_FAIL(err, M3_ERR_INVALID, what, "the buffer was made with usage 0x%x, which lacks 0x%x",
                       buffer->usage, use);
    if (offset > buffer->bytes || bytes > buffer->bytes - offset)
        return M3_FAIL(err, M3_ERR_RANGE, what, "bytes %llu to %llu were asked, the buffer has %llu",
                       (unsigned long long)offset, (unsigned long long)offset + (unsigned long long)bytes,
                       (unsigned long long)buffer->bytes);
    return M3_OK;
}

m3_status cpu_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                         void **pointer, m3_error *err)
{
    *pointer = NULL;
    m3_status st = cpu_check(device, err);
    if (st == M3_OK) st = check(buffer, M3_BUFFER_MAPPABLE, "map", offset, bytes, err);
    if (st != M3_OK) return st;
    if (buffer->mapped) return M3_FAIL(err, M3_ERR_INVALID, "map", "the buffer is mapped already; unmap it first");
    if (access == 0 || (access & ~(uint32_t)(M3_MAP_READ | M3_MAP_WRITE)) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "map", "access is 0x%x, give M3_MAP_READ, M3_MAP_WRITE or both", access);
    buffer->mapped = true;
    *pointer = buffer->data + offset;
    return M3_OK;
}

void cpu_buffer_unmap(m3_device_impl *device, m3_buffer *buffer)
{
    (void)device;
    buffer->mapped = false;
}

m3_status cpu_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                     uint64_t *value, m3_error *err)
{
    m3_status st = cpu_check(device, err);
    if (st == M3_OK) st = check(to, M3_BUFFER_UPLOAD, "upload", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0) memcpy(to->data + offset, from, (size_t)bytes);
    *value = cpu_advance(device);
    return M3_OK;
}

m3_status cpu_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                       uint64_t *value, m3_error *err)
{
    m3_status st = cpu_check(device, err);
    if (st == M3_OK) st = check(from, M3_BUFFER_DOWNLOAD, "download", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0) memcpy(to, from->data + offset, (size_t)bytes);
    *value = cpu_advance(device);
    return M3_OK;
}
