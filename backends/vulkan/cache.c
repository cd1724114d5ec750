/* cache: compiled pipelines on disk, one file for each device, driver and set of shaders.
 *   magic, key, bytes and their hash, then what the driver gave
 * A file that is damaged or another's is as good as none. */
#include "backends/vulkan/cache.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/hash.h"
#include "backends/vulkan/shaders.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };
static const char magic[8] = "M3VKPC1";

typedef struct vulkan_cache_head {
    char magic[8];
    uint64_t key, bytes, hash;
} vulkan_cache_head;

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

static bool path_of(const m3_device_impl *device, const char *tail, char path[PATH_BYTES])
{
    if (device->host->cache_path == NULL || !device->cached) return false;
    const int length = snprintf(path, PATH_BYTES, "%s/vulkan-%016llx%s", device->host->cache_path,
                                (unsigned long long)key_of(device), tail);
    return length > 0 && length < PATH_BYTES;
}

static vulkan_cache_head head_of(const m3_device_impl *device, const void *data, size_t bytes)
{
    vulkan_cache_head head = {
        .key = key_of(device), .bytes = bytes, .hash = vulkan_hash(VULKAN_HASH_START, data, bytes)};
    memcpy(head.magic, magic, sizeof magic);
    return head;
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

static void log_taken(const m3_device_impl *device, const char *path, size_t bytes)
{
    char line[PATH_BYTES + 128];
    (void)snprintf(line, sizeof line, "vulkan: %zu bytes of compiled pipelines taken from %s", bytes, path);
    device->host->log(device->host->user, M3_LOG_DEBUG, line);
}

static void log_damaged(const m3_device_impl *device, const char *path)
{
    char line[PATH_BYTES + 128];
    (void)snprintf(line, sizeof line, "vulkan: %s is damaged or of another device; made anew", path);
    device->host->log(device->host->user, M3_LOG_DEBUG, line);
}

/* What a good file holds, in memory that the caller releases, else NULL. */
static void *read_file(m3_device_impl *device, const char *path, size_t *bytes)
{
    const m3_host *host = device->host;
    vulkan_cache_head head;
    struct stat about;
    void *data = NULL;
    *bytes = 0;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return NULL;
    bool good = fread(&head, 1, sizeof head, file) == sizeof head && fstat(fileno(file), &about) == 0 &&
                about.st_size > (off_t)sizeof head;
    if (good) {
        *bytes = (size_t)about.st_size - sizeof head;
        data = host->allocate(host->user, *bytes, 1);
        good = data != NULL && fread(data, 1, *bytes, file) == *bytes;
    }
    (void)fclose(file);
    if (good) {
        const vulkan_cache_head wanted = head_of(device, data, *bytes);
        good = memcmp(&head, &wanted, sizeof head) == 0 && is_ours(device, data, *bytes);
    }
    if (good) {
        log_taken(device, path, *bytes);
        return data;
    }
    log_damaged(device, path);
    host->release(host->user, data);
    *bytes = 0;
    return NULL;
}

m3_status vulkan_cache_open(m3_device_impl *device, m3_error *err)
{
    char path[PATH_BYTES];
    size_t bytes = 0;
    void *data = path_of(device, ".bin", path) ? read_file(device, path, &bytes) : NULL;
    const VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = bytes, .pInitialData = data};
    const VkResult result = device->vk.CreatePipelineCache(device->device, &info, NULL, &device->cache);
    if (data != NULL) device->cache_read = vulkan_hash(VULKAN_HASH_START, data, bytes);
    device->host->release(device->host->user, data);
    return vulkan_result_check(device, result, "the pipeline cache", err);
}

/* A cache that cannot be written costs time and nothing else. */
static void write_file(const m3_device_impl *device, const void *data, size_t bytes)
{
    char path[PATH_BYTES], temporary[PATH_BYTES];
    const vulkan_cache_head head = head_of(device, data, bytes);
    if (!path_of(device, ".bin", path) || !path_of(device, ".XXXXXX", temporary)) return;
    const int fd = mkstemp(temporary);
    if (fd < 0) return;
    FILE *file = fdopen(fd, "wb");
    if (file == NULL) {
        (void)close(fd);
        (void)unlink(temporary);
        return;
    }
    bool good = fwrite(&head, 1, sizeof head, file) == sizeof head && fwrite(data, 1, bytes, file) == bytes;
    good = fflush(file) == 0 && good && fsync(fd) == 0;
    good = fclose(file) == 0 && good;
    if (!good || rename(temporary, path) != 0) (void)unlink(temporary);
}

void vulkan_cache_close(m3_device_impl *device)
{
    const m3_host *host = device->host;
    size_t bytes = 0;
    if (device->cache == VK_NULL_HANDLE) return;
    if (device->built > 0 && host->cache_path != NULL && device->cached &&
        device->vk.GetPipelineCacheData(device->device, device->cache, &bytes, NULL) == VK_SUCCESS) {
        void *data = host->allocate(host->user, bytes + 1, 1);
        if (data != NULL &&
            device->vk.GetPipelineCacheData(device->device, device->cache, &bytes, data) == VK_SUCCESS &&
            vulkan_hash(VULKAN_HASH_START, data, bytes) != device->cache_read)
            write_file(device, data, bytes);
        host->release(host->user, data);
    }
    device->vk.DestroyPipelineCache(device->device, device->cache, NULL);
}
