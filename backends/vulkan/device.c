/* device: opening, and the traits by which nodes are lowered. */
#include "backends/vulkan/device.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/tuning.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/cache.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/instance.h"
#include "backends/vulkan/loader.h"
#include "backends/vulkan/matrices.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/options.h"
#include "backends/vulkan/pipeline.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/staging.h"
#include "backends/vulkan/tuning.h"

#include <stdlib.h>
#include <string.h>

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The largest power of two that is at most x, which is at least 1. */
static uint32_t largest_power(uint32_t x)
{
    uint32_t power = 1;
    while (power <= x / 2) power *= 2;
    return power;
}

/* Kernels for a GPU always: neighbours access neighbouring words, workgroups have shared memory. */
static void query_traits(m3_device_impl *d)
{
    const VkPhysicalDeviceLimits *limits = &d->adapter->properties.limits;
    const bool software = d->adapter->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    lower_traits *t = &d->traits;
    t->largest_group = min_u32(limits->maxComputeWorkGroupInvocations, limits->maxComputeWorkGroupSize[0]);
    t->largest_group = largest_power(t->largest_group);
    for (int i = 0; i < 3; i++) t->largest_count[i] = min_u32(limits->maxComputeWorkGroupCount[i], INT32_MAX);
    t->lanes = min_u32(d->adapter->subgroup == 64 ? 64 : 32, t->largest_group);
    if (d->adapter->exchanges && d->adapter->sizes_subgroups)
        t->subgroups = (lower_subgroups){d->adapter->subgroup, d->adapter->least_subgroup, d->adapter->subgroups};
    if (d->adapter->matrices) t->matrices = (lower_matrices){d->adapter->subgroup, false};
    t->vector = 1;
    t->group = min_u32(128, t->largest_group);
    t->units = software ? d->host->threads : d->adapter->units;
    t->simulated = software ? d->adapter->subgroup : 0;
    t->kind = t->simulated > 0 ? LOWER_SIMULATED_GPU : LOWER_GPU;
    t->local_bytes = limits->maxComputeSharedMemorySize;
    t->largest_binding = limits->maxStorageBufferRange;
    t->custom.language = "spirv";
    t->custom.group_items = limits->maxComputeWorkGroupInvocations;
    for (int i = 0; i < 3; i++) {
        t->custom.group_extent[i] = limits->maxComputeWorkGroupSize[i];
        t->custom.group_count[i] = t->largest_count[i];
    }
}

/* What the kernels cannot do without. */
static m3_status check_limits(const m3_device_impl *d, m3_error *err)
{
    const VkPhysicalDeviceLimits *limits = &d->adapter->properties.limits;
    const struct {
        const char *name;
        uint32_t has, needs;
    } all[] = {{"maxPerStageDescriptorStorageBuffers", limits->maxPerStageDescriptorStorageBuffers, LOWER_MAX_BUFFERS},
               {"maxDescriptorSetStorageBuffers", limits->maxDescriptorSetStorageBuffers, LOWER_MAX_BUFFERS},
               {"maxPushConstantsSize", limits->maxPushConstantsSize, LOWER_MAX_WORDS * sizeof(uint32_t)}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].has < all[i].needs)
            return M3_FAIL(err, M3_ERR_UNSUPPORTED, d->name, "'%s' has %s %u, the kernels need %u",
                           d->adapter->properties.deviceName, all[i].name, all[i].has, all[i].needs);
    return M3_OK;
}

static m3_status create_device(m3_device_impl *d, m3_error *err)
{
    const float priority = 1;
    const char *extensions[7];
    uint32_t count = 0;
    if (d->timeline) extensions[count++] = VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME;
    if (d->adapter->statistics) extensions[count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    if (d->adapter->budget) extensions[count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (d->adapter->sizes_subgroups) extensions[count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    if (d->adapter->matrices) count += vulkan_matrices_extensions(extensions + count);
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = d->adapter->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    VkPhysicalDeviceTimelineSemaphoreFeaturesKHR timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES_KHR, .timelineSemaphore = VK_TRUE};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = d->timeline ? &timeline : NULL,
        .pipelineExecutableInfo = VK_TRUE};
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
        .pNext = d->adapter->statistics ? &executables : executables.pNext,
        .subgroupSizeControl = VK_TRUE,
        .computeFullSubgroups = VK_TRUE};
    void *next = d->adapter->sizes_subgroups ? &sizes : sizes.pNext;
    vulkan_matrices_features matrices;
    if (d->adapter->matrices) next = vulkan_matrices_chain(&matrices, next);
    const VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = next};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = count,
                                     .ppEnabledExtensionNames = extensions};
    const VkResult result = d->instance->vk.CreateDevice(d->adapter->physical, &info, NULL, &d->device);
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return M3_FAIL(err, M3_ERR_MEMORY, d->name, "the driver has no memory for one more device; close others");
    if (result != VK_SUCCESS)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, d->name, "the driver does not open the device: VkResult %d",
                       (int)result);
    return vulkan_device_load(&d->instance->vk, d->device, d->timeline, d->adapter->statistics, &d->vk, err);
}

