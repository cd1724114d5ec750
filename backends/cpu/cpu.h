/* cpu: the private types of this backend. A run is done when submit returns; the queue is a number. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <pthread.h>

#include "backends/cpu/step.h"

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    pthread_mutex_t parallel; /* the host's pool takes one caller at a time, and devices run side by side */
};

struct m3_device_impl {
    m3_backend *backend;
    const m3_host *host;
    cpu_machine machine;
    cpu_pool pool;
    char *refused;       /* option refuse: names joined by '+', or NULL */
    uint64_t fail_after; /* option fail_after: submits until the device is lost; UINT64_MAX: never */
    uint64_t submits;
    uint64_t memory_most; /* option memory: bytes that may be held; UINT64_MAX: what the machine gives */
    bool flush;           /* of the step that runs: see flush.h */
    pthread_mutex_t lock; /* of what follows, which a waiting thread reads while another works */
    uint64_t value;       /* that the queue has reached */
    uint64_t memory;      /* bytes held */
    m3_error failure;     /* the first one; code M3_OK while the device works */
};

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    bool mapped;
    void *block;         /* of the host, with room to align */
    unsigned char *data; /* in it */
};

struct m3_exec_impl {
    uint32_t count;
    cpu_step *steps;
    uint64_t *time_ns; /* of the last profiled run */
    void *block;
    void *scratch; /* in it */
    uint64_t bytes;
    bool profile;
};

/* device.c */
m3_status cpu_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
m3_status cpu_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err);
void cpu_device_close(m3_device_impl *device);
m3_status cpu_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);
m3_status cpu_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);
uint64_t cpu_memory_used(m3_device_impl *device);
m3_status cpu_peak(m3_device_impl *device, double *gflops, m3_error *err);
/* Count bytes that the device holds from now on, unless that is more than it may, or lets go. */
m3_status cpu_take_memory(m3_device_impl *device, const char *what, uint64_t bytes, m3_error *err);
void cpu_give_memory(m3_device_impl *device, uint64_t bytes);
/* The failure that sticks to the device, if any; and the next value of its queue, once the work is done. */
m3_status cpu_check(m3_device_impl *device, m3_error *err);
m3_status cpu_stick(m3_device_impl *device, const m3_error *failure, m3_error *err);
uint64_t cpu_advance(m3_device_impl *device);

/* buffer.c */
m3_status cpu_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err);
void cpu_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status cpu_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                         void **pointer, m3_error *err);
void cpu_buffer_unmap(m3_device_impl *device, m3_buffer *buffer);
m3_status cpu_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                     uint64_t *value, m3_error *err);
m3_status cpu_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                       uint64_t *value, m3_error *err);
/* Zeroed memory aligned to 64 bytes, in large pages where it is large. block is what the host takes back. */
void *cpu_allocate(const m3_host *host, uint64_t bytes, void **block);

/* program.c */
m3_status cpu_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status cpu_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                      m3_error *err);
void cpu_exec_free(m3_device_impl *device, m3_exec_impl *exec);

/* run.c */
m3_status cpu_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status cpu_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status cpu_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                         m3_error *err);

#endif
