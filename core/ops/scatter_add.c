/* scatter_add: sum of rows by their ids. */
#include "core/base/alloc.h"
#include "core/ops/common/elementwise.h"
#include "core/ops/common/rows.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("ids", "rows"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Rows of y.", "An id that contributes nothing; negative: none."),
    .summary = "Sum of rows by their ids",
    .types = "ids: i32; rows, y: f32, f64 or i32, of one type",
    .shapes = "ids [R], rows [R, d...] -> y [count, d...]",
    .formula = "y_j = sum of rows_i over all i with ids_i = j, i rising; zeros where there is none",
    .gradient = "drows = dy gathered by ids",
    .special = "Rows whose id is outside 0 .. count-1 or is skip contribute nothing, NaN included; else NaN and "
               "infinities spread as in sums. i32 wraps.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    if ((st = m3_check_ids_rows(node, 0, err)) != M3_OK) return st;
    if ((st = m3_check_type(node, 1, M3_TYPES_FLOAT | M3_TYPES_I32, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, 0, INT32_MAX, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, INT32_MIN, INT32_MAX, err)) != M3_OK) return st;
    *out = (m3_tensor_desc){node->in[1]->dtype, node->in[1]->shape};
    out->shape.dim[0] = (uint64_t)node->attr[0].i[0];
    return m3_check_count(node, &out->shape, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[1] = m3_gather(b, dy[0], node->in[0], node->attr[1].i[0]);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const m3_tensor *y = node->out[0];
    uint64_t count = node->in[0]->shape.dim[0], size = m3_row_elements(&y->shape);
    memset(out[0], 0, m3_tensor_count(y) * sizeof *out[0]);
    for (uint64_t i = 0; i < count; i++) {
        if (!m3_row_named(in[0][i], y->shape.dim[0], node->attr[1].i[0])) continue;
        double *to = out[0] + (uint64_t)in[0][i] * size;
        const double *row = in[1] + i * size;
        for (uint64_t k = 0; k < size; k++)
            to[k] = y->dtype == M3_I32 ? m3_wrap((int64_t)to[k] + (int64_t)row[k], M3_I32) : to[k] + row[k];
    }
    return M3_OK;
}

static uint64_t flops(const m3_node *node)
{
    return m3_tensor_count(node->in[1]);
}

/* Rows that go to one table, joined with their ids: the table is written once, and the rows of an id are summed in
 * their order. Nodes that skip different ids stay apart. */
static m3_tensor *accumulate(m3_builder *b, const m3_node *const *nodes, uint32_t count, bool *taken)
{
    const int64_t skip = m3_node_int(nodes[0], M3_SCATTER_ADD_SKIP);
    for (uint32_t i = 1; i < count; i++)
        if (m3_node_int(nodes[i], M3_SCATTER_ADD_SKIP) != skip) return NULL;
    m3_tensor **ids = m3_calloc(2 * (size_t)count, sizeof *ids), **rows = ids + count;
    if (ids == NULL) {
        b->api->fail(b, M3_ERR_MEMORY, "scatter_add: out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = nodes[i]->in[M3_SCATTER_ADD_IDS];
        rows[i] = nodes[i]->in[M3_SCATTER_ADD_ROWS];
        taken[i] = true;
    }
    m3_tensor *sum = m3_scatter_add(b, m3_concat(b, ids, count, 0), m3_concat(b, rows, count, 0),
                                    (uint64_t)m3_node_int(nodes[0], M3_SCATTER_ADD_COUNT), skip);
    m3_free(ids);
    return sum;
}

static const m3_attr_desc attrs[] = {{"count", M3_ATTR_INT}, {"skip", M3_ATTR_INT}};

const m3_op m3_op_scatter_add = {
    .size = M3_OP_SIZE,
    .name = "scatter_add",
    .doc = &doc,
    .flags = M3_OP_ROW_SUM,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = flops,
    .accumulate = accumulate,
};
