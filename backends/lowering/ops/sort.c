/* sort and top_k along the last axis.
 *   sort   rising and stable, NaN last, with the place where each value was
 *   top_k  the k largest, falling, equal ones in rising place; NaN counts as -infinity, and is given as that
 * An item of a processor sorts a row by counting, or keeps its best in a heap. A GPU sorts by the passes of order.h;
 * few of the largest are selected by a group a row instead. */
#include "backends/lowering/order.h"

#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/share.h"

enum { ALONE_DIGIT = 11, SHORT = 256 };
enum { KEPT = 1024, KEPT_BYTES = 2 * KEPT * 4 + 2048 }; /* of top_select: pairs of a group, and its local memory */

static lower_keys keys_of(m3_dtype dtype)
{
    return dtype == M3_U32 ? LOWER_KEYS_U32 : dtype == M3_I32 ? LOWER_KEYS_I32 : LOWER_KEYS_F32;
}

/* The first k of each row, by an order of all, or of short rows at once. */
static void emit_first(lower_list *l, const m3_node *node, lower_keys keys, uint64_t k)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = lower_row_count(x), length = lower_last(x);
    const bool is_short = length <= SHORT;
    const lower_order order = is_short ? (lower_order){0} : lower_order_rows(l, x, rows, length, keys, 0, 0);
    const uint64_t count = rows * (is_short ? length : k);
    lower_dispatch *d = lower_begin(l, "sort", is_short ? "order_short" : "order_values");
    lower_constant(d, "KEYS", keys);
    lower_read(d, x);
    if (!is_short) lower_bind(d, order.place, true, false);
    lower_write(d, node->out[0]);
    lower_write(d, node->out[1]);
    lower_u32(d, count);
    lower_u32(d, length);
    lower_u32(d, k);
    lower_items(d, count);
}

static m3_status supports_sort(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    return lower_order_check(traits, node, lower_row_count(node->in[0]), lower_last(node->in[0]), why);
}

static void emit_sort(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = lower_row_count(x), length = lower_last(x), bytes = rows * length * sizeof(uint32_t);
    if (bytes == 0) return;
    if (l->traits->lanes > 1) {
        emit_first(l, node, keys_of(x->dtype), length);
        return;
    }
    lower_dispatch *d = lower_begin(l, "sort", "sort_alone");
    lower_rows(d, rows, 1);
    lower_constant(d, "KEYS", keys_of(x->dtype));
    lower_constant(d, "DIGIT", ALONE_DIGIT);
    lower_read(d, x);
    for (uint32_t i = 0; i < 4; i++) lower_bind(d, lower_scratch(l, bytes), true, true);
    lower_write(d, node->out[0]);
    lower_write(d, node->out[1]);
    lower_u32(d, rows);
    lower_u32(d, length);
}

static void emit_select(lower_list *l, const m3_node *node, uint64_t rows, uint64_t length, uint64_t k)
{
    const uint32_t lanes = lower_blocks_of(l->traits, rows, length).lanes;
    lower_dispatch *d = lower_begin(l, "sort", "top_select");
    lower_rows(d, rows, lanes);
    lower_constant(d, "KEYS", LOWER_KEYS_FALLING);
    lower_constant(d, "DIGIT", lower_digit_bits(lanes));
    lower_constant(d, "KEEP", KEPT);
    lower_read(d, node->in[0]);
    lower_write(d, node->out[0]);
    lower_write(d, node->out[1]);
    lower_u32(d, rows);
    lower_u32(d, length);
    lower_u32(d, k);
    lower_u32(d, lower_bits(length - 1));
}

/* Few of a long row are selected, unless its walks are more turns than an item of a simulated device may make: one for
 * a bound, two that keep pairs, and one for each digit of a key and of a place. The pairs kept are compared with each
 * other. */
static bool selects(const lower_traits *traits, uint64_t rows, uint64_t length, uint64_t k)
{
    if (rows == 0 || length <= SHORT || k > KEPT || traits->local_bytes < KEPT_BYTES) return false;
    const uint32_t lanes = lower_blocks_of(traits, rows, length).lanes, digit = lower_digit_bits(lanes);
    const uint64_t walks = 3 + lower_parts(32, digit) + lower_parts(lower_bits(length - 1), digit);
    const uint64_t turns = walks * (lower_parts(length, lanes) + digit) + lanes + lower_parts(KEPT, lanes) * (KEPT + 1);
    return traits->simulated == 0 || turns <= share_turns(traits);
}

static m3_status supports_top(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t rows = lower_row_count(node->in[0]), length = lower_last(node->in[0]);
    if (traits->lanes == 1 || selects(traits, rows, length, (uint64_t)node->attr[0].i[0])) return M3_OK;
    return lower_order_check(traits, node, rows, length, why);
}

static void emit_top(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = lower_row_count(x), length = lower_last(x), k = (uint64_t)node->attr[0].i[0];
    if (rows == 0 || k == 0) return;
    if (l->traits->lanes > 1) {
        if (selects(l->traits, rows, length, k))
            emit_select(l, node, rows, length, k);
        else
            emit_first(l, node, LOWER_KEYS_FALLING, k);
        return;
    }
    lower_dispatch *d = lower_begin(l, "sort", "top_alone");
    lower_rows(d, rows, 1);
    lower_constant(d, "VECTOR", l->traits->vector);
    lower_read(d, x);
    lower_update(d, node->out[0]);
    lower_update(d, node->out[1]);
    lower_u32(d, rows);
    lower_u32(d, length);
    lower_u32(d, k);
}

const lower_op lower_sort_ops[] = {{"sort", supports_sort, emit_sort}, {"top_k", supports_top, emit_top}, {0}};
