#version 450
/* rows: ops that pick rows of axis 0 by i32 ids.
 *   gather   y[i] = table[ids[i]], zeros where the id names no row of the table or is `skip`
 *   copy     y = table; replace: y[ids[i]] = rows[i]: what scatter_rows is made of
 *   sum      y[j] = rows[place[i]] added up, i = start[j] to start[j + 1] - 1 in this order: the sums of scatter_add
 *            and group_rows, whose places sort.comp has put into the order of their ids; of each row's places `most`
 *            from the one numbered `first` on, added to what is there when that is not 0
 *   starts   start[j] = number of keys below j, of rising keys
 *   heads    of rising keys below `limit`: the distinct ones, and the start of each
 * Elements are units of UNIT bytes: words, where a row has whole ones. An invocation does PART units: a word or, of
 * whole ones in a row, VECTOR words. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/rows.h"

#define STORED_unit   uint
#define STORED_number uint
DECLARE_CONTRACT(ENTRY)

/* Whether an id names a row; negative ones are large here. */
bool named(uint id, uint rows, int skip)
{
    return id < rows && int(id) != skip;
}

#if defined(ENTRY_gather) || defined(ENTRY_copy) || defined(ENTRY_replace)

/* A unit, and the bits of its word that are not before it. */
#define PER_WORD         (4u / UNIT)
#define UNIT_OF(name, i) (name[(i) / PER_WORD] >> UNIT_SHIFT(i) & UNIT_MASK)
#define UNIT_SHIFT(i)    ((i) % PER_WORD * (8u * UNIT))
#define UNIT_MASK        (0xffffffffu >> (32u - 8u * UNIT))
#endif

#ifdef ENTRY_gather
/* The same memory, four words at once. */
BINDING(0, readonly, WideTable, uvec4, wide_table)
BINDING(2, , WideY, uvec4, wide_y)
void main()
{
    const uint at = ITEM * PART;
    if (at >= count) return;
    if (VECTOR == 4) {
        const uint id = ids[at / size];
        uvec4 x = uvec4(0u);
        if (named(id, rows, skip)) x = wide_table[(id * size + at % size) / 4u];
        wide_y[ITEM] = x;
        return;
    }
    uint word = 0u;
    for (uint to = at; to < at + PART && to < count; to++) {
        const uint id = ids[to / size];
        if (named(id, rows, skip)) word |= UNIT_OF(table, id * size + to % size) << UNIT_SHIFT(to);
    }
    y[ITEM] = word;
}
#endif

/* With ZERO it clears. */
#ifdef ENTRY_copy
void main()
{
    for (uint at = ITEM * PART; at < min((ITEM + 1u) * PART, count); at += PER_WORD) {
        if (ZERO != 0)
            y[at / PER_WORD] = 0u;
        else
            y[at / PER_WORD] = table[at / PER_WORD];
    }
}
#endif

/* Rows that share a word are written by one invocation each: only their own bits are touched. */
#ifdef ENTRY_replace
void main()
{
    const uint begin = ITEM * PART;
    for (uint at = begin; at < begin + PART && at < count; at++) {
        const uint id = ids[at / size];
        if (!named(id, rows, -1)) continue;
        const uint to = id * size + at % size;
        if (UNIT == 4) {
            y[to] = from[at];
        } else {
            atomicAnd(y[to / PER_WORD], ~(UNIT_MASK << UNIT_SHIFT(to)));
            atomicOr(y[to / PER_WORD], UNIT_OF(from, at) << UNIT_SHIFT(to));
        }
    }
}
#endif

/* INTEGER: sums wrap. count: elements of y. */
#ifdef ENTRY_sum
BINDING(0, readonly, WideRows, uvec4, wide_rows)
BINDING(3, , WideY, uvec4, wide_y)
const uint AHEAD = 4u; /* loads that do not wait for each other */

uvec4 load(uint i, uint j)
{
    const uint at = place[i] * size + j;
    if (VECTOR == 4) return wide_rows[at / 4u];
    return uvec4(rows[at], 0u, 0u, 0u);
}

uvec4 added(uvec4 a, uvec4 b)
{
    if (INTEGER != 0) return a + b;
    return floatBitsToUint(uintBitsToFloat(a) + uintBitsToFloat(b));
}

void main()
{
    const uint to = ITEM * VECTOR;
    if (to >= count) return;
    const uint row = to / size, j = to % size, begin = start[row], places = start[row + 1u] - begin;
    const uint end = begin + (first + most < places ? first + most : places);
    uvec4 all = uvec4(0u);
    uint i = begin + first;
    if (first > 0u) {
        if (first >= places) return;
        if (VECTOR == 4)
            all = wide_y[ITEM];
        else
            all.x = y[to];
    }
    for (; i + AHEAD <= end; i += AHEAD) {
        uvec4 x[AHEAD];
        for (uint k = 0u; k < AHEAD; k++) x[k] = load(i + k, j);
        for (uint k = 0u; k < AHEAD; k++) all = added(all, x[k]);
    }
    for (; i < end; i++) all = added(all, load(i, j));
    if (VECTOR == 4)
        wide_y[ITEM] = all;
    else
        y[to] = all.x;
}
#endif

#if defined(ENTRY_starts) || defined(ENTRY_heads_count) || defined(ENTRY_heads_write)

/* Number of the rising keys that lie below `limit`. */
uint below(uint total, uint limit)
{
    uint from = 0u, to = total;
    while (from < to) {
        const uint middle = from + (to - from) / 2u;
        if (key[middle] < limit)
            from = middle + 1u;
        else
            to = middle;
    }
    return from;
}

bool is_head(uint i, uint end, uint limit)
{
    if (i >= end || key[i] >= limit) return false;
    return i == 0u || key[i - 1u] != key[i];
}
#endif

/* start has an entry for each row and one for the end. */
#ifdef ENTRY_starts
void main()
{
    const uint j = ITEM;
    if (j <= rows) start[j] = below(count, j);
}
#endif

/* Heads of each block. */
#ifdef ENTRY_heads_count
shared uint found;

void main()
{
    const uint lane = gl_LocalInvocationID.x, from = GROUP * block, end = min(from + block, count);
    if (lane == 0u) found = 0u;
    barrier();
    for (uint i = from + lane; i < end; i += LANES)
        if (is_head(i, end, limit)) atomicAdd(found, 1u);
    barrier();
    if (lane == 0u) heads[GROUP] = found;
}
#endif

/* The distinct keys, then -1; where each starts, then where the last ends. */
#ifdef ENTRY_heads_write
shared uint marks[LANES];

void main()
{
    const uint lane = gl_LocalInvocationID.x, from = GROUP * block, end = min(from + block, count);
    const uint used = below(count, limit);
    uint next = 0u, all = 0u;
    for (uint b = 0u; b < blocks; b++) {
        next += b < GROUP ? heads[b] : 0u;
        all += heads[b];
    }
    for (uint tile = from; tile < end; tile += LANES) {
        const uint i = tile + lane;
        const bool head = is_head(i, end, limit);
        uint to = next;
        marks[lane] = uint(head);
        barrier();
        for (uint j = 0u; j < LANES; j++) {
            to += j < lane ? marks[j] : 0u;
            next += marks[j];
        }
        barrier();
        if (head) {
            groups[to] = int(key[i]);
            start[to] = i;
        }
        if (i < end && i >= all) {
            groups[i] = -1;
            start[i] = used;
        }
    }
    if (GROUP == 0u && lane == 0u) start[count] = used;
}
#endif
