/* rows: ops that pick rows of axis 0 by i32 ids.
 *   gather        y[i] = table[ids[i]], zeros where the id names no row
 *   scatter_add   y[j] = sum of rows[i] with ids[i] = j, i rising
 *   scatter_rows  y = table with row ids[i] replaced by rows[i]
 *   group_rows    the distinct ids, rising, and the sums of their rows
 * Sums first put the places into the order of their ids, stably, and then add each id's rows in their order: no two
 * items add to one row, and the same bits come out every time. */
#include "backends/lowering/order.h"

#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { ALONE_DIGIT = 11, PROCESSOR_PART = 256, COPY_PART = 4096, WIDE = 4 };

/* Rows as the kernels see them: units of 4 bytes where a row has whole words, else of an element. */
typedef struct rows_shape {
    uint64_t rows, size, unit; /* size: units of a row */
    bool alone;                /* an item takes a row: a processor, and a row fills its vectors */
    uint32_t vector;           /* units that are read at once */
    uint32_t part;             /* units of an item, where it does not take a row */
} rows_shape;

static rows_shape shape_of(const lower_list *l, const m3_tensor *x)
{
    rows_shape s = {.rows = x->shape.dim[0], .size = 1, .unit = m3_dtype_bytes(x->dtype)};
    for (uint32_t i = 1; i < x->shape.rank; i++) s.size *= x->shape.dim[i];
    if (s.size * s.unit % 4 == 0) {
        s.size = s.size * s.unit / 4;
        s.unit = 4;
    }
    s.alone = l->traits->kind == LOWER_PROCESSOR && s.size >= l->traits->vector;
    s.vector = s.alone                                                                   ? l->traits->vector
               : l->traits->kind != LOWER_PROCESSOR && s.unit == 4 && s.size % WIDE == 0 ? WIDE
                                                                                         : 1;
    s.part = l->traits->kind == LOWER_PROCESSOR ? PROCESSOR_PART : 4 / (uint32_t)s.unit * s.vector;
    return s;
}

#define ALONE(s) ((s)->alone ? 1u : 2u) /* LANES: only whether it is 1 matters */
#define CONSTANTS(s)                                                                                                   \
    .LANES = ALONE(s), .VECTOR = (s)->vector, .UNIT = (s)->unit, .PART = (s)->alone ? COPY_PART : (s)->part

/* An item for each row, or for a part of them. */
static void per_row(lower_dispatch *d, const rows_shape *s, uint64_t rows)
{
    lower_items(d, s->alone ? rows : lower_parts(rows * s->size, s->part));
}

static uint64_t counted(const rows_shape *s, uint64_t rows)
{
    return s->alone ? rows : rows * s->size;
}

static void emit_gather(lower_list *l, const m3_node *node)
{
    const rows_shape s = shape_of(l, node->in[M3_GATHER_TABLE]);
    const uint64_t ids = m3_tensor_count(node->in[M3_GATHER_IDS]);
    if (ids == 0 || s.size == 0) return;
    lower_dispatch *d =
        LOWER(l, gather, CONSTANTS(&s), .table = lower_tensor(l, node->in[M3_GATHER_TABLE]),
              .ids = lower_tensor(l, node->in[M3_GATHER_IDS]), .y = lower_tensor(l, node->out[M3_GATHER_Y]),
              .count = counted(&s, ids), .rows = s.rows, .size = s.size, .skip = m3_node_int(node, M3_GATHER_SKIP));
    per_row(d, &s, ids);
}

/* y = table or, without one, zeros. */
static void emit_copy(lower_list *l, const rows_shape *s, const m3_tensor *table, const m3_tensor *y)
{
    const uint64_t count = s->rows * s->size;
    lower_dispatch *d = LOWER(l, copy, CONSTANTS(s), .ZERO = table == NULL, .table = lower_tensor(l, table),
                              .y = lower_tensor(l, y), .count = count);
    lower_items(d, lower_parts(count, s->alone ? COPY_PART : s->part));
}

