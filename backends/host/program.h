/* program: a compiled program, which is its nodes with the memory of their tensors, and runs of it. A backend's own
 * executable starts with this one, as its device starts with device.h's. */
#ifndef HOST_PROGRAM_H
#define HOST_PROGRAM_H

#include "backends/host/buffer.h"

/* A node with the memory of its tensors, in the node's order. */
typedef struct host_node {
    const m3_node *node;
    const void **in; /* NULL for an absent input */
    void **out;
    m3_c_kernel kernel; /* which a custom op brings in C, or NULL */
} host_node;

struct m3_exec_impl {
    uint32_t count;
    uint32_t store; /* the first node that writes parameters or states; count: none does */
    host_node *nodes;
    uint64_t *time_ns; /* of each node in the last profiled run */
    bool profile;
    struct host_block *blocks; /* all of its memory: see host_exec_allocate */
};

/* The kernel in C that a custom op brings, or NULL. */
m3_c_kernel host_kernel_in_c(const m3_op *op);

/* A zeroed executable of `size` bytes with its nodes. The program's segments, places and nodes are checked; `supports`
 * is the backend's own. */
typedef m3_status (*host_supports_fn)(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status host_exec_create(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, size_t size,
                           host_supports_fn supports, m3_exec_impl **exec, m3_error *err);
/* Zeroed memory, aligned to HOST_MEMORY_ALIGNMENT, that counts as the device's and is freed with the executable.
 * NULL: there is no memory, and err says so with `what` as its subject. */
void *host_exec_allocate(m3_device_impl *device, m3_exec_impl *exec, const char *what, uint64_t count, size_t size,
                         m3_error *err);
void host_exec_free(m3_device_impl *device, m3_exec_impl *exec);

/* Run each node in turn through `run`, with times where they are wanted. A failure sticks to the device. */
typedef m3_status (*host_run_fn)(m3_device_impl *device, m3_exec_impl *exec, uint32_t index, m3_error *err);
m3_status host_submit(m3_device_impl *device, m3_exec_impl *exec, host_run_fn run, uint64_t *value, m3_error *err);
/* The same, and looks at *stop before each node, as m3_backend_api.submit_until says. */
m3_status host_submit_until(m3_device_impl *device, m3_exec_impl *exec, host_run_fn run, const volatile int *stop,
                            bool anywhere, uint64_t *value, m3_error *err);
m3_status host_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status host_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                          m3_error *err);

#endif
