/* slice: a part of a tensor. */
#include "core/ops/common/elementwise.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs =
        M3_NAMES("Index of the first element along each axis, from 0.", "Extents of y; start + size lies within x."),
    .summary = "A part of a tensor",
    .types = "x, y: any type, the same",
    .shapes = "x [...] -> y of the size given",
    .formula = "y[i, j, ...] = x[start[0] + i, start[1] + j, ...]",
    .gradient = "dx = dy, padded with zeros to the shape of x",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    const m3_attr *start = &node->attr[0];
    m3_status st = m3_check_attr_shape(node, 1, &out->shape, err);
    if (st != M3_OK) return st;
    out->dtype = x->dtype;
    if (start->count != x->shape.rank || out->shape.rank != x->shape.rank)
        return M3_FAIL_NODE(err, node, "start has %u entries, size has %u and x is %s; give one for each axis",
                            start->count, out->shape.rank, M3_SHAPE_TEXT(&x->shape));
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        uint64_t dim = x->shape.dim[i], size = out->shape.dim[i];
        if (start->i[i] < 0 || size > dim || (uint64_t)start->i[i] > dim - size)
            return M3_FAIL_NODE(
                err, node, "axis %u: %llu elements from %lld do not lie within x %s; start + size may be %llu", i,
                (unsigned long long)size, (long long)start->i[i], M3_SHAPE_TEXT(&x->shape), (unsigned long long)dim);
    }
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_attr attr[2] = {node->attr[0], m3_attr_shape(&node->in[0]->shape)};
    dx[0] = m3_emit(b, m3_op_pad.name, dy, 1, attr, 2);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]), first = 0, stride[M3_MAX_RANK];
    m3_strides(&node->in[0]->shape, stride);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    it.arrays = 1;
    for (uint32_t i = 0; i < it.rank; i++) {
        it.stride[0][i] = stride[i];
        first += (uint64_t)node->attr[0].i[i] * stride[i];
    }
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it)) out[0][i] = in[0][first + it.index[0]];
    return M3_OK;
}

/* Of x it reads what it writes. */
static uint64_t bytes(const m3_node *node)
{
    return 2 * m3_tensor_bytes(node->out[0]);
}

static const m3_attr_desc attrs[] = {{"start", M3_ATTR_INTS}, {"size", M3_ATTR_INTS}};

const m3_op m3_op_slice = {
    .size = M3_OP_SIZE,
    .name = "slice",
    .doc = &doc,
    .flags = M3_OP_SLICE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .bytes = bytes,
};
