/* buffer: a buffer of the driver in a range of a block. */
#include "backends/vulkan/buffer.h"
#include "backends/host/checks.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/limits.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/queue.h"

enum {
    PADDING = 64 /* a kernel may write whole words, whose rest is padding */
};

m3_status vulkan_buffer_make(m3_device_impl *device, uint64_t bytes, uint32_t usage, uint32_t type, m3_buffer **buffer,
                             m3_error *err)
{
    const m3_host *host = device->host;
    VkMemoryRequirements needs;
    m3_status st;
    *buffer = NULL;
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    b->usage = usage;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = (bytes + PADDING - 1) / PADDING * PADDING,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    st = vulkan_result_check(device, device->vk.CreateBuffer(device->device, &info, NULL, &b->buffer), "vkCreateBuffer",
                             err);
    if (st != M3_OK) goto done;
    device->vk.GetBufferMemoryRequirements(device->device, b->buffer, &needs);
    if ((st = vulkan_memory_allocate(device, b, type, needs.size, needs.alignment, err)) != M3_OK) goto done;
    st =
        vulkan_result_check(device, device->vk.BindBufferMemory(device->device, b->buffer, b->block->memory, b->offset),
                            "vkBindBufferMemory", err);
    if (st != M3_OK) goto done;
    b->bytes = bytes;
    vulkan_memory_count(device, (int64_t)bytes);
    *buffer = b;
    b = NULL;
done:
    vulkan_buffer_free(device, b);
    return st;
}

m3_status vulkan_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    *buffer = NULL;
    m3_status st = host_check_buffer(bytes, usage, err);
    if (st == M3_OK) st = vulkan_device_limits(device, &limits, err);
    if (st != M3_OK) return st;
    if (bytes > limits.largest_buffer)
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer", "%llu bytes were asked, the largest buffer is %llu",
                       (unsigned long long)bytes, (unsigned long long)limits.largest_buffer);
    if (device->most_memory != UINT64_MAX && bytes > limits.memory_free)
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer",
                       "%llu bytes were asked, of %llu bytes of device memory %llu are free; use a smaller batch",
                       (unsigned long long)bytes, (unsigned long long)limits.memory_total,
                       (unsigned long long)limits.memory_free);
    const vulkan_memory *m = &device->memory;
    const bool seen = !device->unified && (usage & M3_BUFFER_MAPPABLE) != 0;
    return vulkan_buffer_make(device, bytes, usage, seen ? m->download_type : m->device_type, buffer, err);
}

void vulkan_buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == NULL) return;
    vulkan_queue_drain(device);
    device->vk.DestroyBuffer(device->device, buffer->buffer, NULL);
    vulkan_memory_free(device, buffer);
    vulkan_memory_count(device, -(int64_t)buffer->bytes);
    device->host->release(device->host->user, buffer);
}

m3_status vulkan_buffer_check(m3_device_impl *device, const m3_buffer *buffer, uint32_t use, const char *what,
                              uint64_t offset, uint64_t bytes, m3_error *err)
{
    const m3_status st = vulkan_device_check(device, err);
    if (st != M3_OK) return st;
    return host_check_use(buffer->usage, buffer->bytes, use, what, offset, bytes, err);
}

m3_status vulkan_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                            void **pointer, m3_error *err)
{
    *pointer = NULL;
    m3_status st = vulkan_buffer_check(device, buffer, M3_BUFFER_MAPPABLE, "map", offset, bytes, err);
    if (st == M3_OK) st = host_check_map(buffer->mapped, access, err);
    if (st != M3_OK) return st;
    buffer->mapped = true;
    *pointer = buffer->data + offset;
    return M3_OK;
}

void vulkan_buffer_unmap(m3_device_impl *device, m3_buffer *buffer)
{
    (void)device;
    buffer->mapped = false;
}
