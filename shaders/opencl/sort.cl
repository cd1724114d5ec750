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
 * Groups of LANES items: LANES digits a pass, from the lowest. A row is cut into blocks of whole tiles; a tile is a key
 * for each item.
 *   order_count  of each block the number of keys with each digit; not where a block is WHOLE row
 *   order_move   key and place go to: keys of the row with a smaller digit + keys of earlier blocks with the same
 *                + keys of earlier tiles + keys of earlier parts of the tile + keys of earlier items of the part
 * Alone (LANES 1) an item sorts a whole row, DIGIT bits a pass; passes in which all keys agree are left out. */

#define BELOW_0  0x80000000u
#define INFINITE 0x7f800000u

#ifdef KEYS
inline uint key_of(uint bits, uint limit, int skip)
{
#if KEYS == KEYS_I32
    return bits ^ BELOW_0;
#elif KEYS == KEYS_F32 || KEYS == KEYS_FALLING
    uint key = (bits & BELOW_0) != 0 ? ~bits : bits | BELOW_0;
    if ((bits & ~BELOW_0) == 0) key = BELOW_0;
#if KEYS == KEYS_F32
    return (bits & ~BELOW_0) > INFINITE ? ~0u : key;
#else
    return (bits & ~BELOW_0) > INFINITE ? BELOW_0 | INFINITE : ~key;
#endif
#elif KEYS == KEYS_IDS
    return bits < limit && (int)bits != skip ? bits : limit;
#else
    return bits;
#endif
}

/* What is given for a value: of keys that fall, -infinity for a NaN. */
inline uint value_of(uint bits)
{
#if KEYS == KEYS_FALLING
    return (bits & ~BELOW_0) > INFINITE ? BELOW_0 | INFINITE : bits;
#else
    return bits;
#endif
}

/* The k first values of each row of x, and their places, where the order is known. */
KERNEL(order_values)
{
    OPEN_BUFFERS(order_values)
    const uint to = ITEM;
    if (to >= count) return;
    const uint row = to / k, from = place[row * length + to % k];
    y[to] = value_of(x[row * length + from]);
    y_place[to] = from;
}

/* The same of short rows: an item puts a value behind as many as are before it. */
KERNEL(order_short)
{
    OPEN_BUFFERS(order_short)
    const uint from = ITEM;
    if (from >= count) return;
    const uint row = from / length, i = from % length, at = row * length, bits = x[from], mine = key_of(bits, 0, 0);
    uint to = 0;
    for (uint j = 0; j < length; j++) {
        const uint key = key_of(x[at + j], 0, 0);
        to += key < mine || (key == mine && j < i);
    }
    if (to >= k) return;
    y[row * k + to] = value_of(bits);
    y_place[row * k + to] = i;
}
#endif

/* Orders by groups of items. */
#if defined(LANES) && LANES > 1

#ifdef KEYS
#define DIGIT_OF(key) ((key) >> shift & (LANES - 1))
#define PARTS         (LANES < ORDER_PARTS ? LANES : ORDER_PARTS) /* of a tile */

GROUP_KERNEL(order_count)
{
    OPEN_BUFFERS(order_count)
    local uint count[LANES];
    const uint row = GROUP / blocks, from = GROUP % blocks * block;
    const uint end = row < rows ? min(from + block, length) : 0;
    count[LANE] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = from + LANE; i < end; i += LANES)
        atomic_inc(&count[DIGIT_OF(key_of(x[row * length + i], limit, skip))]);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (row < rows) counts[GROUP * LANES + LANE] = count[LANE];
}

GROUP_KERNEL(order_move)
{
    OPEN_BUFFERS(order_move)
    local uint digits[LANES], starts[PARTS * LANES]; /* digits: for a start, sums over digits */
    const uint row = GROUP / blocks, which = GROUP % blocks, from = which * block, at = row * length;
    const uint end = row < rows ? min(from + block, length) : 0;
    const uint part = LANE / (LANES / PARTS);
    /* Item d: where this block's keys with digit d begin. */
    uint before = 0, all = 0;
#if WHOLE
    digits[LANE] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = LANE; i < end; i += LANES) atomic_inc(&digits[DIGIT_OF(key_of(x[at + i], limit, skip))]);
    barrier(CLK_LOCAL_MEM_FENCE);
    all = digits[LANE];