static bool validate_by_default(void)
{
    const char *value = getenv("M3BSR_VULKAN_VALIDATE");
    return value != NULL && value[0] != 0 && strcmp(value, "0") != 0;
}

static m3_status open_parts(m3_device_impl *d, uint32_t index, m3_error *err)
{
    m3_status st;
    if (d->validate && (st = vulkan_instance_open(d->host, true, &d->instance, err)) != M3_OK) return st;
    if (index >= d->instance->count)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, d->name, "the device went away with the validation layer");
    d->adapter = &d->instance->adapters[index];
    d->timeline = d->timeline && d->adapter->timeline;
    const uint64_t alignment = d->adapter->properties.limits.minStorageBufferOffsetAlignment;
    d->alignment = alignment > 64 ? (uint32_t)alignment : 64;
    query_traits(d);
    if ((st = check_limits(d, err)) != M3_OK) return st;
    if ((st = create_device(d, err)) != M3_OK) return st;
    if ((st = vulkan_queue_open(d, err)) != M3_OK) return st;
    if ((st = vulkan_memory_open(d, err)) != M3_OK) return st;
    if ((st = lower_cache_open(d->host, &d->files, err)) != M3_OK) return st;
    if ((st = vulkan_cache_open(d, err)) != M3_OK) return st;
    if ((st = vulkan_tuning_open(d, err)) != M3_OK) return st;
    if ((st = vulkan_buffer_make(d, d->alignment, 0, d->memory.device_type, &d->dummy, err)) != M3_OK) return st;
    if ((st = vulkan_staging_open(d, err)) != M3_OK) return st;
    return vulkan_device_check(d, err);
}

m3_status vulkan_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err)
{
    const m3_host *host = backend->host;
    const uint32_t count = backend->instance != NULL ? backend->instance->count : 0;
    *device = NULL;
    if (index >= count)
        return M3_FAIL(err, M3_ERR_INVALID, "vulkan", "there is no device %u; there are %u", index, count);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL) return M3_FAIL_MEMORY(err, "vulkan", sizeof *d);
    d->backend = backend;
    d->host = host;
    d->parallel = &backend->parallel;
    d->instance = backend->instance;
    d->validate = validate_by_default();
    (void)snprintf(d->name, sizeof d->name, "vulkan:%u", index);
    pthread_mutex_init(&d->queue.lock, NULL);
    m3_status st = vulkan_set_options(d, options, err);
    if (st == M3_OK) st = open_parts(d, index, err);
    if (st == M3_OK) st = vulkan_set_shape(d, options, err);
    if (st == M3_OK)
        *device = d;
    else
        vulkan_device_close(d);
    return st;
}

void vulkan_device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    const m3_host *host = device->host;
    if (device->vk.DestroyDevice != NULL) {
        vulkan_queue_drain(device);
        (void)device->vk.DeviceWaitIdle(device->device);
        vulkan_staging_close(device);
        vulkan_buffer_free(device, device->dummy);
        vulkan_pipelines_free(device);
        vulkan_cache_close(device);
        vulkan_memory_close(device);
        vulkan_queue_close(device);
        device->vk.DestroyDevice(device->device, NULL);
    }
    if (device->instance != device->backend->instance) vulkan_instance_close(device->instance);
    lower_tuning_free(device->tuning);
    lower_cache_close(device->files);
    pthread_mutex_destroy(&device->queue.lock);
    host->release(host->user, device->refused);
    host->release(host->user, device->keep);
    host->release(host->user, device);
}
