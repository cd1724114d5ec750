/* group: the workgroup size of a kernel. */
#include "backends/opencl/group.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"

m3_status opencl_group_fit(m3_device_impl *device, opencl_launch *launch, bool any, const char *name, m3_error *err)
{
    size_t max = 0, *local = launch->local;
    const cl_int code = device->cl->GetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                                           sizeof max, &max, NULL);
    if (code != CL_SUCCESS) return M3_OK; /* the launch will fail if it must */
    while (any && local[0] * local[1] * local[2] > max && local[0] % 2 == 0) local[0] /= 2;
    const size_t items = local[0] * local[1] * local[2];
    if (items <= max) return M3_OK;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, name,
                   "its kernel has workgroups of %zu work-items, %s takes %zu of this kernel; refuse=%s sends the "
                   "operation elsewhere, and a kernel of your own may give a smaller local size, or 0 for any",
                   items, device->name, max, name);
}
