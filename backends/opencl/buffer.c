/* buffer: a copy is checked, enqueued and given its value. */
#include "backends/opencl/buffer.h"
#include "backends/host/checks.h"
#include "backends/opencl/device.h"
#include "backends/opencl/memory.h"
#include "backends/opencl/queue.h"

m3_status opencl_buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    const m3_host *host = device->host;
    *buffer = NULL;
    m3_status st = host_check_buffer(bytes, usage, err);
    if (st == M3_OK) st = opencl_device_check(device, err);
    if (st != M3_OK) return st;
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    b->bytes = bytes;
    b->usage = usage;
    st = opencl_memory_allocate(device, "buffer", bytes, &b->memory, err);
    if (st == M3_OK)
        *buffer = b;
    else
        host->release(host->user, b);
    return st;
}

void opencl_buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == NULL) return;
    opencl_memory_free(device, buffer->memory, buffer->bytes);
    device->host->release(device->host->user, buffer);
}

static m3_status check(m3_device_impl *device, const m3_buffer *buffer, uint32_t use, const char *what, uint64_t offset,
                       uint64_t bytes, m3_error *err)
{
    const m3_status st = opencl_device_check(device, err);
    if (st != M3_OK) return st;
    return host_check_use(buffer->usage, buffer->bytes, use, what, offset, bytes, err);
}

/* A copy of nothing has its value at once: that of the work before it. */
static m3_status nothing(m3_device_impl *device, uint64_t *value)
{
    pthread_mutex_lock(&device->queue.lock);
    *value = device->queue.value;
    pthread_mutex_unlock(&device->queue.lock);
    return M3_OK;
}

m3_status opencl_buffer_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                               uint64_t *value, m3_error *err)
{
    cl_event event = NULL;
    m3_status st = check(device, to, M3_BUFFER_UPLOAD, "upload", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes == 0) return nothing(device, value);
    const cl_int code = device->cl->EnqueueWriteBuffer(device->queue.commands, to->memory, CL_FALSE, (size_t)offset,
                                                       (size_t)bytes, from, 0, NULL, &event);
    if (code != CL_SUCCESS) return opencl_device_lose(device, "an upload", code, err);
    return opencl_queue_submit(device, event, value, err);
}

m3_status opencl_buffer_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                 uint64_t *value, m3_error *err)
{
    cl_event event = NULL;
    m3_status st = check(device, from, M3_BUFFER_DOWNLOAD, "download", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes == 0) return nothing(device, value);
    const cl_int code = device->cl->EnqueueReadBuffer(device->queue.commands, from->memory, CL_FALSE, (size_t)offset,
                                                      (size_t)bytes, to, 0, NULL, &event);
    if (code != CL_SUCCESS) return opencl_device_lose(device, "a download", code, err);
    return opencl_queue_submit(device, event, value, err);
}
