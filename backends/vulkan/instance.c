/* instance: the connection to the drivers, with the validation layer where it is wanted, and the devices that compute
 * at Vulkan 1.1 or later. */
#include "backends/vulkan/instance.h"
#include "backends/vulkan/loader.h"
#include "backends/vulkan/matrices.h"
#include "backends/vulkan/units.h"

#include <string.h>

enum { CAPACITY = 32 }; /* devices, and families of queues */
static const char validation_layer[] = "VK_LAYER_KHRONOS_validation";

static void log_line(const m3_host *host, m3_log_level level, const char *line)
{
    host->log(host->user, level, line);
}

/* Validation. */

/* Every warning and error is counted and logged; the first is kept for the failure that it becomes. */
static VkBool32 VKAPI_PTR keep_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                       VkDebugUtilsMessageTypeFlagsEXT types,
                                       const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    vulkan_instance *instance = user;
    char line[1400];
    (void)severity, (void)types;
    (void)snprintf(line, sizeof line, "vulkan validation: %s", data->pMessage);
    log_line(instance->host, M3_LOG_ERROR, line);
    pthread_mutex_lock(&instance->lock);
    if (atomic_fetch_add(&instance->messages, 1) == 0)
        (void)snprintf(instance->first_message, sizeof instance->first_message, "%s", data->pMessage);
    pthread_mutex_unlock(&instance->lock);
    return VK_FALSE;
}

static m3_status find_layer(const vulkan_instance *instance, m3_error *err)
{
    const m3_host *host = instance->host;
    uint32_t count = 0;
    bool found = false;
    (void)instance->loader.layers(&count, NULL);
    VkLayerProperties *layers = host->allocate(host->user, (size_t)count + 1, sizeof *layers);
    if (layers == NULL) return M3_FAIL_MEMORY(err, "vulkan", count * sizeof *layers);
    (void)instance->loader.layers(&count, layers);
    for (uint32_t i = 0; i < count; i++) found = found || strcmp(layers[i].layerName, validation_layer) == 0;
    host->release(host->user, layers);
    if (found) return M3_OK;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "validate",
                   "the layer %s is not installed; install it or leave validate=no", validation_layer);
}

static m3_status create(vulkan_instance *instance, bool validate, m3_error *err)
{
    static const VkValidationFeatureEnableEXT checks[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,
                                                          VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT};
    static const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    static const char *const layers[] = {validation_layer};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .enabledValidationFeatureCount = 2,
                                              .pEnabledValidationFeatures = checks};
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "m3bsr", .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pNext = validate ? &features : NULL,
                                       .pApplicationInfo = &application,
                                       .enabledLayerCount = validate,
                                       .ppEnabledLayerNames = layers,
                                       .enabledExtensionCount = validate,
                                       .ppEnabledExtensionNames = extensions};
    m3_status st;
    if (validate && (st = find_layer(instance, err)) != M3_OK) return st;
    const VkResult result = instance->loader.create(&info, NULL, &instance->instance);
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) return M3_FAIL_MEMORY(err, "vulkan", 0);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "there is a Vulkan loader, but no driver for it");
    if (result != VK_SUCCESS)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "vkCreateInstance failed with %d", (int)result);
    if ((st = vulkan_instance_load(&instance->loader, instance->instance, &instance->vk, err)) != M3_OK) return st;
    const VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = keep_message,
        .pUserData = instance};
    if (validate && instance->vk.CreateDebugUtilsMessengerEXT(instance->instance, &messenger, NULL,
                                                              &instance->messenger) != VK_SUCCESS)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "validate", "no messenger can be made for %s", validation_layer);
    return M3_OK;
}

/* Adapters. */

static m3_status find_extensions(vulkan_instance *instance, vulkan_adapter *a, bool *names_driver, vulkan_units *units,
                                 m3_error *err)
{
    const m3_host *host = instance->host;
    uint32_t count = 0;
    (void)instance->vk.EnumerateDeviceExtensionProperties(a->physical, NULL, &count, NULL);
    VkExtensionProperties *all = host->allocate(host->user, (size_t)count + 1, sizeof *all);
    if (all == NULL) return M3_FAIL_MEMORY(err, "vulkan", count * sizeof *all);
    (void)instance->vk.EnumerateDeviceExtensionProperties(a->physical, NULL, &count, all);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = all[i].extensionName;
        a->timeline = a->timeline || strcmp(name, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME) == 0;
        a->budget = a->budget || strcmp(name, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) == 0;
        a->statistics = a->statistics || strcmp(name, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME) == 0;
        a->sizes_subgroups = a->sizes_subgroups || strcmp(name, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME) == 0;
        a->matrices = a->matrices || strcmp(name, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME) == 0;
        vulkan_units_note(units, name);
        *names_driver = *names_driver || strcmp(name, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME) == 0;
    }
    host->release(host->user, all);
    return M3_OK;
}

