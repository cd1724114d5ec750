/* memory: allocations against the limits of the device, which are the driver's or those of options. */
#include "backends/opencl/memory.h"
#include "backends/opencl/api.h"
#include "backends/opencl/device.h"

uint64_t opencl_memory_used(m3_device_impl *device)
{
    return atomic_load(&device->memory_used);
}

static m3_status too_much(m3_device_impl *device, const char *what, uint64_t bytes, const char *why, m3_error *err)
{
    const uint64_t used = opencl_memory_used(device), total = device->memory_total;
    const unsigned long long left = total > used ? total - used : 0;
    return M3_FAIL(
        err, M3_ERR_MEMORY, what,
        "%llu bytes were asked of %s, %llu of %llu are left and one buffer may have %llu (%s); use a smaller "
        "batch and raise accumulate",
        (unsigned long long)bytes, device->name, left, (unsigned long long)total,
        (unsigned long long)device->largest_buffer, why);
}

m3_status opencl_memory_allocate(m3_device_impl *device, const char *what, uint64_t bytes, cl_mem *memory,
                                 m3_error *err)
{
    const opencl_api *cl = device->cl;
    const cl_uint zero = 0;
    cl_int code = CL_SUCCESS;
    cl_event event = NULL;
    *memory = NULL;
    if (bytes > device->largest_buffer) return too_much(device, what, bytes, "the device's limit", err);
    if (opencl_memory_used(device) + bytes > device->memory_total)
        return too_much(device, what, bytes, "all of its memory", err);
    const size_t padded = ((size_t)bytes + 3) / 4 * 4; /* kernels and fills access whole words */
    *memory = cl->CreateBuffer(device->context, CL_MEM_READ_WRITE, padded, NULL, &code);
    /* Many drivers allocate only at the first access, and then it is too late for an error. */
    if (code == CL_SUCCESS)
        code =
            cl->EnqueueFillBuffer(device->queue.commands, *memory, &zero, sizeof zero, 0, sizeof zero, 0, NULL, &event);
    if (code == CL_SUCCESS) code = cl->WaitForEvents(1, &event);
    if (event != NULL) (void)cl->ReleaseEvent(event);
    if (code == CL_SUCCESS) {
        atomic_fetch_add(&device->memory_used, bytes);
        return M3_OK;
    }
    if (*memory != NULL) (void)cl->ReleaseMemObject(*memory);
    *memory = NULL;
    return too_much(device, what, bytes, OPENCL_ERROR(code), err);
}

void opencl_memory_free(m3_device_impl *device, cl_mem memory, uint64_t bytes)
{
    if (memory == NULL) return;
    (void)device->cl->ReleaseMemObject(memory);
    atomic_fetch_sub(&device->memory_used, bytes);
}
