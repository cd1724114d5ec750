/* buffer: device memory, which the host may map where it sees it. */
#ifndef VULKAN_BUFFER_H
#define VULKAN_BUFFER_H

#include "backends/vulkan/memory.h"

struct m3_buffer {
    uint64_t bytes; /* as requested; the buffer of the driver may be larger */
    uint32_t usage;
    bool mapped;
    VkBuffer buffer;
    vulkan_block *block;
    uint64_t offset, capacity; /* in the block */
    m3_buffer *next;           /* in the block */
    unsigned char *data;       /* NULL: the host does not see it */
};

m3_status vulkan_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err);
/* As above, in memory of a given type, not limited by options. */
m3_status vulkan_buffer_make(m3_device_impl *device, uint64_t bytes, uint32_t usage, uint32_t type, m3_buffer **buffer,
                             m3_error *err);
void vulkan_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status vulkan_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                            void **pointer, m3_error *err);
void vulkan_buffer_unmap(m3_device_impl *device, m3_buffer *buffer);
/* Does the buffer hold these bytes, was it made for this use (M3_BUFFER_*), and does the device work? */
m3_status vulkan_buffer_check(m3_device_impl *device, const m3_buffer *buffer, uint32_t use, const char *what,
                              uint64_t offset, uint64_t bytes, m3_error *err);

#endif
