/* program: what this backend runs, and how. */
#ifndef REFERENCE_PROGRAM_H
#define REFERENCE_PROGRAM_H

#include "backends/host/program.h"

/* A compiled program, with memory for the node that runs. */
typedef struct reference_exec {
    m3_exec_impl base;
    double *values;    /* the node's arrays in double precision, one after another */
    const double **in; /* into values; NULL for an absent input */
    double **out;
} reference_exec;

m3_status reference_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status reference_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                            m3_exec_impl **exec, m3_error *err);
m3_status reference_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status reference_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                 uint64_t *value, m3_error *err);

#endif
