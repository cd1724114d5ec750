/* device: an opened device, with its queue, its memory and what was built for it. */
#ifndef OPENCL_DEVICE_H
#define OPENCL_DEVICE_H

#include <stdatomic.h>

#include "backends/lowering/cache.h"
#include "backends/lowering/lower.h"
#include "backends/opencl/build.h"
#include "backends/opencl/clblast.h"
#include "backends/opencl/queue.h"

struct m3_device_impl {
    m3_backend *backend;
    const m3_host *host;
    pthread_mutex_t *parallel; /* the backend's */
    const opencl_api *cl;
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    char name[128];
    lower_traits traits;
    uint32_t alignment; /* of tensors, in bytes */
    uint64_t memory_total, largest_buffer;
    char *refused;       /* option refuse: names joined by '+', or NULL */
    char *keep;          /* option keep: folder for what is compiled, or NULL */
    uint64_t fail_after; /* option fail_after: submits until the device is lost; UINT64_MAX: never */
    uint64_t submits;
    opencl_clblast *clblast; /* or NULL */
    lower_tuning *tuning;
    lower_cache *files; /* NULL: nothing is kept on disk */
    bool tune;          /* option tune: measure the variants of classes that the table lacks */
    bool no_clblast;    /* option clblast=no */
    bool cache;         /* option cache: keep compiled kernels on disk */
    pthread_mutex_t programs_lock;
    opencl_program *programs;
    opencl_queue queue;
    atomic_uint_fast64_t memory_used; /* bytes held */
};

m3_status opencl_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err);
void opencl_device_close(m3_device_impl *device);
m3_status opencl_device_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);

#endif
