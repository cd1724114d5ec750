/* program: from nodes to dispatches with pipelines, descriptor sets and levels, recorded into a command buffer. */
#ifndef VULKAN_PROGRAM_H
#define VULKAN_PROGRAM_H

#include "backends/lowering/lower.h"

m3_status vulkan_program_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
/* Compile for traits, which are the device's but where a variant is measured. */
m3_status vulkan_program_compile(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                                 m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err);
/* The rest of compiling, when exec->list stands. On failure exec is the caller's to free. */
m3_status vulkan_program_compile_list(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                                      m3_exec_impl *exec, m3_error *err);
void vulkan_exec_free(m3_device_impl *device, m3_exec_impl *exec);

#endif
