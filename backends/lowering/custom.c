/* custom: limits, scalar block and grid of kernels that custom ops bring. */
#include "backends/lowering/custom.h"
#include "backends/host/checks.h"

const m3_kernel_desc *lower_custom_kernel(const lower_traits *traits, const m3_node *node)
{
    return traits->custom.language != NULL ? host_kernel_in(node->op, traits->custom.language) : NULL;
}

/* Work-items of a workgroup along an axis; a first size of 0 leaves all of them to the backend. */
static uint32_t local_size(const lower_traits *traits, const m3_kernel_desc *kernel, int axis)
{
    if (kernel->local[0] == 0) return axis == 0 ? traits->group : 1;
    return kernel->local[axis] == 0 ? 1 : kernel->local[axis];
}

static uint64_t group_count(const lower_traits *traits, const m3_kernel_desc *kernel, uint64_t elements, int axis)
{
    const uint64_t divide = kernel->grid_divide[axis] == 0 && axis == 0 ? 1 : kernel->grid_divide[axis];
    const uint64_t items = divide == 0 ? 1 : lower_parts(elements, divide);
    return lower_parts(items, local_size(traits, kernel, axis));
}

static uint32_t attribute_words(const m3_node *node, uint32_t i)
{
    return node->op->attrs[i].kind == M3_ATTR_INTS ? node->attr[i].count : 1;
}

static m3_status check_counts(const m3_node *node, m3_error *why)
{
    const uint32_t buffers = node->in_count + node->out_count;
    uint32_t words = 1;
    for (uint32_t i = 0; i < node->op->attr_count; i++) words += attribute_words(node, i);
    if (buffers > LOWER_MAX_BUFFERS)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "its kernel has %u buffers, at most %d are bound",
                       buffers, LOWER_MAX_BUFFERS);
    if (words > LOWER_MAX_WORDS)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "its kernel has %u scalars, at most %d are passed",
                       words, LOWER_MAX_WORDS);
    return M3_OK;
}

static m3_status check_group(const lower_traits *traits, const m3_kernel_desc *kernel, const char *name, m3_error *why)
{
    const lower_custom_limits *limits = &traits->custom;
    const uint32_t x = local_size(traits, kernel, 0), y = local_size(traits, kernel, 1),
                   z = local_size(traits, kernel, 2);
    for (int i = 0; i < 3; i++)
        if (local_size(traits, kernel, i) > limits->group_extent[i])
            return M3_FAIL(
                why, M3_ERR_UNSUPPORTED, name,
                "its kernel has workgroups of %u work-items along %c, the device takes %llu; give a smaller local "
                "size, or 0 for any",
                local_size(traits, kernel, i), "xyz"[i], (unsigned long long)limits -> group_extent[i]);
    if ((uint64_t)x * y > limits->group_items || (uint64_t)x * y * z > limits->group_items)
        return M3_FAIL(
            why, M3_ERR_UNSUPPORTED, name,
            "its kernel has workgroups of %u x %u x %u work-items, the device takes %llu in all; give a smaller "
            "local size, or 0 for any",
            x, y, z, (unsigned long long)limits->group_items);
    return M3_OK;
}

m3_status lower_custom_supports(const lower_traits *traits, const m3_kernel_desc *kernel, const m3_node *node,
                                m3_error *why)
{
    const char *name = node->op->name;
    if (kernel->grid_output >= node->out_count)
        return M3_FAIL(why, M3_ERR_INVALID, name, "its kernel's grid is counted over output %u of %u",
                       kernel->grid_output, node->out_count);
    m3_status st = check_counts(node, why);
    for (uint32_t i = 0; i < node->in_count + node->out_count && st == M3_OK; i++) {
        const m3_tensor *x = i < node->in_count ? node->in[i] : node->out[i - node->in_count];
        if (x != NULL && m3_tensor_bytes(x) > traits->largest_binding)
            st = M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "tensor %u has %llu bytes, a kernel sees %llu of a buffer",
                         x->id, (unsigned long long)m3_tensor_bytes(x), (unsigned long long)traits->largest_binding);
    }
    return st == M3_OK ? check_group(traits, kernel, name, why) : st;
}

void lower_custom(lower_list *l, const m3_kernel_desc *kernel, const m3_node *node)
{
    const lower_traits *traits = l->traits;
    const uint64_t elements = m3_tensor_count(node->out[kernel->grid_output]);
    if (elements == 0) return;
    lower_dispatch *d = lower_begin(l, NULL, kernel->entry);
    for (uint32_t i = 0; i < node->in_count; i++) lower_read(d, node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) lower_write(d, node->out[i]);
    lower_u32(d, elements);
    for (uint32_t i = 0; i < node->op->attr_count; i++) {
        const m3_attr *attr = &node->attr[i];
        if (node->op->attrs[i].kind == M3_ATTR_FLOAT)
            lower_f32(d, (float)attr->f);
        else
            for (uint32_t k = 0; k < attribute_words(node, i); k++) lower_i32(d, attr->i[k]);
    }
    for (int i = 0; i < 3; i++) {
        const uint64_t groups = group_count(traits, kernel, elements, i);
        if (groups > traits->custom.group_count[i] && l->error.code == M3_OK)
            (void)M3_FAIL(&l->error, M3_ERR_RANGE, node->op->name,
                          "its kernel has %llu workgroups along %c, the device takes %u", (unsigned long long)groups,
                          "xyz"[i], traits -> custom.group_count[i]);
        d->group[i] = local_size(traits, kernel, i);
        d->count[i] = (uint32_t)groups;
    }
    d->any_group = kernel->local[0] == 0;
}
