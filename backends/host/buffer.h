/* buffer: memory of the host, and copies, which are done when they are queued. */
#ifndef HOST_BUFFER_H
#define HOST_BUFFER_H

#include "m3bsr/backend.h"

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    bool mapped;
    void *block; /* what the host frees; larger than bytes, so that data can be aligned in it */
    unsigned char *data;
};

m3_status host_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err);
void host_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status host_buffer_map(m3_device_impl *device, m3_buffer *buffer, uint32_t access, uint64_t offset, uint64_t bytes,
                          void **pointer, m3_error *err);
void host_buffer_unmap(m3_device_impl *device, m3_buffer *buffer);
m3_status host_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                      uint64_t *value, m3_error *err);
m3_status host_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                        uint64_t *value, m3_error *err);

#endif
