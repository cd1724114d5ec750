/* device: an opened device, with its queue, its memory and what was compiled for it. */
#ifndef VULKAN_DEVICE_H
#define VULKAN_DEVICE_H

#include "backends/lowering/cache.h"
#include "backends/lowering/lower.h"
#include "backends/vulkan/instance.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/pipeline.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/staging.h"

struct m3_device_impl {
    m3_backend *backend;
    const m3_host *host;
    pthread_mutex_t *parallel; /* the backend's */
    vulkan_instance *instance; /* the backend's, or its own when it validates */
    const vulkan_adapter *adapter;
    VkDevice device;
    vulkan_functions vk;
    lower_traits traits;
    lower_tuning *tuning;
    lower_cache *files; /* NULL: nothing is kept on disk */
    uint32_t alignment; /* of tensors, in bytes */
    bool unified;       /* device memory is host memory, and mapped */
    char name[32];      /* for messages */

    /* Options. */
    char *refused;           /* refuse: names joined by '+', or NULL */
    char *keep;              /* folder for what is compiled, or NULL */
    uint64_t fail_after;     /* submits until the device is lost; UINT64_MAX: never */
    uint64_t largest_buffer; /* UINT64_MAX: what the device says */
    uint64_t most_memory;    /* memory: bytes that all buffers may have */
    uint64_t drop_barrier;   /* number of the barrier that is left out; UINT64_MAX: none */
    bool validate, staging, timeline, cached, tune;

    vulkan_queue queue;
    vulkan_memory memory;
    vulkan_staging stages;
    uint64_t submits;
    vulkan_pipeline *pipelines;
    vulkan_layout layouts[LOWER_MAX_BUFFERS + 1];
    VkPipelineCache cache;
    uint64_t cache_read; /* the hash of what its file held; 0: there was none that is good */
    uint32_t built;      /* pipelines since the cache was read */
    m3_buffer *dummy;    /* bound where a kernel has no buffer and must not access one */
};

m3_status vulkan_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err);
void vulkan_device_close(m3_device_impl *device);

#endif
