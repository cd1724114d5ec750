/* vulkan: the private types of this backend. A device has one queue; what is in flight on it stands in a ring in its
 * order, and everything that waits works this ring off.
 *
 *   loader.c    the loader of the system and its functions
 *   instance.c  instances, validation, and the devices there are
 *   device.c    options, opening, limits        queue.c    values, failures, waiting
 *   memory.c    few large allocations           buffer.c   buffers and copies      staging.c  copies through a ring
 *   pipeline.c  compiled shaders                cache.c    them on disk            shaders.c  their SPIR-V
 *   program.c   from nodes to dispatches        custom.c   of custom ops           hazards.c  which depend on which
 *   record.c    into command buffers
 *   run.c       submit, times                   measure.c  the peak                tune.c     measured choices */
#ifndef VULKAN_VULKAN_H
#define VULKAN_VULKAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <vulkan/vulkan_core.h>

#include "backends/lowering/lower.h"
#include "backends/lowering/tuning.h"
#include "backends/vulkan/hazards.h"

/* Functions of Vulkan, asked by name: plugins of two engines, and devices of two drivers, do not share them. */
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
    PFN_vkWaitSemaphoresKHR WaitSemaphoresKHR; /* NULL without timeline semaphores */
} vulkan_functions;

/* loader.c */
typedef struct vulkan_loader {
    PFN_vkGetInstanceProcAddr get;
    PFN_vkEnumerateInstanceVersion version; /* NULL: Vulkan 1.0 */
    PFN_vkEnumerateInstanceLayerProperties layers;
    PFN_vkCreateInstance create;
} vulkan_loader;
/* M3_ERR_UNSUPPORTED, with the reason, where there is no loader. It is never closed. */
m3_status vulkan_loader_open(vulkan_loader *loader, m3_error *err);
/* Every function of an instance or a device; M3_ERR_UNSUPPORTED names the first that is missing. */
m3_status vulkan_load_instance(const vulkan_loader *loader, VkInstance instance, vulkan_instance_functions *vk,
                               m3_error *err);
m3_status vulkan_load_device(const vulkan_instance_functions *from, VkDevice device, bool timeline,
                             vulkan_functions *vk, m3_error *err);

/* instance.c */

/* A physical device, and what is asked of it before it is opened. */
typedef struct vulkan_adapter {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family;         /* of queues */
    uint32_t timestamp_bits; /* 0: it keeps no times */
    bool compute_only;
    uint32_t subgroup;
    VkDeviceSize largest_allocation;
    bool timeline, budget;
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

/* validate: with the Khronos layer, its synchronisation checks and best practices; M3_ERR_UNSUPPORTED without it. */
m3_status vulkan_instance_open(const m3_host *host, bool validate, vulkan_instance **instance, m3_error *err);
void vulkan_instance_close(vulkan_instance *instance);

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    vulkan_instance *instance; /* NULL: nothing to list */
};

/* queue.c */

enum { VULKAN_FLIGHTS = 32 };

/* Work on its way, and the copy to host memory that follows it. */
typedef struct vulkan_flight {
    uint64_t value;  /* of the queue, as the caller knows it */
    uint64_t signal; /* of the semaphore; 0: only the copy is to be done */
    void *to;        /* NULL: no copy */
    const void *from;
    uint64_t bytes;
} vulkan_flight;

typedef struct vulkan_queue {
    VkQueue queue;
    VkSemaphore timeline;           /* or, without timeline semaphores: */
    VkFence fences[VULKAN_FLIGHTS]; /* one for each place of the ring */
    uint64_t signalled;             /* last value given to the semaphore */
    pthread_mutex_t lock;           /* of what follows */
    uint64_t value, reached;
    uint64_t copied; /* of the last flight that is a copy without commands */
    vulkan_flight ring[VULKAN_FLIGHTS];
    uint32_t first, count;
    m3_error failure; /* the first one; code M3_OK while the device works */
} vulkan_queue;

/* memory.c */

/* One allocation of the driver, cut into pieces, which are buffers. */
typedef struct vulkan_block {
    VkDeviceMemory memory;
    uint64_t bytes;
    uint32_t type;
    unsigned char *mapped; /* NULL: the host does not see it */
    m3_buffer *pieces;     /* by offset; what lies between them is free */
    struct vulkan_block *next;
} vulkan_block;

typedef struct vulkan_memory {
    uint32_t device_type, upload_type, download_type; /* indices of memory types */
    vulkan_block *blocks;
    uint64_t block_bytes; /* of a block that several buffers share */
} vulkan_memory;

/* pipeline.c */

typedef struct vulkan_pipeline {
    uint64_t code; /* of its module; with what follows it is the key */
    int32_t values[3 + LOWER_MAX_CONSTANTS];
    uint32_t value_count, buffers;
    VkPipeline pipeline;
    struct vulkan_pipeline *next;
} vulkan_pipeline;

typedef struct vulkan_layout {
    VkDescriptorSetLayout set;
    VkPipelineLayout pipeline;
} vulkan_layout;