static void emit_scatter_rows(lower_list *l, const m3_node *node)
{
    const m3_tensor *table = node->in[M3_SCATTER_ROWS_TABLE], *ids = node->in[M3_SCATTER_ROWS_IDS],
                    *y = node->out[M3_SCATTER_ROWS_Y];
    const rows_shape s = shape_of(l, table);
    const lower_view from = lower_tensor(l, table), to = lower_tensor(l, y);
    if (s.rows == 0 || s.size == 0) return;
    if (from.segment != to.segment || from.offset != to.offset) emit_copy(l, &s, table, y);
    if (m3_tensor_count(ids) == 0) return;
    lower_dispatch *d = LOWER(l, replace, CONSTANTS(&s), .ids = lower_tensor(l, ids),
                              .from = lower_tensor(l, node->in[M3_SCATTER_ROWS_ROWS]), .y = lower_tensor(l, y),
                              .count = counted(&s, m3_tensor_count(ids)), .rows = s.rows, .size = s.size);
    per_row(d, &s, m3_tensor_count(ids));
}

/* Rows that a dispatch may add to a sum, since all ids may be one. An iteration adds 4 rows, so that three in
 * four remain for the rest. */
static uint64_t rows_at_once(const lower_traits *traits)
{
    return traits->kind == LOWER_SIMULATED_GPU ? lower_max_iterations(traits) : UINT32_MAX;
}

static m3_status supports_scatter_add(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    return lower_order_check(traits, node, 1, m3_tensor_count(node->in[M3_SCATTER_ADD_IDS]), why);
}

/* An item that writes heads walks over its block and over all blocks. */
static m3_status supports_group_rows(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t count = m3_tensor_count(node->in[M3_GROUP_ROWS_IDS]);
    const lower_blocks b = lower_blocks_of(traits, 1, count);
    if (traits->kind == LOWER_SIMULATED_GPU && b.length + b.length / b.lanes + b.count > lower_max_iterations(traits))
        return M3_FAIL(
            why, M3_ERR_UNSUPPORTED, node->op->name,
            "it groups %llu ids; this device, which is simulated, walks over blocks of %llu: use a smaller batch",
            (unsigned long long)count, (unsigned long long)b.length);
    return lower_order_check(traits, node, 1, count, why);
}

/* y[j] = the rows that place names from start[j] on, added up; `places` of them in all. */
static void emit_sum(lower_list *l, const rows_shape *s, const m3_tensor *rows, lower_view place, uint64_t places,
                     lower_view start, const m3_tensor *y)
{
    const uint64_t max = rows_at_once(l->traits), most = places < max ? places : max;
    for (uint64_t first = 0; first < places; first += most) {
        lower_dispatch *d =
            LOWER(l, sum, .LANES = ALONE(s), .VECTOR = s->vector, .INTEGER = y->dtype == M3_I32,
                  .rows = lower_tensor(l, rows), .place = place, .start = start, .y = lower_tensor(l, y),
                  .count = counted(s, s->rows), .size = s->size, .first = first, .most = most);
        lower_items(d, s->alone ? s->rows : s->rows * s->size / s->vector);
    }
}

