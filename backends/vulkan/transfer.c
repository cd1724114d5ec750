/* transfer: copies by the host itself wait for what is in flight; others are queued. */
#include "backends/vulkan/transfer.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/staging.h"

#include <string.h>

/* Does the host copy by itself? Memory of a device of its own may be seen too, but slowly. */
static bool direct(const m3_device_impl *device, const m3_buffer *buffer)
{
    return buffer->data != NULL && (device->unified || ((buffer->usage & M3_BUFFER_MAPPABLE) != 0 && !device->staging));
}

m3_status vulkan_buffer_upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                               uint64_t *value, m3_error *err)
{
    m3_status st = vulkan_buffer_check(device, to, M3_BUFFER_UPLOAD, "upload", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0 && !direct(device, to)) return vulkan_staging_upload(device, to, offset, from, bytes, value, err);
    vulkan_queue_drain(device); /* what is in flight may still read the old bytes */
    if ((st = vulkan_device_check(device, err)) != M3_OK) return st;
    if (bytes != 0) memcpy(to->data + offset, from, (size_t)bytes);
    *value = vulkan_queue_advance(device);
    return M3_OK;
}

m3_status vulkan_buffer_download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                                 uint64_t *value, m3_error *err)
{
    const m3_status st = vulkan_buffer_check(device, from, M3_BUFFER_DOWNLOAD, "download", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes != 0 && !direct(device, from))
        return vulkan_staging_download(device, from, offset, to, bytes, value, err);
    return vulkan_queue_submit(device, NULL, bytes != 0 ? to : NULL, bytes != 0 ? from->data + offset : NULL, bytes,
                               value, err);
}
