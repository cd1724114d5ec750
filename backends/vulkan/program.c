/* program: nodes become dispatches (backends/lowering), dispatches become steps with a pipeline and a descriptor set,
 * and steps get the level at which they run (hazards.c). */
#include "backends/vulkan/program.h"
#include "backends/host/checks.h"
#include "backends/lowering/program.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/hazards.h"
#include "backends/vulkan/pipeline.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/record.h"
#include "backends/vulkan/transfer.h"

#include <string.h>

static const uint64_t scratch_limit = 64 << 20;
enum { SCRATCH_COPIES = 4 };

m3_status vulkan_program_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const m3_status st = host_check_refused(device->refused, node->op, why);
    if (st != M3_OK) return st;
    return lower_supports(&device->traits, node, why);
}

/* Nodes use the ranges of a larger scratch buffer in rotation, so that neighbours do not wait for each other's memory.
 * Returns its size. */
static uint64_t spread_scratch(const m3_device_impl *device, m3_exec_impl *exec)
{
    const uint64_t one = exec->list.scratch_bytes;
    uint64_t all = SCRATCH_COPIES * one, at = 0, base = 0;
    uint32_t node = UINT32_MAX;
    if (all > scratch_limit) all = one > scratch_limit ? one : scratch_limit;
    for (uint32_t i = 0; i < exec->step_count; i++) {
        const lower_dispatch *first = exec->steps[i].dispatch;
        if (first->node == node) continue;
        uint64_t need = 0;
        node = first->node;
        for (int round = 0; round < 2; round++) {
            for (uint32_t k = i; k < exec->step_count && exec->steps[k].dispatch->node == node; k++) {
                lower_dispatch *d = exec->steps[k].dispatch;
                for (uint32_t v = 0; v < d->buffer_count; v++) {
                    lower_view *view = &d->buffers[v];
                    if (view->memory != LOWER_SCRATCH) continue;
                    if (round == 1)
                        view->offset += base;
                    else if (view->offset + view->bytes > need)
                        need = view->offset + view->bytes;
                }
            }
            base = at + need > all ? 0 : at;
        }
        at = (base + need + device->alignment - 1) / device->alignment * device->alignment;
    }
    return all;
}

/* Memory. */

static m3_status allocate(m3_device_impl *device, const m3_program *program, m3_exec_impl *exec, m3_error *err)
{
    const m3_host *host = device->host;
    const size_t steps = (size_t)exec->list.count + 1;
    const size_t buffers = (size_t)program->segment_count + 2, nodes = (size_t)program->node_count + 1;
    exec->node_count = program->node_count;
    exec->segment_count = program->segment_count;
    exec->buffers = host->allocate(host->user, buffers, sizeof *exec->buffers);
    exec->steps = host->allocate(host->user, steps, sizeof *exec->steps);
    exec->sorted = host->allocate(host->user, steps, sizeof *exec->sorted);
    exec->ticks = host->allocate(host->user, nodes, 4 * sizeof *exec->ticks);
    if (exec->buffers == NULL || exec->steps == NULL || exec->sorted == NULL || exec->ticks == NULL)
        return M3_FAIL_MEMORY(err, program->name, steps * sizeof *exec->steps);
    for (uint32_t i = 0; i < exec->list.count; i++) {
        lower_dispatch *d = &exec->list.dispatches[i];
        if (d->count[0] != 0 && d->count[1] != 0 && d->count[2] != 0) exec->steps[exec->step_count++].dispatch = d;
    }
    exec->store = exec->step_count;
    for (uint32_t i = exec->step_count; i-- > 0;)
        if (lower_writes_store(exec->steps[i].dispatch)) exec->store = i;
    for (uint32_t i = 0; i < exec->step_count; i++) exec->range_count += exec->steps[i].dispatch->buffer_count;
    const size_t ranges = (size_t)exec->range_count + 1;
    exec->ranges = host->allocate(host->user, ranges, sizeof *exec->ranges);
    exec->barriers = host->allocate(host->user, ranges, sizeof *exec->barriers);
    if (exec->ranges == NULL || exec->barriers == NULL)
        return M3_FAIL_MEMORY(err, program->name, ranges * sizeof *exec->barriers);
    return M3_OK;
}

