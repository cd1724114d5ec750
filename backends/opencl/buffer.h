/* buffer: device memory of the host's, and copies, which are queued. */
#ifndef OPENCL_BUFFER_H
#define OPENCL_BUFFER_H

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

struct m3_buffer {
    uint64_t bytes;
    uint32_t usage;
    cl_mem memory;
};

m3_status opencl_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err);
void opencl_buffer_free(m3_device_impl *device, m3_buffer *buffer);
m3_status opencl_buffer_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                               uint64_t *value, m3_error *err);
m3_status opencl_buffer_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                 uint64_t *value, m3_error *err);

#endif
