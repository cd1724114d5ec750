/* gather: rows of a table by their ids. */
#include "core/ops/common/rows.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("table", "ids"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("An id that gives zeros; negative: none."),
    .summary = "Rows of a table by their ids",
    .types = "table, y: any type, the same; ids: i32",
    .shapes = "table [N, d...], ids [...] -> y [ids..., d...]",
    .formula = "y_i = table row ids_i; zeros where ids_i is outside 0 .. N-1 or is skip",
    .gradient = "dtable = the rows of dy, summed by id; what gave zeros contributes nothing",
    .special = "Every value stays what it is. Rows that no id names may be anything.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_shape *table = &node->in[0]->shape, *ids = &node->in[1]->shape;
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_type(node, 1, M3_TYPES_I32, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, INT32_MIN, INT32_MAX, err)) != M3_OK) return st;
    if (ids->rank + table->rank - 1 > M3_MAX_RANK)
        return M3_FAIL_NODE(err, node, "rows of table %s by ids %s have more than %d axes; flatten the ids",
                            M3_SHAPE_TEXT(table), M3_SHAPE_TEXT(ids), M3_MAX_RANK);
    *out = (m3_tensor_desc){node->in[0]->dtype, *ids};
    for (uint32_t i = 1; i < table->rank; i++) out->shape.dim[out->shape.rank++] = table->dim[i];
    return m3_check_count(node, &out->shape, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *table = node->in[0];
    uint64_t count = m3_tensor_count(node->in[1]);
    m3_shape rows = table->shape;
    rows.dim[0] = count;
    m3_tensor *ids = m3_reshape(b, node->in[1], M3_SHAPE(count));
    dx[0] = m3_scatter_add(b, ids, m3_reshape(b, dy[0], rows), table->shape.dim[0], node->attr[0].i[0]);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const m3_shape *table = &node->in[0]->shape;
    uint64_t count = m3_tensor_count(node->in[1]), size = m3_row_elements(table);
    memset(out[0], 0, count * size * sizeof *out[0]);
    for (uint64_t i = 0; i < count; i++)
        if (m3_row_named(in[1][i], table->dim[0], node->attr[0].i[0]))
            memcpy(out[0] + i * size, in[0] + (uint64_t)in[1][i] * size, size * sizeof *out[0]);
    return M3_OK;
}

/* Of the table only the rows that are picked, which are as many as y has. */
static uint64_t bytes(const m3_node *node)
{
    return 2 * m3_tensor_bytes(node->out[0]) + m3_tensor_bytes(node->in[M3_GATHER_IDS]);
}

static const m3_attr_desc attrs[] = {{"skip", M3_ATTR_INT}};

const m3_op m3_op_gather = {
    .size = M3_OP_SIZE,
    .name = "gather",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .bytes = bytes,
};
