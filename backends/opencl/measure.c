/* measure: the peak, by launches of the kernel measure that grow until one is long enough. */
#include "backends/opencl/measure.h"
#include "backends/lowering/clock.h"
#include "backends/lowering/lower.h"
#include "backends/opencl/api.h"
#include "backends/opencl/build.h"
#include "backends/opencl/device.h"
#include "backends/opencl/memory.h"
#include "backends/opencl/queue.h"

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
    const uint64_t start = lower_now_ns();
    if (code == CL_SUCCESS)
        code = cl->EnqueueNDRangeKernel(device->queue.commands, kernel, 1, NULL, &items, &local, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = cl->Finish(device->queue.commands);
    *seconds = lower_seconds_since(start);
    return code == CL_SUCCESS ? M3_OK : opencl_device_lose(device, "the measurement of the peak", code, err);
}

m3_status opencl_peak_measure(m3_device_impl *device, double *gflops, m3_error *err)
{
    enum { CHAINS = 16, PER_ROUND = 2 * CHAINS, LIMIT = 1 << 24 };
    const lower_traits *t = &device->traits;
    const size_t items = (size_t)t->units * t->group * (t->kind == LOWER_PROCESSOR ? 4 : 32);
    char options[32];
    cl_kernel kernel = NULL;
    cl_mem memory = NULL;
    double seconds = 0, best = 0;
    (void)snprintf(options, sizeof options, "-DVECTOR=%u ", t->vector);
    *gflops = 0;
    m3_status st = opencl_kernel_create(device, "measure", "measure", "", options, &kernel, err);
    if (st == M3_OK) st = opencl_memory_allocate(device, "the measurement of the peak", items * 4, &memory, err);
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
    opencl_memory_free(device, memory, items * 4);
    if (kernel != NULL) (void)device->cl->ReleaseKernel(kernel);
    *gflops = best;
    return st;
}
