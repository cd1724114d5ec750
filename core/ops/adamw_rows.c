/* adamw_rows: the lazy rule: the other rows stand still. Output c replaces input 2 + c. */
#include "core/ops/common/adam.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("step", "scale", "p", "m", "v", "ids", "rows"),
    .input_count = 7,
    .outputs = M3_NAMES("next_p", "next_m", "next_v"),
    .output_count = 3,
    .attrs = M3_NAMES("Decay of m, from 0 and below 1.", "Decay of v, from 0 and below 1.", "Above 0.", "From 0."),
    .summary = "AdamW step of some rows of a table",
    .types = "step, scale: f32; p, m, v, rows: f32 or f64, of one type; ids: i32",
    .shapes = "step [3] = {lr, 1 - beta1^t, 1 - beta2^t}, scale [], p, m, v [N, d...], ids [R], rows [R, d...] -> "
              "next_p, next_m, next_v [N, d...]",
    .formula = "as adamw, over row ids_i of p, m and v with rows_i as its gradient; the other rows, their moments "
               "and their decay stay\n"
               "ids outside 0 .. N-1 update nothing, the others are distinct",
    .gradient = "None: it comes after the gradients.",
    .special = "A scale below 0 leaves p, m and v as they are, whatever g is. NaN in a row spreads to this row's "
               "element of all three. Denormal results may be flushed to zero.",
};

enum { TABLE = 2, IDS = 5, ROWS = 6, STATES = 3 };

static int32_t update_of(const m3_node *node, uint32_t output)
{
    (void)node;
    return output < STATES ? (int32_t)(TABLE + output) : -1;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *p = node->in[TABLE], *m = node->in[TABLE + 1], *v = node->in[TABLE + 2];
    const m3_tensor *ids = node->in[IDS];
    m3_status st;
    if ((st = m3_adam_check(node, err)) != M3_OK) return st;
    if ((st = m3_want_float(node, p, "p", 1, err)) != M3_OK) return st;
    if ((st = m3_want(node, m, "m", p->dtype, p->shape, "p", err)) != M3_OK) return st;
    if ((st = m3_want(node, v, "v", p->dtype, p->shape, "p", err)) != M3_OK) return st;
    if (ids->dtype != M3_I32 || ids->shape.rank != 1)
        return M3_FAIL_NODE(err, node, "ids is %s %s; give i32 with one axis", M3_TENSOR_TEXT(ids));
    m3_shape rows = p->shape;
    rows.dim[0] = ids->shape.dim[0];
    if ((st = m3_want(node, node->in[ROWS], "rows", p->dtype, rows, "a row of p for each id", err)) != M3_OK) return st;
    for (uint32_t c = 0; c < STATES; c++) out[c] = m3_desc_of(p->dtype, p->shape);
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *ids = node->in[IDS], *state[STATES], *next[STATES] = {NULL, NULL, NULL};
    for (uint32_t c = 0; c < STATES; c++) state[c] = m3_gather(b, node->in[TABLE + c], ids, -1);
    m3_adam_update(b, node, state, node->in[ROWS], next);
    for (uint32_t c = 0; c < STATES; c++) y[c] = m3_scatter_rows(b, node->in[TABLE + c], ids, next[c]);
}

static uint64_t flops(const m3_node *node)
{
    const m3_tensor *p = node->in[TABLE], *rows = node->in[ROWS];
    /* ids are distinct, so those beyond the table's rows update nothing */
    return M3_ADAM_FLOPS * (rows->shape.dim[0] < p->shape.dim[0] ? m3_tensor_count(rows) : m3_tensor_count(p));
}

/* In place: of p, m and v the rows that are named are read and written. */
static uint64_t bytes(const m3_node *node)
{
    const uint64_t rows = m3_tensor_bytes(node->in[ROWS]);
    return m3_tensor_bytes(node->in[IDS]) + rows + 2 * STATES * rows;
}

const m3_op m3_op_adamw_rows = {
    .size = M3_OP_SIZE,
    .name = "adamw_rows",
    .doc = &doc,
    .flags = M3_OP_UPDATES,
    .min_inputs = 7,
    .max_inputs = 7,
    .outputs = STATES,
    .attrs = m3_adam_attrs,
    .attr_count = M3_ADAM_ATTRS,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .update_of = update_of,
    .bytes = bytes,
};
