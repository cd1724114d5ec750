/* opencl: the private types of this backend. A program becomes a list of kernels whose arguments are set once; a run
 * enqueues them in order on one in-order queue. */
#ifndef OPENCL_OPENCL_H
#define OPENCL_OPENCL_H

#include <pthread.h>

#include "backends/lowering/lower.h"
#include "backends/lowering/tuning.h"
#include "backends/opencl/api.h"
#include "backends/opencl/clblast.h"

/* A device as it is listed. */
typedef struct opencl_slot {
    cl_platform_id platform;
    cl_device_id id;
} opencl_slot;

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    opencl_api cl;
    opencl_slot *slots;
    uint32_t slot_count;
};

/* A built program of one source with one set of options; lives as long as its device. */
typedef struct opencl_program {
    struct opencl_program *next;
    char *key; /* source's name and options */
    cl_program program;
} opencl_program;

enum { OPENCL_RING = 64 };

/* Work that was queued under a value, until it is known to be done. */
typedef struct opencl_mark {
    uint64_t value;
    cl_event event;
} opencl_mark;

struct m3_device_impl {
    m3_backend *backend;
    const m3_host *host;
    const opencl_api *cl;
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue, timed; /* timed: with profiling, made when it is first wanted */
    char name[128];
    lower_traits traits;
    uint32_t alignment; /* of tensors, in bytes */
    uint64_t memory_total, largest_buffer;
    uint64_t most_items, most_along[3]; /* work-items of a group: in all, and along each axis */
    char *refused;                      /* option refuse: names joined by '+', or NULL */
    uint64_t fail_after;                /* option fail_after: submits until the device is lost; UINT64_MAX: never */
    uint64_t submits;
    opencl_clblast *clblast; /* or NULL */
    lower_tuning *tuning;
    bool tune;       /* option tune: measure what is not known */
    bool no_clblast; /* option clblast=no */
    bool cache;      /* option cache: keep compiled kernels on disk */
    opencl_program *programs;
    pthread_mutex_t lock; /* of what follows, which a waiting thread reads while another works */
    uint64_t value, reached;
    opencl_mark ring[OPENCL_RING]; /* at value % OPENCL_RING; event NULL: done */
    uint64_t memory;               /* bytes held */
    m3_error failure;              /* the first one; code M3_OK while the device works */
};

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    cl_mem memory;
};

/* One enqueue. */
typedef struct opencl_launch {
    cl_kernel kernel; /* of its own, so that its arguments stay set; NULL: a product by CLBlast */
    opencl_gemm gemm;
    uint32_t node;
    cl_uint axes;
    size_t global[3], local[3];
    cl_event event; /* of a timed run */
} opencl_launch;

struct m3_exec_impl {
    const char *name;
    uint32_t node_count, count;
    opencl_launch *launches;
    uint64_t *time_ns; /* by node, of the last timed run */
    cl_mem scratch, table;
    uint64_t scratch_bytes, table_bytes;
    cl_mem *parts; /* sub-buffers of custom kernels */
    uint32_t part_count;
    bool timed;
};

/* platform.c */
m3_status opencl_find(m3_backend *backend, m3_error *err);
m3_status opencl_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
/* Text of a device, cut to bytes; "" when it has none. */
void opencl_text(const opencl_api *cl, cl_device_id id, cl_device_info what, char *text, size_t bytes);
uint64_t opencl_number(const opencl_api *cl, cl_device_id id, cl_device_info what);

/* device.c */
m3_status opencl_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err);
void opencl_device_close(m3_device_impl *device);
m3_status opencl_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);
uint64_t opencl_memory_used(m3_device_impl *device);
/* Count bytes that the device holds from now on, or lets go (negative). */
void opencl_count_memory(m3_device_impl *device, int64_t bytes);

/* options.c: of the command line; sets members of the device. */
m3_status opencl_set_options(m3_device_impl *device, m3_span options, m3_error *err);

/* queue.c */
m3_status opencl_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);
/* The failure that sticks to the device, if any. */
m3_status opencl_check(m3_device_impl *device, m3_error *err);
/* Make a failure stick, and report it, when the driver has let go of all memory of the caller. Not under the lock. */
m3_status opencl_lose(m3_device_impl *device, const char *what, cl_int code, m3_error *err);
/* Give work that was queued its value; the event is taken over, NULL means that it is done. Waits for old work when too
 * much is under way. */
m3_status opencl_mark_work(m3_device_impl *device, cl_event event, uint64_t *value, m3_error *err);

/* buffer.c */
m3_status opencl_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err);
void opencl_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status opencl_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err);
m3_status opencl_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err);
/* Memory of the device, which is had now and not at first use. */
m3_status opencl_allocate(m3_device_impl *device, const char *what, uint64_t bytes, cl_mem *memory, m3_error *err);

/* build.c: a kernel of a source of shaders/opencl, or of a text. Programs are kept, in memory and on disk. */
m3_status opencl_kernel(m3_device_impl *device, const char *source, const char *entry, const char *options,
                        cl_kernel *kernel, m3_error *err);
m3_status opencl_kernel_of_text(m3_device_impl *device, const char *name, const char *text, const char *entry,
                                cl_kernel *kernel, m3_error *err);
void opencl_programs_free(m3_device_impl *device);

/* cache.c: compiled programs on disk. A damaged or foreign entry reads as none. */
typedef struct opencl_key {
    uint64_t hash[2];
} opencl_key;
opencl_key opencl_cache_key(m3_device_impl *device, const char *const *texts, uint32_t count);
unsigned char *opencl_cache_read(m3_device_impl *device, opencl_key key, size_t *bytes);
void opencl_cache_write(m3_device_impl *device, opencl_key key, const unsigned char *binary, size_t bytes);

/* custom.c: kernels in OpenCL C that custom ops bring (m3_kernel_desc, language "opencl-c"). */
const m3_kernel_desc *opencl_custom(const m3_node *node);
uint32_t opencl_custom_buffers(const m3_node *node);
/* Does the device take the kernel's groups? M3_ERR_UNSUPPORTED names both sizes. */
m3_status opencl_custom_supports(const m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status opencl_custom_launch(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                               const m3_node *node, m3_exec_impl *exec, opencl_launch *launch, m3_error *err);

/* group.c: a kernel that needs much may take smaller groups than its device does in general. Where groups may be of any
 * size they shrink, with as many items in all; else M3_ERR_UNSUPPORTED says what is wanted. */
m3_status opencl_fit_group(m3_device_impl *device, opencl_launch *launch, bool any, const char *name, m3_error *err);

/* program.c */
m3_status opencl_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status opencl_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err);
/* The same with other traits, and without tuning. */
m3_status opencl_compile_with(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                              m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err);
void opencl_exec_free(m3_device_impl *device, m3_exec_impl *exec);

/* tune.c */
m3_status opencl_tuning_open(m3_device_impl *device, m3_error *err);
m3_status opencl_tune(m3_device_impl *device, const m3_program *program, m3_error *err);
m3_status opencl_tuning(m3_device_impl *device, m3_tuning *tuning, m3_error *err);

/* run.c */
m3_status opencl_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
/* Run and wait; fills time_ns. */
m3_status opencl_submit_timed(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status opencl_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status opencl_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err);
void opencl_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes);
m3_status opencl_measure_peak(m3_device_impl *device, double *gflops, m3_error *err);

#endif
