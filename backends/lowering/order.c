/* order: a stable sort by digits, the lowest first. A pass counts the digits of each block of a row, then moves each
 * key behind those that belong before it; a pass needs one launch where a row is a single block, else two. */
#include "backends/lowering/order.h"

#include "backends/lowering/ops/split.h"

enum { MAX_LANES = 256, LANE_BYTES = 36 }; /* local memory of order_move */
enum { MAX_BLOCKS = 64 };                  /* every block reads the counts of all others */

/* Tiles of a block that order_move may pass over where iterations are counted; as many iterations again are left for
 * the counts of all blocks. */
static uint64_t max_tiles(const lower_traits *traits, uint32_t lanes)
{
    const uint32_t parts = lanes < ORDER_PARTS ? lanes : ORDER_PARTS;
    return lower_max_iterations(traits) / 2 / (lanes / parts + 2 * parts + 2);
}

lower_blocks lower_blocks_of(const lower_traits *traits, uint64_t rows, uint64_t length)
{
    lower_blocks b = {.lanes = MAX_LANES};
    while (b.lanes > traits->largest_group || b.lanes * LANE_BYTES > traits->local_bytes) b.lanes /= 2;
    const uint64_t tiles = lower_parts(length, b.lanes), max = rows >= MAX_BLOCKS ? 1 : MAX_BLOCKS / rows;
    b.length = lower_parts(tiles, max) * b.lanes;
    if (traits->kind == LOWER_SIMULATED_GPU && b.length > max_tiles(traits, b.lanes) * b.lanes)
        b.length = max_tiles(traits, b.lanes) * b.lanes;
    b.count = lower_parts(length, b.length);
    return b;
}

m3_status lower_order_check(const lower_traits *traits, const m3_node *node, uint64_t rows, uint64_t length,
                            m3_error *why)
{
    if (traits->kind != LOWER_SIMULATED_GPU || rows == 0) return M3_OK;
    const lower_blocks b = lower_blocks_of(traits, rows, length);
    const uint64_t blocks = lower_max_iterations(traits) / 2 - MAX_LANES;
    if (b.count <= blocks) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "its rows have %llu elements; this device, which is simulated, takes %llu",
                   (unsigned long long)length, (unsigned long long)(blocks * b.length));
}

uint32_t lower_digit_bits(uint32_t lanes)
{
    return lower_bits(lanes - 1);
}

uint32_t lower_bits(uint64_t max)
{
    uint32_t bits = 0;
    for (; max != 0; max >>= 1) bits++;
    return bits;
}

/* Rows of x, or of the order that the pass before has made. */
typedef struct pass {
    lower_view key, place; /* read */
    uint32_t keys;
    lower_blocks blocks;
    uint64_t rows, length, limit;
    int64_t skip;
    uint32_t shift;
} pass;

#define PASS(p)                                                                                                        \
    .LANES = (p)->blocks.lanes, .KEYS = (p)->keys, .x = (p)->key, .counts = counts, .rows = (p)->rows,                 \
    .length = (p)->length, .blocks = (p)->blocks.count, .block = (p)->blocks.length, .shift = (p)->shift,              \
    .limit = (p)->limit, .skip = (p)->skip

static void emit_pass(lower_list *l, const pass *p, lower_view counts, lower_order to)
{
    const bool whole = p->blocks.count == 1;
    const uint64_t groups = p->rows * p->blocks.count;
    if (!whole) lower_rows(LOWER(l, order_count, PASS(p)), groups, p->blocks.lanes);
    lower_dispatch *d =
        LOWER(l, order_move, PASS(p), .WHOLE = whole, .x_place = p->place, .y = to.key, .y_place = to.place);
    lower_rows(d, groups, p->blocks.lanes);
}

lower_order lower_order_rows(lower_list *l, const m3_tensor *x, uint64_t rows, uint64_t length, uint32_t keys,
                             uint64_t limit, int64_t skip)
{
    const uint64_t bytes = rows * length * sizeof(uint32_t);
    const uint32_t bits = keys == KEYS_IDS ? lower_bits(limit) : 32;
    pass p = {.key = lower_tensor(l, x), .keys = keys, .rows = rows, .length = length, .limit = limit, .skip = skip};
    p.blocks = lower_blocks_of(l->traits, rows, length);
    const lower_view none = {.memory = LOWER_NOTHING};
    const lower_view counts =
        p.blocks.count == 1 ? none : lower_scratch(l, rows * p.blocks.count * p.blocks.lanes * sizeof(uint32_t));
    lower_order to = {lower_scratch(l, bytes), lower_scratch(l, bytes)};
    lower_order next = {lower_scratch(l, bytes), lower_scratch(l, bytes)};
    do { /* at least once: a limit of 0 has no bits, and its order is wanted too */
        emit_pass(l, &p, counts, to);
        const lower_order written = to;
        to = p.keys == KEYS_READY ? (lower_order){p.key, p.place} : next;
        p.key = written.key;
        p.place = written.place;
        p.keys = KEYS_READY;
        p.shift += lower_digit_bits(p.blocks.lanes);
    } while (p.shift < bits);
    return (lower_order){p.key, p.place};
}
