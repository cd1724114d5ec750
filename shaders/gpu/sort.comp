#version 450
/* sort: a stable order of rows of keys, and what follows from it: sort, top_k, group_rows, scatter_add.
 *
 * A key is unsigned and sorts as what it stands for (KEYS):
 *   KEYS_READY    as it is, beside the place where it was
 *   KEYS_U32      as it is
 *   KEYS_I32      the sign turned round
 *   KEYS_F32      those below 0 mirrored; -0 is 0; NaN behind all
 *   KEYS_FALLING  the complement of KEYS_F32; NaN is -infinity
 *   KEYS_IDS      itself when 0 <= id < limit and id is not `skip`, else limit
 *
 * LANES digits a pass, from the lowest. A row is cut into blocks of whole tiles; a tile is a key for each invocation.
 *   order_count  of each block the number of keys with each digit; not where a block is WHOLE row
 *   order_move   key and place go to: keys of the row with a smaller digit + keys of earlier blocks with the same
 *                + keys of earlier tiles + keys of earlier parts of the tile + keys of earlier invocations of the part
 * (For processors, whose items sort alone, see the OpenCL kernels of this name.) */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/sort.h"

DECLARE_CONTRACT(ENTRY)

const uint BELOW_0 = 0x80000000u, INFINITE = 0x7f800000u;

bool is_nan(uint bits)
{
    return (bits & ~BELOW_0) > INFINITE;
}

uint key_of(uint keys, uint bits, uint limit, int skip)
{
    if (keys == KEYS_I32) return bits ^ BELOW_0;
    if (keys == KEYS_IDS) return bits < limit && int(bits) != skip ? bits : limit;
    if (keys != KEYS_F32 && keys != KEYS_FALLING) return bits;
    const uint key = (bits & ~BELOW_0) == 0u ? BELOW_0 : (bits & BELOW_0) != 0u ? ~bits : bits | BELOW_0;
    if (keys == KEYS_F32) return is_nan(bits) ? ~0u : key;
    return is_nan(bits) ? BELOW_0 | INFINITE : ~key;
}

/* What is given for a value: of keys that fall, -infinity for a NaN. */
uint value_of(uint keys, uint bits)
{
    return keys == KEYS_FALLING && is_nan(bits) ? BELOW_0 | INFINITE : bits;
}

#ifdef ENTRY_order_count
shared uint count[LANES];

void main()
{
    const uint lane = gl_LocalInvocationID.x, row = GROUP / blocks, from = GROUP % blocks * block;
    const uint end = row < rows ? min(from + block, length) : 0u;
    count[lane] = 0u;
    barrier();
    for (uint i = from + lane; i < end; i += LANES)
        atomicAdd(count[key_of(KEYS, x[row * length + i], limit, skip) >> shift & (LANES - 1u)], 1u);
    barrier();
    if (row < rows) counts[GROUP * LANES + lane] = count[lane];
}
#endif

#ifdef ENTRY_order_move
const uint PARTS = LANES < ORDER_PARTS ? LANES : ORDER_PARTS; /* of a tile */
shared uint digits[LANES], starts[PARTS * LANES]; /* digits: for a start, sums over digits */

uint digit_of(uint key)
{
    return key >> shift & (LANES - 1u);
}

/* Invocation d: where this block's keys with digit d begin. */
uint begin(uint lane, uint row, uint which, uint end)
{
    uint before = 0u, all = 0u;
    if (WHOLE != 0) {
        digits[lane] = 0u;
        barrier();
        for (uint i = lane; i < end; i += LANES)
            atomicAdd(digits[digit_of(key_of(KEYS, x[row * length + i], limit, skip))], 1u);
        barrier();
        all = digits[lane];
    } else {
        for (uint b = 0u; row < rows && b < blocks; b++) {
            const uint count = counts[(row * blocks + b) * LANES + lane];
            before += b < which ? count : 0u;
            all += count;
        }
        digits[lane] = all;
    }
    for (uint span = 1u; span < LANES; span *= 2u) {
        barrier();
        const uint left = lane >= span ? digits[lane - span] : 0u;
        barrier();
        digits[lane] += left;
    }
    return digits[lane] - all + before;
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, width = LANES / PARTS, part = lane / width;
    const uint row = GROUP / blocks, which = GROUP % blocks, from = which * block, at = row * length;
    const uint end = row < rows ? min(from + block, length) : 0u;
    uint next = begin(lane, row, which, end);
    for (uint tile = from; tile < end; tile += LANES) {
        const uint i = tile + lane;
        const bool here = i < end;
        const uint key = here ? key_of(KEYS, x[at + i], limit, skip) : 0u, digit = digit_of(key);
        for (uint p = 0u; p < PARTS; p++) starts[p * LANES + lane] = 0u;
        digits[lane] = digit;
        barrier();
        if (here) atomicAdd(starts[part * LANES + digit], 1u);
        uint to = 0u;
        for (uint j = part * width; j < lane; j++) to += uint(digits[j] == digit);
        barrier();
        for (uint p = 0u; p < PARTS; p++) {
            const uint count = starts[p * LANES + lane];
            starts[p * LANES + lane] = next;
            next += count;
        }
        barrier();
        if (here) {
            to += starts[part * LANES + digit];
            y[at + to] = key;
            if (KEYS == KEYS_READY)
                y_place[at + to] = x_place[at + i];
            else
                y_place[at + to] = i;
        }
        barrier();
    }
}
#endif

