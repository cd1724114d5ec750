/* scatter_rows: y replaces table and may lie on it: then the other rows are not touched. */
#include "core/ops/common/rows.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("table", "ids", "rows"),
    .input_count = 3,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "A table with some rows replaced",
    .types = "table, rows, y: any type, the same; ids: i32",
    .shapes = "table [N, d...], ids [R], rows [R, d...] -> y [N, d...]",
    .formula = "y = table, but row ids_i is rows_i; ids outside 0 .. N-1 are left out, the others are distinct",
    .gradient = "dtable = dy with zeros in the rows ids, drows = dy gathered by ids",
    .special = "Every value stays what it is.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *table = node->in[0], *rows = node->in[2];
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_ids_rows(node, 1, err)) != M3_OK) return st;
    if ((st = m3_check_same_type(node, 2, err)) != M3_OK) return st;
    m3_shape want = table->shape;
    want.dim[0] = rows->shape.dim[0];
    if (!m3_shape_equal(&rows->shape, &want))
        return M3_FAIL_NODE(err, node, "rows are %s and table is %s; give rows of the table's shape",
                            M3_SHAPE_TEXT(&rows->shape), M3_SHAPE_TEXT(&table->shape));
    *out = (m3_tensor_desc){table->dtype, table->shape};
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *ids = node->in[1], *rows = node->in[2];
    dx[0] = m3_scatter_rows(b, dy[0], ids, m3_broadcast(b, m3_scalar_like(b, dy[0], 0.0), rows->shape));
    dx[2] = m3_gather(b, dy[0], ids, -1);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const m3_shape *table = &node->out[0]->shape;
    uint64_t count = node->in[1]->shape.dim[0], size = m3_row_elements(table);
    memcpy(out[0], in[0], m3_shape_count(table) * sizeof *out[0]);
    for (uint64_t i = 0; i < count; i++)
        if (m3_row_named(in[1][i], table->dim[0], -1))
            memcpy(out[0] + (uint64_t)in[1][i] * size, in[2] + i * size, size * sizeof *out[0]);
    return M3_OK;
}

static int32_t update_of(const m3_node *node, uint32_t output)
{
    (void)node;
    return output == 0 ? 0 : -1;
}

/* In place: the rows are read, and written where the ids say; the rest of the table is not touched. */
static uint64_t bytes(const m3_node *node)
{
    return m3_tensor_bytes(node->in[M3_SCATTER_ROWS_IDS]) + 2 * m3_tensor_bytes(node->in[M3_SCATTER_ROWS_ROWS]);
}

const m3_op m3_op_scatter_rows = {
    .size = M3_OP_SIZE,
    .name = "scatter_rows",
    .doc = &doc,
    .flags = M3_OP_UPDATES,
    .min_inputs = 3,
    .max_inputs = 3,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = m3_flops_none,
    .update_of = update_of,
    .bytes = bytes,
};
