/* loader: the system's Vulkan loader, opened at run time: a machine without one can load this plugin all the same. */
#include "backends/vulkan/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static const char *const names[] = {"libvulkan.so.1", "libvulkan.so"};

/* Of a dlopen that failed, with errno 0 before it: the dynamic loader leaves errno alone, malloc does not. */
static bool is_memory(int code, const char *reason)
{
    return code == ENOMEM || reason == NULL || strstr(reason, strerror(ENOMEM)) != NULL;
}

m3_status vulkan_loader_open(vulkan_loader *loader, m3_error *err)
{
    void *library = NULL;
    m3_error why = {0};
    *loader = (vulkan_loader){0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        errno = 0;
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (library != NULL) break;
        const int code = errno;
        const char *reason = dlerror();
        if (is_memory(code, reason))
            return M3_FAIL(err, M3_ERR_MEMORY, "vulkan", "there is no memory to load its loader");
        (void)M3_FAIL(&why, M3_ERR_UNSUPPORTED, "vulkan", "there is no Vulkan loader: %s", reason);
    }
    if (library == NULL) return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "%s", why.message);
    *(void **)&loader->get = dlsym(library, "vkGetInstanceProcAddr");
    (void)dlclose(library); /* it stays: drivers rarely survive an unload */
    if (loader->get == NULL)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "the Vulkan loader has no vkGetInstanceProcAddr");
    loader->version = (PFN_vkEnumerateInstanceVersion)loader->get(NULL, "vkEnumerateInstanceVersion");
    loader->layers = (PFN_vkEnumerateInstanceLayerProperties)loader->get(NULL, "vkEnumerateInstanceLayerProperties");
    loader->create = (PFN_vkCreateInstance)loader->get(NULL, "vkCreateInstance");
    if (loader->create == NULL || loader->layers == NULL)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "the Vulkan loader has no vkCreateInstance");
    return M3_OK;
}

static m3_status missing(const char *name, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "the driver has no vk%s; it must have Vulkan 1.1", name);
}

/* Only those of debug_utils may be missing: they exist where its extension was enabled. */
m3_status vulkan_instance_load(const vulkan_loader *loader, VkInstance instance, vulkan_instance_functions *vk,
                               m3_error *err)
{
#define LOAD(name) vk->name = (PFN_vk##name)loader->get(instance, "vk" #name);
    VULKAN_INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    const struct {
        bool there;
        const char *name;
    } all[] = {
#define ROW(name) {vk->name != NULL, #name},
        VULKAN_INSTANCE_FUNCTIONS(ROW)
#undef ROW
    };
    for (size_t i = 0; i + 2 < sizeof all / sizeof all[0]; i++)
        if (!all[i].there) return missing(all[i].name, err);
    return M3_OK;
}

m3_status vulkan_device_load(const vulkan_instance_functions *from, VkDevice device, bool timeline, bool statistics,
                             vulkan_functions *vk, m3_error *err)
{
#define LOAD(name)                                                                                                     \
    if ((vk->name = (PFN_vk##name)from->GetDeviceProcAddr(device, "vk" #name)) == NULL) return missing(#name, err);
    VULKAN_DEVICE_FUNCTIONS(LOAD)
    vk->WaitSemaphoresKHR = NULL;
    vk->GetPipelineExecutablePropertiesKHR = NULL;
    vk->GetPipelineExecutableStatisticsKHR = NULL;
    if (timeline) LOAD(WaitSemaphoresKHR)
    if (statistics) LOAD(GetPipelineExecutablePropertiesKHR)
    if (statistics) LOAD(GetPipelineExecutableStatisticsKHR)
#undef LOAD
    return M3_OK;
}
