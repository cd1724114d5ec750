/* commands: compute and copies are all that a queue of ours does. */
#include "backends/vulkan/commands.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"

enum {
    COMPUTE = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
    COPY = VK_PIPELINE_STAGE_TRANSFER_BIT,
    READ = VK_ACCESS_SHADER_READ_BIT,
    WRITE = VK_ACCESS_SHADER_WRITE_BIT
};

m3_status vulkan_commands_create(m3_device_impl *device, VkCommandPool *pool, VkCommandBuffer *commands, m3_error *err)
{
    const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = device->adapter->family};
    VkResult result = device->vk.CreateCommandPool(device->device, &info, NULL, pool);
    const VkCommandBufferAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                  .commandPool = *pool,
                                                  .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                  .commandBufferCount = 1};
    if (result == VK_SUCCESS) result = device->vk.AllocateCommandBuffers(device->device, &allocate, commands);
    return vulkan_result_check(device, result, "a command buffer", err);
}

void vulkan_barrier_at_start(m3_device_impl *device, VkCommandBuffer commands)
{
    const VkMemoryBarrier all = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                 .srcAccessMask = WRITE | VK_ACCESS_TRANSFER_WRITE_BIT,
                                 .dstAccessMask =
                                     READ | WRITE | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    device->vk.CmdPipelineBarrier(commands, COMPUTE | COPY, COMPUTE | COPY, 0, 1, &all, 0, NULL, 0, NULL);
}

VkBufferMemoryBarrier vulkan_barrier(VkBuffer buffer, uint64_t offset, uint64_t bytes, VkAccessFlags from,
                                     VkAccessFlags to)
{
    return (VkBufferMemoryBarrier){.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
                                   .srcAccessMask = from,
                                   .dstAccessMask = to,
                                   .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                   .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                   .buffer = buffer,
                                   .offset = offset,
                                   .size = bytes};
}

void vulkan_barrier_to_host(m3_device_impl *device, VkCommandBuffer commands, VkBuffer buffer, uint64_t offset,
                            uint64_t bytes, bool copied)
{
    const VkBufferMemoryBarrier one = vulkan_barrier(
        buffer, offset, bytes, copied ? (VkAccessFlags)VK_ACCESS_TRANSFER_WRITE_BIT : WRITE, VK_ACCESS_HOST_READ_BIT);
    device->vk.CmdPipelineBarrier(commands, copied ? COPY : COMPUTE, VK_PIPELINE_STAGE_HOST_BIT, 0, 0, NULL, 1, &one, 0,
                                  NULL);
}
