/* custom: kernels in OpenCL C that custom ops bring (m3_kernel_desc, language "opencl-c"). */
#ifndef OPENCL_CUSTOM_H
#define OPENCL_CUSTOM_H

#include "backends/opencl/exec.h"

/* The kernel of the node's op, or NULL. */
const m3_kernel_desc *opencl_custom_kernel(const m3_node *node);
uint32_t opencl_custom_buffers(const m3_node *node);
/* Does the device take the kernel's groups? M3_ERR_UNSUPPORTED names both sizes. */
m3_status opencl_custom_supports(const m3_device_impl *device, const m3_node *node, m3_error *why);
/* The launch's kernel stays NULL where there is nothing to do. */
m3_status opencl_custom_launch(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                               const m3_node *node, m3_exec_impl *exec, opencl_launch *launch, m3_error *err);

#endif
