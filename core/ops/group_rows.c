/* group_rows: it serves the lazy update of tables, after the gradients. */
#include "core/base/alloc.h"
#include "core/ops/common/order.h"
#include "core/ops/common/rows.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("ids", "rows"),
    .input_count = 2,
    .outputs = M3_NAMES("distinct", "sums"),
    .output_count = 2,
    .attrs = M3_NAMES("An id that is left out; negative: none but the negative ones."),
    .summary = "Rows that share an id, summed",
    .types = "ids, distinct: i32; rows, sums: f32 or f64, of one type",
    .shapes = "ids [R], rows [R, d...] -> distinct [R], sums [R, d...]",
    .formula = "distinct = the distinct ids, rising, then -1 to the end\n"
               "sums_j = sum of rows_i over all i with ids_i = distinct_j, i rising; then zeros",
    .gradient = "None: it serves the lazy update of tables, after the gradients.",
    .special = "Rows of negative ids and of skip are left out, NaN included; else NaN and infinities spread as in "
               "sums.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    if ((st = m3_check_ids_rows(node, 0, err)) != M3_OK) return st;
    if ((st = m3_check_type(node, 1, M3_TYPES_FLOAT, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, INT32_MIN, INT32_MAX, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < 2; i++) out[i] = (m3_tensor_desc){node->in[i]->dtype, node->in[i]->shape};
    return M3_OK;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    uint64_t count = node->in[0]->shape.dim[0], size = m3_row_elements(&node->in[1]->shape), used = 0, groups = 0;
    m3_ranked *order = m3_calloc(count, sizeof *order);
    if (order == NULL) return M3_FAIL_MEMORY(err, "group_rows", count * sizeof *order);
    for (uint64_t i = 0; i < count; i++)
        if (m3_row_named(in[0][i], UINT32_MAX, node->attr[0].i[0])) order[used++] = (m3_ranked){in[0][i], i};
    m3_order_rising(order, used);
    for (uint64_t i = 0; i < count; i++) out[0][i] = -1.0;
    memset(out[1], 0, count * size * sizeof *out[1]);
    for (uint64_t i = 0; i < used; i++) {
        if (i == 0 || order[i].value != order[i - 1].value) out[0][groups++] = order[i].value;
        const double *row = in[1] + order[i].index * size;
        double *sum = out[1] + (groups - 1) * size;
        for (uint64_t k = 0; k < size; k++) sum[k] += row[k];
    }
    m3_free(order);
    return M3_OK;
}

static uint64_t flops(const m3_node *node)
{
    return m3_tensor_count(node->in[1]);
}

static const m3_attr_desc attrs[] = {{"skip", M3_ATTR_INT}};

const m3_op m3_op_group_rows = {
    .size = M3_OP_SIZE,
    .name = "group_rows",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 2,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .evaluate = evaluate,
    .flops = flops,
};
