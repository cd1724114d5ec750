/* transpose: the axes in another order. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("For each axis of y the axis of x, each axis once."),
    .summary = "The axes in another order",
    .types = "x, y: any type, the same",
    .shapes = "x [d0, d1, ...] -> y [d_perm[0], d_perm[1], ...]",
    .formula = "y at index (i_perm[0], i_perm[1], ...) = x at index (i0, i1, ...)",
    .gradient = "dx = dy transposed by the inverse of perm",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    const m3_attr *perm = &node->attr[0];
    if (perm->count != x->shape.rank)
        return M3_FAIL_NODE(err, node, "perm has %u entries and x is %s; give one for each axis", perm->count,
                            M3_SHAPE_TEXT(&x->shape));
    *out = (m3_tensor_desc){x->dtype, x->shape};
    uint32_t seen = 0;
    for (uint32_t i = 0; i < perm->count; i++) {
        int64_t axis = perm->i[i];
        if (axis < 0 || axis >= perm->count || (seen >> axis & 1u) != 0)
            return M3_FAIL_NODE(err, node, "perm[%u] is %lld; give each axis of x %s once", i, (long long)axis,
                                M3_SHAPE_TEXT(&x->shape));
        seen |= 1u << axis;
        out->shape.dim[i] = x->shape.dim[axis];
    }
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    const m3_attr *perm = &node->attr[0];
    int64_t inverse[M3_MAX_RANK];
    for (uint32_t i = 0; i < perm->count; i++) inverse[perm->i[i]] = i;
    dx[0] = m3_transpose(b, dy[0], inverse, perm->count);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]), stride[M3_MAX_RANK];
    m3_strides(&node->in[0]->shape, stride);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    it.arrays = 1;
    for (uint32_t i = 0; i < it.rank; i++) it.stride[0][i] = stride[node->attr[0].i[i]];
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it)) out[0][i] = in[0][it.index[0]];
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"perm", M3_ATTR_INTS}};

const m3_op m3_op_transpose = {
    .size = M3_OP_SIZE,
    .name = "transpose",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