static void emit_scatter_add(lower_list *l, const m3_node *node)
{
    const m3_tensor *ids = node->in[M3_SCATTER_ADD_IDS], *y = node->out[M3_SCATTER_ADD_Y];
    const rows_shape s = shape_of(l, y);
    const uint64_t count = m3_tensor_count(ids), word = sizeof(uint32_t);
    const int64_t skip = m3_node_int(node, M3_SCATTER_ADD_SKIP);
    if (s.rows == 0 || s.size == 0) return;
    if (count == 0) {
        emit_copy(l, &s, NULL, y);
        return;
    }
    const lower_view start = lower_scratch(l, (s.rows + 2) * word);
    if (l->traits->kind != LOWER_PROCESSOR) {
        const lower_order order = lower_order_rows(l, ids, 1, count, KEYS_IDS, s.rows, skip);
        lower_dispatch *d = LOWER(l, starts, .key = order.key, .start = start, .rows = s.rows, .count = count);
        lower_items(d, s.rows + 1);
        emit_sum(l, &s, node->in[M3_SCATTER_ADD_ROWS], order.place, count, start, y);
        return;
    }
    const lower_view place = lower_scratch(l, count * word);
    lower_dispatch *d = LOWER(l, count_alone, .LANES = 1, .ids = lower_tensor(l, ids), .start = start, .place = place,
                              .count = count, .rows = s.rows, .skip = skip);
    lower_rows(d, 1, 1);
    emit_sum(l, &s, node->in[M3_SCATTER_ADD_ROWS], place, count, start, y);
}

/* Heads of the groups in an order of ids. */
static void emit_heads(lower_list *l, lower_order order, lower_view start, const m3_tensor *groups, uint64_t limit)
{
    const uint64_t count = m3_tensor_count(groups);
    const lower_blocks blocks = lower_blocks_of(l->traits, 1, count);
    const lower_view heads = lower_scratch(l, blocks.count * sizeof(uint32_t));
    lower_dispatch *d = LOWER(l, heads_count, .LANES = blocks.lanes, .key = order.key, .heads = heads, .count = count,
                              .block = blocks.length, .limit = limit);
    lower_rows(d, blocks.count, blocks.lanes);
    d = LOWER(l, heads_write, .LANES = blocks.lanes, .key = order.key, .heads = heads,
              .groups = lower_tensor(l, groups), .start = start, .count = count, .block = blocks.length,
              .blocks = blocks.count, .limit = limit);
    lower_rows(d, blocks.count, blocks.lanes);
}

static void emit_group_rows(lower_list *l, const m3_node *node)
{
    const uint64_t limit = UINT64_C(1) << 31; /* no id reaches it */
    const m3_tensor *ids = node->in[M3_GROUP_ROWS_IDS], *groups = node->out[M3_GROUP_ROWS_DISTINCT];
    const rows_shape s = shape_of(l, node->in[M3_GROUP_ROWS_ROWS]);
    const uint64_t bytes = s.rows * sizeof(uint32_t);
    const int64_t skip = m3_node_int(node, M3_GROUP_ROWS_SKIP);
    if (s.rows == 0) return;
    lower_order order;
    const lower_view start = lower_scratch(l, bytes + sizeof(uint32_t));
    if (l->traits->kind != LOWER_PROCESSOR) {
        order = lower_order_rows(l, ids, 1, s.rows, KEYS_IDS, limit, skip);
        emit_heads(l, order, start, groups, limit);
    } else {
        order = (lower_order){lower_scratch(l, bytes), lower_scratch(l, bytes)};
        const lower_view b = lower_scratch(l, bytes), b_place = lower_scratch(l, bytes);
        lower_dispatch *d =
            LOWER(l, group_alone, .LANES = 1, .KEYS = KEYS_IDS, .DIGIT = ALONE_DIGIT, .ids = lower_tensor(l, ids),
                  .a = order.key, .place = order.place, .b = b, .b_place = b_place, .start = start,
                  .groups = lower_tensor(l, groups), .count = s.rows, .limit = limit, .skip = skip);
        lower_rows(d, 1, 1);
    }
    if (s.size > 0)
        emit_sum(l, &s, node->in[M3_GROUP_ROWS_ROWS], order.place, s.rows, start, node->out[M3_GROUP_ROWS_SUMS]);
}

const lower_op lower_rows_ops[] = {{"gather", NULL, emit_gather},
                                   {"scatter_add", supports_scatter_add, emit_scatter_add},
                                   {"scatter_rows", NULL, emit_scatter_rows},
                                   {"group_rows", supports_group_rows, emit_group_rows},
                                   {0}};