/* Compute-only families leave the graphics work of others alone. */
static bool find_family(const vulkan_instance *instance, vulkan_adapter *a)
{
    VkQueueFamilyProperties families[CAPACITY];
    uint32_t count = 0, best = UINT32_MAX;
    instance->vk.GetPhysicalDeviceQueueFamilyProperties(a->physical, &count, NULL);
    if (count > CAPACITY) count = CAPACITY;
    instance->vk.GetPhysicalDeviceQueueFamilyProperties(a->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags flags = families[i].queueFlags;
        if ((flags & VK_QUEUE_COMPUTE_BIT) == 0 || families[i].queueCount == 0) continue;
        const bool only = (flags & VK_QUEUE_GRAPHICS_BIT) == 0;
        if (best != UINT32_MAX && !(only && !a->compute_only)) continue;
        best = i;
        a->compute_only = only;
        a->timestamp_bits = families[i].timestampValidBits;
    }
    a->family = best;
    return best != UINT32_MAX;
}

/* What kernels can do within subgroups, and of which sizes. */
static void describe_subgroups(vulkan_instance *instance, vulkan_adapter *a)
{
    const VkSubgroupFeatureFlags wanted = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = a->sizes_subgroups ? &sizes : NULL};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    instance->vk.GetPhysicalDeviceProperties2(a->physical, &all);
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = a->sizes_subgroups ? &control : NULL};
    instance->vk.GetPhysicalDeviceFeatures2(a->physical, &features);
    a->subgroup = subgroup.subgroupSize;
    a->sizes_subgroups = control.subgroupSizeControl == VK_TRUE && control.computeFullSubgroups == VK_TRUE;
    a->chooses_subgroups = a->sizes_subgroups && (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    a->exchanges = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                   (subgroup.supportedOperations & wanted) == wanted;
    a->least_subgroup = sizes.minSubgroupSize;
    a->subgroups = sizes.maxComputeWorkgroupSubgroups;
    /* A pipeline that cannot choose has the only size there is, or one that nobody knows. */
    if (!a->chooses_subgroups && sizes.minSubgroupSize != sizes.maxSubgroupSize) a->sizes_subgroups = false;
}

static m3_status describe(vulkan_instance *instance, vulkan_adapter *a, m3_error *err)
{
    bool names_driver = false;
    vulkan_units units = {0};
    const m3_status st = find_extensions(instance, a, &names_driver, &units, err);
    if (st != M3_OK) return st;
    VkPhysicalDeviceDriverPropertiesKHR driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR};
    VkPhysicalDeviceMaintenance3Properties three = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
                                                    .pNext = vulkan_units_chain(&units, names_driver ? &driver : NULL)};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &three};
    instance->vk.GetPhysicalDeviceProperties2(a->physical, &all);
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    instance->vk.GetPhysicalDeviceMemoryProperties2(a->physical, &memory);
    VkPhysicalDeviceTimelineSemaphoreFeaturesKHR timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES_KHR};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = a->timeline ? &timeline : NULL};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = a->statistics ? &executables : executables.pNext};
    instance->vk.GetPhysicalDeviceFeatures2(a->physical, &features);
    a->timeline = timeline.timelineSemaphore == VK_TRUE;
    a->statistics = executables.pipelineExecutableInfo == VK_TRUE;
    a->properties = all.properties;
    a->memory = memory.memoryProperties;
    describe_subgroups(instance, a);
    a->matrices = a->exchanges && a->sizes_subgroups && vulkan_matrices_there(instance, a->physical, a->matrices);
    a->units = vulkan_units_count(&units, all.properties.deviceType);
    a->largest_allocation = three.maxMemoryAllocationSize;
    const uint32_t v = all.properties.driverVersion;
    if (names_driver)
        (void)snprintf(a->driver, sizeof a->driver, "%.40s %.80s", driver.driverName, driver.driverInfo);
    else
        (void)snprintf(a->driver, sizeof a->driver, "driver %u.%u.%u", VK_VERSION_MAJOR(v), VK_VERSION_MINOR(v),
                       VK_VERSION_PATCH(v));
    return M3_OK;
}

/* Can it be used? If not, the log has the reason. */
static bool usable(const vulkan_instance *instance, vulkan_adapter *a)
{
    char line[512], why[128];
    const uint32_t v = a->properties.apiVersion;
    if (v < VK_API_VERSION_1_1)
        (void)snprintf(why, sizeof why, "it has Vulkan %u.%u only, 1.1 is needed", VK_VERSION_MAJOR(v),
                       VK_VERSION_MINOR(v));
    else if (!find_family(instance, a))
        (void)snprintf(why, sizeof why, "it has no compute queue");
    else
        return true;
    (void)snprintf(line, sizeof line, "vulkan leaves out '%s': %s", a->properties.deviceName, why);
    log_line(instance->host, M3_LOG_INFO, line);
    return false;
}

