/* instance: the connection to the drivers, with the validation layer where it is wanted, and the devices there are. */
#ifndef VULKAN_INSTANCE_H
#define VULKAN_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "backends/vulkan/loader.h"
#include "m3bsr/backend.h"

/* A physical device, and what is queried of it before it is opened. */
typedef struct vulkan_adapter {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family;         /* of queues */
    uint32_t timestamp_bits; /* 0: its queue has no timestamps */
    bool compute_only;
    uint32_t subgroup, units;           /* items of a subgroup; compute units (units.h) */
    uint32_t least_subgroup, subgroups; /* items of one where a pipeline may choose; how many a group may have */
    bool sizes_subgroups;               /* VK_EXT_subgroup_size_control, with which pipelines demand full subgroups */
    bool chooses_subgroups;             /* and their size */
    bool exchanges;                     /* values within a subgroup, in compute shaders */
    bool matrices;                      /* of halves, which a subgroup multiplies (matrices.h) */
    VkDeviceSize largest_allocation;
    bool timeline, budget;
    bool statistics; /* VK_KHR_pipeline_executable_properties */
    char driver[128];
} vulkan_adapter;

typedef struct vulkan_instance {
    const m3_host *host;
    vulkan_loader loader;
    VkInstance instance;
    vulkan_instance_functions vk;
    vulkan_adapter *adapters;
    uint32_t count;
    VkDebugUtilsMessengerEXT messenger;
    atomic_uint messages;    /* warnings and errors of the validation layer */
    pthread_mutex_t lock;    /* of what follows */
    char first_message[512]; /* of them */
} vulkan_instance;

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    pthread_mutex_t parallel;  /* the host's threads take one caller at a time, and devices run side by side */
    vulkan_instance *instance; /* NULL: nothing to list */
};

/* validate: with the Khronos validation layer, its synchronisation checks and best practices; M3_ERR_UNSUPPORTED
 * without it. */
m3_status vulkan_instance_open(const m3_host *host, bool validate, vulkan_instance **instance, m3_error *err);
void vulkan_instance_close(vulkan_instance *instance);

m3_status vulkan_devices_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err);

#endif
