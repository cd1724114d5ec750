/* transfer: copies between host and device, by the host itself where it sees the memory, else through staging. */
#ifndef VULKAN_TRANSFER_H
#define VULKAN_TRANSFER_H

#include "m3bsr/backend.h"

m3_status vulkan_buffer_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                               uint64_t *value, m3_error *err);
m3_status vulkan_buffer_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                 uint64_t *value, m3_error *err);

#endif
