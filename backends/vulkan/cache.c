/* cache: compiled pipelines on disk, one file for each device, driver and set of shaders, with what the driver gave;
 * backends/lowering/cache.h says which of them count. */
#include "backends/vulkan/cache.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/hash.h"
#include "backends/vulkan/shaders.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64, LINE_BYTES = 256 };

/* The device, its driver, the driver's identifier of what it can read, and our shaders. */
static uint64_t key_of(const m3_device_impl *device)
{
    const VkPhysicalDeviceProperties *p = &device->adapter->properties;
    uint64_t hash = vulkan_hash(vulkan_shaders_hash(), &p->vendorID, sizeof p->vendorID);
    hash = vulkan_hash(hash, &p->deviceID, sizeof p->deviceID);
    hash = vulkan_hash(hash, &p->driverVersion, sizeof p->driverVersion);
    hash = vulkan_hash(hash, &p->apiVersion, sizeof p->apiVersion);
    hash = vulkan_hash(hash, p->pipelineCacheUUID, sizeof p->pipelineCacheUUID);
    return vulkan_hash(hash, device->adapter->driver, strlen(device->adapter->driver));
}

static void name_of(const m3_device_impl *device, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "vulkan-%016llx.bin", (unsigned long long)key_of(device));
}

/* Does the driver's own head name this device? */
static bool is_ours(const m3_device_impl *device, const void *data, size_t bytes)
{
    const VkPhysicalDeviceProperties *p = &device->adapter->properties;
    VkPipelineCacheHeaderVersionOne head;
    if (bytes < sizeof head) return false;
    memcpy(&head, data, sizeof head);
    return head.headerSize <= bytes && head.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           head.vendorID == p->vendorID && head.deviceID == p->deviceID &&
           memcmp(head.pipelineCacheUUID, p->pipelineCacheUUID, sizeof head.pipelineCacheUUID) == 0;
}

static void tell(const m3_device_impl *device, const char *line)
{
    device->host->log(device->host->user, M3_LOG_DEBUG, line);
}

/* What a good file holds, in memory that the caller releases, else NULL. */
static void *read_file(m3_device_impl *device, size_t *bytes)
{
    char name[NAME_BYTES], line[LINE_BYTES];
    *bytes = 0;
    if (!device->cached) return NULL;
    name_of(device, name);
    void *data = lower_cache_read(device->files, name, bytes);
    if (data == NULL) return NULL;
    if (is_ours(device, data, *bytes)) {
        (void)snprintf(line, sizeof line, "vulkan: %zu bytes of compiled pipelines taken from %s", *bytes, name);
        tell(device, line);
        return data;
    }
    (void)snprintf(line, sizeof line, "vulkan: %s is damaged or of another device; made anew", name);
    tell(device, line);
    device->host->release(device->host->user, data);
    *bytes = 0;
    return NULL;
}

/* A driver that does not take what it gave once begins with nothing. */
m3_status vulkan_cache_open(m3_device_impl *device, m3_error *err)
{
    size_t bytes = 0;
    void *data = read_file(device, &bytes);
    VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = bytes, .pInitialData = data};
    VkResult result = device->vk.CreatePipelineCache(device->device, &info, NULL, &device->cache);
    if (result == VK_SUCCESS && data != NULL) device->cache_read = vulkan_hash(VULKAN_HASH_START, data, bytes);
    if (result != VK_SUCCESS && data != NULL) {
        tell(device, "vulkan: the driver refuses its compiled pipelines; made anew");
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        result = device->vk.CreatePipelineCache(device->device, &info, NULL, &device->cache);
    }
    device->host->release(device->host->user, data);
    return vulkan_result_check(device, result, "the pipeline cache", err);
}

/* A cache that cannot be written costs time and nothing else. */
void vulkan_cache_close(m3_device_impl *device)
{
    const m3_host *host = device->host;
    char name[NAME_BYTES];
    size_t bytes = 0;
    if (device->cache == VK_NULL_HANDLE) return;
    if (device->built > 0 && device->files != NULL && device->cached &&
        device->vk.GetPipelineCacheData(device->device, device->cache, &bytes, NULL) == VK_SUCCESS) {
        void *data = host->allocate(host->user, bytes + 1, 1);
        name_of(device, name);
        if (data != NULL &&
            device->vk.GetPipelineCacheData(device->device, device->cache, &bytes, data) == VK_SUCCESS &&
            vulkan_hash(VULKAN_HASH_START, data, bytes) != device->cache_read)
            (void)lower_cache_write(device->files, name, data, bytes);
        host->release(host->user, data);
    }
    device->vk.DestroyPipelineCache(device->device, device->cache, NULL);
}
