/* record: the commands of a program, once. Dispatches are in the order of levels, with one barrier between two levels
 * over the ranges that the first one wrote. A timed recording keeps the order of nodes and lets none overlap another.
 */
#include "backends/vulkan/record.h"
#include "backends/lowering/lower.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/commands.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/hazards.h"

enum {
    COMPUTE = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
    READ = VK_ACCESS_SHADER_READ_BIT,
    WRITE = VK_ACCESS_SHADER_WRITE_BIT
};

static void dispatch(m3_device_impl *device, VkCommandBuffer commands, const vulkan_step *step, VkPipeline *bound)
{
    const lower_dispatch *d = step->dispatch;
    if (*bound != step->pipeline->pipeline)
        device->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, step->pipeline->pipeline);
    *bound = step->pipeline->pipeline;
    device->vk.CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, step->pipeline->layout->pipeline, 0, 1,
                                     &step->set, 0, NULL);
    if (d->word_count > 0)
        device->vk.CmdPushConstants(commands, step->pipeline->layout->pipeline, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                    d->word_count * (uint32_t)sizeof d->words[0], d->words);
    device->vk.CmdDispatch(commands, d->count[0], d->count[1], d->count[2]);
}

/* Everything that dispatches of a level wrote, joined where it touches. Returns how many barriers stand ready. */
static uint32_t collect(m3_exec_impl *exec, vulkan_step *const *steps, uint32_t count)
{
    uint32_t ranges = 0;
    for (uint32_t i = 0; i < count; i++)
        ranges += vulkan_exec_ranges(exec, steps[i]->dispatch, true, &exec->ranges[ranges]);
    ranges = vulkan_ranges_join(exec->ranges, ranges);
    for (uint32_t i = 0; i < ranges; i++) {
        const vulkan_range *r = &exec->ranges[i];
        exec->barriers[i] =
            vulkan_barrier(exec->buffers[r->buffer]->buffer, r->from, r->to - r->from, WRITE, READ | WRITE);
    }
    return ranges;
}

static void wait_for(m3_device_impl *device, m3_exec_impl *exec, VkCommandBuffer commands, vulkan_step *const *steps,
                     uint32_t count)
{
    const uint32_t ranges = collect(exec, steps, count);
    device->vk.CmdPipelineBarrier(commands, COMPUTE, COMPUTE, 0, 0, NULL, ranges, exec->barriers, 0, NULL);
}

/* What the host reads without a copy. */
static void record_end(m3_device_impl *device, m3_exec_impl *exec, VkCommandBuffer commands)
{
    for (uint32_t i = 0; i < exec->segment_count; i++) {
        const m3_buffer *buffer = exec->buffers[i];
        if (buffer == NULL || buffer->data == NULL) continue;
        if ((buffer->usage & (M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE)) == 0) continue;
        vulkan_barrier_to_host(device, commands, buffer->buffer, 0, VK_WHOLE_SIZE, false);
        exec->barrier_count++;
    }
}

m3_status vulkan_exec_record(m3_device_impl *device, m3_exec_impl *exec, m3_error *err)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkPipeline bound = VK_NULL_HANDLE;
    uint32_t first = 0, number = 0;
    m3_status st = vulkan_commands_create(device, &exec->pool, &exec->plain, err);
    if (st != M3_OK) return st;
    VkResult result = device->vk.BeginCommandBuffer(exec->plain, &info);
    if (result != VK_SUCCESS) return vulkan_result_check(device, result, "vkBeginCommandBuffer", err);
    vulkan_barrier_at_start(device, exec->plain);
    exec->barrier_count = 1;
    for (uint32_t i = 0; i < exec->step_count; i++) {
        if (exec->sorted[i]->level != exec->sorted[first]->level) {
            if (number++ != device->drop_barrier) {
                wait_for(device, exec, exec->plain, &exec->sorted[first], i - first);
                exec->barrier_count++;
            }
            first = i;
        }
        dispatch(device, exec->plain, exec->sorted[i], &bound);
    }
    record_end(device, exec, exec->plain);
    return vulkan_result_check(device, device->vk.EndCommandBuffer(exec->plain), "vkEndCommandBuffer", err);
}

