/* rows: ops that pick rows of axis 0 by i32 ids.
 *   gather   y[i] = table[ids[i]], zeros where the id names no row of the table or is `skip`
 *   copy     y = table; replace: y[ids[i]] = rows[i]: what scatter_rows is made of
 *   sum      y[j] = rows[place[i]] added up, i = start[j] to start[j + 1] - 1 in this order: the sums of scatter_add
 *            and group_rows, whose places sort.cl has put into the order of their ids
 *   starts   start[j] = number of keys below j, of rising keys
 *   heads    of rising keys below `limit`: the distinct ones, and the start of each
 * Elements are units of UNIT bytes: words, where a row has whole ones. LANES 1: an item does a row, VECTOR units at a
 * time; else PART units: on a GPU a word or, where rows have whole ones, a vector of words. */

#if UNIT == 1
typedef uchar unit;
#define UNITS uchar
#elif UNIT == 2
typedef ushort unit;
#define UNITS ushort
#else
typedef uint unit;
#define UNITS uint
#endif
#if defined(VECTOR) && VECTOR > 1
typedef GLUE(UNITS, VECTOR) units;
#else
typedef unit units;
#endif

#define TYPE_unit   unit
#define TYPE_number number

/* Whether an id names a row; negative ones are large here. */
inline bool named(uint id, uint rows, int skip)
{
    return id < rows && (int)id != skip;
}

#ifdef UNIT
#if LANES == 1
inline void copy_units(global unit *to, global const unit *from, uint size)
{
    uint i = 0;
    for (; i + VECTOR <= size; i += VECTOR) STORE(LOAD(from, i), to, i);
    for (; i < size; i++) to[i] = from[i];
}

inline void zero_units(global unit *to, uint size)
{
    uint i = 0;
    for (; i + VECTOR <= size; i += VECTOR) STORE((units)(0), to, i);
    for (; i < size; i++) to[i] = 0;
}
#endif

/* count: rows of y where LANES is 1, else units. */
KERNEL(gather)
{
    OPEN_BUFFERS(gather)
#if LANES == 1
    const uint i = ITEM;
    if (i >= count) return;
    if (named(ids[i], rows, skip))
        copy_units(y + i * size, table + ids[i] * size, size);
    else
        zero_units(y + i * size, size);
#elif VECTOR > 1
    const uint at = ITEM * VECTOR;
    if (at >= count) return;
    const uint id = ids[at / size];
    units x = 0;
    if (named(id, rows, skip)) x = LOAD(table, id * size + at % size);
    STORE(x, y, at);
#else
    const uint at = ITEM * PART;
    for (uint to = at; to < at + PART && to < count; to++) {
        const uint id = ids[to / size];
        y[to] = named(id, rows, skip) ? table[id * size + to % size] : 0;
    }
#endif
}

#ifdef ZERO
/* PART units for an item; with ZERO it clears them. */
KERNEL(copy)
{
    OPEN_BUFFERS(copy)
#if LANES == 1
    const uint at = ITEM * PART;
    if (at >= count) return;
#if ZERO
    zero_units(y + at, min(count - at, (uint)PART));
#else
    copy_units(y + at, table + at, min(count - at, (uint)PART));
#endif
#else
    const uint at = ITEM * PART;
    for (uint to = at; to < at + PART && to < count; to++) y[to] = ZERO ? 0 : table[to];
#endif
}
#endif

/* count: rows of `from` where LANES is 1, else units. */
KERNEL(replace)
{
    OPEN_BUFFERS(replace)
#if LANES == 1
    const uint i = ITEM;
    if (i < count && named(ids[i], rows, -1)) copy_units(y + ids[i] * size, from + i * size, size);
#else
    const uint begin = ITEM * PART;
    for (uint at = begin; at < begin + PART && at < count; at++) {
        const uint id = ids[at / size];
        if (named(id, rows, -1)) y[id * size + at % size] = from[at];
    }
#endif
}
#endif

/* INTEGER: sums wrap. count: rows of y where LANES is 1, which takes all places of a row, else elements. */
#ifdef INTEGER
#if INTEGER
typedef uint number;
typedef word_t numbers;
#else
typedef float number;
typedef real numbers;
#endif
#define AHEAD 4 /* loads that do not wait for each other */

