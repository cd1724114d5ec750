/* custom: kernels in OpenCL C that an op of a plugin brings. Their arguments are the node's inputs and outputs as
 * pointers, then the scalar block: the grid output's count of elements (uint), and the attributes in their order, whole
 * numbers as int, each of a list by itself, and others as float. */
#include "backends/opencl/custom.h"
#include "backends/host/checks.h"
#include "backends/opencl/api.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/build.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/group.h"

const m3_kernel_desc *opencl_custom_kernel(const m3_node *node)
{
    return host_kernel_in(node->op, "opencl-c");
}

uint32_t opencl_custom_buffers(const m3_node *node)
{
    return node->in_count + node->out_count;
}

/* Items of a group along an axis. */
static uint32_t local_of(const m3_device_impl *device, const m3_kernel_desc *desc, int axis)
{
    if (desc->local[0] == 0) return axis == 0 ? device->traits.group : 1;
    return desc->local[axis] == 0 ? 1 : desc->local[axis];
}

/* A launch that the device does not take would lose it, and here another backend can still be found. */
m3_status opencl_custom_supports(const m3_device_impl *device, const m3_node *node, m3_error *why)
{
    static const char axes[] = "xyz";
    const m3_kernel_desc *desc = opencl_custom_kernel(node);
    uint64_t items = 1;
    if (desc->grid_output >= node->out_count)
        return M3_FAIL(why, M3_ERR_INVALID, node->op->name, "its kernel's grid is counted over output %u of %u",
                       desc->grid_output, node->out_count);
    for (int i = 0; i < 3; i++) {
        const uint32_t local = local_of(device, desc, i);
        if (local > device->max_group_extent[i])
            return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                           "its kernel wants groups of %u work-items along %c, %s takes %llu; give a smaller local "
                           "size, or 0 for any",
                           local, axes[i], device->name, (unsigned long long)device->max_group_extent[i]);
        if (items <= device->max_group_items) items *= local;
    }
    if (items <= device->max_group_items) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "its kernel wants groups of %u x %u x %u work-items, %s takes %llu in all; give a smaller local "
                   "size, or 0 for any",
                   local_of(device, desc, 0), local_of(device, desc, 1), local_of(device, desc, 2), device->name,
                   (unsigned long long)device->max_group_items);
}

typedef struct binder {
    m3_device_impl *device;
    const m3_program *program;
    m3_buffer *const *buffers;
    m3_exec_impl *exec;
    cl_kernel kernel;
    cl_uint argument;
    cl_int code;
} binder;

static void bind(binder *b, size_t bytes, const void *value)
{
    if (b->code == CL_SUCCESS) b->code = b->device->cl->SetKernelArg(b->kernel, b->argument++, bytes, value);
}

/* The tensor's bytes as memory of their own, since the kernel knows no offset. */
static void bind_tensor(binder *b, const m3_tensor *x)
{
    cl_mem part = NULL;
    if (x != NULL && m3_tensor_count(x) > 0 && b->code == CL_SUCCESS) {
        const m3_place *place = &b->program->places[x->id];
        const cl_buffer_region region = {(size_t)place->offset, (size_t)m3_tensor_bytes(x)};
        part = b->device->cl->CreateSubBuffer(b->buffers[place->segment]->memory, CL_MEM_READ_WRITE,
                                              CL_BUFFER_CREATE_TYPE_REGION, &region, &b->code);
        if (b->code == CL_SUCCESS) b->exec->parts[b->exec->part_count++] = part;
    }
    bind(b, sizeof part, part == NULL ? NULL : &part);
}

static void bind_attributes(binder *b, const m3_node *node)
{
    for (uint32_t i = 0; i < node->op->attr_count; i++) {
        const m3_attr *attr = &node->attr[i];
        const m3_attr_kind kind = node->op->attrs[i].kind;
        const uint32_t count = kind == M3_ATTR_INTS ? attr->count : kind == M3_ATTR_INT ? 1 : 0;
        for (uint32_t k = 0; k < count; k++) bind(b, sizeof(cl_int), &(cl_int){(cl_int)attr->i[k]});
        if (kind == M3_ATTR_FLOAT) bind(b, sizeof(cl_float), &(cl_float){(cl_float)attr->f});
    }
}

/* Are all places of a node within the segments? */
static m3_status check_places(const m3_program *program, const m3_node *node, m3_error *err)
{
    for (uint32_t i = 0; i < node->in_count + node->out_count; i++) {
        const m3_tensor *x = i < node->in_count ? node->in[i] : node->out[i - node->in_count];
        if (x == NULL || m3_tensor_count(x) == 0) continue;
        const m3_place *place = x->id < program->tensor_count ? &program->places[x->id] : NULL;
        const uint64_t room =
            place != NULL && place->segment < program->segment_count ? program->segments[place->segment].bytes : 0;
        if (place == NULL || place->offset > room || m3_tensor_bytes(x) > room - place->offset)
            return M3_FAIL(err, M3_ERR_RANGE, node->op->name, "tensor %u lies outside the segments of the program",
                           x->id);
    }
    return M3_OK;
}

static void set_grid(const m3_device_impl *device, const m3_kernel_desc *desc, uint64_t count, opencl_launch *launch)
{
    launch->axes = 3;
    for (int i = 0; i < 3; i++) {
        const uint64_t divide = desc->grid_divide[i] == 0 && i == 0 ? 1 : desc->grid_divide[i];
        const uint64_t items = divide == 0 ? 1 : (count + divide - 1) / divide;
        launch->local[i] = local_of(device, desc, i);
        launch->global[i] = (size_t)(items + launch->local[i] - 1) / launch->local[i] * launch->local[i];
    }
}

m3_status opencl_custom_launch(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                               const m3_node *node, m3_exec_impl *exec, opencl_launch *launch, m3_error *err)
{
    const m3_kernel_desc *desc = opencl_custom_kernel(node);
    const uint64_t count = m3_tensor_count(node->out[desc->grid_output]);
    m3_status st = check_places(program, node, err);
    if (st != M3_OK || count == 0) return st;
    st = opencl_kernel_create_from_text(device, node->op->name, desc->code, desc->entry, &launch->kernel, err);
    if (st != M3_OK) return st;
    binder b = {device, program, buffers, exec, launch->kernel, 0, CL_SUCCESS};
    for (uint32_t i = 0; i < node->in_count; i++) bind_tensor(&b, node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) bind_tensor(&b, node->out[i]);
    bind(&b, sizeof(cl_uint), &(cl_uint){(cl_uint)count});
    bind_attributes(&b, node);
    set_grid(device, desc, count, launch);
    if (b.code == CL_SUCCESS) return opencl_group_fit(device, launch, desc->local[0] == 0, node->op->name, err);
    return M3_FAIL(err, M3_ERR_INVALID, node->op->name,
                   "argument %u of its kernel %s could not be set: %s; buffers come first, inputs before outputs, then "
                   "the count and the attributes",
                   b.argument - 1, desc->entry, OPENCL_ERROR(b.code));
}
