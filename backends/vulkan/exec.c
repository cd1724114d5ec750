/* exec: which buffer a view lies in, and which bytes a dispatch touches. */
#include "backends/vulkan/exec.h"
#include "backends/lowering/lower.h"
#include "backends/vulkan/hazards.h"

uint32_t vulkan_exec_buffer(const m3_exec_impl *exec, const lower_view *view)
{
    if (view->memory == LOWER_SCRATCH) return exec->segment_count;
    if (view->memory == LOWER_TABLE) return exec->segment_count + 1;
    uint32_t i = 0;
    while (exec->buffers[i] != exec->buffers[view->segment]) i++;
    return i;
}

uint64_t vulkan_view_bytes(const lower_view *view)
{
    return (view->bytes + 3) / 4 * 4;
}

uint32_t vulkan_exec_ranges(const m3_exec_impl *exec, const lower_dispatch *d, bool writes, vulkan_range *ranges)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->buffer_count; i++) {
        const lower_view *view = &d->buffers[i];
        if (view->memory == LOWER_NOTHING || view->memory == LOWER_TABLE || (writes && !view->write)) continue;
        ranges[count++] = (vulkan_range){vulkan_exec_buffer(exec, view), view->write, view->offset,
                                         view->offset + vulkan_view_bytes(view), 0};
    }
    return count;
}
