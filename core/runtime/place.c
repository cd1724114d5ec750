/* place: addresses for blocks with lifetimes, the problem of packing rectangles (time x bytes) as low as possible.
 * Greedy: blocks come in some order, and each takes a gap between those already placed whose lifetimes overlap its
 * own. No order is best for all graphs, so a few are tried: largest first, longest-lived first, in order of time, and
 * by time x bytes; each with the lowest gap (first fit) and with the tightest (best fit). */
#include "core/runtime/place.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"

typedef int (*order)(const void *a, const void *b);

static const m3_block *block_of(const void *element)
{
    return *(const m3_block *const *)element;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_time(const void *a, const void *b)
{
    const m3_block *x = block_of(a), *y = block_of(b);
    int c = compare(x->first, y->first);
    if (c == 0) c = compare(y->bytes, x->bytes);
    return c != 0 ? c : compare(x->last, y->last);
}

static int by_size(const void *a, const void *b)
{
    int c = compare(block_of(b)->bytes, block_of(a)->bytes);
    return c != 0 ? c : by_time(a, b);
}

static uint64_t life(const m3_block *block)
{
    return (uint64_t)block->last - block->first + 1;
}

static int by_life(const void *a, const void *b)
{
    int c = compare(life(block_of(b)), life(block_of(a)));
    return c != 0 ? c : by_size(a, b);
}

static int by_area(const void *a, const void *b)
{
    double x = (double)life(block_of(a)) * (double)block_of(a)->bytes;
    double y = (double)life(block_of(b)) * (double)block_of(b)->bytes;
    int c = (y > x) - (y < x);
    return c != 0 ? c : by_time(a, b);
}

/* The first address from `at` on where a block does not cross the end of a segment. */
static uint64_t fenced(uint64_t at, uint64_t bytes, uint64_t cap)
{
    return at / cap == (at + bytes - 1) / cap ? at : (at / cap + 1) * cap;
}

/* placed: sorted by address. */
static uint64_t find_gap(m3_block *const *placed, uint32_t count, const m3_block *block, uint64_t cap, bool tightest)
{
    uint64_t at = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const m3_block *other = placed[i];
        if (other->last < block->first || block->last < other->first) continue;
        uint64_t start = fenced(at, block->bytes, cap);
        if (start + block->bytes <= other->address && other->address - at < best_gap) {
            best = start;
            best_gap = other->address - at;
            if (!tightest) return best;
        }
        if (other->address + other->bytes > at) at = other->address + other->bytes;
    }
    return best != UINT64_MAX ? best : fenced(at, block->bytes, cap);
}

/* Blocks hold their address already when they are put into `placed`. */
static void insert(m3_block **placed, uint32_t count, m3_block *block)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (placed[middle]->address <= block->address)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (count - low) * sizeof *placed);
    placed[low] = block;
}

static uint64_t total_bytes(m3_block *const *placed, uint32_t count, uint64_t cap)
{
    uint64_t total = 0, segment = 0, high = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = placed[i]->address + placed[i]->bytes;
        if (placed[i]->address / cap != segment) {
            total += high - segment * cap;
            segment = placed[i]->address / cap;
            high = end;
        }
        if (end > high) high = end;
    }
    return count > 0 ? total + high - segment * cap : 0;
}

m3_status m3_place_blocks(m3_block *const *blocks, uint32_t count, uint64_t cap, uint64_t *total, m3_error *err)
{
    static const order orders[] = {by_size, by_area, by_life, by_time};
    m3_block **sorted = m3_calloc(count, sizeof *sorted), **placed = m3_calloc(count, sizeof *placed);
    uint64_t *best = m3_calloc(count, sizeof *best);
    m3_status st = M3_OK;
    *total = UINT64_MAX;
    if (sorted == NULL || placed == NULL || best == NULL) {
        st = M3_FAIL_MEMORY(err, "memory plan", count * sizeof *best);
        goto done;
    }
    for (size_t attempt = 0; attempt < 2 * sizeof orders / sizeof orders[0]; attempt++) {
        memcpy(sorted, blocks, count * sizeof *sorted);
        qsort(sorted, count, sizeof(m3_block *), orders[attempt / 2]);
        for (uint32_t i = 0; i < count; i++) {
            sorted[i]->address = find_gap(placed, i, sorted[i], cap, attempt % 2 == 0);
            insert(placed, i, sorted[i]);
        }
        uint64_t bytes = total_bytes(placed, count, cap);
        if (bytes >= *total) continue;
        *total = bytes;
        for (uint32_t i = 0; i < count; i++) best[i] = blocks[i]->address;
    }
    for (uint32_t i = 0; i < count; i++) blocks[i]->address = best[i];
done:
    m3_free(sorted);
    m3_free(placed);
    m3_free(best);
    return st;
}

/* Apart. */

static int by_address(const void *a, const void *b)
{
    return compare(block_of(a)->address, block_of(b)->address);
}

/* Ends of segments, below which blocks may move: high [segments]. */
static void find_ends(m3_block *const *placed, uint32_t count, uint64_t cap, uint64_t *high)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t end = placed[i]->address + placed[i]->bytes;
        if (end > high[placed[i]->address / cap]) high[placed[i]->address / cap] = end;
    }
}

/* A place that nobody takes for as many steps before and after as can be had, at most LONGEST. */
static void move_apart(m3_block **placed, uint32_t count, m3_block *block, uint64_t cap, const uint64_t *high,
                       uint64_t segments)
{
    enum { LONGEST = 256 };
    uint32_t at = 0;
    while (placed[at] != block) at++;
    memmove(placed + at, placed + at + 1, (count - at - 1) * sizeof(m3_block *));
    for (uint32_t steps = LONGEST; steps > 0; steps /= 2) {
        m3_block wide = *block;
        wide.first = block->first > steps ? block->first - steps : 0;
        wide.last = block->last + steps;
        const uint64_t address = find_gap(placed, count - 1, &wide, cap, false);
        if (address / cap >= segments || address + block->bytes > high[address / cap]) continue;
        block->address = address;
        break;
    }
    insert(placed, count - 1, block);
}

m3_status m3_place_blocks_apart(m3_block *const *blocks, uint32_t count, uint64_t cap, uint64_t *total, m3_error *err)
{
    m3_status st = m3_place_blocks(blocks, count, cap, total, err);
    if (st != M3_OK || count == 0) return st;
    m3_block **sorted = m3_calloc(count, sizeof *sorted), **placed = m3_calloc(count, sizeof *placed);
    uint64_t segments = 0, *high = NULL;
    for (uint32_t i = 0; i < count; i++)
        segments = blocks[i]->address / cap >= segments ? blocks[i]->address / cap + 1 : segments;
    if (sorted != NULL && placed != NULL) high = m3_calloc((size_t)segments, sizeof *high);
    if (high != NULL) {
        memcpy(sorted, blocks, count * sizeof *sorted);
        memcpy(placed, blocks, count * sizeof *placed);
        qsort(placed, count, sizeof(m3_block *), by_address);
        qsort(sorted, count, sizeof(m3_block *), by_size);
        find_ends(placed, count, cap, high);
        for (uint32_t i = count; i-- > 0;) move_apart(placed, count, sorted[i], cap, high, segments);
    } else {
        st = M3_FAIL_MEMORY(err, "memory plan", count * sizeof *placed);
    }
    m3_free(sorted);
    m3_free(placed);
    m3_free(high);
    return st;
}
