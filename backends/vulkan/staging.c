/* staging: a staging buffer is used again when its last copy is over. */
#include "backends/vulkan/staging.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/commands.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/queue.h"

#include <string.h>

static void close_buffer(m3_device_impl *device, vulkan_staging_buffer *stage)
{
    vulkan_buffer_free(device, stage->buffer);
    if (stage->pool != VK_NULL_HANDLE) device->vk.DestroyCommandPool(device->device, stage->pool, NULL);
    *stage = (vulkan_staging_buffer){0};
}

static m3_status open_buffer(m3_device_impl *device, vulkan_staging_buffer *stage, uint32_t type, m3_error *err)
{
    const m3_status st = vulkan_buffer_make(device, VULKAN_STAGING_BYTES, 0, type, &stage->buffer, err);
    return st == M3_OK ? vulkan_commands_create(device, &stage->pool, &stage->commands, err) : st;
}

m3_status vulkan_staging_open(m3_device_impl *device, m3_error *err)
{
    m3_status st = M3_OK;
    if (device->unified) return M3_OK;
    for (uint32_t i = 0; i < VULKAN_STAGING_BUFFERS && st == M3_OK; i++) {
        st = open_buffer(device, &device->stages.uploads[i], device->memory.upload_type, err);
        if (st == M3_OK) st = open_buffer(device, &device->stages.downloads[i], device->memory.download_type, err);
    }
    return st;
}

void vulkan_staging_close(m3_device_impl *device)
{
    for (uint32_t i = 0; i < VULKAN_STAGING_BUFFERS; i++) {
        close_buffer(device, &device->stages.uploads[i]);
        close_buffer(device, &device->stages.downloads[i]);
    }
}

/* The next buffer of a ring, when its last use is over, with its commands begun. */
static m3_status begin(m3_device_impl *device, vulkan_staging_buffer *ring, uint32_t *next,
                       vulkan_staging_buffer **stage, m3_error *err)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    vulkan_staging_buffer *s = *stage = &ring[*next];
    *next = (*next + 1) % VULKAN_STAGING_BUFFERS;
    const m3_status st = vulkan_queue_wait(device, s->value, UINT64_MAX, err);
    if (st != M3_OK) return st;
    VkResult result = device->vk.ResetCommandPool(device->device, s->pool, 0);
    if (result == VK_SUCCESS) result = device->vk.BeginCommandBuffer(s->commands, &info);
    if (result == VK_SUCCESS) vulkan_barrier_at_start(device, s->commands);
    return vulkan_result_check(device, result, "vkBeginCommandBuffer", err);
}

m3_status vulkan_staging_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from,
                                uint64_t bytes, uint64_t *value, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint64_t at = 0; at < bytes && st == M3_OK; at += VULKAN_STAGING_BYTES) {
        const uint64_t part = bytes - at < VULKAN_STAGING_BYTES ? bytes - at : VULKAN_STAGING_BYTES;
        vulkan_staging_buffer *stage = NULL;
        if ((st = begin(device, device->stages.uploads, &device->stages.next_upload, &stage, err)) != M3_OK) break;
        memcpy(stage->buffer->data, (const unsigned char *)from + at, (size_t)part);
        const VkBufferCopy copy = {0, offset + at, part};
        device->vk.CmdCopyBuffer(stage->commands, stage->buffer->buffer, to->buffer, 1, &copy);
        st = vulkan_result_check(device, device->vk.EndCommandBuffer(stage->commands), "vkEndCommandBuffer", err);
        if (st == M3_OK) st = vulkan_queue_submit(device, stage->commands, NULL, NULL, 0, value, err);
        if (st == M3_OK) stage->value = *value;
    }
    return st;
}

m3_status vulkan_staging_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                  uint64_t *value, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint64_t at = 0; at < bytes && st == M3_OK; at += VULKAN_STAGING_BYTES) {
        const uint64_t part = bytes - at < VULKAN_STAGING_BYTES ? bytes - at : VULKAN_STAGING_BYTES;
        vulkan_staging_buffer *stage = NULL;
        if ((st = begin(device, device->stages.downloads, &device->stages.next_download, &stage, err)) != M3_OK) break;
        const VkBufferCopy copy = {offset + at, 0, part};
        device->vk.CmdCopyBuffer(stage->commands, from->buffer, stage->buffer->buffer, 1, &copy);
        vulkan_barrier_to_host(device, stage->commands, stage->buffer->buffer, 0, part, true);
        st = vulkan_result_check(device, device->vk.EndCommandBuffer(stage->commands), "vkEndCommandBuffer", err);
        if (st == M3_OK)
            st = vulkan_queue_submit(device, stage->commands, (unsigned char *)to + at, stage->buffer->data, part,
                                     value, err);
        if (st == M3_OK) stage->value = *value;
    }
    return st;
}
