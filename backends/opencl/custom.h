/* custom: kernels in OpenCL C that custom ops bring (m3_kernel_desc, language "opencl-c"). */
#ifndef OPENCL_CUSTOM_H
#define OPENCL_CUSTOM_H

#include "backends/lowering/lower.h"
#include "backends/opencl/exec.h"

/* The kernel of a dispatch without a source, with its arguments set. exec->parts has capacity for its buffers. */
m3_status opencl_custom_bind(m3_device_impl *device, m3_exec_impl *exec, m3_buffer *const *buffers,
                             const lower_dispatch *d, cl_kernel *kernel, m3_error *err);

#endif
