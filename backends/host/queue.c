/* queue: a value that rises, and the failure that sticks to the device. */
#include "backends/host/queue.h"

#include "backends/host/device.h"

m3_status host_queue_check(m3_device_impl *device, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    const m3_error failure = device->failure;
    pthread_mutex_unlock(&device->lock);
    if (failure.code != M3_OK && err != NULL && err->code == M3_OK) *err = failure;
    return failure.code;
}

m3_status host_queue_fail(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    if (device->failure.code == M3_OK) device->failure = *failure;
    pthread_mutex_unlock(&device->lock);
    return host_queue_check(device, err);
}

uint64_t host_queue_advance(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t value = ++device->value;
    pthread_mutex_unlock(&device->lock);
    return value;
}

m3_status host_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)timeout_ns; /* a value comes from a call whose work was done when it returned */
    const m3_status st = host_queue_check(device, err);
    if (st != M3_OK) return st;
    pthread_mutex_lock(&device->lock);
    const uint64_t reached = device->value;
    pthread_mutex_unlock(&device->lock);
    if (value <= reached) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, device->name,
                   "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                   (unsigned long long)value, (unsigned long long)reached);
}