enum { VULKAN_PUSH_BYTES = 128, VULKAN_STAGES = 4, VULKAN_STAGE_BYTES = 4 << 20 };

/* staging.c: a piece of memory that both sides see, and the commands that move it. */
typedef struct vulkan_stage {
    m3_buffer *buffer;
    VkCommandPool pool;
    VkCommandBuffer commands;
    uint64_t value; /* of its last use */
} vulkan_stage;

struct m3_device_impl {
    m3_backend *backend;
    const m3_host *host;
    vulkan_instance *instance; /* the backend's, or its own when it validates */
    const vulkan_adapter *adapter;
    VkDevice device;
    vulkan_functions vk;
    lower_traits traits;
    lower_tuning *tuning;
    uint32_t alignment; /* of places */
    bool unified;       /* device memory is host memory, and mapped */
    char name[32];      /* for messages */

    /* Options. */
    char *refused;           /* refuse: names joined by '+', or NULL */
    uint64_t fail_after;     /* submits until the device is lost; UINT64_MAX: never */
    uint64_t largest_buffer; /* UINT64_MAX: what the device says */
    uint64_t most_memory;    /* memory: bytes that the device may hold */
    uint64_t drop_barrier;   /* number of the barrier that is left out; UINT64_MAX: none */
    bool validate, staging, timeline, cached, tune;

    vulkan_queue queue;
    vulkan_memory memory;
    uint64_t submits;
    vulkan_pipeline *pipelines;
    vulkan_layout layouts[LOWER_MAX_BUFFERS + 1];
    VkPipelineCache cache;
    uint64_t cache_read; /* the hash of what its file held; 0: there was none that is good */
    uint32_t built;      /* pipelines since the cache was read */
    vulkan_stage upload_stages[VULKAN_STAGES], download_stages[VULKAN_STAGES];
    uint32_t next_upload, next_download;
    m3_buffer *dummy; /* bound where a kernel must not look */
    atomic_uint_fast64_t memory_used;
};

struct m3_buffer {
    uint64_t bytes; /* as asked; the buffer of the driver may be larger */
    uint32_t usage;
    bool mapped;
    VkBuffer buffer;
    vulkan_block *block;
    uint64_t offset, room; /* in the block */
    m3_buffer *next;       /* of the block's pieces */
    unsigned char *data;   /* NULL: the host does not see it */
};

/* A dispatch, ready to be recorded. */
typedef struct vulkan_step {
    lower_dispatch *dispatch;
    uint32_t level;
    VkPipeline pipeline;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkDescriptorSet set;
} vulkan_step;

struct m3_exec_impl {
    lower_list list;
    lower_dispatch *custom; /* dispatches of kernels that custom ops bring */
    uint32_t custom_count;
    uint32_t node_count, segment_count, step_count, levels, range_count;
    m3_buffer **buffers;  /* of the segments, then scratch and table; NULL where there is none */
    vulkan_step *steps;   /* in the order of the program */
    vulkan_step **sorted; /* by level */
    vulkan_range *ranges; /* what all steps touch; the writes of a level while recording */
    VkBufferMemoryBarrier *barriers;
    VkDescriptorPool descriptors;
    VkCommandPool pool, timed_pool;
    VkCommandBuffer plain, timed; /* timed is NULL until profiling is wanted */
    VkQueryPool queries;
    uint64_t *ticks;
    m3_buffer *scratch, *table;
    uint64_t value;         /* of the last run */
    uint64_t timed_value;   /* of the last run that kept times */
    uint32_t barrier_count; /* recorded in plain */
    bool profile;
};

/* shaders.c */
typedef struct vulkan_shader {
    const char *source, *entry;
    const uint32_t *words;
    size_t bytes;
} vulkan_shader;
const vulkan_shader *vulkan_shader_find(const char *source, const char *entry);
uint64_t vulkan_shaders_hash(void);

/* FNV-1a of 64 bits. */
#define VULKAN_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t vulkan_hash(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* device.c */
m3_status vulkan_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
m3_status vulkan_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err);
void vulkan_device_close(m3_device_impl *device);
m3_status vulkan_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);
uint64_t vulkan_memory_used(m3_device_impl *device);

/* options.c */
m3_status vulkan_set_option(m3_device_impl *device, const m3_option *option, m3_error *err);

/* queue.c */
m3_status vulkan_queue_open(m3_device_impl *device, m3_error *err);
void vulkan_queue_close(m3_device_impl *device);
/* The failure that sticks to the device, if any. */
m3_status vulkan_check(m3_device_impl *device, m3_error *err);
m3_status vulkan_stick(m3_device_impl *device, const m3_error *failure, m3_error *err);
/* What a result of Vulkan means; a lost device stays lost. */
m3_status vulkan_result(m3_device_impl *device, VkResult result, const char *what, m3_error *err);
/* Queue commands, and a copy to host memory after them; one of them may be NULL. */
m3_status vulkan_queue_submit(m3_device_impl *device, VkCommandBuffer commands, void *to, const void *from,
                              uint64_t bytes, uint64_t *value, m3_error *err);
