/* reference: the private types of this backend. A device runs at once what it is given, so its queue has always been
 * worked off when a call returns. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <pthread.h>

#include "m3bsr/backend.h"

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
};

struct m3_device_impl {
    const m3_host *host;
    char *refused;           /* option refuse: names joined by '+', or NULL */
    uint64_t fail_after;     /* option fail_after: submits until the device is lost; UINT64_MAX: never */
    uint64_t largest_buffer; /* option largest_buffer */
    uint64_t submits;
    pthread_mutex_t lock; /* of what follows, which a waiting thread reads while another works */
    uint64_t value;       /* that the queue has reached */
    uint64_t memory;      /* bytes held */
    m3_error failure;     /* the first one; code M3_OK while the device works */
};

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    bool mapped;
    void *data;
};

/* A node with the memory of its tensors. */
typedef struct step {
    const m3_node *node;
    const void **in; /* NULL for an absent input */
    void **out;
    m3_c_kernel kernel; /* used where the op has no .evaluate */
    uint64_t time_ns;   /* of the last profiled run */
} step;

struct m3_exec_impl {
    uint32_t count;
    step *steps;
    void **pointers;   /* behind every step's in and out */
    double *values;    /* the arrays of one node in double precision, one after another */
    const double **in; /* into values, for the node that runs */
    double **out;
    uint64_t bytes; /* of all of this */
    bool profile;
};

/* device.c */
m3_status reference_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
m3_status reference_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                m3_error *err);
void reference_device_close(m3_device_impl *device);
m3_status reference_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);
m3_status reference_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);
uint64_t reference_memory_used(m3_device_impl *device);
/* Zeroed memory that counts as the device's, and its end. */
void *reference_allocate(m3_device_impl *device, uint64_t count, size_t size, uint64_t *bytes);
void reference_release(m3_device_impl *device, void *block, uint64_t bytes);
/* The failure that sticks to the device, if any; and the next value of its queue, once the work is done. */
m3_status reference_check(m3_device_impl *device, m3_error *err);
m3_status reference_stick(m3_device_impl *device, const m3_error *failure, m3_error *err);
uint64_t reference_advance(m3_device_impl *device);

/* buffer.c */
m3_status reference_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                                  m3_error *err);
void reference_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status reference_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset,
                               uint64_t bytes, void **pointer, m3_error *err);
void reference_buffer_unmap(m3_device_impl *device, m3_buffer *buffer);
m3_status reference_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                           uint64_t *value, m3_error *err);
m3_status reference_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                             uint64_t *value, m3_error *err);

/* program.c */
m3_status reference_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status reference_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                            m3_exec_impl **exec, m3_error *err);
void reference_exec_free(m3_device_impl *device, m3_exec_impl *exec);

/* convert.c: between a tensor's own type and doubles. */
void reference_to_double(m3_dtype dtype, const void *from, double *to, uint64_t count);
void reference_from_double(m3_dtype dtype, const double *from, void *to, uint64_t count);

/* run.c */
m3_status reference_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status reference_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status reference_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                               m3_error *err);

#endif
