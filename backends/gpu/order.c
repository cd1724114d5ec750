/* order: a stable sort by digits, the lowest first. A pass counts the digits of each block of a row, then moves each
 * key behind those that belong before it; a pass needs one launch where a row is a single block, else two. */
#include "order.h"

#include "ops/share.h"

enum { MOST_LANES = 256, LANE_BYTES = 36 }; /* local memory of order_move */
enum { TILE_PARTS = 8 };                    /* PARTS of order_move */
enum { MOST_BLOCKS = 64 };                  /* every block reads the counts of all others */

/* Tiles of a block that order_move may walk where turns are counted; as many turns again are left for the counts of
 * all blocks. */
static uint64_t most_tiles(const gpu_traits *traits, uint32_t lanes)
{
    const uint32_t parts = lanes < TILE_PARTS ? lanes : TILE_PARTS;
    return share_turns(traits) / 2 / (lanes / parts + 2 * parts + 2);
}

gpu_blocks gpu_blocks_of(const gpu_traits *traits, uint64_t rows, uint64_t length)
{
    gpu_blocks b = {.lanes = MOST_LANES};
    while (b.lanes > traits->largest_group || b.lanes * LANE_BYTES > traits->local_bytes) b.lanes /= 2;
    const uint64_t tiles = gpu_parts(length, b.lanes), most = rows >= MOST_BLOCKS ? 1 : MOST_BLOCKS / rows;
    b.length = gpu_parts(tiles, most) * b.lanes;
    if (traits->simulated > 0 && b.length > most_tiles(traits, b.lanes) * b.lanes)
        b.length = most_tiles(traits, b.lanes) * b.lanes;
    b.count = gpu_parts(length, b.length);
    return b;
}

m3_status gpu_order_check(const gpu_traits *traits, const m3_node *node, uint64_t rows, uint64_t length, m3_error *why)
{
    if (traits->simulated == 0 || traits->lanes == 1 || rows == 0) return M3_OK;
    const gpu_blocks b = gpu_blocks_of(traits, rows, length);
    const uint64_t blocks = share_turns(traits) / 2 - MOST_LANES;
    if (b.count <= blocks) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "its rows have %llu elements; this device, which is simulated, takes %llu",
                   (unsigned long long)length, (unsigned long long)(blocks * b.length));
}

uint32_t gpu_digit_bits(uint32_t lanes)
{
    return gpu_bits(lanes - 1);
}

uint32_t gpu_bits(uint64_t most)
{
    uint32_t bits = 0;
    for (; most != 0; most >>= 1) bits++;
    return bits;
}

/* Rows of x, or of the order that the pass before has made. */
typedef struct pass {
    gpu_view key, place; /* read */
    gpu_keys keys;
    gpu_blocks blocks;
    uint64_t rows, length, limit;
    int64_t skip;
    uint32_t shift;
} pass;

static void pass_words(gpu_dispatch *d, const pass *p)
{
    gpu_u32(d, p->rows);
    gpu_u32(d, p->length);
    gpu_u32(d, p->blocks.count);
    gpu_u32(d, p->blocks.length);
    gpu_u32(d, p->shift);
    gpu_u32(d, p->limit);
    gpu_i32(d, p->skip);
}

static void lower_pass(gpu_list *l, const pass *p, gpu_view counts, gpu_order to)
{
    const bool whole = p->blocks.count == 1;
    const uint64_t groups = p->rows * p->blocks.count;
    if (!whole) {
        gpu_dispatch *d = gpu_begin(l, "sort", "order_count");
        gpu_rows(d, groups, p->blocks.lanes);
        gpu_constant(d, "KEYS", (int32_t)p->keys);
        gpu_bind(d, p->key, true, false);
        gpu_bind(d, counts, false, true);
        pass_words(d, p);
    }
    gpu_dispatch *d = gpu_begin(l, "sort", "order_move");
    gpu_rows(d, groups, p->blocks.lanes);
    gpu_constant(d, "KEYS", (int32_t)p->keys);
    gpu_constant(d, "WHOLE", whole);
    gpu_bind(d, p->key, true, false);
    gpu_bind(d, p->place, true, false);
    gpu_bind(d, counts, true, false);
    gpu_bind(d, to.key, false, true);
    gpu_bind(d, to.place, false, true);
    pass_words(d, p);
}

gpu_order gpu_order_rows(gpu_list *l, const m3_tensor *x, uint64_t rows, uint64_t length, gpu_keys keys, uint64_t limit,
                         int64_t skip)
{
    const uint64_t bytes = rows * length * sizeof(uint32_t);
    const uint32_t bits = keys == GPU_KEYS_IDS ? gpu_bits(limit) : 32;
    pass p = {.key = gpu_tensor(l, x), .keys = keys, .rows = rows, .length = length, .limit = limit, .skip = skip};
    p.blocks = gpu_blocks_of(l->traits, rows, length);
    const gpu_view none = {.memory = GPU_NOTHING};
    const gpu_view counts =
        p.blocks.count == 1 ? none : gpu_scratch(l, rows * p.blocks.count * p.blocks.lanes * sizeof(uint32_t));
    gpu_order to = {gpu_scratch(l, bytes), gpu_scratch(l, bytes)};
    gpu_order next = {gpu_scratch(l, bytes), gpu_scratch(l, bytes)};
    do { /* at least once: a limit of 0 has no bits, and its order is wanted too */
        lower_pass(l, &p, counts, to);
        const gpu_order written = to;
        to = p.keys == GPU_KEYS ? (gpu_order){p.key, p.place} : next;
        p.key = written.key;
        p.place = written.place;
        p.keys = GPU_KEYS;
        p.shift += gpu_digit_bits(p.blocks.lanes);
    } while (p.shift < bits);
    return (gpu_order){p.key, p.place};
}
