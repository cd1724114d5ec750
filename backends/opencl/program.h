/* program: from nodes to dispatches, and from these to kernels whose arguments are set. */
#ifndef OPENCL_PROGRAM_H
#define OPENCL_PROGRAM_H

#include "backends/lowering/lower.h"

m3_status opencl_program_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
/* Compile for traits, which are the device's but where a variant is measured. */
m3_status opencl_program_compile(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                                 m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err);
void opencl_exec_free(m3_device_impl *device, m3_exec_impl *exec);

#endif
