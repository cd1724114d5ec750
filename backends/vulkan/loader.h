/* loader: the system's Vulkan loader, opened at run time, and the functions of Vulkan that this plugin calls. */
#ifndef VULKAN_LOADER_H
#define VULKAN_LOADER_H

#include <vulkan/vulkan_core.h>

#include "m3bsr/base.h"

/* Functions are looked up by name for each instance and device: plugins of two engines, and devices of two drivers, do
 * not share them. */
#define VULKAN_INSTANCE_FUNCTIONS(X)                                                                                   \
    X(DestroyInstance)                                                                                                 \
    X(EnumeratePhysicalDevices)                                                                                        \
    X(EnumerateDeviceExtensionProperties)                                                                              \
    X(GetPhysicalDeviceProperties2)                                                                                    \
    X(GetPhysicalDeviceFeatures2)                                                                                      \
    X(GetPhysicalDeviceMemoryProperties2)                                                                              \
    X(GetPhysicalDeviceQueueFamilyProperties)                                                                          \
    X(CreateDevice)                                                                                                    \
    X(GetDeviceProcAddr)                                                                                               \
    X(CreateDebugUtilsMessengerEXT)                                                                                    \
    X(DestroyDebugUtilsMessengerEXT)

#define VULKAN_DEVICE_FUNCTIONS(X)                                                                                     \
    X(DestroyDevice)                                                                                                   \
    X(DeviceWaitIdle)                                                                                                  \
    X(GetDeviceQueue)                                                                                                  \
    X(QueueSubmit)                                                                                                     \
    X(AllocateMemory)                                                                                                  \
    X(FreeMemory)                                                                                                      \
    X(MapMemory)                                                                                                       \
    X(CreateBuffer)                                                                                                    \
    X(DestroyBuffer)                                                                                                   \
    X(GetBufferMemoryRequirements)                                                                                     \
    X(BindBufferMemory)                                                                                                \
    X(CreateFence)                                                                                                     \
    X(DestroyFence)                                                                                                    \
    X(ResetFences)                                                                                                     \
    X(WaitForFences)                                                                                                   \
    X(CreateSemaphore)                                                                                                 \
    X(DestroySemaphore)                                                                                                \
    X(CreateShaderModule)                                                                                              \
    X(DestroyShaderModule)                                                                                             \
    X(CreateDescriptorSetLayout)                                                                                       \
    X(DestroyDescriptorSetLayout)                                                                                      \
    X(CreatePipelineLayout)                                                                                            \
    X(DestroyPipelineLayout)                                                                                           \
    X(CreatePipelineCache)                                                                                             \
    X(DestroyPipelineCache)                                                                                            \
    X(GetPipelineCacheData)                                                                                            \
    X(CreateComputePipelines)                                                                                          \
    X(DestroyPipeline)                                                                                                 \
    X(CreateDescriptorPool)                                                                                            \
    X(DestroyDescriptorPool)                                                                                           \
    X(AllocateDescriptorSets)                                                                                          \
    X(UpdateDescriptorSets)                                                                                            \
    X(CreateCommandPool)                                                                                               \
    X(DestroyCommandPool)                                                                                              \
    X(ResetCommandPool)                                                                                                \
    X(AllocateCommandBuffers)                                                                                          \
    X(BeginCommandBuffer)                                                                                              \
    X(EndCommandBuffer)                                                                                                \
    X(CmdPipelineBarrier)                                                                                              \
    X(CmdBindPipeline)                                                                                                 \
    X(CmdBindDescriptorSets)                                                                                           \
    X(CmdPushConstants)                                                                                                \
    X(CmdDispatch)                                                                                                     \
    X(CmdCopyBuffer)                                                                                                   \
    X(CmdWriteTimestamp)                                                                                               \
    X(CmdResetQueryPool)                                                                                               \
    X(CreateQueryPool)                                                                                                 \
    X(DestroyQueryPool)                                                                                                \
    X(GetQueryPoolResults)

#define VULKAN_MEMBER(name) PFN_vk##name name;
typedef struct vulkan_instance_functions {
    VULKAN_INSTANCE_FUNCTIONS(VULKAN_MEMBER)
} vulkan_instance_functions;
typedef struct vulkan_functions {
    VULKAN_DEVICE_FUNCTIONS(VULKAN_MEMBER)
    PFN_vkWaitSemaphoresKHR WaitSemaphoresKHR;                                   /* NULL without timeline semaphores */
    PFN_vkGetPipelineExecutablePropertiesKHR GetPipelineExecutablePropertiesKHR; /* NULL without statistics */
    PFN_vkGetPipelineExecutableStatisticsKHR GetPipelineExecutableStatisticsKHR;
} vulkan_functions;

typedef struct vulkan_loader {
    PFN_vkGetInstanceProcAddr get;
    PFN_vkEnumerateInstanceVersion version; /* NULL: Vulkan 1.0 */
    PFN_vkEnumerateInstanceLayerProperties layers;
    PFN_vkCreateInstance create;
} vulkan_loader;

/* M3_ERR_UNSUPPORTED, with the reason, where there is no loader. It is never closed. */
m3_status vulkan_loader_open(vulkan_loader *loader, m3_error *err);
/* Every function of an instance or a device; M3_ERR_UNSUPPORTED names the first that is missing. */
m3_status vulkan_instance_load(const vulkan_loader *loader, VkInstance instance, vulkan_instance_functions *vk,
                               m3_error *err);
m3_status vulkan_device_load(const vulkan_instance_functions *from, VkDevice device, bool timeline, bool statistics,
                             vulkan_functions *vk, m3_error *err);

#endif
