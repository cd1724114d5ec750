/* The Vulkan backend's pipelines on disk: a driver that refuses what it gave once begins with nothing. */
#include "backends/vulkan/cache.h"
#include "backends/vulkan/device.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct driver {
    bool refuses; /* whatever is given */
    uint32_t calls, given;
} driver;

static VKAPI_ATTR VkResult VKAPI_CALL create(VkDevice device, const VkPipelineCacheCreateInfo *info,
                                             const VkAllocationCallbacks *callbacks, VkPipelineCache *cache)
{
    (void)device;
    (void)callbacks;
    driver.calls++;
    driver.given = (uint32_t)info->initialDataSize;
    if (driver.refuses && info->initialDataSize > 0) return VK_ERROR_INITIALIZATION_FAILED;
    memset(cache, 1, sizeof *cache);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy(VkDevice device, VkPipelineCache cache,
                                          const VkAllocationCallbacks *callbacks)
{
    (void)device;
    (void)cache;
    (void)callbacks;
}

static VKAPI_ATTR VkResult VKAPI_CALL give(VkDevice device, VkPipelineCache cache, size_t *bytes, void *data)
{
    const VkPipelineCacheHeaderVersionOne head = {.headerSize = sizeof head,
                                                  .headerVersion = VK_PIPELINE_CACHE_HEADER_VERSION_ONE};
    (void)device;
    (void)cache;
    *bytes = sizeof head;
    if (data != NULL) memcpy(data, &head, sizeof head);
    return VK_SUCCESS;
}

static void *allocate(void *user, size_t count, size_t bytes)
{
    (void)user;
    return calloc(count, bytes);
}

static void give_back(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static void log_line(void *user, m3_log_level level, const char *line)
{
    (void)level;
    if (strstr(line, "the driver refuses its compiled pipelines") != NULL) *(bool *)user = true;
}

static void a_driver_that_refuses_begins_with_nothing(void **state)
{
    char folder[] = "/tmp/m3bsr-vulkan-XXXXXX";
    bool said = false;
    m3_error err = {0};
    const m3_host host = {
        .user = &said, .log = log_line, .allocate = allocate, .release = give_back, .cache_path = mkdtemp(folder)};
    static vulkan_adapter adapter;
    m3_device_impl *device = calloc(1, sizeof *device);
    (void)state;
    assert_non_null(device);
    assert_non_null(host.cache_path);
    device->host = &host;
    device->adapter = &adapter;
    device->cached = true;
    device->vk.CreatePipelineCache = create;
    device->vk.DestroyPipelineCache = destroy;
    device->vk.GetPipelineCacheData = give;
    assert_int_equal(lower_cache_open(&host, &device->files, &err), M3_OK);
    assert_int_equal(vulkan_cache_open(device, &err), M3_OK);
    assert_true(driver.calls == 1 && driver.given == 0);
    device->built = 1;
    vulkan_cache_close(device);
    assert_int_equal(vulkan_cache_open(device, &err), M3_OK);
    assert_true(driver.calls == 2 && driver.given == sizeof(VkPipelineCacheHeaderVersionOne));
    driver.refuses = true;
    assert_false(said);
    assert_int_equal(vulkan_cache_open(device, &err), M3_OK);
    assert_true(driver.calls == 4 && driver.given == 0 && said);
    lower_cache_close(device->files);
    free(device);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(system("rm key vulkan-*.bin"), 0); /* and there is nothing else */
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_driver_that_refuses_begins_with_nothing)};
    return cmocka_run_group_tests_name("the cache of a Vulkan device", tests, NULL, NULL);
}
