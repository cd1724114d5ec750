/* run: all launches of a program are enqueued without waiting. A timed run has a queue with profiling, and events. */
#include "backends/opencl/run.h"
#include "backends/lowering/clock.h"
#include "backends/opencl/api.h"
#include "backends/opencl/build.h"
#include "backends/opencl/clblast.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/queue.h"

static m3_status enqueue(m3_device_impl *device, cl_command_queue queue, const opencl_launch *launch, cl_event *event,
                         m3_error *err)
{
    if (launch->kernel == NULL) return opencl_gemm_enqueue(device->clblast, queue, &launch->gemm, event, err);
    const cl_int code = device->cl->EnqueueNDRangeKernel(queue, launch->kernel, launch->axes, NULL, launch->global,
                                                         launch->local, 0, NULL, event);
    return code == CL_SUCCESS ? M3_OK : opencl_device_lose(device, "a launch", code, err);
}

/* The launches from `first` on. Without one, the value is that of the work before it: the event of a marker. */
static m3_status submit_plain(m3_device_impl *device, m3_exec_impl *exec, uint32_t first, uint64_t *value,
                              m3_error *err)
{
    cl_event event = NULL;
    for (uint32_t i = first; i < exec->count; i++) {
        m3_status st =
            enqueue(device, device->queue.commands, &exec->launches[i], i + 1 == exec->count ? &event : NULL, err);
        if (st != M3_OK) return st;
    }
    if (first >= exec->count) {
        const cl_int code = device->cl->EnqueueMarkerWithWaitList(device->queue.commands, 0, NULL, &event);
        if (code != CL_SUCCESS) return opencl_device_lose(device, "a run of nothing", code, err);
    }
    return opencl_queue_submit(device, event, value, err);
}

/* A call of CLBlast enqueues several kernels, and its event is that of the last: the host's clock times them all. */
static m3_status time_gemm(m3_device_impl *device, const opencl_launch *launch, uint64_t *time_ns, m3_error *err)
{
    cl_int code = device->cl->Finish(device->queue.timed);
    const uint64_t start = lower_now_ns();
    m3_status st = enqueue(device, device->queue.timed, launch, NULL, err);
    if (code == CL_SUCCESS) code = device->cl->Finish(device->queue.timed);
    *time_ns += (uint64_t)(1e9 * lower_seconds_since(start));
    return st == M3_OK && code != CL_SUCCESS ? opencl_device_lose(device, "a product by CLBlast", code, err) : st;
}

static uint64_t time_of(const opencl_api *cl, cl_event event)
{
    cl_ulong start = 0, end = 0;
    if (cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) != CL_SUCCESS ||
        cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) != CL_SUCCESS)
        return 0;
    return end > start ? end - start : 0;
}

/* The two queues must not overlap, so each is empty when the other starts. */
m3_status opencl_exec_submit_timed(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    const opencl_api *cl = device->cl;
    m3_status st = M3_OK;
    cl_int code = cl->Finish(device->queue.commands);
    for (uint32_t i = 0; i < exec->node_count; i++) exec->time_ns[i] = 0;
    for (uint32_t i = 0; i < exec->count && st == M3_OK && code == CL_SUCCESS; i++) {
        opencl_launch *launch = &exec->launches[i];
        if (launch->kernel == NULL)
            st = time_gemm(device, launch, &exec->time_ns[launch->node], err);
        else
            st = enqueue(device, device->queue.timed, launch, &launch->event, err);
    }
    const cl_int done = cl->Finish(device->queue.timed);
    if (code == CL_SUCCESS) code = done;
    for (uint32_t i = 0; i < exec->count; i++) {
        opencl_launch *launch = &exec->launches[i];
        if (launch->event == NULL) continue;
        exec->time_ns[launch->node] += time_of(cl, launch->event);
        (void)cl->ReleaseEvent(launch->event);
        launch->event = NULL;
    }
    if (st == M3_OK && code != CL_SUCCESS) st = opencl_device_lose(device, "a timed run", code, err);
    if (st != M3_OK) return st;
    return opencl_queue_submit(device, NULL, value, err);
}

static m3_status begin(m3_device_impl *device, m3_error *err)
{
    m3_status st = opencl_device_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits++ >= device->fail_after) {
        char what[96];
        (void)snprintf(what, sizeof what, "the run after %llu submits, as the option fail_after asked,",
                       (unsigned long long)device->fail_after);
        return opencl_device_lose(device, what, CL_DEVICE_NOT_AVAILABLE, err);
    }
    return M3_OK;
}

m3_status opencl_exec_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    const m3_status st = begin(device, err);
    if (st != M3_OK) return st;
    return exec->timed ? opencl_exec_submit_timed(device, exec, value, err) : submit_plain(device, exec, 0, value, err);
}

/* What is enqueued cannot be taken back, so one launch at a time is. */
m3_status opencl_exec_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                   uint64_t *value, m3_error *err)
{
    const uint32_t last = anywhere ? exec->count : exec->store;
    if (exec->timed) return opencl_exec_submit(device, exec, value, err);
    m3_status st = begin(device, err);
    for (uint32_t i = 0; i <= last && st == M3_OK; i++) {
        const cl_int code = device->cl->Finish(device->queue.commands);
        if (code != CL_SUCCESS) return opencl_device_lose(device, "a run", code, err);
        if (*stop != 0)
            return M3_FAIL(err, M3_ERR_INTERRUPTED, device->name, "stopped before launch %u of %u", i, exec->count);
        if (i < last) st = enqueue(device, device->queue.commands, &exec->launches[i], NULL, err);
    }
    return st == M3_OK ? submit_plain(device, exec, last, value, err) : st;
}

m3_status opencl_exec_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    cl_int code = CL_SUCCESS;
    if (on && device->queue.timed == NULL)
        device->queue.timed =
            device->cl->CreateCommandQueue(device->context, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name, "its driver makes no queue with profiling: %s",
                       OPENCL_ERROR(code));
    exec->timed = on;
    return M3_OK;
}

m3_status opencl_exec_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err)
{
    (void)device;
    if (node_count != exec->node_count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->node_count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = exec->time_ns[i];
    return M3_OK;
}

void opencl_exec_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes)
{
    uint32_t programs = 0;
    for (const opencl_program *p = device->programs; p != NULL; p = p->next) programs++;
    (void)snprintf(text, bytes, "%u launches, none waits for the host; %u programs built so far; scratch %llu bytes",
                   exec->count, programs, (unsigned long long)exec->scratch_bytes);
}
