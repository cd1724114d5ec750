/* rows: ops that pick rows of axis 0 by i32 ids.
 *   gather        y[i] = table[ids[i]], zeros where the id names no row
 *   scatter_add   y[j] = sum of rows[i] with ids[i] = j, i rising
 *   scatter_rows  y = table with row ids[i] replaced by rows[i]
 *   group_rows    the distinct ids, rising, and the sums of their rows
 * Sums first put the places into the order of their ids, stably, and then add each id's rows in their order: no two
 * items add to one row, and the same bits come out every time. */
#include "order.h"

#include "ops/list.h"
#include "ops/share.h"

enum { ALONE_DIGIT = 11, PROCESSOR_PART = 256, COPY_PART = 4096, WIDE = 4 };

/* Rows as the kernels see them: units of 4 bytes where a row has whole words, else of an element. */
typedef struct rows_shape {
    uint64_t rows, size, unit; /* size: units of a row */
    bool alone;                /* an item takes a row: a processor, and a row fills its vectors */
    uint32_t vector;           /* units that are read at once */
    uint32_t part;             /* units of an item, where it does not take a row */
} rows_shape;

static rows_shape shape_of(const gpu_list *l, const m3_tensor *x)
{
    rows_shape s = {.rows = x->shape.dim[0], .size = 1, .unit = m3_dtype_bytes(x->dtype)};
    for (uint32_t i = 1; i < x->shape.rank; i++) s.size *= x->shape.dim[i];
    if (s.size * s.unit % 4 == 0) {
        s.size = s.size * s.unit / 4;
        s.unit = 4;
    }
    s.alone = l->traits->lanes == 1 && s.size >= l->traits->vector;
    s.vector = s.alone ? l->traits->vector : l->traits->lanes > 1 && s.unit == 4 && s.size % WIDE == 0 ? WIDE : 1;
    s.part = l->traits->lanes == 1 ? PROCESSOR_PART : 4 / (uint32_t)s.unit * s.vector;
    return s;
}

static gpu_dispatch *begin(gpu_list *l, const char *entry, const rows_shape *s)
{
    gpu_dispatch *d = gpu_begin(l, "rows", entry);
    gpu_constant(d, "LANES", s->alone ? 1 : 2);
    gpu_constant(d, "VECTOR", (int32_t)s->vector);
    gpu_constant(d, "UNIT", (int32_t)s->unit);
    gpu_constant(d, "PART", (int32_t)(s->alone ? COPY_PART : s->part));
    return d;
}

/* An item for each row, or for a part of them. */
static void per_row(gpu_dispatch *d, const rows_shape *s, uint64_t rows)
{
    gpu_items(d, s->alone ? rows : gpu_parts(rows * s->size, s->part));
}

static uint64_t counted(const rows_shape *s, uint64_t rows)
{
    return s->alone ? rows : rows * s->size;
}

static void lower_gather(gpu_list *l, const m3_node *node)
{
    const rows_shape s = shape_of(l, node->in[0]);
    const uint64_t ids = m3_tensor_count(node->in[1]);
    if (ids == 0 || s.size == 0) return;
    gpu_dispatch *d = begin(l, "gather", &s);
    gpu_read(d, node->in[0]);
    gpu_read(d, node->in[1]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, counted(&s, ids));
    gpu_u32(d, s.rows);
    gpu_u32(d, s.size);
    gpu_i32(d, node->attr[0].i[0]);
    per_row(d, &s, ids);
}

/* y = table or, without one, zeros. */
static void lower_copy(gpu_list *l, const rows_shape *s, const m3_tensor *table, const m3_tensor *y)
{
    const uint64_t count = s->rows * s->size;
    gpu_dispatch *d = begin(l, "copy", s);
    gpu_constant(d, "ZERO", table == NULL);
    gpu_read(d, table);
    gpu_write(d, y);
    gpu_u32(d, count);
    gpu_items(d, gpu_parts(count, s->alone ? COPY_PART : s->part));
}

static void lower_scatter_rows(gpu_list *l, const m3_node *node)
{
    const m3_tensor *table = node->in[0], *ids = node->in[1], *y = node->out[0];
    const rows_shape s = shape_of(l, table);
    const gpu_view from = gpu_tensor(l, table), to = gpu_tensor(l, y);
    if (s.rows == 0 || s.size == 0) return;
    if (from.segment != to.segment || from.offset != to.offset) lower_copy(l, &s, table, y);
    if (m3_tensor_count(ids) == 0) return;
    gpu_dispatch *d = begin(l, "replace", &s);
    gpu_read(d, ids);
    gpu_read(d, node->in[2]);
    gpu_update(d, y);
    gpu_u32(d, counted(&s, m3_tensor_count(ids)));
    gpu_u32(d, s.rows);
    gpu_u32(d, s.size);
    per_row(d, &s, m3_tensor_count(ids));
}

/* An item adds all rows of an id, and all ids may be one. A turn adds 4 rows; half of what fits leaves room for the
 * rest. Blocks of so few ids are short, for the walks that put them into order and find heads. */
static m3_status supports_sum(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t most = 2 * (uint64_t)share_turns(traits), count = m3_tensor_count(node->in[0]);
    if (traits->simulated == 0 || count <= most) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "it adds rows of %llu ids; this device, which is simulated, takes %llu: use a smaller batch",
                   (unsigned long long)count, (unsigned long long)most);
}