/* The k first values of each row of x, and their places, where the order is known. */
#ifdef ENTRY_order_values
void main()
{
    const uint to = ITEM;
    if (to >= count) return;
    const uint row = to / k, from = place[row * length + to % k];
    y[to] = value_of(KEYS, x[row * length + from]);
    y_place[to] = from;
}
#endif

/* The same of short rows: an invocation puts a value behind as many as are before it. */
#ifdef ENTRY_order_short
void main()
{
    const uint from = ITEM;
    if (from >= count) return;
    const uint row = from / length, i = from % length, at = row * length, bits = x[from];
    const uint mine = key_of(KEYS, bits, 0u, 0);
    uint to = 0u;
    for (uint j = 0u; j < length; j++) {
        const uint key = key_of(KEYS, x[at + j], 0u, 0);
        to += uint(key < mine || (key == mine && j < i));
    }
    if (to >= k) return;
    y[row * k + to] = value_of(KEYS, bits);
    y_place[row * k + to] = i;
}
#endif

/* top: the k <= KEEP largest of a row, found without an order of all, with KEYS_FALLING. The first k of the best keys
 * of each invocation bound those of the row: what is not behind the last of them is kept, and the kept ones are put
 * behind as many as are before them. Where more than KEEP are (many are equal, or k > LANES) the k-th pair of key and
 * place is found digit by digit from the highest: keys that agree with it so far are counted by their next digit, and
 * its digit is the one at which the count reaches what is still missing. Then exactly k pairs are not behind it. */
#ifdef ENTRY_top_select
shared uint count[LANES], keys[KEEP], places[KEEP], found[2], kept;

/* Not before the k-th best key: the k-th of the best keys of each invocation, if there are so many. */
uint bound(uint lane, uint at, uint end)
{
    uint best = ~0u, rank = 0u;
    for (uint i = lane; i < end; i += LANES) best = min(best, key_of(KEYS, x[at + i], 0u, 0));
    count[lane] = best;
    if (lane == 0u) found[0] = ~0u;
    barrier();
    for (uint j = 0u; j < LANES; j++) rank += uint(count[j] < best || (count[j] == best && j < lane));
    if (rank == k - 1u) found[0] = best;
    barrier();
    return found[0];
}

/* The next digit, bits low to high - 1, of the last key or, where that is known, of the last place. */
void find_digit(bool by_place, int low, int high, uint lane, uint at, uint end, inout uvec2 last, inout uint missing)
{
    count[lane] = 0u;
    barrier();
    for (uint i = lane; i < end; i += LANES) {
        const uint key = key_of(KEYS, x[at + i], 0u, 0);
        const uint number = by_place ? i : key, known = by_place ? last.y : last.x;
        const bool agrees = high == 32 || number >> high == known >> high;
        if (agrees && (!by_place || key == last.x))
            atomicAdd(count[number >> low & ((1u << (high - low)) - 1u)], 1u);
    }
    for (uint span = 1u; span < LANES; span *= 2u) {
        barrier();
        const uint left = lane >= span ? count[lane - span] : 0u;
        barrier();
        count[lane] += left;
    }
    barrier();
    const uint before = lane > 0u ? count[lane - 1u] : 0u;
    if (before < missing && missing <= count[lane]) {
        found[0] = lane;
        found[1] = before;
    }
    barrier();
    if (by_place)
        last.y |= found[0] << low;
    else
        last.x |= found[0] << low;
    missing -= found[1];
}

/* Pairs that are not behind the last one, as far as they fit; the order does not matter. */
void keep(uint lane, uint at, uint end, uvec2 last)
{
    if (lane == 0u) kept = 0u;
    barrier();
    for (uint i = lane; i < end; i += LANES) {
        const uint key = key_of(KEYS, x[at + i], 0u, 0);
        if (key > last.x || (key == last.x && i > last.y)) continue;
        const uint to = atomicAdd(kept, 1u);
        if (to >= KEEP) continue;
        keys[to] = key;
        places[to] = i;
    }
    barrier();
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, row = GROUP, at = row * length, end = row < rows ? length : 0u;
    uvec2 last = uvec2(bound(lane, at, end), ~0u);
    uint missing = k;
    keep(lane, at, end, last);
    const bool many = kept > KEEP;
    barrier();
    if (many) { /* for the whole group */
        last = uvec2(0u);
        for (int part = 0; part < 2; part++)
            for (int shift = (part == 0 ? 32 : int(place_bits)) - int(DIGIT); shift > -int(DIGIT); shift -= int(DIGIT))
                find_digit(part == 1, max(shift, 0), shift + int(DIGIT), lane, at, end, last, missing);
        keep(lane, at, end, last);
    }
    for (uint i = lane; row < rows && i < kept; i += LANES) {
        uint to = 0u;
        for (uint j = 0u; j < kept; j++) to += uint(keys[j] < keys[i] || (keys[j] == keys[i] && places[j] < places[i]));
        if (to >= k) continue;
        y[row * k + to] = value_of(KEYS, x[at + places[i]]);
        y_place[row * k + to] = int(places[i]);
    }
}
#endif
