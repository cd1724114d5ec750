/* matrices: those of f16 that the items of a subgroup multiply together (VK_NV_cooperative_matrix). */
#ifndef VULKAN_MATRICES_H
#define VULKAN_MATRICES_H

#include "backends/vulkan/instance.h"

/* Has the device matrices of 16 x 16 halves with sums of f32, all that their kernels want beside, and has the build
 * such kernels? extension: the driver lists it. False too where the driver's list of sizes cannot be had. */
bool vulkan_matrices_there(const vulkan_instance *instance, VkPhysicalDevice physical, bool extension);

/* What a device is opened with for them, in front of `next`; the structures are the caller's. */
typedef struct vulkan_matrices_features {
    VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices;
    VkPhysicalDeviceVulkanMemoryModelFeaturesKHR model;
    VkPhysicalDeviceShaderFloat16Int8FeaturesKHR halves;
} vulkan_matrices_features;
void *vulkan_matrices_chain(vulkan_matrices_features *features, void *next);

/* The extensions to enable: fills names [3], says how many. */
uint32_t vulkan_matrices_extensions(const char **names);

#endif
