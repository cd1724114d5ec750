/* exec: a compiled program, and the bytes that its dispatches touch. */
#ifndef VULKAN_EXEC_H
#define VULKAN_EXEC_H

#include "backends/lowering/lower.h"
#include "backends/vulkan/hazards.h"
#include "backends/vulkan/pipeline.h"

/* A dispatch, ready to be recorded. */
typedef struct vulkan_step {
    lower_dispatch *dispatch;
    uint32_t level;
    const vulkan_pipeline *pipeline;
    VkDescriptorSet set;
} vulkan_step;

struct m3_exec_impl {
    lower_list list;
    uint32_t node_count, segment_count, step_count, levels, range_count;
    m3_buffer **buffers;  /* of the segments, then scratch and table; NULL where there is none */
    vulkan_step *steps;   /* in the order of the program */
    vulkan_step **sorted; /* by level */
    vulkan_range *ranges; /* what all steps touch; the writes of a level while recording */
    VkBufferMemoryBarrier *barriers;
    VkDescriptorPool descriptors;
    VkCommandPool pool, timed_pool, part_pool;
    VkCommandBuffer plain, timed, part; /* timed is NULL until profiling is wanted, part until a run may be stopped */
    VkQueryPool queries;
    uint64_t *ticks;
    m3_buffer *scratch, *table;
    uint64_t value;         /* of the last run */
    uint64_t timed_value;   /* of the last run that kept times */
    uint32_t barrier_count; /* recorded in plain */
    uint32_t store;         /* the first step that writes parameters or states; step_count: none does */
    bool profile;
};

/* Index of a view's buffer in exec->buffers; one buffer may hold several segments. */
uint32_t vulkan_exec_buffer(const m3_exec_impl *exec, const lower_view *view);
/* Bytes of a view as a kernel sees them: whole words. */
uint64_t vulkan_view_bytes(const lower_view *view);
/* The ranges of a dispatch, at most one for each buffer, or only those that it writes. Returns how many. */
uint32_t vulkan_exec_ranges(const m3_exec_impl *exec, const lower_dispatch *d, bool writes, vulkan_range *ranges);

#endif