static m3_status find_adapters(vulkan_instance *instance, m3_error *err)
{
    const m3_host *host = instance->host;
    VkPhysicalDevice physical[CAPACITY];
    uint32_t count = 0;
    VkResult result = instance->vk.EnumeratePhysicalDevices(instance->instance, &count, NULL);
    if (count > CAPACITY) count = CAPACITY;
    if (result == VK_SUCCESS && count > 0)
        result = instance->vk.EnumeratePhysicalDevices(instance->instance, &count, physical);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) count = 0;
    instance->adapters = host->allocate(host->user, (size_t)count + 1, sizeof *instance->adapters);
    if (instance->adapters == NULL) return M3_FAIL_MEMORY(err, "vulkan", count * sizeof *instance->adapters);
    for (uint32_t i = 0; i < count; i++) {
        vulkan_adapter *a = &instance->adapters[instance->count];
        *a = (vulkan_adapter){.physical = physical[i]};
        const m3_status st = describe(instance, a, err);
        if (st != M3_OK) return st;
        instance->count += usable(instance, a);
    }
    if (instance->count == 0) log_line(host, M3_LOG_INFO, "vulkan lists no device: no driver has one that computes");
    return M3_OK;
}

m3_status vulkan_instance_open(const m3_host *host, bool validate, vulkan_instance **instance, m3_error *err)
{
    m3_status st;
    *instance = NULL;
    vulkan_instance *made = host->allocate(host->user, 1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, "vulkan", sizeof *made);
    made->host = host;
    pthread_mutex_init(&made->lock, NULL);
    if ((st = vulkan_loader_open(&made->loader, err)) != M3_OK) goto done;
    uint32_t version = VK_API_VERSION_1_0;
    if (made->loader.version != NULL) (void)made->loader.version(&version);
    if (version < VK_API_VERSION_1_1) {
        st = M3_FAIL(err, M3_ERR_UNSUPPORTED, "vulkan", "the Vulkan loader has version %u.%u only, 1.1 is needed",
                     VK_VERSION_MAJOR(version), VK_VERSION_MINOR(version));
        goto done;
    }
    if ((st = create(made, validate, err)) != M3_OK) goto done;
    if ((st = find_adapters(made, err)) != M3_OK) goto done;
    *instance = made;
    made = NULL;
done:
    vulkan_instance_close(made);
    return st;
}

void vulkan_instance_close(vulkan_instance *instance)
{
    if (instance == NULL) return;
    const m3_host *host = instance->host;
    if (instance->messenger != VK_NULL_HANDLE)
        instance->vk.DestroyDebugUtilsMessengerEXT(instance->instance, instance->messenger, NULL);
    if (instance->vk.DestroyInstance != NULL) instance->vk.DestroyInstance(instance->instance, NULL);
    pthread_mutex_destroy(&instance->lock);
    host->release(host->user, instance->adapters);
    host->release(host->user, instance);
}

/* The list. */

static m3_device_class class_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return M3_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return M3_DEVICE_SOFTWARE;
    default: return M3_DEVICE_INTEGRATED;
    }
}

m3_status vulkan_devices_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err)
{
    const vulkan_instance *instance = backend->instance;
    *count = instance != NULL ? instance->count : 0;
    for (uint32_t i = 0; i < *count && i < capacity; i++) {
        const vulkan_adapter *a = &instance->adapters[i];
        const VkPhysicalDeviceLimits *limits = &a->properties.limits;
        const uint32_t v = a->properties.apiVersion;
        m3_device_info *info = &infos[i];
        if (info->size < M3_STRUCT_SIZE(m3_device_info, features))
            return M3_FAIL(err, M3_ERR_ABI, "m3_device_info", "its size is %u, wanted at least %u", info->size,
                           M3_STRUCT_SIZE(m3_device_info, features));
        info->device_class = class_of(a->properties.deviceType);
        (void)snprintf(info->name, sizeof info->name, "%.120s", a->properties.deviceName);
        (void)snprintf(info->driver, sizeof info->driver, "%s", a->driver);
        (void)snprintf(info->features, sizeof info->features,
                       "vulkan=%u.%u f32 %s queue=%s subgroup=%u group=%u shared=%u binding=%u push=%u%s%s%s%s",
                       VK_VERSION_MAJOR(v), VK_VERSION_MINOR(v), a->timeline ? "timeline" : "fences",
                       a->compute_only ? "compute" : "shared-with-graphics", a->subgroup,
                       limits->maxComputeWorkGroupInvocations, limits->maxComputeSharedMemorySize,
                       limits->maxStorageBufferRange, limits->maxPushConstantsSize,
                       a->timestamp_bits != 0 ? " timestamps" : "", a->budget ? " budget" : "",
                       a->exchanges && a->sizes_subgroups ? " exchange" : "", a->matrices ? " matrices" : "");
    }
    return M3_OK;
}
