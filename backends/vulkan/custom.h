/* custom: kernels in SPIR-V that custom ops bring. */
#ifndef VULKAN_CUSTOM_H
#define VULKAN_CUSTOM_H

#include "backends/lowering/lower.h"

/* The kernel of the node's op, or NULL. */
const m3_kernel_desc *vulkan_custom_kernel(const m3_node *node);
m3_status vulkan_custom_supports(m3_device_impl *device, const m3_node *node, m3_error *why);
/* Its dispatch, or one that launches nothing. The list is that of the program. */
m3_status vulkan_custom_dispatch(m3_device_impl *device, lower_list *l, const m3_node *node, uint32_t index,
                                 lower_dispatch *d, m3_error *err);

#endif
