/* cache: compiled pipelines on disk. A file that cannot be used is as good as none, and one that has it all already is
 * not written again. */
#ifndef VULKAN_CACHE_H
#define VULKAN_CACHE_H

#include "m3bsr/backend.h"

m3_status vulkan_cache_open(m3_device_impl *device, m3_error *err);
void vulkan_cache_close(m3_device_impl *device);

#endif
