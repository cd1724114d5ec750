/* broadcast: repetition along axes of extent 1 or none. */
#include "core/ops/common/constant.h"
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y."),
    .summary = "Repetition along axes of extent 1 or none",
    .types = "x, y: any type, the same",
    .shapes = "x -> y of the shape given; aligned at the last axis, each extent of x equals that of y, is 1 or is "
              "missing",
    .formula = "y = x, repeated",
    .gradient = "dx = dy, summed over the axes that repeated",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    m3_status st = m3_check_attr_shape(node, 0, &out->shape, err);
    if (st != M3_OK) return st;
    out->dtype = x->dtype;
    if (!m3_shape_broadcasts_to(&x->shape, &out->shape))
        return M3_FAIL_NODE(err, node,
                            "x %s does not broadcast to %s; make extents equal or 1, aligned at the last axis",
                            M3_SHAPE_TEXT(&x->shape), M3_SHAPE_TEXT(&out->shape));
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_sum_to(b, dy[0], &node->in[0]->shape);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    m3_iterator_add(&it, &node->in[0]->shape);
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it)) out[0][i] = in[0][it.index[0]];
    return M3_OK;
}

/* To the shape that it has already. */
static int32_t repeats(const m3_node *node)
{
    return m3_repeats_if(node, M3_BROADCAST_X, true);
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}};

const m3_op m3_op_broadcast = {
    .size = M3_OP_SIZE,
    .name = "broadcast",
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
    .repeats = repeats,
};
