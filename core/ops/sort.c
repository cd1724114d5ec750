/* sort: the last axis in rising order. */
#include "core/base/alloc.h"
#include "core/ops/common/order.h"
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("values", "indices"),
    .output_count = 2,
    .summary = "The last axis in rising order",
    .types = "x, values: f32, f64, i32 or u32, of one type; indices: i32",
    .shapes = "x [..., L] -> values [..., L], indices [..., L]",
    .formula = "values_l = x_(indices_l), values rising; equal ones in rising index order",
    .gradient = "None passes: it serves ids and ranking.",
    .special = "NaN comes last. 0 and -0 are equal, so they stay in their order.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *x = node->in[0];
    if ((st = m3_check_type(node, 0, M3_TYPES_NUMBER, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if (x->shape.dim[x->shape.rank - 1] > INT32_MAX)
        return M3_FAIL_NODE(err, node, "the last axis of x %s has more than %d elements; split it",
                            M3_SHAPE_TEXT(&x->shape), INT32_MAX);
    out[0] = (m3_tensor_desc){x->dtype, x->shape};
    out[1] = (m3_tensor_desc){M3_I32, x->shape};
    return M3_OK;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    const m3_shape *x = &node->in[0]->shape;
    uint64_t length = x->dim[x->rank - 1], count = m3_shape_count(x);
    m3_ranked *order = m3_calloc(length, sizeof *order);
    if (order == NULL) return M3_FAIL_MEMORY(err, "sort", length * sizeof *order);
    for (uint64_t at = 0; at < count; at += length) {
        for (uint64_t i = 0; i < length; i++) order[i] = (m3_ranked){in[0][at + i], i};
        m3_order_rising(order, length);
        for (uint64_t i = 0; i < length; i++) {
            out[0][at + i] = order[i].value;
            out[1][at + i] = (double)order[i].index;
        }
    }
    m3_free(order);
    return M3_OK;
}

const m3_op m3_op_sort = {
    .size = M3_OP_SIZE,
    .name = "sort",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 2,
    .infer = infer,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .zero_gradient = true,
};
