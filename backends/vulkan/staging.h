/* staging: copies in pieces through a ring of buffers that both sides access, so that the host fills or empties one
 * while the device works on the next. */
#ifndef VULKAN_STAGING_H
#define VULKAN_STAGING_H

#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

enum { VULKAN_STAGING_BUFFERS = 4, VULKAN_STAGING_BYTES = 4 << 20 };

/* Memory that both sides access, and the commands that copy it. */
typedef struct vulkan_staging_buffer {
    m3_buffer *buffer;
    VkCommandPool pool;
    VkCommandBuffer commands;
    uint64_t value; /* of its last use */
} vulkan_staging_buffer;

typedef struct vulkan_staging {
    vulkan_staging_buffer uploads[VULKAN_STAGING_BUFFERS], downloads[VULKAN_STAGING_BUFFERS];
    uint32_t next_upload, next_download;
} vulkan_staging;

/* Nothing is made where the host sees device memory. */
m3_status vulkan_staging_open(m3_device_impl *device, m3_error *err);
void vulkan_staging_close(m3_device_impl *device);
m3_status vulkan_staging_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from,
                                uint64_t bytes, uint64_t *value, m3_error *err);
m3_status vulkan_staging_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                  uint64_t *value, m3_error *err);

#endif
