/* limits: how large buffers may be, how they are aligned, and how much memory is free. */
#ifndef VULKAN_LIMITS_H
#define VULKAN_LIMITS_H

#include "m3bsr/backend.h"

m3_status vulkan_device_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);

#endif
