/* queue: values of the one in-order queue, and the failure that sticks to the device.
 * Each value keeps its event until it is known to be done; OPENCL_RING of them may be under way. */
#include "backends/opencl/queue.h"
#include "backends/opencl/api.h"
#include "backends/opencl/device.h"

#include <time.h>

m3_status opencl_check(m3_device_impl *device, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    const m3_error failure = device->failure;
    pthread_mutex_unlock(&device->lock);
    if (failure.code != M3_OK && err != NULL && err->code == M3_OK) *err = failure;
    return failure.code;
}

/* Callers take their memory back when work has failed, so let the driver finish what it still does with it. */
static void settle(m3_device_impl *device)
{
    if (device->queue != NULL) (void)device->cl->Finish(device->queue);
}

m3_status opencl_lose(m3_device_impl *device, const char *what, cl_int code, m3_error *err)
{
    m3_error failure = {0};
    (void)M3_FAIL(&failure, M3_ERR_DEVICE_LOST, device->name,
                  "%s failed with %s: the device is lost; open it again, or choose another one with --backend", what,
                  OPENCL_CODE(code));
    settle(device);
    pthread_mutex_lock(&device->lock);
    if (device->failure.code == M3_OK) device->failure = failure;
    pthread_mutex_unlock(&device->lock);
    return opencl_check(device, err);
}

/* The event of a value, retained, or NULL when it is done. */
static cl_event event_of(m3_device_impl *device, uint64_t value)
{
    cl_event event = NULL;
    pthread_mutex_lock(&device->lock);
    const opencl_mark *mark = &device->ring[value % OPENCL_RING];
    if (value > device->reached && mark->value == value) event = mark->event;
    if (event != NULL) (void)device->cl->RetainEvent(event);
    pthread_mutex_unlock(&device->lock);
    return event;
}

/* Everything up to value is done: let its events go. Values without an event do not move `reached`, so marks of a later
 * round may lie where those up to value were. */
static void reach(m3_device_impl *device, uint64_t value)
{
    pthread_mutex_lock(&device->lock);
    for (int i = 0; i < OPENCL_RING; i++) {
        opencl_mark *mark = &device->ring[i];
        if (mark->value == 0 || mark->value > value) continue;
        if (mark->event != NULL) (void)device->cl->ReleaseEvent(mark->event);
        *mark = (opencl_mark){0};
    }
    if (value > device->reached) device->reached = value;
    pthread_mutex_unlock(&device->lock);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* OpenCL has no wait with a limit, so ask at intervals. */
static m3_status wait_within(m3_device_impl *device, cl_event event, uint64_t timeout_ns, m3_error *err)
{
    const struct timespec pause = {0, 50000};
    const uint64_t start = now_ns();
    for (;;) {
        cl_int status = 0;
        const cl_int code =
            device->cl->GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
        if (code != CL_SUCCESS || status < 0) return opencl_lose(device, "a run", status < 0 ? status : code, err);
        if (status == CL_COMPLETE) return M3_OK;
        if (now_ns() - start >= timeout_ns)
            return M3_FAIL(err, M3_ERR_TIMEOUT, device->name, "the work is not done after %llu ns",
                           (unsigned long long)timeout_ns);
        (void)nanosleep(&pause, NULL);
    }
}

static m3_status wait_for(m3_device_impl *device, cl_event event, m3_error *err)
{
    cl_int status = CL_COMPLETE;
    const cl_int code = device->cl->WaitForEvents(1, &event);
    if (code != CL_SUCCESS) {
        (void)device->cl->GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
        return opencl_lose(device, "a run", status < 0 ? status : code, err);
    }
    return M3_OK;
}

m3_status opencl_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    m3_status st = opencl_check(device, err);
    if (st != M3_OK) {
        settle(device); /* of what another thread had queued when the device was lost */
        return st;
    }
    pthread_mutex_lock(&device->lock);
    const uint64_t last = device->value;
    pthread_mutex_unlock(&device->lock);
    if (value > last)
        return M3_FAIL(err, M3_ERR_RANGE, device->name,
                       "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                       (unsigned long long)value, (unsigned long long)last);
    cl_event event = event_of(device, value);
    if (event == NULL) return M3_OK;
    st = timeout_ns == UINT64_MAX ? wait_for(device, event, err) : wait_within(device, event, timeout_ns, err);
    (void)device->cl->ReleaseEvent(event);
    if (st == M3_OK) reach(device, value);
    return st;
}

m3_status opencl_mark_work(m3_device_impl *device, cl_event event, uint64_t *value, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t mine = device->value + 1;
    const uint64_t oldest = mine > OPENCL_RING ? mine - OPENCL_RING : 0;
    pthread_mutex_unlock(&device->lock);
    m3_status st = oldest > 0 ? opencl_wait(device, oldest, UINT64_MAX, err) : M3_OK;
    if (st != M3_OK) {
        if (event != NULL) (void)device->cl->ReleaseEvent(event);
        return st;
    }
    pthread_mutex_lock(&device->lock);
    device->ring[mine % OPENCL_RING] = (opencl_mark){mine, event};
    device->value = mine;
    pthread_mutex_unlock(&device->lock);
    *value = mine;
    const cl_int code = device->cl->Flush(device->queue);
    return code == CL_SUCCESS ? M3_OK : opencl_lose(device, "clFlush", code, err);
}
