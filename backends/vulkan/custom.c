/* custom: kernels in SPIR-V that an op of a plugin brings. Its inputs, then its outputs are storage buffers 0, 1, … of
 * set 0; the scalar block is push constants: the grid output's count of elements, then the attributes in their order,
 * whole numbers as int, each of a list by itself, and others as float. Specialisation constants 0 to 2 are the group
 * size; a module that fixes its own must say the same in `local`. */
#include "backends/vulkan/custom.h"
#include "backends/host/checks.h"
#include "backends/lowering/lower.h"
#include "backends/vulkan/device.h"

const m3_kernel_desc *vulkan_custom_kernel(const m3_node *node)
{
    return host_kernel_in(node->op, "spirv");
}

static uint32_t words_of(const m3_node *node)
{
    uint32_t words = 1;
    for (uint32_t i = 0; i < node->op->attr_count; i++)
        words += node->op->attrs[i].kind == M3_ATTR_INTS ? node->attr[i].count : 1;
    return words;
}

/* Does the device take the group that the kernel fixes? */
static m3_status check_group(const m3_device_impl *device, const m3_kernel_desc *desc, const char *name, m3_error *why)
{
    const VkPhysicalDeviceLimits *limits = &device->adapter->properties.limits;
    uint64_t items = 1;
    if (desc->local[0] == 0) return M3_OK; /* the backend's own */
    for (int i = 0; i < 3; i++) {
        if (desc->local[i] > limits->maxComputeWorkGroupSize[i])
            return M3_FAIL(why, M3_ERR_UNSUPPORTED, name,
                           "its kernel's group has %u items along axis %d, the device takes %u", desc->local[i], i,
                           limits->maxComputeWorkGroupSize[i]);
        if (desc->local[i] != 0) items *= desc->local[i];
    }
    if (items > limits->maxComputeWorkGroupInvocations)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "its kernel's group has %llu items, the device takes %u",
                       (unsigned long long)items, limits->maxComputeWorkGroupInvocations);
    return M3_OK;
}

m3_status vulkan_custom_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const m3_kernel_desc *desc = vulkan_custom_kernel(node);
    const uint32_t buffers = node->in_count + node->out_count, words = words_of(node);
    const char *name = node->op->name;
    if (buffers > LOWER_MAX_BUFFERS)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "its kernel has %u buffers, at most %d are bound", buffers,
                       LOWER_MAX_BUFFERS);
    if (words > LOWER_MAX_WORDS)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "its kernel has %u scalars, at most %d are passed", words,
                       LOWER_MAX_WORDS);
    if (desc->grid_output >= node->out_count)
        return M3_FAIL(why, M3_ERR_INVALID, name, "its kernel's grid is counted over output %u of %u",
                       desc->grid_output, node->out_count);
    for (uint32_t i = 0; i < buffers; i++) {
        const m3_tensor *x = i < node->in_count ? node->in[i] : node->out[i - node->in_count];
        if (x != NULL && m3_tensor_bytes(x) > device->traits.largest_binding)
            return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "tensor %u has %llu bytes, a kernel sees %llu of a buffer",
                           x->id, (unsigned long long)m3_tensor_bytes(x),
                           (unsigned long long)device->traits.largest_binding);
    }
    return check_group(device, desc, name, why);
}

static void add_attributes(lower_dispatch *d, const m3_node *node)
{
    for (uint32_t i = 0; i < node->op->attr_count; i++) {
        const m3_attr *attr = &node->attr[i];
        const m3_attr_kind kind = node->op->attrs[i].kind;
        const uint32_t count = kind == M3_ATTR_INTS ? attr->count : kind == M3_ATTR_INT ? 1 : 0;
        for (uint32_t k = 0; k < count; k++) lower_i32(d, attr->i[k]);
        if (kind == M3_ATTR_FLOAT) lower_f32(d, (float)attr->f);
    }
}

m3_status vulkan_custom_dispatch(m3_device_impl *device, lower_list *l, const m3_node *node, uint32_t index,
                                 lower_dispatch *d, m3_error *err)
{
    const m3_kernel_desc *desc = vulkan_custom_kernel(node);
    *d = (lower_dispatch){.list = l, .entry = desc->entry, .node = index};
    m3_status st = vulkan_custom_supports(device, node, err);
    if (st != M3_OK) return st;
    const uint64_t count = m3_tensor_count(node->out[desc->grid_output]);
    if (count == 0) return M3_OK;
    l->node = index;
    for (uint32_t i = 0; i < node->in_count; i++) lower_read(d, node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) lower_write(d, node->out[i]);
    lower_u32(d, count);
    add_attributes(d, node);
    uint64_t groups[3];
    uint32_t local[3] = {device->traits.group, 1, 1};
    for (int i = 0; i < 3; i++) {
        const uint64_t divide = desc->grid_divide[i] == 0 && i == 0 ? 1 : desc->grid_divide[i];
        const uint64_t items = divide == 0 ? 1 : lower_parts(count, divide);
        if (desc->local[0] != 0) local[i] = desc->local[i] == 0 ? 1 : desc->local[i];
        groups[i] = lower_parts(items, local[i]);
    }
    lower_groups(d, groups[0], groups[1], groups[2], local[0], local[1], local[2]);
    if (l->error.code == M3_OK) return M3_OK;
    return M3_FAIL(err, l->error.code, l->error.subject, "%s", l->error.message);
}
