/* pad: a tensor with zeros around it. */
#include "core/base/alloc.h"
#include "core/ops/common/elementwise.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Number of zeros before x along each axis.",
                      "Extents of y; before and the extents of x lie within them."),
    .summary = "A tensor with zeros around it",
    .types = "x, y: any type, the same",
    .shapes = "x [...] -> y of the total given",
    .formula = "y[before[0] + i, before[1] + j, ...] = x[i, j, ...], elsewhere 0",
    .gradient = "dx = the slice of dy where x lies",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    const m3_attr *before = &node->attr[0];
    m3_status st = m3_check_attr_shape(node, 1, &out->shape, err);
    if (st != M3_OK) return st;
    out->dtype = x->dtype;
    if (before->count != x->shape.rank || out->shape.rank != x->shape.rank)
        return M3_FAIL_NODE(err, node, "before has %u entries, total has %u and x is %s; give one for each axis",
                            before->count, out->shape.rank, M3_SHAPE_TEXT(&x->shape));
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        uint64_t dim = x->shape.dim[i], total = out->shape.dim[i];
        if (before->i[i] < 0 || dim > total || (uint64_t)before->i[i] > total - dim)
            return M3_FAIL_NODE(err, node, "axis %u: x %s after %lld does not fit into a total of %llu; make it larger",
                                i, M3_SHAPE_TEXT(&x->shape), (long long)before->i[i], (unsigned long long)total);
    }
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_attr attr[2] = {node->attr[0], m3_attr_shape(&node->in[0]->shape)};
    dx[0] = m3_emit(b, m3_op_slice.name, dy, 1, attr, 2);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->in[0]), first = 0, stride[M3_MAX_RANK];
    memset(out[0], 0, m3_tensor_count(node->out[0]) * sizeof *out[0]);
    m3_strides(&node->out[0]->shape, stride);
    m3_iterator it = m3_iterator_over(&node->in[0]->shape);
    it.arrays = 1;
    for (uint32_t i = 0; i < it.rank; i++) {
        it.stride[0][i] = stride[i];
        first += (uint64_t)node->attr[0].i[i] * stride[i];
    }
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it)) out[0][first + it.index[0]] = in[0][i];
    return M3_OK;
}

/* The axis along which x does not fill y, if it is the only one. */
static bool pads_one_axis(const m3_node *node, uint32_t *axis)
{
    const m3_shape *x = &node->in[M3_PAD_X]->shape, *y = &node->out[0]->shape;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (x->dim[i] == y->dim[i]) continue;
        *axis = i;
        axes++;
    }
    return axes == 1;
}

static int64_t before_of(const m3_node *node, uint32_t axis)
{
    return node->attr[M3_PAD_BEFORE].i[axis];
}

/* Parts along one axis, the first node's, which lie side by side and fill it are joined, instead of adding zeros to
 * each other: the gradients of slices. */
static m3_tensor *accumulate(m3_builder *b, const m3_node *const *nodes, uint32_t count, bool *taken)
{
    uint32_t found = 0, axis = 0, its = 0;
    uint64_t filled = 0;
    m3_tensor **parts = m3_calloc(count, sizeof *parts), *joined = NULL;
    uint32_t *order = m3_calloc(count, sizeof *order);
    if (parts == NULL || order == NULL) {
        b->api->fail(b, M3_ERR_MEMORY, "pad: out of memory");
        goto done;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!pads_one_axis(nodes[i], &its) || (found != 0 && its != axis)) continue;
        axis = its;
        uint32_t at = found++;
        for (; at > 0 && before_of(nodes[order[at - 1]], axis) > before_of(nodes[i], axis); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    if (found < 2) goto done;
    for (uint32_t i = 0; i < found; i++) {
        parts[i] = nodes[order[i]]->in[M3_PAD_X];
        if ((uint64_t)before_of(nodes[order[i]], axis) != filled) goto done;
        filled += parts[i]->shape.dim[axis];
    }
    if (filled != nodes[0]->out[0]->shape.dim[axis]) goto done;
    for (uint32_t i = 0; i < found; i++) taken[order[i]] = true;
    joined = m3_concat(b, parts, found, (int)axis);
done:
    m3_free(parts);
    m3_free(order);
    return joined;
}

static const m3_attr_desc attrs[] = {{"before", M3_ATTR_INTS}, {"total", M3_ATTR_INTS}};

const m3_op m3_op_pad = {
    .size = M3_OP_SIZE,
    .name = "pad",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .accumulate = accumulate,
};
