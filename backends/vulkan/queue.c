/* queue: values rise with every submit and transfer; what is in flight stands in a ring in that order. A flight ends
 * when its semaphore value (or fence) is reached and its copy to host memory is done; ends come in order, made by
 * whoever waits. The first failure sticks. */
#include "backends/vulkan/queue.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/instance.h"

#include <string.h>
#include <time.h>

m3_status vulkan_queue_open(m3_device_impl *device, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    VkResult result = VK_SUCCESS;
    device->vk.GetDeviceQueue(device->device, device->adapter->family, 0, &q->queue);
    const VkSemaphoreTypeCreateInfoKHR type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO_KHR,
                                               .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE_KHR};
    const VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    if (device->timeline) {
        result = device->vk.CreateSemaphore(device->device, &semaphore, NULL, &q->timeline);
    } else {
        for (uint32_t i = 0; i < VULKAN_FLIGHTS && result == VK_SUCCESS; i++)
            result = device->vk.CreateFence(device->device, &fence, NULL, &q->fences[i]);
    }
    return vulkan_result(device, result, "the queue's semaphores", err);
}

void vulkan_queue_close(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    if (device->vk.DestroySemaphore == NULL) return;
    device->vk.DestroySemaphore(device->device, q->timeline, NULL);
    for (uint32_t i = 0; i < VULKAN_FLIGHTS; i++) device->vk.DestroyFence(device->device, q->fences[i], NULL);
}

/* Failures. */

static m3_status report(const m3_error *failure, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = *failure;
    return failure->code;
}

static void keep(vulkan_queue *q, const m3_error *failure)
{
    if (q->failure.code == M3_OK) q->failure = *failure;
}

m3_status vulkan_stick(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    keep(q, failure);
    const m3_error first = q->failure;
    pthread_mutex_unlock(&q->lock);
    return report(&first, err);
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
    (void)vulkan_stick(device, &failure, NULL);
}

m3_status vulkan_check(m3_device_impl *device, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    look_for_messages(device);
    pthread_mutex_lock(&q->lock);
    const m3_error failure = q->failure;
    pthread_mutex_unlock(&q->lock);
    return report(&failure, err);
}

/* The status of a result other than VK_SUCCESS, with its message. */
static m3_status explain(const m3_device_impl *device, VkResult result, const char *what, m3_error *err)
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

m3_status vulkan_result(m3_device_impl *device, VkResult result, const char *what, m3_error *err)
{
    m3_error failure = {0};
    if (result == VK_SUCCESS) return M3_OK;
    if (explain(device, result, what, &failure) == M3_ERR_DEVICE_LOST) return vulkan_stick(device, &failure, err);
    return report(&failure, err);
}

/* Ends. The lock is held. */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Wait for the oldest flight. With a semaphore others may use the queue meanwhile, and may end the flight. */
static VkResult wait_oldest(m3_device_impl *device, uint64_t timeout_ns)
{
    vulkan_queue *q = &device->queue;
    const uint32_t place = q->first;
    const uint64_t signal = q->ring[place].signal;
    if (signal == 0) return VK_SUCCESS;
    if (!device->timeline) return device->vk.WaitForFences(device->device, 1, &q->fences[place], VK_TRUE, timeout_ns);
    const VkSemaphoreWaitInfoKHR info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO_KHR,
                                         .semaphoreCount = 1,
                                         .pSemaphores = &q->timeline,
                                         .pValues = &signal};
    pthread_mutex_unlock(&q->lock);
    const VkResult result = device->vk.WaitSemaphoresKHR(device->device, &info, timeout_ns);
    pthread_mutex_lock(&q->lock);
    return result;
}

/* End the oldest flight if it is still the one of `value`. A device that failed gives the host nothing any more. */
static void end(vulkan_queue *q, uint64_t value)
{
    const vulkan_flight *flight = &q->ring[q->first];
    if (q->count == 0 || flight->value != value) return;
    if (flight->to != NULL && q->failure.code == M3_OK) memcpy(flight->to, flight->from, (size_t)flight->bytes);
    q->reached = flight->value;
    q->first = (q->first + 1) % VULKAN_FLIGHTS;
    q->count--;
}

