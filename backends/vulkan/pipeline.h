/* pipeline: compiled shaders, one for each module, workgroup size and values of specialisation constants. Made once and
 * kept by the device. */
#ifndef VULKAN_PIPELINE_H
#define VULKAN_PIPELINE_H

#include <vulkan/vulkan_core.h>

#include "backends/lowering/lower.h"

/* For so many buffers. */
typedef struct vulkan_layout {
    VkDescriptorSetLayout set;
    VkPipelineLayout pipeline;
} vulkan_layout;

typedef struct vulkan_pipeline {
    uint64_t code; /* of its module; with what follows it is the key */
    int32_t values[3 + LOWER_MAX_CONSTANTS];
    uint32_t value_count, buffers;
    uint32_t subgroup; /* items of the full subgroups that a group consists of; 0: the driver's own */
    VkPipeline pipeline;
    const vulkan_layout *layout;
    struct vulkan_pipeline *next;
} vulkan_pipeline;

/* Build, side by side, what the dispatches of a list need and the device does not have yet. Modules are ours, or those
 * of custom ops. A failure leaves those that were built before. */
m3_status vulkan_pipelines_build(m3_device_impl *device, const lower_list *l, m3_error *err);
/* The pipeline of a dispatch, borrowed; it was built. */
const vulkan_pipeline *vulkan_pipeline_get(const m3_device_impl *device, const lower_dispatch *d);
/* The name of its kernel with its constants: "matmul.comp product TM=64", and the workgroup size. */
void vulkan_pipeline_name(const m3_device_impl *device, const lower_dispatch *d, char *name, size_t bytes);
/* Once more, as a pipeline of which the driver keeps statistics; past the cache, and the caller's to destroy. */
m3_status vulkan_pipeline_capture(m3_device_impl *device, const lower_dispatch *d, VkPipeline *pipeline, m3_error *err);
void vulkan_pipelines_free(m3_device_impl *device);

#endif
