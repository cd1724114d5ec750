/* options: what `--device-option KEY=VALUE` sets. */
#ifndef VULKAN_OPTIONS_H
#define VULKAN_OPTIONS_H

#include "m3bsr/backend.h"

enum { VULKAN_OPTIONS = 16 };
extern const m3_option_desc vulkan_options[VULKAN_OPTIONS];

m3_status vulkan_set_options(m3_device_impl *device, m3_span given, m3_error *err);
/* Those that change what the device says of itself, once that has been asked. */
m3_status vulkan_set_shape(m3_device_impl *device, m3_span given, m3_error *err);

#endif
