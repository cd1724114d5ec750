/* sort and top_k along the last axis.
 *   sort   rising and stable, NaN last, with the place where each value was
 *   top_k  the k largest, falling, equal ones in rising place; NaN counts as -infinity, and is given as that
 * An item of a processor sorts a row by counting, or keeps its best in a heap. A GPU sorts by the passes of order.h;
 * few of the largest are selected by a group a row instead. */
#include "backends/lowering/order.h"

#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { ALONE_DIGIT = 11, SHORT = 256 };
enum { KEPT = 1024, KEPT_BYTES = 2 * KEPT * 4 + 2048 }; /* of top_select: pairs of a group, and its local memory */

static uint32_t keys_of(m3_dtype dtype)
{
    return dtype == M3_U32 ? KEYS_U32 : dtype == M3_I32 ? KEYS_I32 : KEYS_F32;
}

_Static_assert(M3_SORT_X == (int)M3_TOP_K_X && M3_SORT_VALUES == (int)M3_TOP_K_VALUES &&
                   M3_SORT_INDICES == (int)M3_TOP_K_INDICES,
               "both ops have the same operands");

/* The first k of each row, by an order of all, or of short rows at once. */
static void emit_first(lower_list *l, const m3_node *node, uint32_t keys, uint64_t k)
{
    const m3_tensor *x = node->in[M3_SORT_X];
    const uint64_t rows = lower_row_count(x), length = lower_last(x);
    const bool is_short = length <= SHORT;
    const lower_order order = is_short ? (lower_order){0} : lower_order_rows(l, x, rows, length, keys, 0, 0);
    const uint64_t count = rows * (is_short ? length : k);
    const lower_view y = lower_tensor(l, node->out[M3_SORT_VALUES]),
                     y_place = lower_tensor(l, node->out[M3_SORT_INDICES]);
    lower_dispatch *d = is_short ? LOWER(l, order_short, .KEYS = keys, .x = lower_tensor(l, x), .y = y,
                                         .y_place = y_place, .count = count, .length = length, .k = k)
                                 : LOWER(l, order_values, .KEYS = keys, .x = lower_tensor(l, x), .place = order.place,
                                         .y = y, .y_place = y_place, .count = count, .length = length, .k = k);
    lower_items(d, count);
}

static m3_status supports_sort(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    return lower_order_check(traits, node, lower_row_count(node->in[M3_SORT_X]), lower_last(node->in[M3_SORT_X]), why);
}

static void emit_sort(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[M3_SORT_X];
    const uint64_t rows = lower_row_count(x), length = lower_last(x), bytes = rows * length * sizeof(uint32_t);
    if (bytes == 0) return;
    if (l->traits->kind != LOWER_PROCESSOR) {
        emit_first(l, node, keys_of(x->dtype), length);
        return;
    }
    lower_view pair[4];
    for (uint32_t i = 0; i < 4; i++) pair[i] = lower_scratch(l, bytes);
    lower_dispatch *d = LOWER(l, sort_alone, .LANES = 1, .KEYS = keys_of(x->dtype), .DIGIT = ALONE_DIGIT,
                              .x = lower_tensor(l, x), .a = pair[0], .a_place = pair[1], .b = pair[2],
                              .b_place = pair[3], .y = lower_tensor(l, node->out[M3_SORT_VALUES]),
                              .y_place = lower_tensor(l, node->out[M3_SORT_INDICES]), .rows = rows, .length = length);
    lower_rows(d, rows, 1);
}

static void emit_select(lower_list *l, const m3_node *node, uint64_t rows, uint64_t length, uint64_t k)
{
    const uint32_t lanes = lower_blocks_of(l->traits, rows, length).lanes;
    lower_dispatch *d =
        LOWER(l, top_select, .LANES = lanes, .KEYS = KEYS_FALLING, .DIGIT = lower_digit_bits(lanes), .KEEP = KEPT,
              .x = lower_tensor(l, node->in[M3_TOP_K_X]), .y = lower_tensor(l, node->out[M3_TOP_K_VALUES]),
              .y_place = lower_tensor(l, node->out[M3_TOP_K_INDICES]), .rows = rows, .length = length, .k = k,
              .place_bits = lower_bits(length - 1));
    lower_rows(d, rows, lanes);
}

/* Few of a long row are selected, unless its passes are more iterations than an item of a simulated device may make:
 * one for a bound, two that keep pairs, and one for each digit of a key and of a place. The pairs kept are compared
 * with each other. */
static bool selects(const lower_traits *traits, uint64_t rows, uint64_t length, uint64_t k)
{
    if (rows == 0 || length <= SHORT || k > KEPT || traits->local_bytes < KEPT_BYTES) return false;
    const uint32_t lanes = lower_blocks_of(traits, rows, length).lanes, digit = lower_digit_bits(lanes);
    const uint64_t passes = 3 + lower_parts(32, digit) + lower_parts(lower_bits(length - 1), digit);
    const uint64_t iterations =
        passes * (lower_parts(length, lanes) + digit) + lanes + lower_parts(KEPT, lanes) * (KEPT + 1);
    return traits->kind != LOWER_SIMULATED_GPU || iterations <= lower_max_iterations(traits);
}

static m3_status supports_top(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t rows = lower_row_count(node->in[M3_TOP_K_X]), length = lower_last(node->in[M3_TOP_K_X]);
    if (traits->kind == LOWER_PROCESSOR || selects(traits, rows, length, (uint64_t)m3_node_int(node, M3_TOP_K_K)))
        return M3_OK;
    return lower_order_check(traits, node, rows, length, why);
}

static void emit_top(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[M3_TOP_K_X];
    const uint64_t rows = lower_row_count(x), length = lower_last(x), k = (uint64_t)m3_node_int(node, M3_TOP_K_K);
    if (rows == 0 || k == 0) return;
    if (l->traits->kind != LOWER_PROCESSOR) {
        if (selects(l->traits, rows, length, k))
            emit_select(l, node, rows, length, k);
        else
            emit_first(l, node, KEYS_FALLING, k);
        return;
    }
    lower_dispatch *d =
        LOWER(l, top_alone, .LANES = 1, .VECTOR = l->traits->vector, .x = lower_tensor(l, x),
              .y = lower_tensor(l, node->out[M3_TOP_K_VALUES]), .y_place = lower_tensor(l, node->out[M3_TOP_K_INDICES]),
              .rows = rows, .length = length, .k = k);
    lower_rows(d, rows, 1);
}

const lower_op lower_sort_ops[] = {{"sort", supports_sort, emit_sort}, {"top_k", supports_top, emit_top}, {0}};