static m3_status make_buffers(m3_device_impl *device, m3_buffer *const *buffers, m3_exec_impl *exec, m3_error *err)
{
    const uint64_t scratch = spread_scratch(device, exec), table = exec->list.table_bytes;
    uint64_t value = 0;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < exec->segment_count; i++) exec->buffers[i] = buffers[i];
    if (scratch > 0) st = vulkan_buffer_create(device, scratch, M3_BUFFER_DEVICE, &exec->scratch, err);
    if (st == M3_OK && table > 0)
        st = vulkan_buffer_create(device, table, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD, &exec->table, err);
    if (st == M3_OK && table > 0)
        st = vulkan_buffer_upload(device, exec->table, 0, exec->list.table, table, &value, err);
    if (st == M3_OK && table > 0) st = vulkan_queue_wait(device, value, UINT64_MAX, err);
    exec->buffers[exec->segment_count] = exec->scratch;
    exec->buffers[exec->segment_count + 1] = exec->table;
    return st;
}

/* Steps. */

/* Absent memory is a dummy. What a kernel might write is no dummy, though, which another kernel might read: it lies on
 * what this one writes anyway. */
static VkDescriptorBufferInfo info_of(const m3_device_impl *device, const m3_exec_impl *exec, const lower_dispatch *d,
                                      uint32_t i)
{
    const lower_view *view = &d->buffers[i];
    for (uint32_t k = 0; k < d->buffer_count && view->memory == LOWER_NOTHING && d->buffers[i].write; k++)
        if (d->buffers[k].write) view = &d->buffers[k];
    if (view->memory == LOWER_NOTHING) return (VkDescriptorBufferInfo){device->dummy->buffer, 0, VK_WHOLE_SIZE};
    return (VkDescriptorBufferInfo){exec->buffers[vulkan_exec_buffer(exec, view)]->buffer, view->offset,
                                    vulkan_view_bytes(view)};
}

static m3_status write_set(m3_device_impl *device, const m3_exec_impl *exec, const vulkan_step *step, m3_error *err)
{
    const lower_dispatch *d = step->dispatch;
    const uint64_t alignment = device->adapter->properties.limits.minStorageBufferOffsetAlignment;
    VkDescriptorBufferInfo infos[LOWER_MAX_BUFFERS];
    VkWriteDescriptorSet writes[LOWER_MAX_BUFFERS];
    for (uint32_t i = 0; i < d->buffer_count; i++) {
        infos[i] = info_of(device, exec, d, i);
        if (infos[i].offset % alignment != 0)
            return M3_FAIL(err, M3_ERR_RANGE, d->entry, "a tensor lies at byte %llu, places are multiples of %u",
                           (unsigned long long)infos[i].offset, device->alignment);
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = step->set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &infos[i]};
    }
    device->vk.UpdateDescriptorSets(device->device, d->buffer_count, writes, 0, NULL);
    return M3_OK;
}

static m3_status prepare(m3_device_impl *device, m3_exec_impl *exec, m3_error *err)
{
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, exec->range_count + 1};
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = exec->step_count + 1,
                                             .poolSizeCount = 1,
                                             .pPoolSizes = &size};
    const VkResult result = device->vk.CreateDescriptorPool(device->device, &info, NULL, &exec->descriptors);
    m3_status st = vulkan_result_check(device, result, "a descriptor pool", err);
    for (uint32_t i = 0; i < exec->step_count && st == M3_OK; i++) {
        vulkan_step *step = &exec->steps[i];
        const lower_dispatch *d = step->dispatch;
        step->pipeline = vulkan_pipeline_get(device, d);
        const VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                 .descriptorPool = exec->descriptors,
                                                 .descriptorSetCount = 1,
                                                 .pSetLayouts = &step->pipeline->layout->set};
        st = vulkan_result_check(device, device->vk.AllocateDescriptorSets(device->device, &set, &step->set),
                                 "a descriptor set", err);
        if (st == M3_OK) st = write_set(device, exec, step, err);
    }
    return st;
}

