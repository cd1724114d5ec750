/* iota: index along an axis. */
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y.", "The axis that is counted along, from 0."),
    .summary = "Index along an axis",
    .types = "y: i32",
    .shapes = "-> y of the shape given",
    .formula = "y[..., i, ...] = i",
    .gradient = "None passes: there is no input.",
    .special = "Does not arise: y is whole numbers.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_check_attr_shape(node, 0, &out->shape, err);
    if (st != M3_OK) return st;
    if (out->shape.rank == 0) return M3_FAIL_NODE(err, node, "the shape is []; give it an axis to count along");
    if ((st = m3_check_attr(node, 1, 0, (int64_t)out->shape.rank - 1, err)) != M3_OK) return st;
    if (out->shape.dim[node->attr[1].i[0]] > INT32_MAX)
        return M3_FAIL_NODE(err, node, "axis %lld of %s is longer than an i32 can count; give at most %d",
                            (long long)node->attr[1].i[0], M3_SHAPE_TEXT(&out->shape), INT32_MAX);
    out->dtype = M3_I32;
    return M3_OK;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)in, (void)err;
    const m3_shape *shape = &node->out[0]->shape;
    uint32_t axis = (uint32_t)node->attr[1].i[0];
    uint64_t count = m3_shape_count(shape), inner = 1;
    for (uint32_t i = axis + 1; i < shape->rank; i++) inner *= shape->dim[i];
    for (uint64_t i = 0; i < count; i++) out[0][i] = (double)(i / inner % shape->dim[axis]);
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"axis", M3_ATTR_INT}};

const m3_op m3_op_iota = {
    .size = M3_OP_SIZE,
    .name = "iota",
    .doc = &doc,
    .min_inputs = 0,
    .max_inputs = 0,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .zero_gradient = true,
};
