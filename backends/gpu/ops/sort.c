/* sort and top_k along the last axis.
 *   sort   rising and stable, NaN last, with the place where each value was
 *   top_k  the k largest, falling, equal ones in rising place; NaN counts as -infinity, and is given as that
 * An item of a processor sorts a row by counting, or keeps its best in a heap. A GPU sorts by the passes of order.h;
 * few of the largest are selected by a group a row instead. */
#include "order.h"

#include "ops/list.h"
#include "ops/share.h"

enum { ALONE_DIGIT = 11, SHORT = 256 };
enum { KEPT = 1024, KEPT_BYTES = 2 * KEPT * 4 + 2048 }; /* of top_select: pairs of a group, and its local memory */

static gpu_keys keys_of(m3_dtype dtype)
{
    return dtype == M3_U32 ? GPU_KEYS_U32 : dtype == M3_I32 ? GPU_KEYS_I32 : GPU_KEYS_F32;
}

/* The first k of each row, by an order of all, or of short rows at once. */
static void lower_first(gpu_list *l, const m3_node *node, gpu_keys keys, uint64_t k)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = gpu_row_count(x), length = gpu_last(x);
    const bool is_short = length <= SHORT;
    const gpu_order order = is_short ? (gpu_order){0} : gpu_order_rows(l, x, rows, length, keys, 0, 0);
    const uint64_t count = rows * (is_short ? length : k);
    gpu_dispatch *d = gpu_begin(l, "sort", is_short ? "order_short" : "order_values");
    gpu_constant(d, "KEYS", (int32_t)keys);
    gpu_read(d, x);
    if (!is_short) gpu_bind(d, order.place, true, false);
    gpu_write(d, node->out[0]);
    gpu_write(d, node->out[1]);
    gpu_u32(d, count);
    gpu_u32(d, length);
    gpu_u32(d, k);
    gpu_items(d, count);
}

static m3_status supports_sort(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    return gpu_order_check(traits, node, gpu_row_count(node->in[0]), gpu_last(node->in[0]), why);
}

static void lower_sort(gpu_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = gpu_row_count(x), length = gpu_last(x), bytes = rows * length * sizeof(uint32_t);
    if (bytes == 0) return;
    if (l->traits->lanes > 1) {
        lower_first(l, node, keys_of(x->dtype), length);
        return;
    }
    gpu_dispatch *d = gpu_begin(l, "sort", "sort_alone");
    gpu_rows(d, rows, 1);
    gpu_constant(d, "KEYS", (int32_t)keys_of(x->dtype));
    gpu_constant(d, "DIGIT", ALONE_DIGIT);
    gpu_read(d, x);
    for (uint32_t i = 0; i < 4; i++) gpu_bind(d, gpu_scratch(l, bytes), true, true);
    gpu_write(d, node->out[0]);
    gpu_write(d, node->out[1]);
    gpu_u32(d, rows);
    gpu_u32(d, length);
}

static void lower_select(gpu_list *l, const m3_node *node, uint64_t rows, uint64_t length, uint64_t k)
{
    const uint32_t lanes = gpu_blocks_of(l->traits, rows, length).lanes;
    gpu_dispatch *d = gpu_begin(l, "sort", "top_select");
    gpu_rows(d, rows, lanes);
    gpu_constant(d, "KEYS", GPU_KEYS_FALLING);
    gpu_constant(d, "DIGIT", (int32_t)gpu_digit_bits(lanes));
    gpu_constant(d, "KEEP", KEPT);
    gpu_read(d, node->in[0]);
    gpu_write(d, node->out[0]);
    gpu_write(d, node->out[1]);
    gpu_u32(d, rows);
    gpu_u32(d, length);
    gpu_u32(d, k);
    gpu_u32(d, gpu_bits(length - 1));
}

/* Few of a long row are selected, unless its walks are more turns than an item of a simulated device may make: one for
 * a bound, two that keep pairs, and one for each digit of a key and of a place. The pairs kept are compared with each
 * other. */
static bool selects(const gpu_traits *traits, uint64_t rows, uint64_t length, uint64_t k)
{
    if (rows == 0 || length <= SHORT || k > KEPT || traits->local_bytes < KEPT_BYTES) return false;
    const uint32_t lanes = gpu_blocks_of(traits, rows, length).lanes, digit = gpu_digit_bits(lanes);
    const uint64_t walks = 3 + gpu_parts(32, digit) + gpu_parts(gpu_bits(length - 1), digit);
    const uint64_t turns = walks * (gpu_parts(length, lanes) + digit) + lanes + gpu_parts(KEPT, lanes) * (KEPT + 1);
    return traits->simulated == 0 || turns <= share_turns(traits);
}

static m3_status supports_top(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t rows = gpu_row_count(node->in[0]), length = gpu_last(node->in[0]);
    if (traits->lanes == 1 || selects(traits, rows, length, (uint64_t)node->attr[0].i[0])) return M3_OK;
    return gpu_order_check(traits, node, rows, length, why);
}

static void lower_top(gpu_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    const uint64_t rows = gpu_row_count(x), length = gpu_last(x), k = (uint64_t)node->attr[0].i[0];
    if (rows == 0 || k == 0) return;
    if (l->traits->lanes > 1) {
        if (selects(l->traits, rows, length, k))
            lower_select(l, node, rows, length, k);
        else
            lower_first(l, node, GPU_KEYS_FALLING, k);
        return;
    }
    gpu_dispatch *d = gpu_begin(l, "sort", "top_alone");
    gpu_rows(d, rows, 1);
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_read(d, x);
    gpu_update(d, node->out[0]);
    gpu_update(d, node->out[1]);
    gpu_u32(d, rows);
    gpu_u32(d, length);
    gpu_u32(d, k);
}

const gpu_op gpu_sort_ops[] = {{"sort", supports_sort, lower_sort}, {"top_k", supports_top, lower_top}, {0}};
