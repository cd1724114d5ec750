/* memory: few large allocations of the driver (blocks), each cut into
 * buffers; and how much memory all buffers have.
 */
#ifndef VULKAN_MEMORY_H
#define VULKAN_MEMORY_H

#include <stdatomic.h>
#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

typedef struct vulkan_block {
    VkDeviceMemory memory;
    uint64_t bytes;
    uint32_t type;
    unsigned char *mapped; /* NULL: the host does not see it */
    m3_buffer *buffers;    /* by offset; what lies between them is free */
    struct vulkan_block *next;
} vulkan_block;

typedef struct vulkan_memory {
    uint32_t device_type, upload_type, download_type; /* indices of memory types */
    vulkan_block *blocks;
    uint64_t block_bytes;      /* of a block that several buffers share */
    atomic_uint_fast64_t used; /* bytes of all buffers */
} vulkan_memory;

m3_status vulkan_memory_open(m3_device_impl *device, m3_error *err);
void vulkan_memory_close(m3_device_impl *device);
/* A range of a block for the buffer: sets its block, offset, capacity and data. */
m3_status vulkan_memory_allocate(m3_device_impl *device, m3_buffer *buffer, uint32_t type, uint64_t bytes,
                                 uint64_t alignment, m3_error *err);
void vulkan_memory_free(m3_device_impl *device, m3_buffer *buffer);
/* Total and free bytes of the heap of a memory type, as far as the driver reports. */
void vulkan_memory_capacity(const m3_device_impl *device, uint32_t type, uint64_t *total, uint64_t *unused);
/* Bytes of all buffers, and their count when the device holds more, or less (negative). */
uint64_t vulkan_memory_used(m3_device_impl *device);
void vulkan_memory_count(m3_device_impl *device, int64_t bytes);

#endif