#else
    for (uint b = 0; row < rows && b < blocks; b++) {
        const uint count = counts[(row * blocks + b) * LANES + LANE];
        before += b < which ? count : 0;
        all += count;
    }
    digits[LANE] = all;
#endif
    for (uint step = 1; step < LANES; step *= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        const uint left = LANE >= step ? digits[LANE - step] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        digits[LANE] += left;
    }
    uint next = digits[LANE] - all + before;
    for (uint tile = from; tile < end; tile += LANES) {
        const uint i = tile + LANE;
        const bool here = i < end;
        const uint key = here ? key_of(x[at + i], limit, skip) : 0, digit = DIGIT_OF(key);
        for (uint p = 0; p < PARTS; p++) starts[p * LANES + LANE] = 0;
        digits[LANE] = digit;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (here) atomic_inc(&starts[part * LANES + digit]);
        uint to = 0;
        for (uint j = part * (LANES / PARTS); j < LANE; j++) to += digits[j] == digit;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint p = 0; p < PARTS; p++) {
            const uint count = starts[p * LANES + LANE];
            starts[p * LANES + LANE] = next;
            next += count;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (here) {
            to += starts[part * LANES + digit];
            y[at + to] = key;
#if KEYS == KEYS_READY
            y_place[at + to] = x_place[at + i];
#else
            y_place[at + to] = i;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
#endif

/* top: the k <= KEEP largest of a row, found without an order of all, with KEYS_FALLING. The first k of the best keys
 * of each item bound those of the row: what is not behind the last of them is kept, and the kept ones are put behind as
 * many as are before them. Where more than KEEP are (many are equal, or k > LANES) the k-th pair of key and place is
 * found digit by digit from the highest: keys that agree with it so far are counted by their next digit, and its digit
 * is the one at which the count reaches what is still missing. Then exactly k pairs are not behind it. */
#ifdef KEEP
GROUP_KERNEL(top_select)
{
    OPEN_BUFFERS(top_select)
    local uint count[LANES], keys[KEEP], places[KEEP], found[2], kept;
    const uint row = ROW, at = row * length, end = row < rows ? length : 0;
    uint best = ~0u, rank = 0;
    for (uint i = LANE; i < end; i += LANES) best = min(best, key_of(x[at + i], 0, 0));
    count[LANE] = best;
    if (LANE == 0) found[0] = ~0u;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = 0; j < LANES; j++) rank += count[j] < best || (count[j] == best && j < LANE);
    if (rank == k - 1) found[0] = best;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint last_key = found[0], last_place = ~0u, missing = k, rounds = 1;
    for (uint round = 0; round < rounds; round++) {
        for (int part = round == 0 ? 2 : 0; part < 2; part++) {
            for (int shift = (part == 0 ? 32 : (int)place_bits) - DIGIT; shift > -DIGIT; shift -= DIGIT) {
                const int low = max(shift, 0), high = shift + DIGIT; /* digit: bits low to high - 1 */
                count[LANE] = 0;
                barrier(CLK_LOCAL_MEM_FENCE);
                for (uint i = LANE; i < end; i += LANES) {
                    const uint key = key_of(x[at + i], 0, 0), number = part == 0 ? key : i;
                    const uint last = part == 0 ? last_key : last_place;
                    const bool agrees = high == 32 || number >> high == last >> high;
                    if (agrees && (part == 0 || key == last_key))
                        atomic_inc(&count[number >> low & ((1u << (high - low)) - 1)]);
                }
                for (uint step = 1; step < LANES; step *= 2) {
                    barrier(CLK_LOCAL_MEM_FENCE);
                    const uint left = LANE >= step ? count[LANE - step] : 0;
                    barrier(CLK_LOCAL_MEM_FENCE);
                    count[LANE] += left;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                const uint before = LANE > 0 ? count[LANE - 1] : 0;
                if (before < missing && missing <= count[LANE]) {
                    found[0] = LANE;
                    found[1] = before;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                if (part == 0)
                    last_key |= found[0] << low;
                else
                    last_place |= found[0] << low;
                missing -= found[1];
            }
        }
        if (LANE == 0) kept = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = LANE; i < end; i += LANES) {
            const uint key = key_of(x[at + i], 0, 0);
            if (key > last_key || (key == last_key && i > last_place)) continue;
            const uint to = atomic_inc(&kept); /* the order here does not matter */
            if (to >= KEEP) continue;
            keys[to] = key;
            places[to] = i;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (kept > KEEP) {
            rounds = 2;
            last_key = last_place = 0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint i = LANE; row < rows && i < kept; i += LANES) {
        uint to = 0;
        for (uint j = 0; j < kept; j++) to += keys[j] < keys[i] || (keys[j] == keys[i] && places[j] < places[i]);
        if (to >= k) continue;
        y[row * k + to] = value_of(x[at + places[i]]);
        y_place[row * k + to] = (int)places[i];
    }
}
#endif
#endif

/* Orders by one item. */
#if defined(LANES) && LANES == 1

#ifdef DIGIT
#define FEW 64

/* Each pair sinks to its place behind those that are not greater. */
inline void order_few(global uint *key, global uint *place, uint n)
{
    for (uint i = 1; i < n; i++) {
        const uint k = key[i], p = place[i];
        uint at = i;
        for (; at > 0 && key[at - 1] > k; at--) {
            key[at] = key[at - 1];
            place[at] = place[at - 1];
        }
        key[at] = k;
        place[at] = p;
    }
}

/* Sorts n pairs, which end in a and a_place. */
inline void order_pairs(global uint *a, global uint *a_place, global uint *b, global uint *b_place, uint n)
{
    const uint digits = 1u << DIGIT, mask = digits - 1;
    uint next[1 << DIGIT];
    bool in_a = true;
    if (n <= FEW) {
        order_few(a, a_place, n);
        return;
    }
    for (uint shift = 0; shift < 32; shift += DIGIT) {
        global uint *from = in_a ? a : b, *from_place = in_a ? a_place : b_place;
        global uint *to = in_a ? b : a, *to_place = in_a ? b_place : a_place;
        for (uint d = 0; d < digits; d++) next[d] = 0;
        for (uint i = 0; i < n; i++) next[from[i] >> shift & mask]++;
        if (next[from[0] >> shift & mask] == n) continue;
        uint sum = 0;
        for (uint d = 0; d < digits; d++) {
            const uint here = next[d];
            next[d] = sum;
            sum += here;
        }
        for (uint i = 0; i < n; i++) {
            const uint key = from[i], where = next[key >> shift & mask]++;
            to[where] = key;
            to_place[where] = from_place[i];
        }
        in_a = !in_a;
    }
    for (uint i = 0; !in_a && i < n; i++) {
        a[i] = b[i];
        a_place[i] = b_place[i];
    }
}

KERNEL(sort_alone)
{
    OPEN_BUFFERS(sort_alone)
    const uint row = ITEM, at = row * length;
    if (row >= rows) return;
    for (uint i = 0; i < length; i++) {
        a[at + i] = key_of(x[at + i], 0, 0);
        a_place[at + i] = i;
    }
    order_pairs(a + at, a_place + at, b + at, b_place + at, length);
    for (uint i = 0; i < length; i++) {
        const uint from = a_place[at + i];
        y[at + i] = x[at + from];
        y_place[at + i] = from;
    }
}

/* group_rows: the distinct ids, rising, then -1; place in their order; those of group g from start[g] to start[g+1]. */
KERNEL(group_alone)
{
    OPEN_BUFFERS(group_alone)
    uint used = 0, found = 0;
    if (ITEM > 0) return;
    for (uint i = 0; i < count; i++) {
        const uint key = key_of(ids[i], limit, skip);
        a[used] = key; /* overwritten by the next one when it is left out */
        place[used] = i;
        used += key != limit;
    }
    order_pairs(a, place, b, b_place, used);
    for (uint i = 0; i < used; i++) {
        if (i > 0 && a[i] == a[i - 1]) continue;
        groups[found] = (int)a[i];
        start[found++] = i;
    }
    for (uint i = found; i < count; i++) {
        groups[i] = -1;
        start[i] = used;
    }
    start[count] = used;
}
#endif

/* scatter_add: place in the order of the ids that name one of y's rows; those of row j from start[j] to start[j + 1].
 * Counted one further, the counts' sums are first each id's start and, once its places are written, its end. */
KERNEL(count_alone)
{
    OPEN_BUFFERS(count_alone)
    if (ITEM > 0) return;
    for (uint j = 0; j < rows + 2; j++) start[j] = 0;
    for (uint i = 0; i < count; i++)
        if (ids[i] < rows && (int)ids[i] != skip) start[ids[i] + 2]++;
    for (uint j = 2; j < rows + 2; j++) start[j] += start[j - 1];
    for (uint i = 0; i < count; i++)
        if (ids[i] < rows && (int)ids[i] != skip) place[start[ids[i] + 1]++] = i;
}

/* top_k of an item: the best so far lie in a heap within the outputs, the worst of them on top. */
#ifdef VECTOR
/* Whether a comparison holds for any element. */
inline bool any_of(mask_t is)
{
#if VECTOR == 16
    const int8 half_of = is.lo | is.hi;
    const int4 quarter = half_of.lo | half_of.hi;
    const int2 two = quarter.lo | quarter.hi;
    return (two.x | two.y) != 0;
#elif VECTOR == 1
    return is != 0;
#else
    return any(is);
#endif
}

inline bool worse(float a, int a_place, float b, int b_place)
{
    return a != b ? a < b : a_place > b_place;
}

/* Put one at the top of a heap of n and let it sink. */
inline void sink(global float *value, global int *place, uint n, float x, int x_place)
{
    uint at = 0;
    for (uint child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && worse(value[child + 1], place[child + 1], value[child], place[child])) child++;
        if (!worse(value[child], place[child], x, x_place)) break;
        value[at] = value[child];
        place[at] = place[child];
        at = child;
    }
    value[at] = x;
    place[at] = x_place;
}

KERNEL(top_alone)
{
    OPEN_BUFFERS(top_alone)
    const uint row = ITEM;
    if (row >= rows) return;
    global const float *from = x + row * length;
    global float *value = y + row * k;
    global int *place = y_place + row * k;
    for (uint i = 0; i < k; i++) { /* the first k enter at the end and rise */
        const float v = isnan(from[i]) ? -INFINITY : from[i];
        uint at = i;
        for (; at > 0 && worse(v, (int)i, value[(at - 1) / 2], place[(at - 1) / 2]); at = (at - 1) / 2) {
            value[at] = value[(at - 1) / 2];
            place[at] = place[(at - 1) / 2];
        }
        value[at] = v;
        place[at] = (int)i;
    }
    uint i = k;
    while (i < length) {
        const uint end = min(i + VECTOR, length);
        if (end == i + VECTOR && !any_of(LOAD(from, i) > (real)(value[0]))) {
            i = end;
            continue;
        }
        for (; i < end; i++) /* an equal one comes later, and so is worse; a NaN is never greater */
            if (from[i] > value[0]) sink(value, place, k, from[i], (int)i);
    }
    for (uint n = k; n-- > 1;) { /* the worst goes behind, the last takes its place */
        const float worst = value[0], last = value[n];
        const int worst_place = place[0], last_place = place[n];
        sink(value, place, n, last, last_place);
        value[n] = worst;
        place[n] = worst_place;
    }
}
#endif
#endif
