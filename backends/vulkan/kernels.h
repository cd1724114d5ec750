/* kernels: what the driver says of the pipelines of a compiled program. */
#ifndef VULKAN_KERNELS_H
#define VULKAN_KERNELS_H

#include "m3bsr/backend.h"

m3_status vulkan_kernels_tell(m3_device_impl *device, m3_exec_impl *exec,
                              void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err);

#endif