/* y[j] = the rows that place names from start[j] on, added up. */
static void lower_sum(gpu_list *l, const rows_shape *s, const m3_tensor *rows, gpu_view place, gpu_view start,
                      const m3_tensor *y)
{
    gpu_dispatch *d = gpu_begin(l, "rows", "sum");
    gpu_constant(d, "LANES", s->alone ? 1 : 2);
    gpu_constant(d, "VECTOR", (int32_t)s->vector);
    gpu_constant(d, "INTEGER", y->dtype == M3_I32);
    gpu_read(d, rows);
    gpu_bind(d, place, true, false);
    gpu_bind(d, start, true, false);
    gpu_write(d, y);
    gpu_u32(d, counted(s, s->rows));
    gpu_u32(d, s->size);
    gpu_items(d, s->alone ? s->rows : s->rows * s->size / s->vector);
}

static void lower_scatter_add(gpu_list *l, const m3_node *node)
{
    const m3_tensor *ids = node->in[0], *y = node->out[0];
    const rows_shape s = shape_of(l, y);
    const uint64_t count = m3_tensor_count(ids), word = sizeof(uint32_t);
    const int64_t skip = node->attr[1].i[0];
    if (s.rows == 0 || s.size == 0) return;
    if (count == 0) {
        lower_copy(l, &s, NULL, y);
        return;
    }
    const gpu_view start = gpu_scratch(l, (s.rows + 2) * word);
    if (l->traits->lanes > 1) {
        const gpu_order order = gpu_order_rows(l, ids, 1, count, GPU_KEYS_IDS, s.rows, skip);
        gpu_dispatch *d = gpu_begin(l, "rows", "starts");
        gpu_bind(d, order.key, true, false);
        gpu_bind(d, start, false, true);
        gpu_u32(d, s.rows);
        gpu_u32(d, count);
        gpu_items(d, s.rows + 1);
        lower_sum(l, &s, node->in[1], order.place, start, y);
        return;
    }
    const gpu_view place = gpu_scratch(l, count * word);
    gpu_dispatch *d = gpu_begin(l, "sort", "count_alone");
    gpu_rows(d, 1, 1);
    gpu_read(d, ids);
    gpu_bind(d, start, true, true);
    gpu_bind(d, place, false, true);
    gpu_u32(d, count);
    gpu_u32(d, s.rows);
    gpu_i32(d, skip);
    lower_sum(l, &s, node->in[1], place, start, y);
}

/* Heads of the groups in an order of ids. */
static void lower_heads(gpu_list *l, gpu_order order, gpu_view start, const m3_tensor *groups, uint64_t limit)
{
    const uint64_t count = m3_tensor_count(groups);
    const gpu_blocks blocks = gpu_blocks_of(l->traits, 1, count);
    const gpu_view heads = gpu_scratch(l, blocks.count * sizeof(uint32_t));
    gpu_dispatch *d = gpu_begin(l, "rows", "heads_count");
    gpu_rows(d, blocks.count, blocks.lanes);
    gpu_bind(d, order.key, true, false);
    gpu_bind(d, heads, false, true);
    gpu_u32(d, count);
    gpu_u32(d, blocks.length);
    gpu_u32(d, limit);
    d = gpu_begin(l, "rows", "heads_write");
    gpu_rows(d, blocks.count, blocks.lanes);
    gpu_bind(d, order.key, true, false);
    gpu_bind(d, heads, true, false);
    gpu_write(d, groups);
    gpu_bind(d, start, false, true);
    gpu_u32(d, count);
    gpu_u32(d, blocks.length);
    gpu_u32(d, blocks.count);
    gpu_u32(d, limit);
}

static void lower_group_rows(gpu_list *l, const m3_node *node)
{
    const uint64_t limit = UINT64_C(1) << 31; /* no id reaches it */
    const m3_tensor *ids = node->in[0], *groups = node->out[0];
    const rows_shape s = shape_of(l, node->in[1]);
    const uint64_t bytes = s.rows * sizeof(uint32_t);
    const int64_t skip = node->attr[0].i[0];
    if (s.rows == 0) return;
    gpu_order order;
    const gpu_view start = gpu_scratch(l, bytes + sizeof(uint32_t));
    if (l->traits->lanes > 1) {
        order = gpu_order_rows(l, ids, 1, s.rows, GPU_KEYS_IDS, limit, skip);
        lower_heads(l, order, start, groups, limit);
    } else {
        order = (gpu_order){gpu_scratch(l, bytes), gpu_scratch(l, bytes)};
        gpu_dispatch *d = gpu_begin(l, "sort", "group_alone");
        gpu_rows(d, 1, 1);
        gpu_constant(d, "KEYS", GPU_KEYS_IDS);
        gpu_constant(d, "DIGIT", ALONE_DIGIT);
        gpu_read(d, ids);
        gpu_bind(d, order.key, true, true);
        gpu_bind(d, order.place, true, true);
        for (uint32_t i = 0; i < 2; i++) gpu_bind(d, gpu_scratch(l, bytes), true, true);
        gpu_bind(d, start, false, true);
        gpu_write(d, groups);
        gpu_u32(d, s.rows);
        gpu_u32(d, limit);
        gpu_i32(d, skip);
    }
    if (s.size > 0) lower_sum(l, &s, node->in[1], order.place, start, node->out[1]);
}

const gpu_op gpu_rows_ops[] = {{"gather", NULL, lower_gather},
                               {"scatter_add", supports_sum, lower_scatter_add},
                               {"scatter_rows", NULL, lower_scatter_rows},
                               {"group_rows", supports_sum, lower_group_rows},
                               {0}};
