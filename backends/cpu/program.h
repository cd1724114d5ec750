/* program: nodes as steps, and runs of them. */
#ifndef CPU_PROGRAM_H
#define CPU_PROGRAM_H

#include "backends/cpu/step.h"
#include "backends/host/program.h"

typedef struct cpu_exec {
    m3_exec_impl base;
    cpu_step *steps; /* by node */
    void *scratch;   /* as much as the step with the largest scratch_bytes */
} cpu_exec;

m3_status cpu_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
m3_status cpu_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                      m3_error *err);
m3_status cpu_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status cpu_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                           uint64_t *value, m3_error *err);

#endif
