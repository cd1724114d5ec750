/* reshape: the same elements in order under another shape. */
#include "core/ops/common/constant.h"
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y."),
    .summary = "The same elements in order under another shape",
    .types = "x, y: any type, the same",
    .shapes = "x -> y of the shape given, with as many elements",
    .formula = "y = x, element by element in row-major order",
    .gradient = "dx = dy under the shape of x",
    .special = "Every value stays what it is: y is the memory of x.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    m3_status st = m3_check_attr_shape(node, 0, &out->shape, err);
    if (st != M3_OK) return st;
    out->dtype = x->dtype;
    if (m3_shape_count(&out->shape) != m3_tensor_count(x))
        return M3_FAIL_NODE(err, node, "x is %s and the shape is %s; give a shape of %llu elements",
                            M3_SHAPE_TEXT(&x->shape), M3_SHAPE_TEXT(&out->shape),
                            (unsigned long long)m3_tensor_count(x));
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_reshape(b, dy[0], node->in[0]->shape);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    memcpy(out[0], in[0], m3_tensor_count(node->out[0]) * sizeof *out[0]);
    return M3_OK;
}

/* To the shape that it has already. */
static int32_t repeats(const m3_node *node)
{
    return m3_repeats_if(node, M3_RESHAPE_X, true);
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}};

const m3_op m3_op_reshape = {
    .size = M3_OP_SIZE,
    .name = "reshape",
    .doc = &doc,
    .flags = M3_OP_ALIAS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .repeats = repeats,
};