m3_status vulkan_exec_record_part(m3_device_impl *device, m3_exec_impl *exec, uint32_t first, uint32_t count,
                                  m3_error *err)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const uint32_t barriers = exec->barrier_count;
    VkPipeline bound = VK_NULL_HANDLE;
    VkResult result = VK_SUCCESS;
    m3_status st = M3_OK;
    if (exec->part == NULL)
        st = vulkan_commands_create(device, &exec->part_pool, &exec->part, err);
    else
        result = device->vk.ResetCommandPool(device->device, exec->part_pool, 0);
    if (st != M3_OK) return st;
    if (result == VK_SUCCESS) result = device->vk.BeginCommandBuffer(exec->part, &info);
    if (result != VK_SUCCESS) return vulkan_result_check(device, result, "vkBeginCommandBuffer", err);
    vulkan_barrier_at_start(device, exec->part);
    for (uint32_t i = first; i < first + count; i++) {
        vulkan_step *step = &exec->steps[i];
        dispatch(device, exec->part, step, &bound);
        wait_for(device, exec, exec->part, &step, 1);
    }
    if (first + count == exec->step_count) record_end(device, exec, exec->part);
    exec->barrier_count = barriers;
    return vulkan_result_check(device, device->vk.EndCommandBuffer(exec->part), "vkEndCommandBuffer", err);
}

/* Queries 2 n and 2 n + 1 are the start and the end of node n. */
static void record_nodes(m3_device_impl *device, m3_exec_impl *exec)
{
    VkPipeline bound = VK_NULL_HANDLE;
    uint32_t at = 0;
    const uint32_t barriers = exec->barrier_count;
    device->vk.CmdResetQueryPool(exec->timed, exec->queries, 0, 2 * exec->node_count);
    vulkan_barrier_at_start(device, exec->timed);
    for (uint32_t node = 0; node < exec->node_count; node++) {
        device->vk.CmdWriteTimestamp(exec->timed, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, exec->queries, 2 * node);
        for (; at < exec->step_count && exec->steps[at].dispatch->node == node; at++) {
            vulkan_step *step = &exec->steps[at];
            dispatch(device, exec->timed, step, &bound);
            wait_for(device, exec, exec->timed, &step, 1);
        }
        device->vk.CmdWriteTimestamp(exec->timed, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, exec->queries, 2 * node + 1);
    }
    record_end(device, exec, exec->timed);
    exec->barrier_count = barriers;
}

void vulkan_exec_drop_timed(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec->timed_pool != VK_NULL_HANDLE) device->vk.DestroyCommandPool(device->device, exec->timed_pool, NULL);
    if (exec->queries != VK_NULL_HANDLE) device->vk.DestroyQueryPool(device->device, exec->queries, NULL);
    exec->timed_pool = VK_NULL_HANDLE;
    exec->queries = VK_NULL_HANDLE;
    exec->timed = NULL;
}

m3_status vulkan_exec_record_timed(m3_device_impl *device, m3_exec_impl *exec, m3_error *err)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                           .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                           .queryCount = 2 * exec->node_count};
    VkResult result;
    m3_status st = vulkan_commands_create(device, &exec->timed_pool, &exec->timed, err);
    if (st != M3_OK) goto failed;
    result = device->vk.CreateQueryPool(device->device, &queries, NULL, &exec->queries);
    if ((st = vulkan_result_check(device, result, "vkCreateQueryPool", err)) != M3_OK) goto failed;
    result = device->vk.BeginCommandBuffer(exec->timed, &info);
    if ((st = vulkan_result_check(device, result, "vkBeginCommandBuffer", err)) != M3_OK) goto failed;
    record_nodes(device, exec);
    st = vulkan_result_check(device, device->vk.EndCommandBuffer(exec->timed), "vkEndCommandBuffer", err);
    if (st == M3_OK) return M3_OK;
failed:
    vulkan_exec_drop_timed(device, exec);
    return st;
}
