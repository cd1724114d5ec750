/* run: all launches of a program are enqueued without waiting. A timed run has a queue with profiling, and events. */
#include "backends/opencl/opencl.h"

#include <time.h>

static m3_status enqueue(m3_device_impl *device, cl_command_queue queue, const opencl_launch *launch, cl_event *event,
                         m3_error *err)
{
    if (launch->kernel == NULL) return opencl_gemm_enqueue(device->clblast, queue, &launch->gemm, event, err);
    const cl_int code = device->cl->EnqueueNDRangeKernel(queue, launch->kernel, launch->axes, NULL, launch->global,
                                                         launch->local, 0, NULL, event);
    return code == CL_SUCCESS ? M3_OK : opencl_lose(device, "a launch", code, err);
}

/* Without a launch, the value is that of the work before it: the event of a marker. */
static m3_status submit_plain(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    cl_event event = NULL;
    for (uint32_t i = 0; i < exec->count; i++) {
        m3_status st = enqueue(device, device->queue, &exec->launches[i], i + 1 == exec->count ? &event : NULL, err);
        if (st != M3_OK) return st;
    }
    if (exec->count == 0) {
        const cl_int code = device->cl->EnqueueMarkerWithWaitList(device->queue, 0, NULL, &event);
        if (code != CL_SUCCESS) return opencl_lose(device, "a run of nothing", code, err);
    }
    return opencl_mark_work(device, event, value, err);
}

static double seconds_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A call of CLBlast is several kernels, of which its event knows the last only: the host's clock takes them all. */
static m3_status time_gemm(m3_device_impl *device, const opencl_launch *launch, uint64_t *time_ns, m3_error *err)
{
    cl_int code = device->cl->Finish(device->timed);
    const double start = seconds_now();
    m3_status st = enqueue(device, device->timed, launch, NULL, err);
    if (code == CL_SUCCESS) code = device->cl->Finish(device->timed);
    *time_ns += (uint64_t)(1e9 * (seconds_now() - start));
    return st == M3_OK && code != CL_SUCCESS ? opencl_lose(device, "a product by CLBlast", code, err) : st;
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
m3_status opencl_submit_timed(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    const opencl_api *cl = device->cl;
    m3_status st = M3_OK;
    cl_int code = cl->Finish(device->queue);
    for (uint32_t i = 0; i < exec->node_count; i++) exec->time_ns[i] = 0;
    for (uint32_t i = 0; i < exec->count && st == M3_OK && code == CL_SUCCESS; i++) {
        opencl_launch *launch = &exec->launches[i];
        if (launch->kernel == NULL)
            st = time_gemm(device, launch, &exec->time_ns[launch->node], err);
        else
            st = enqueue(device, device->timed, launch, &launch->event, err);
    }
    const cl_int done = cl->Finish(device->timed);
    if (code == CL_SUCCESS) code = done;
    for (uint32_t i = 0; i < exec->count; i++) {
        opencl_launch *launch = &exec->launches[i];
        if (launch->event == NULL) continue;
        exec->time_ns[launch->node] += time_of(cl, launch->event);
        (void)cl->ReleaseEvent(launch->event);
        launch->event = NULL;
    }
    if (st == M3_OK && code != CL_SUCCESS) st = opencl_lose(device, "a timed run", code, err);
    if (st != M3_OK) return st;
    return opencl_mark_work(device, NULL, value, err);
}

m3_status opencl_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_status st = opencl_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits++ >= device->fail_after) {
        char what[96];
        (void)snprintf(what, sizeof what, "the run after %llu submits, as the option fail_after asked,",
                       (unsigned long long)device->fail_after);
        return opencl_lose(device, what, CL_DEVICE_NOT_AVAILABLE, err);
    }
    return exec->timed ? opencl_submit_timed(device, exec, value, err) : submit_plain(device, exec, value, err);
}

m3_status opencl_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    cl_int code = CL_SUCCESS;
    if (on && device->timed == NULL)
        device->timed = device->cl->CreateCommandQueue(device->context, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name, "its driver makes no queue with profiling: %s",
                       OPENCL_CODE(code));
    exec->timed = on;
    return M3_OK;
}

m3_status opencl_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err)
{
    (void)device;
    if (node_count != exec->node_count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->node_count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = exec->time_ns[i];
    return M3_OK;
}

void opencl_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes)
{
    uint32_t programs = 0;
    for (const opencl_program *p = device->programs; p != NULL; p = p->next) programs++;
    (void)snprintf(text, bytes, "%u launches, none waits for the host; %u programs built so far; scratch %llu bytes",
                   exec->count, programs, (unsigned long long)exec->scratch_bytes);
}

/* Peak. */

/* Seconds of one launch of the kernel measure. */
static m3_status measure(m3_device_impl *device, cl_kernel kernel, cl_mem memory, cl_uint rounds, size_t items,
                         double *seconds, m3_error *err)
{
    const opencl_api *cl = device->cl;
    const cl_ulong at = 0;
    const size_t local = device->traits.group;
    cl_int code = cl->SetKernelArg(kernel, 0, sizeof memory, &memory);
    if (code == CL_SUCCESS) code = cl->SetKernelArg(kernel, 1, sizeof at, &at);
    if (code == CL_SUCCESS) code = cl->SetKernelArg(kernel, 2, sizeof rounds, &rounds);
    const double start = seconds_now();
    if (code == CL_SUCCESS)
        code = cl->EnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &items, &local, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = cl->Finish(device->queue);
    *seconds = seconds_now() - start;
    return code == CL_SUCCESS ? M3_OK : opencl_lose(device, "the measurement of the peak", code, err);
}

m3_status opencl_measure_peak(m3_device_impl *device, double *gflops, m3_error *err)
{
    enum { CHAINS = 16, PER_ROUND = 2 * CHAINS, LIMIT = 1 << 24 };
    const lower_traits *t = &device->traits;
    const size_t items = (size_t)t->units * t->group * (t->lanes == 1 ? 4 : 32);
    char options[32];
    cl_kernel kernel = NULL;
    cl_mem memory = NULL;
    double seconds = 0, best = 0;
    (void)snprintf(options, sizeof options, "-DVECTOR=%u ", t->vector);
    *gflops = 0;
    m3_status st = opencl_kernel(device, "measure", "measure", options, &kernel, err);
    if (st == M3_OK) st = opencl_allocate(device, "the measurement of the peak", items * 4, &memory, err);
    /* Longer and longer, until a launch is no longer lost in what surrounds it. */
    for (cl_uint rounds = 256; st == M3_OK && rounds < LIMIT && seconds < 0.05; rounds *= 2) {
        st = measure(device, kernel, memory, rounds, items, &seconds, err);
        const double now = (double)items * rounds * PER_ROUND * t->vector / seconds * 1e-9;
        if (st == M3_OK && now > best) best = now;
    }
    for (int i = 0; i < 2 && st == M3_OK; i++) {
        /* The last length twice more: the best of three. */
        const cl_uint rounds = (cl_uint)(0.05 * best * 1e9 / ((double)items * PER_ROUND * t->vector)) + 1;
        st = measure(device, kernel, memory, rounds, items, &seconds, err);
        const double now = (double)items * rounds * PER_ROUND * t->vector / seconds * 1e-9;
        if (st == M3_OK && now > best) best = now;
    }
    if (memory != NULL) {
        (void)device->cl->ReleaseMemObject(memory);
        opencl_count_memory(device, -(int64_t)(items * 4));
    }
    if (kernel != NULL) (void)device->cl->ReleaseKernel(kernel);
    *gflops = best;
    return st;
}