/* The next value, of work that is done already: everything before it must be. */
uint64_t vulkan_queue_advance(m3_device_impl *device);
/* Wait for everything, whatever comes of it. */
void vulkan_queue_drain(m3_device_impl *device);
m3_status vulkan_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

/* memory.c */
m3_status vulkan_memory_open(m3_device_impl *device, m3_error *err);
void vulkan_memory_close(m3_device_impl *device);
/* Total and free bytes of the heap of a memory type, as far as the driver tells. */
void vulkan_memory_room(const m3_device_impl *device, uint32_t type, uint64_t *total, uint64_t *room);
/* A piece of a block for the buffer: fills block, offset, room and data. */
m3_status vulkan_memory_take(m3_device_impl *device, m3_buffer *buffer, uint32_t type, uint64_t bytes,
                             uint64_t alignment, m3_error *err);
void vulkan_memory_give(m3_device_impl *device, m3_buffer *buffer);

/* buffer.c */
m3_status vulkan_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err);
/* As above, in memory of a given type, not limited by options. */
m3_status vulkan_buffer_make(m3_device_impl *device, uint64_t bytes, uint32_t usage, uint32_t type, m3_buffer **buffer,
                             m3_error *err);
void vulkan_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status vulkan_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                            void **pointer, m3_error *err);
void vulkan_buffer_unmap(m3_device_impl *device, m3_buffer *buffer);
m3_status vulkan_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err);
m3_status vulkan_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err);

/* staging.c */
m3_status vulkan_staging_open(m3_device_impl *device, m3_error *err);
void vulkan_staging_close(m3_device_impl *device);
m3_status vulkan_stage_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                              uint64_t *value, m3_error *err);
m3_status vulkan_stage_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                uint64_t *value, m3_error *err);

/* pipeline.c: made once for each key and kept by the device. */
m3_status vulkan_pipeline_get(m3_device_impl *device, const lower_dispatch *d, vulkan_step *step, m3_error *err);
/* With a module that is not one of ours, but a custom op's. */
m3_status vulkan_pipeline_custom(m3_device_impl *device, const lower_dispatch *d, const m3_node *node,
                                 vulkan_step *step, m3_error *err);
void vulkan_pipelines_close(m3_device_impl *device);

/* cache.c: a file that cannot be used is as good as none, and one that has it all already is not written again. */
m3_status vulkan_cache_open(m3_device_impl *device, m3_error *err);
void vulkan_cache_close(m3_device_impl *device);

/* custom.c: kernels in SPIR-V that custom ops bring. */
const m3_kernel_desc *vulkan_custom(const m3_node *node);
m3_status vulkan_custom_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
/* Its dispatch, or one that launches nothing. The list is that of the program. */
m3_status vulkan_custom_dispatch(m3_device_impl *device, lower_list *l, const m3_node *node, uint32_t index,
                                 lower_dispatch *d, m3_error *err);

/* program.c */
m3_status vulkan_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status vulkan_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err);
void vulkan_exec_free(m3_device_impl *device, m3_exec_impl *exec);
/* For traits other than the device's, where one of several ways is measured. */
m3_status vulkan_compile_with(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                              m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err);
/* The rest of compiling, when exec->list stands. On failure exec is the caller's to free. */
m3_status vulkan_compile_list(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                              m3_exec_impl *exec, m3_error *err);
/* The ranges of a dispatch, at most one for each buffer, or only those that it writes. Returns how many. */
uint32_t vulkan_step_ranges(const m3_exec_impl *exec, const lower_dispatch *d, bool writes, vulkan_range *ranges);

/* record.c */
m3_status vulkan_record(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
/* On failure nothing of it is left, and it may be tried again. */
m3_status vulkan_record_timed(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
void vulkan_forget_timed(m3_device_impl *device, m3_exec_impl *exec);
/* A pool with one command buffer. */
m3_status vulkan_commands(m3_device_impl *device, VkCommandPool *pool, VkCommandBuffer *commands, m3_error *err);
/* Between what was queued before and what a command buffer begins with. */
void vulkan_record_start(m3_device_impl *device, VkCommandBuffer commands);
/* What the device wrote becomes visible to the host. */
void vulkan_record_to_host(m3_device_impl *device, VkCommandBuffer commands, VkBuffer buffer, uint64_t offset,
                           uint64_t bytes, bool copied);

/* run.c */
/* Queue a run: the timed recording where profiling is on. Its last run must be over. */
m3_status vulkan_start(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
m3_status vulkan_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status vulkan_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status vulkan_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err);
void vulkan_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes);

/* tune.c */
m3_status vulkan_tuning_open(m3_device_impl *device, m3_error *err);
/* Measure what the program leaves open, if the device was opened for it. */
m3_status vulkan_tune(m3_device_impl *device, const m3_program *program, m3_error *err);
m3_status vulkan_tuning(m3_device_impl *device, m3_tuning *tuning, m3_error *err);

/* measure.c */
m3_status vulkan_measure_peak(m3_device_impl *device, double *gflops, m3_error *err);

#endif
