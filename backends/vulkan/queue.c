/* queue: a submission is retired when its semaphore value (or fence) is reached and its copy to host memory is done.
 * They are retired in order, by whoever waits. */
#include "backends/vulkan/queue.h"
#include "backends/lowering/clock.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"

#include <string.h>

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
        for (uint32_t i = 0; i < VULKAN_MAX_IN_FLIGHT && result == VK_SUCCESS; i++)
            result = device->vk.CreateFence(device->device, &fence, NULL, &q->fences[i]);
    }
    return vulkan_result_check(device, result, "the queue's semaphores", err);
}

void vulkan_queue_close(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    if (device->vk.DestroySemaphore == NULL) return;
    device->vk.DestroySemaphore(device->device, q->timeline, NULL);
    for (uint32_t i = 0; i < VULKAN_MAX_IN_FLIGHT; i++) device->vk.DestroyFence(device->device, q->fences[i], NULL);
}

/* Retiring; the lock is held. */

static void keep(vulkan_queue *q, const m3_error *failure)
{
    if (q->failure.code == M3_OK) q->failure = *failure;
}

/* Wait for the oldest submission. With a semaphore others may use the queue meanwhile, and may retire it. */
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

/* Retire the oldest submission if it is still the one of `value`. A device that failed gives the host nothing more. */
static void retire(vulkan_queue *q, uint64_t value)
{
    const vulkan_submission *oldest = &q->ring[q->first];
    if (q->count == 0 || oldest->value != value) return;
    if (oldest->to != NULL && q->failure.code == M3_OK) memcpy(oldest->to, oldest->from, (size_t)oldest->bytes);
    q->reached = oldest->value;
    q->first = (q->first + 1) % VULKAN_MAX_IN_FLIGHT;
    q->count--;
}

static m3_status retire_oldest(m3_device_impl *device, uint64_t timeout_ns, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    const uint64_t value = q->ring[q->first].value;
    m3_error failure = {0};
    const VkResult result = wait_oldest(device, timeout_ns);
    if (result == VK_TIMEOUT)
        return M3_FAIL(err, M3_ERR_TIMEOUT, device->name, "value %llu was not reached in time; the work goes on",
                       (unsigned long long)value);
    if (result != VK_SUCCESS) {
        (void)vulkan_result_explain(device, result, "waiting", &failure);
        keep(q, &failure);
    }
    retire(q, value);
    return result == VK_SUCCESS ? M3_OK : vulkan_failure_report(&q->failure, err);
}

void vulkan_queue_drain(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    while (q->count > 0) (void)retire_oldest(device, UINT64_MAX, NULL);
    pthread_mutex_unlock(&q->lock);
}

m3_status vulkan_queue_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    vulkan_queue *q = &device->queue;
    m3_status st = vulkan_device_check(device, err);
    if (st != M3_OK) return st;
    const uint64_t start = timeout_ns == UINT64_MAX || timeout_ns == 0 ? 0 : lower_now_ns();
    pthread_mutex_lock(&q->lock);
    if (value > q->value)
        st = M3_FAIL(err, M3_ERR_RANGE, device->name,
                     "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                     (unsigned long long)value, (unsigned long long)q->value);
    while (st == M3_OK && q->reached < value && q->count > 0) {
        const uint64_t elapsed = start == 0 ? 0 : lower_now_ns() - start;
        st = retire_oldest(device,
                           timeout_ns == UINT64_MAX ? timeout_ns
                           : timeout_ns > elapsed   ? timeout_ns - elapsed
                                                    : 0,
                           err);
    }
    if (st == M3_OK) st = vulkan_failure_report(&q->failure, err);
    pthread_mutex_unlock(&q->lock);
    return st == M3_OK ? vulkan_device_check(device, err) : st;
}

/* Submitting. */

uint64_t vulkan_queue_advance(m3_device_impl *device)
{
    vulkan_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    const uint64_t value = q->reached = ++q->value;
    pthread_mutex_unlock(&q->lock);
    return value;
}

/* The lock is held, and a place of the ring is free. */
static VkResult submit(m3_device_impl *device, VkCommandBuffer commands, uint32_t place)
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

/* A place of the ring must become free, and commands wait for the copies before them: the device does not wait for a
 * copy that the host makes out of memory it sees, and would overwrite its bytes. */
static bool must_retire(const vulkan_queue *q, bool commands)
{
    return q->count == VULKAN_MAX_IN_FLIGHT || (commands && q->count > 0 && q->reached < q->copied);
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
    while (st == M3_OK && must_retire(q, commands != NULL)) st = retire_oldest(device, UINT64_MAX, err);
    if (st == M3_OK) {
        const uint32_t place = (q->first + q->count) % VULKAN_MAX_IN_FLIGHT;
        const VkResult result = commands != NULL ? submit(device, commands, place) : VK_SUCCESS;
        if (result == VK_SUCCESS) {
            *value = ++q->value;
            q->ring[place] = (vulkan_submission){*value, commands != NULL ? q->signalled : 0, to, from, bytes};
            q->count++;
            if (commands == NULL) q->copied = *value;
        } else {
            (void)vulkan_result_explain(device, result, "vkQueueSubmit", &failure);
            keep(q, &failure);
            st = vulkan_failure_report(&failure, err);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return st;
}