/* Steps by level; those of a level keep their order. */
static m3_status order(m3_device_impl *device, m3_exec_impl *exec, m3_error *err)
{
    vulkan_hazards hazards = {.host = device->host};
    vulkan_range ranges[LOWER_MAX_BUFFERS];
    m3_status st = M3_OK;
    uint32_t at = 0;
    for (uint32_t i = 0; i < exec->step_count && st == M3_OK; i++) {
        vulkan_step *step = &exec->steps[i];
        const uint32_t count = vulkan_exec_ranges(exec, step->dispatch, false, ranges);
        st = vulkan_hazards_add(&hazards, ranges, count, &step->level, err);
        if (step->level >= exec->levels) exec->levels = step->level + 1;
    }
    vulkan_hazards_fini(&hazards);
    for (uint32_t level = 0; level < exec->levels && st == M3_OK; level++)
        for (uint32_t i = 0; i < exec->step_count; i++)
            if (exec->steps[i].level == level) exec->sorted[at++] = &exec->steps[i];
    return st;
}

m3_status vulkan_program_compile_list(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                                      m3_exec_impl *exec, m3_error *err)
{
    m3_status st;
    if ((st = allocate(device, program, exec, err)) != M3_OK) return st;
    if ((st = make_buffers(device, buffers, exec, err)) != M3_OK) return st;
    if ((st = vulkan_pipelines_build(device, &exec->list, err)) != M3_OK) return st;
    if ((st = prepare(device, exec, err)) != M3_OK) return st;
    if ((st = order(device, exec, err)) != M3_OK) return st;
    if ((st = vulkan_exec_record(device, exec, err)) != M3_OK) return st;
    return vulkan_device_check(device, err); /* a message of the validation layer */
}

m3_status vulkan_program_compile(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                                 m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err)
{
    const m3_host *host = device->host;
    *exec = NULL;
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (program->segments[i].bytes != 0 && (buffers[i] == NULL || buffers[i]->bytes < program->segments[i].bytes))
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)program->segments[i].bytes,
                           buffers[i] == NULL ? 0ull : (unsigned long long)buffers[i]->bytes);
    m3_exec_impl *made = host->allocate(host->user, 1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *made);
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < program->node_count && st == M3_OK; i++)
        st = vulkan_program_supports(device, program->nodes[i], err);
    if (st == M3_OK) st = lower_program(&made->list, host, traits, program, device->alignment, err);
    if (st == M3_OK) st = vulkan_program_compile_list(device, program, buffers, made, err);
    if (st == M3_OK)
        *exec = made;
    else
        vulkan_exec_free(device, made);
    return st;
}

void vulkan_exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec == NULL) return;
    const m3_host *host = device->host;
    vulkan_queue_drain(device);
    if (exec->descriptors != VK_NULL_HANDLE) device->vk.DestroyDescriptorPool(device->device, exec->descriptors, NULL);
    if (exec->pool != VK_NULL_HANDLE) device->vk.DestroyCommandPool(device->device, exec->pool, NULL);
    if (exec->part_pool != VK_NULL_HANDLE) device->vk.DestroyCommandPool(device->device, exec->part_pool, NULL);
    vulkan_exec_drop_timed(device, exec);
    vulkan_buffer_free(device, exec->scratch);
    vulkan_buffer_free(device, exec->table);
    lower_list_fini(&exec->list);
    void *blocks[] = {(void *)exec->buffers, exec->steps, (void *)exec->sorted, exec->ranges, exec->barriers,
                      exec->ticks,           exec};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) host->release(host->user, blocks[i]);
}