KERNEL(sum)
{
    OPEN_BUFFERS(sum)
#if LANES == 1
    const uint row = ITEM;
    if (row >= count) return;
    const uint begin = start[row], end = start[row + 1];
    uint j = 0;
#if !INTEGER
    for (; j + 4 * VECTOR <= size; j += 4 * VECTOR) {
        real a = 0, b = 0, c = 0, d = 0;
        for (uint i = begin; i < end; i++) {
            global const float *x = rows + place[i] * size + j;
            a += LOAD(x, 0);
            b += LOAD(x, VECTOR);
            c += LOAD(x, 2 * VECTOR);
            d += LOAD(x, 3 * VECTOR);
        }
        global float *to = y + row * size + j;
        STORE(a, to, 0);
        STORE(b, to, VECTOR);
        STORE(c, to, 2 * VECTOR);
        STORE(d, to, 3 * VECTOR);
    }
#endif
    for (; j < size; j++) {
        number all = 0;
        for (uint i = begin; i < end; i++) all += rows[place[i] * size + j];
        y[row * size + j] = all;
    }
#else
    const uint to = ITEM * VECTOR;
    if (to >= count) return;
    const uint row = to / size, j = to % size, begin = start[row], places = start[row + 1] - begin;
    const uint end = begin + min(first + most, places);
    if (first > 0 && first >= places) return;
    numbers all = 0;
    if (first > 0) all = LOAD(y, to);
    uint i = begin + first;
    for (; i + AHEAD <= end; i += AHEAD) {
        numbers x[AHEAD];
        for (uint k = 0; k < AHEAD; k++) x[k] = LOAD(rows, place[i + k] * size + j);
        for (uint k = 0; k < AHEAD; k++) all += x[k];
    }
    for (; i < end; i++) all += LOAD(rows, place[i] * size + j);
    STORE(all, y, to);
#endif
}
#endif

/* Number of the rising keys that lie below `limit`. */
inline uint below(global const uint *key, uint count, uint limit)
{
    uint from = 0, to = count;
    while (from < to) {
        const uint middle = from + (to - from) / 2;
        if (key[middle] < limit)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* start has an entry for each row and one for the end. */
KERNEL(starts)
{
    OPEN_BUFFERS(starts)
    const uint j = ITEM;
    if (j <= rows) start[j] = below(key, count, j);
}

#if defined(LANES) && LANES > 1
inline uint is_head(global const uint *key, uint i, uint end, uint limit)
{
    return i < end && key[i] < limit && (i == 0 || key[i - 1] != key[i]);
}

/* Heads of each block. */
GROUP_KERNEL(heads_count)
{
    OPEN_BUFFERS(heads_count)
    local uint found;
    const uint from = GROUP * block, end = min(from + block, count);
    if (LANE == 0) found = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = from + LANE; i < end; i += LANES)
        if (is_head(key, i, end, limit)) atomic_inc(&found);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (LANE == 0) heads[GROUP] = found;
}

/* The distinct keys, then -1; where each starts, then where the last ends. */
GROUP_KERNEL(heads_write)
{
    OPEN_BUFFERS(heads_write)
    local uint marks[LANES];
    const uint from = GROUP * block, end = min(from + block, count), used = below(key, count, limit);
    uint next = 0, all = 0;
    for (uint b = 0; b < blocks; b++) {
        next += b < GROUP ? heads[b] : 0;
        all += heads[b];
    }
    for (uint tile = from; tile < end; tile += LANES) {
        const uint i = tile + LANE, head = is_head(key, i, end, limit);
        uint to = next;
        marks[LANE] = head;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint j = 0; j < LANES; j++) {
            to += j < LANE ? marks[j] : 0;
            next += marks[j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (head) {
            groups[to] = (int)key[i];
            start[to] = i;
        }
        if (i < end && i >= all) {
            groups[i] = -1;
            start[i] = used;
        }
    }
    if (GROUP == 0 && LANE == 0) start[count] = used;
}
#endif
