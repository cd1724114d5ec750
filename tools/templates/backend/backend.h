/* @NAME@: the private types of this backend, and what its files lend one another.
 *   plugin.c    the exported symbol, its table, the device and its queue, memory and copies: replace malloc and memcpy
 *   program.c   which nodes it runs, compiling, running: replace the loop over nodes
 *   kernels.c   the ops that it computes itself: add yours
 *   values.c    all others go through doubles: it is left out when there are kernels enough */
#ifndef BACKEND_H
#define BACKEND_H

#include <pthread.h>

#include <m3bsr/backend.h>

enum { PLACE_ALIGNMENT = 16 }; /* bytes: of the places of tensors, as device_limits says */

/* The opened plugin, one for each engine. Nothing is static: two engines may share a process. */
struct m3_backend {
    const m3_host *host;
};

struct m3_device_impl {
    const m3_host *host;
    bool evaluate;       /* option: an op without a kernel is computed by its own meaning, else refused */
    uint64_t fail_after; /* option: submits until the device is lost; UINT64_MAX: never */
    uint64_t submits;
    pthread_mutex_t lock; /* of what follows: a thread may wait while another works with the device */
    uint64_t reached;     /* value of the last work that was done */
    m3_error failure;     /* the first one, which sticks; code M3_OK while the device works */
};

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    unsigned char *data;
};

/* plugin.c: the failure that sticks, if any; make one stick; the value of work that was just done. */
m3_status device_check(m3_device_impl *device, m3_error *err);
m3_status device_stick(m3_device_impl *device, const m3_error *failure, m3_error *err);
uint64_t device_advance(m3_device_impl *device);

/* program.c: rows of the table. */
m3_status program_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status program_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                          m3_exec_impl **exec, m3_error *err);
void program_free(m3_device_impl *device, m3_exec_impl *exec);
m3_status program_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);

/* kernels.c */
typedef struct kernel {
    const char *op;
    m3_status (*refuse)(const m3_node *node, m3_error *why); /* M3_OK, or M3_ERR_UNSUPPORTED with the figure */
    void (*run)(const m3_host *host, const m3_node *node, const void *const *in, void *const *out);
} kernel;
/* The kernel for a node; or M3_ERR_UNSUPPORTED with the reason, and NULL. */
m3_status kernel_find(const m3_node *node, const kernel **found, m3_error *why);

/* values.c: elements of a tensor's own type to doubles, and back. */
void values_read(m3_dtype dtype, const void *from, double *to, uint64_t count);
void values_write(m3_dtype dtype, const double *from, void *to, uint64_t count);

#endif