static m3_status end_oldest(m3_device_impl *device, uint64_t timeout_ns, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    const uint64_t value = q->ring[q->first].value;
    m3_error failure = {0};
    const VkResult result = wait_oldest(device, timeout_ns);
    if (result == VK_TIMEOUT)
        return M3_FAIL(err, M3_ERR_TIMEOUT, device->name, "value %llu was not reached in time; the work goes on",
                       (unsigned long long)value);
    if (result != VK_SUCCESS) {
        (void)explain(device, result, "waiting", &failure);
        keep(q, &failure);
    }
    end(q, value);
    return result == VK_SUCCESS ? M3_OK : report(&q->failure, err);
}

void vulkan_queue_drain(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    while (q->count > 0) (void)end_oldest(device, UINT64_MAX, NULL);
    pthread_mutex_unlock(&q->lock);
}

m3_status vulkan_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    m3_status st = vulkan_check(device, err);
    if (st != M3_OK) return st;
    const uint64_t start = timeout_ns == UINT64_MAX || timeout_ns == 0 ? 0 : now_ns();
    pthread_mutex_lock(&q->lock);
    if (value > q->value)
        st = M3_FAIL(err, M3_ERR_RANGE, device->name,
                     "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                     (unsigned long long)value, (unsigned long long)q->value);
    while (st == M3_OK && q->reached < value && q->count > 0) {
        const uint64_t gone = start == 0 ? 0 : now_ns() - start;
        st = end_oldest(device, timeout_ns == UINT64_MAX ? timeout_ns : timeout_ns > gone ? timeout_ns - gone : 0, err);
    }
    if (st == M3_OK) st = report(&q->failure, err);
    pthread_mutex_unlock(&q->lock);
    return st == M3_OK ? vulkan_check(device, err) : st;
}

/* Starts. */

uint64_t vulkan_queue_advance(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    const uint64_t value = q->reached = ++q->value;
    pthread_mutex_unlock(&q->lock);
    return value;
}

/* The lock is held, and the ring has room. */
static VkResult send(m3_device_impl *device, VkCommandBuffer commands, uint32_t place)
{
    vulkan_queue *q = &device->queue;
    const uint64_t signal = q->signalled + 1;
    const VkTimelineSemaphoreSubmitInfoKHR values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO_KHR,
                                                     .signalSemaphoreValueCount = 1,
                                                     .pSignalSemaphoreValues = &signal};
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .pNext = device->timeline ? &values : NULL,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands,
                               .signalSemaphoreCount = device->timeline ? 1 : 0,
                               .pSignalSemaphores = device->timeline ? &q->timeline : NULL};
    VkResult result = VK_SUCCESS;
    if (!device->timeline) result = device->vk.ResetFences(device->device, 1, &q->fences[place]);
    if (result == VK_SUCCESS)
        result = device->vk.QueueSubmit(q->queue, 1, &info, device->timeline ? VK_NULL_HANDLE : q->fences[place]);
    if (result == VK_SUCCESS) q->signalled = signal;
    return result;
}

/* Room in the ring, and for commands the copies before them: the device does not wait for a copy that the host makes
 * out of memory it sees, and would write over its bytes. */
static bool must_end(const vulkan_queue *q, bool commands)
{
    return q->count == VULKAN_FLIGHTS || (commands && q->count > 0 && q->reached < q->copied);
}

m3_status vulkan_queue_submit(m3_device_impl *device, VkCommandBuffer commands, void *to, const void *from,
                              uint64_t bytes, uint64_t *value, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    m3_error failure = {0};
    m3_status st = M3_OK;
    pthread_mutex_lock(&q->lock);
    if (commands == NULL && q->count == 0) { /* nothing to wait for */
        if (to != NULL) memcpy(to, from, (size_t)bytes);
        *value = q->reached = ++q->value;
        pthread_mutex_unlock(&q->lock);
        return M3_OK;
    }
    while (st == M3_OK && must_end(q, commands != NULL)) st = end_oldest(device, UINT64_MAX, err);
    if (st == M3_OK) {
        const uint32_t place = (q->first + q->count) % VULKAN_FLIGHTS;
        const VkResult result = commands != NULL ? send(device, commands, place) : VK_SUCCESS;
        if (result == VK_SUCCESS) {
            *value = ++q->value;
            q->ring[place] = (vulkan_flight){*value, commands != NULL ? q->signalled : 0, to, from, bytes};
            q->count++;
            if (commands == NULL) q->copied = *value;
        } else {
            (void)explain(device, result, "vkQueueSubmit", &failure);
            keep(q, &failure);
            st = report(&failure, err);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return st;
}
