/* custom: kernels that custom ops bring in the language of a backend (m3_kernel_desc). */
#ifndef LOWER_CUSTOM_H
#define LOWER_CUSTOM_H

#include "backends/lowering/lower.h"

/* The kernel that the node's op brings in the traits' language, or NULL. */
const m3_kernel_desc *lower_custom_kernel(const lower_traits *traits, const m3_node *node);

/* Can it be dispatched? M3_ERR_UNSUPPORTED names the limit; M3_ERR_INVALID: what it describes makes no sense. A
 * dispatch that a driver refuses would lose the device, and here another backend can still be found. */
m3_status lower_custom_supports(const lower_traits *traits, const m3_kernel_desc *kernel, const m3_node *node,
                                m3_error *why);

/* Its dispatch, without a source: buffers are the inputs, then the outputs; words are the scalar block: the elements of
 * the grid output, then the attributes in their order, whole numbers as i32, each of a list by itself, and others as
 * f32. Nothing where the grid output has no elements. */
void lower_custom(lower_list *l, const m3_kernel_desc *kernel, const m3_node *node);

#endif
