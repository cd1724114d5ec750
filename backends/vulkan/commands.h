/* commands: a command buffer, and the barriers that any of them may need. */
#ifndef VULKAN_COMMANDS_H
#define VULKAN_COMMANDS_H

#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

/* A pool with one command buffer. */
m3_status vulkan_commands_create(m3_device_impl *device, VkCommandPool *pool, VkCommandBuffer *commands, m3_error *err);

VkBufferMemoryBarrier vulkan_barrier(VkBuffer buffer, uint64_t offset, uint64_t bytes, VkAccessFlags from,
                                     VkAccessFlags to);
/* Between what was queued before and what a command buffer begins with. */
void vulkan_barrier_at_start(m3_device_impl *device, VkCommandBuffer commands);
/* What the device wrote becomes visible to the host; copied: by a copy, else by a kernel. */
void vulkan_barrier_to_host(m3_device_impl *device, VkCommandBuffer commands, VkBuffer buffer, uint64_t offset,
                            uint64_t bytes, bool copied);

#endif
