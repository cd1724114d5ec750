/* queue: values of the one in-order queue, and the failure that sticks to the device.
 * Each value keeps its event until it is known to be done; OPENCL_MAX_IN_FLIGHT of them may be in flight. */
#include "backends/opencl/queue.h"
#include "backends/lowering/clock.h"
#include "backends/opencl/api.h"
#include "backends/opencl/device.h"

#include <time.h>

m3_status opencl_device_check(m3_device_impl *device, m3_error *err)
{
    opencl_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    const m3_error failure = q->failure;
    pthread_mutex_unlock(&q->lock);
    if (failure.code != M3_OK && err != NULL && err->code == M3_OK) *err = failure;
    return failure.code;
}

/* Callers take their memory back when work has failed, so let the driver finish what it still does with it. */
static void settle(m3_device_impl *device)
{
    opencl_queue *q = &device->queue;
    if (q->commands != NULL) (void)device->cl->Finish(q->commands);
}

m3_status opencl_device_lose(m3_device_impl *device, const char *what, cl_int code, m3_error *err)
{
    opencl_queue *q = &device->queue;
    m3_error failure = {0};
    (void)M3_FAIL(&failure, M3_ERR_DEVICE_LOST, device->name,
                  "%s failed with %s: the device is lost; open it again, or choose another one with --backend", what,
                  OPENCL_ERROR(code));
    settle(device);
    pthread_mutex_lock(&q->lock);
    if (q->failure.code == M3_OK) q->failure = failure;
    pthread_mutex_unlock(&q->lock);
    return opencl_device_check(device, err);
}

/* The event of a value, retained, or NULL when it is done. */
static cl_event event_of(m3_device_impl *device, uint64_t value)
{
    opencl_queue *q = &device->queue;
    cl_event event = NULL;
    pthread_mutex_lock(&q->lock);
    const opencl_submission *s = &q->ring[value % OPENCL_MAX_IN_FLIGHT];
    if (value > q->reached && s->value == value) event = s->event;
    if (event != NULL) (void)device->cl->RetainEvent(event);
    pthread_mutex_unlock(&q->lock);
    return event;
}

/* Everything up to value is done: let its events go. Values without an event do not move `reached`, so the ring
 * may hold later submissions where those up to value were. */
static void reach(m3_device_impl *device, uint64_t value)
{
    opencl_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < OPENCL_MAX_IN_FLIGHT; i++) {
        opencl_submission *s = &q->ring[i];
        if (s->value == 0 || s->value > value) continue;
        if (s->event != NULL) (void)device->cl->ReleaseEvent(s->event);
        *s = (opencl_submission){0};
    }
    if (value > q->reached) q->reached = value;
    pthread_mutex_unlock(&q->lock);
}

/* OpenCL has no wait with a timeout, so poll. */
static m3_status wait_within(m3_device_impl *device, cl_event event, uint64_t timeout_ns, m3_error *err)
{
    const struct timespec pause = {0, 50000};
    const uint64_t start = lower_now_ns();
    for (;;) {
        cl_int status = 0;
        const cl_int code =
            device->cl->GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
        if (code != CL_SUCCESS || status < 0)
            return opencl_device_lose(device, "a run", status < 0 ? status : code, err);
        if (status == CL_COMPLETE) return M3_OK;
        if (lower_now_ns() - start >= timeout_ns)
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
        return opencl_device_lose(device, "a run", status < 0 ? status : code, err);
    }
    return M3_OK;
}

m3_status opencl_queue_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    opencl_queue *q = &device->queue;
    m3_status st = opencl_device_check(device, err);
    if (st != M3_OK) {
        settle(device); /* work that another thread queued when the device was lost */
        return st;
    }
    pthread_mutex_lock(&q->lock);
    const uint64_t last = q->value;
    pthread_mutex_unlock(&q->lock);
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

m3_status opencl_queue_submit(m3_device_impl *device, cl_event event, uint64_t *value, m3_error *err)
{
    opencl_queue *q = &device->queue;
    pthread_mutex_lock(&q->lock);
    const uint64_t mine = q->value + 1;
    const uint64_t oldest = mine > OPENCL_MAX_IN_FLIGHT ? mine - OPENCL_MAX_IN_FLIGHT : 0;
    pthread_mutex_unlock(&q->lock);
    m3_status st = oldest > 0 ? opencl_queue_wait(device, oldest, UINT64_MAX, err) : M3_OK;
    if (st != M3_OK) {
        if (event != NULL) (void)device->cl->ReleaseEvent(event);
        return st;
    }
    pthread_mutex_lock(&q->lock);
    q->ring[mine % OPENCL_MAX_IN_FLIGHT] = (opencl_submission){mine, event};
    q->value = mine;
    pthread_mutex_unlock(&q->lock);
    *value = mine;
    const cl_int code = device->cl->Flush(q->commands);
    return code == CL_SUCCESS ? M3_OK : opencl_device_lose(device, "clFlush", code, err);
}
