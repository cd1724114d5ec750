/* concat: tensors one behind the other along an axis. */
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("From 0."),
    .summary = "Tensors one behind the other along an axis",
    .types = "all of any one type",
    .shapes = "x_i [..., l_i, ...], equal but for the axis -> y [..., sum of l_i, ...]",
    .formula = "y = x_0, x_1, ... side by side",
    .gradient = "dx_i = the slice of dy where x_i lies",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_shape *first = &node->in[0]->shape;
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, 0, (int64_t)first->rank - 1, err)) != M3_OK) return st;
    uint32_t axis = (uint32_t)node->attr[0].i[0];
    *out = (m3_tensor_desc){node->in[0]->dtype, *first};
    for (uint32_t k = 1; k < node->in_count; k++) {
        if (node->in[k] == NULL) return M3_FAIL_NODE(err, node, "input %u is missing; give all of them", k);
        if ((st = m3_check_same_type(node, k, err)) != M3_OK) return st;
        m3_shape want = *first, have = node->in[k]->shape;
        if (have.rank == want.rank) want.dim[axis] = have.dim[axis];
        if (!m3_shape_equal(&have, &want))
            return M3_FAIL_NODE(err, node, "input %u is %s and input 0 is %s; they may differ at axis %u alone", k,
                                M3_SHAPE_TEXT(&have), M3_SHAPE_TEXT(first), axis);
        out->shape.dim[axis] += have.dim[axis];
    }
    return m3_check_count(node, &out->shape, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    uint32_t axis = (uint32_t)node->attr[0].i[0];
    uint64_t at = 0;
    for (uint32_t k = 0; k < node->in_count; k++) {
        uint64_t size = node->in[k]->shape.dim[axis];
        dx[k] = m3_slice(b, dy[0], (int)axis, at, size);
        at += size;
    }
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const m3_shape *shape = &node->out[0]->shape;
    uint32_t axis = (uint32_t)node->attr[0].i[0];
    uint64_t outer = 1, inner = 1;
    for (uint32_t i = 0; i < axis; i++) outer *= shape->dim[i];
    for (uint32_t i = axis + 1; i < shape->rank; i++) inner *= shape->dim[i];
    double *to = out[0];
    for (uint64_t o = 0; o < outer; o++) {
        for (uint32_t k = 0; k < node->in_count; k++) {
            uint64_t run = node->in[k]->shape.dim[axis] * inner;
            memcpy(to, in[k] + o * run, run * sizeof *to);
            to += run;
        }
    }
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"axis", M3_ATTR_INT}};

const m3_op m3_op_concat = {
    .size = M3_OP_SIZE,
    .name = "concat",
    .doc = &doc,
    .flags = M3_OP_CONCAT,
    .min_inputs = 1,
    .max_inputs = UINT32_MAX,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
};
