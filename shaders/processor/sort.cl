/* sort: a stable order of rows of keys, and what follows from it: sort, top_k, group_rows, scatter_add.
 *
 * An item sorts a whole row, DIGIT bits a pass; passes in which all keys agree are left out. */

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
