/* failure: messages of results; the lock of the queue guards what sticks. */
#include "backends/vulkan/failure.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/instance.h"
#include "backends/vulkan/queue.h"

m3_status vulkan_failure_report(const m3_error *failure, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = *failure;
    return failure->code;
}

m3_status vulkan_device_fail(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    if (q->failure.code == M3_OK) q->failure = *failure;
    const m3_error first = q->failure;
    pthread_mutex_unlock(&q->lock);
    return vulkan_failure_report(&first, err);
}

/* A message of the validation layer is a failure of the run that caused it. */
static void look_for_messages(m3_device_impl *device)
{
    vulkan_instance *instance = device->instance;
    m3_error failure = {0};
    const unsigned count = device->validate ? atomic_load(&instance->messages) : 0;
    if (count == 0) return;
    pthread_mutex_lock(&instance->lock);
    (void)M3_FAIL(&failure, M3_ERR_INTERNAL, device->name, "%u messages of the validation layer; the first: %s", count,
                  instance->first_message);
    pthread_mutex_unlock(&instance->lock);
    (void)vulkan_device_fail(device, &failure, NULL);
}

m3_status vulkan_device_check(m3_device_impl *device, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    look_for_messages(device);
    pthread_mutex_lock(&q->lock);
    const m3_error failure = q->failure;
    pthread_mutex_unlock(&q->lock);
    return vulkan_failure_report(&failure, err);
}

m3_status vulkan_result_explain(const m3_device_impl *device, VkResult result, const char *what, m3_error *err)
{
    switch (result) {
    case VK_ERROR_DEVICE_LOST:
        return M3_FAIL(err, M3_ERR_DEVICE_LOST, device->name,
                       "the driver lost the device (%s); open it again, and see the system's log", what);
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return M3_FAIL(err, M3_ERR_MEMORY, device->name,
                       "the driver is out of host memory (%s); free memory or use a "
                       "smaller batch",
                       what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
        return M3_FAIL(err, M3_ERR_MEMORY, device->name,
                       "the driver is out of device memory (%s); free memory or use "
                       "a smaller batch",
                       what);
    case VK_ERROR_TOO_MANY_OBJECTS:
        return M3_FAIL(err, M3_ERR_MEMORY, device->name,
                       "the driver holds as many objects as it can (%s); free buffers or close other devices", what);
    case VK_ERROR_MEMORY_MAP_FAILED:
        return M3_FAIL(err, M3_ERR_MEMORY, device->name,
                       "the driver cannot map memory for the host (%s); free memory, or raise the limit of ulimit -v",
                       what);
    default:
        return M3_FAIL(err, M3_ERR_INTERNAL, device->name, "the driver failed with VkResult %d (%s)", (int)result,
                       what);
    }
}

m3_status vulkan_result_check(m3_device_impl *device, VkResult result, const char *what, m3_error *err)
{
    m3_error failure = {0};
    if (result == VK_SUCCESS) return M3_OK;
    if (vulkan_result_explain(device, result, what, &failure) == M3_ERR_DEVICE_LOST)
        return vulkan_device_fail(device, &failure, err);
    return vulkan_failure_report(&failure, err);
}
