/* custom: kernels in OpenCL C that an op of a plugin brings. Their arguments are the node's inputs and outputs as
 * pointers, then the words of the dispatch (backends/lowering/custom.h): uint, int and float have 4 bytes each. */
#include "backends/lowering/custom.h"
#include "backends/lowering/lower.h"
#include "backends/opencl/api.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/build.h"
#include "backends/opencl/custom.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"

/* The tensor's bytes as memory of their own, since such a kernel takes no offset. */
static cl_int bind_tensor(m3_device_impl *device, m3_exec_impl *exec, m3_buffer *const *buffers, const lower_view *view,
                          cl_kernel kernel, cl_uint argument)
{
    cl_mem part = NULL;
    if (view->memory == LOWER_SEGMENT) {
        const cl_buffer_region region = {(size_t)view->offset, (size_t)view->bytes};
        cl_int code = CL_SUCCESS;
        part = device->cl->CreateSubBuffer(buffers[view->segment]->memory, CL_MEM_READ_WRITE,
                                           CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
        if (code != CL_SUCCESS) return code;
        exec->parts[exec->part_count++] = part;
    }
    return device->cl->SetKernelArg(kernel, argument, sizeof part, part == NULL ? NULL : &part);
}

m3_status opencl_custom_bind(m3_device_impl *device, m3_exec_impl *exec, m3_buffer *const *buffers,
                             const lower_dispatch *d, cl_kernel *kernel, m3_error *err)
{
    const m3_node *node = d->list->program->nodes[d->node];
    const m3_kernel_desc *desc = lower_custom_kernel(d->list->traits, node);
    cl_int code = CL_SUCCESS;
    cl_uint argument = 0;
    const m3_status st = opencl_kernel_create_from_text(device, node->op->name, desc->code, desc->entry, kernel, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < d->buffer_count && code == CL_SUCCESS; i++)
        code = bind_tensor(device, exec, buffers, &d->buffers[i], *kernel, argument++);
    for (uint32_t i = 0; i < d->word_count && code == CL_SUCCESS; i++)
        code = device->cl->SetKernelArg(*kernel, argument++, sizeof d->words[i], &d->words[i]);
    if (code == CL_SUCCESS) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, node->op->name,
                   "argument %u of its kernel %s could not be set: %s; buffers come first, inputs before outputs, then "
                   "the count and the attributes",
                   argument - 1, desc->entry, OPENCL_ERROR(code));
}
