/* top_k: the k largest of the last axis. */
#include "core/base/alloc.h"
#include "core/ops/common/order.h"
#include "core/ops/common/rules.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("values", "indices"),
    .output_count = 2,
    .attrs = M3_NAMES("From 0 to L."),
    .summary = "The k largest of the last axis",
    .types = "x, values: f32 or f64, of one type; indices: i32",
    .shapes = "x [..., L] -> values [..., k], indices [..., k]",
    .formula = "values_j = x_(indices_j), values falling; equal ones in rising index order",
    .gradient = "dx = dvalues at the places indices, else 0",
    .special = "NaN counts as -infinity and is given as that. 0 and -0 are equal.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *x = node->in[0];
    if ((st = m3_check_type(node, 0, M3_TYPES_FLOAT, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    uint64_t length = x->shape.dim[x->shape.rank - 1];
    if ((st = m3_check_attr(node, 0, 0, length < INT32_MAX ? (int64_t)length : INT32_MAX, err)) != M3_OK) return st;
    out[0] = (m3_tensor_desc){x->dtype, x->shape};
    out[0].shape.dim[x->shape.rank - 1] = (uint64_t)node->attr[0].i[0];
    out[1] = (m3_tensor_desc){M3_I32, out[0].shape};
    return M3_OK;
}

/* dx = dy of the values, put back at their places: element index within all of x = row L + index. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    const m3_shape *x = &node->in[0]->shape;
    uint64_t count = m3_shape_count(x), length = x->dim[x->rank - 1], k = (uint64_t)node->attr[0].i[0];
    uint64_t rows = length == 0 ? 0 : count / length;
    if (dy[0] == NULL) return;
    if (count > INT32_MAX) {
        b->api->fail(b, M3_ERR_INVALID, "top_k: the gradient wants an x of fewer than 2^31 elements; split x");
        return;
    }
    m3_tensor *row = m3_mul(b, m3_iota(b, M3_SHAPE(rows, 1), 0), m3_scalar_i32(b, (int32_t)length));
    m3_tensor *place = m3_add(b, m3_reshape(b, node->out[1], M3_SHAPE(rows, k)), row);
    m3_tensor *flat = m3_reshape(b, dy[0], M3_SHAPE(rows * k));
    dx[0] = m3_reshape(b, m3_scatter_add(b, m3_reshape(b, place, M3_SHAPE(rows * k)), flat, count, -1), *x);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    const m3_shape *x = &node->in[0]->shape;
    uint64_t length = x->dim[x->rank - 1], count = m3_shape_count(x), k = (uint64_t)node->attr[0].i[0], to = 0;
    m3_ranked *order = m3_calloc(length, sizeof *order);
    if (order == NULL) return M3_FAIL_MEMORY(err, "top_k", length * sizeof *order);
    for (uint64_t at = 0; at < count; at += length) {
        for (uint64_t i = 0; i < length; i++) order[i] = (m3_ranked){in[0][at + i], i};
        m3_order_falling(order, length);
        for (uint64_t i = 0; i < k; i++, to++) {
            out[0][to] = isnan(order[i].value) ? -INFINITY : order[i].value;
            out[1][to] = (double)order[i].index;
        }
    }
    m3_free(order);
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"k", M3_ATTR_INT}};

const m3_op m3_op_top_k = {
    .size = M3_OP_SIZE,
    .name = "top_k",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 2,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_input,
};
