/* where: selection. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("cond", "x", "y"),
    .input_count = 3,
    .outputs = M3_NAMES("z"),
    .output_count = 1,
    .summary = "Selection",
    .types = "cond: bool; x, y, z: any type, the same",
    .shapes = "cond, x, y: broadcast as NumPy does -> z",
    .formula = "z = x where cond, else y",
    .gradient = "dx = dz where cond, else 0; dy the other way round; summed over the axes that repeated",
    .special = "Selects: what is not taken may be anything, NaN included.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *cond = node->in[0], *x = node->in[1], *y = node->in[2];
    m3_shape both;
    if ((st = m3_check_type(node, 0, M3_TYPES_BOOL, err)) != M3_OK) return st;
    if (x->dtype != y->dtype)
        return M3_FAIL_NODE(err, node, "the choices are %s and %s; give equal types, or cast one",
                            m3_dtype_name(x->dtype), m3_dtype_name(y->dtype));
    out->dtype = x->dtype;
    if (!m3_shape_merge(&x->shape, &y->shape, &both) || !m3_shape_merge(&cond->shape, &both, &out->shape))
        return M3_FAIL_NODE(err, node, "cond %s, %s and %s do not broadcast; make extents equal or 1",
                            M3_SHAPE_TEXT(&cond->shape), M3_SHAPE_TEXT(&x->shape), M3_SHAPE_TEXT(&y->shape));
    return m3_check_count(node, &out->shape, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *cond = node->in[0], *zero = m3_scalar_like(b, dy[0], 0.0);
    dx[1] = m3_sum_to(b, m3_where(b, cond, dy[0], zero), &node->in[1]->shape);
    dx[2] = m3_sum_to(b, m3_where(b, cond, zero, dy[0]), &node->in[2]->shape);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    for (uint32_t k = 0; k < 3; k++) m3_iterator_add(&it, &node->in[k]->shape);
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it))
        out[0][i] = in[0][it.index[0]] != 0.0 ? in[1][it.index[1]] : in[2][it.index[2]];
    return M3_OK;
}

const m3_op m3_op_where = {
    .size = M3_OP_SIZE,
    .name = "where",
    .doc = &doc,
    .flags = M3_OP_INPLACE | M3_OP_ELEMENTWISE,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
