/* pad: y of shape `total` holds x from `before` on and zeros elsewhere; any type.
 *   dx = the slice of dy where x lies */
#include "core/ops/common/elementwise.h"

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
    dx[0] = m3_emit(b, "slice", dy, 1, attr, 2);
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

static const m3_attr_desc attrs[] = {{"before", M3_ATTR_INTS}, {"total", M3_ATTR_INTS}};

const m3_op m3_op_pad = {
    .size = M3_STRUCT_SIZE(m3_op, zero_gradient),
    .name = "pad",
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
