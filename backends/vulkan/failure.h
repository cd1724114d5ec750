/* failure: what a result of Vulkan means, and the first failure of a device, which sticks to it. */
#ifndef VULKAN_FAILURE_H
#define VULKAN_FAILURE_H

#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

/* The failure that sticks to the device, if any; a message of the validation layer is one. */
m3_status vulkan_device_check(m3_device_impl *device, m3_error *err);
/* Let a failure stick, unless another one does, and report the one that does. */
m3_status vulkan_device_fail(m3_device_impl *device, const m3_error *failure, m3_error *err);

/* M3_OK for VK_SUCCESS, else its status with a message that names what was done. A lost device stays lost. */
m3_status vulkan_result_check(m3_device_impl *device, VkResult result, const char *what, m3_error *err);
/* The same for a result other than VK_SUCCESS, where nothing sticks yet: the queue's lock is held. */
m3_status vulkan_result_explain(const m3_device_impl *device, VkResult result, const char *what, m3_error *err);
/* Copy a failure to err, unless err has one, and return its code. */
m3_status vulkan_failure_report(const m3_error *failure, m3_error *err);

#endif
