/* options: what `--device-option KEY=VALUE` sets. */
#ifndef VULKAN_OPTIONS_H
#define VULKAN_OPTIONS_H

#include "m3bsr/backend.h"

m3_status vulkan_set_option(m3_device_impl *device, const m3_option *option, m3_error *err);

#endif
