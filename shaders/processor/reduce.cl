/* reduce: sums or largest elements over the axis of x [outer, length, inner], in parts of the axis:
 *   y[o, p, i] = sum or largest of x[o, l, i] over l in [p part, (p + 1) part), l < length
 *   KIND: REDUCE_SUM_F32, REDUCE_MAX_F32 (NaN if one is NaN), REDUCE_SUM_I32 (which wraps), REDUCE_MAX_I32
 * An item takes a row (inner 1), or STRIP vectors of columns, which stay in registers.
 * Long columns are added up in blocks, whose sums are then added, since one long sum loses digits. */

#if VECTOR == 1
typedef TYPE types;
#else
typedef GLUE(TYPE, VECTOR) types;
#endif

inline TYPE join_of(types v)
{
#if VECTOR == 16
    const GLUE(TYPE, 8) a = JOIN(v.lo, v.hi);
#elif VECTOR == 8
    const types a = v;
#endif
#if VECTOR >= 8
    const GLUE(TYPE, 4) b = JOIN(a.lo, a.hi);
#elif VECTOR == 4
    const types b = v;
#endif
#if VECTOR >= 4
    const GLUE(TYPE, 2) c = JOIN(b.lo, b.hi);
    return JOIN(c.x, c.y);
#else
    return v;
#endif
}

KERNEL(reduce_rows)
{
    OPEN_BUFFERS(reduce_rows)
    const uint at = ITEM;
    if (at >= outer * parts) return;
    const uint row = parts == 1 ? at : at / parts, first = (at - row * parts) * part, n = min(part, length - first);
    TYPE total = START;
    uint l = 0;
    x += row * length + first;
    if (n >= VECTOR) {
        types sum[4] = {START, START, START, START};
        for (; n - l >= 4 * VECTOR; l += 4 * VECTOR) {
            for (int k = 0; k < 4; k++) {
                const types v = LOAD(x, l + k * VECTOR);
                sum[k] = JOIN(sum[k], v);
            }
        }
        for (; n - l >= VECTOR; l += VECTOR) {
            const types v = LOAD(x, l);
            sum[0] = JOIN(sum[0], v);
        }
        sum[0] = JOIN(sum[0], sum[1]);
        sum[2] = JOIN(sum[2], sum[3]);
        sum[0] = JOIN(sum[0], sum[2]);
        total = join_of(sum[0]);
    }
    for (; l < n; l++) total = JOIN(total, x[l]);
    y[at] = total;
}

/* A column of n rows. */
inline TYPE down(global const TYPE *x, uint n, uint inner)
{
    TYPE total = START;
    for (uint l = 0; l < n;) {
        const uint end = min(l + BLOCK, n);
        TYPE sum = START;
        for (; l < end; l++) sum = JOIN(sum, x[l * inner]);
        total = JOIN(total, sum);
    }
    return total;
}

/* A vector of columns. */
inline types down_vector(global const TYPE *x, uint n, uint inner)
{
    types total = START;
    for (uint l = 0; l < n;) {
        const uint end = min(l + BLOCK, n);
        types sum = START;
        for (; l < end; l++) {
            const types v = LOAD(x, l * inner);
            sum = JOIN(sum, v);
        }
        total = JOIN(total, sum);
    }
    return total;
}

inline void down_strip(global const TYPE *x, uint n, uint inner, global TYPE *y)
{
    types total[STRIP];
    for (int k = 0; k < STRIP; k++) total[k] = START;
    for (uint l = 0; l < n;) {
        const uint end = min(l + BLOCK, n);
        types sum[STRIP];
        for (int k = 0; k < STRIP; k++) sum[k] = START;
        for (; l < end; l++) {
            for (int k = 0; k < STRIP; k++) {
                const types v = LOAD(x, l * inner + k * VECTOR);
                sum[k] = JOIN(sum[k], v);
            }
        }
        for (int k = 0; k < STRIP; k++) total[k] = JOIN(total[k], sum[k]);
    }
    for (int k = 0; k < STRIP; k++) STORE(total[k], y, k * VECTOR);
}

KERNEL(reduce_columns)
{
    OPEN_BUFFERS(reduce_columns)
    const uint strips = (inner + STRIP * VECTOR - 1) / (STRIP * VECTOR), at = ITEM, unit = at / strips;
    if (unit >= outer * parts) return;
    const uint first = unit % parts * part, n = min(part, length - first);
    uint i = at % strips * (STRIP * VECTOR);
    x += (unit / parts * length + first) * inner;
    y += unit * inner;
    if (inner - i >= STRIP * VECTOR) {
        down_strip(x + i, n, inner, y + i);
        return;
    }
    for (; inner - i >= VECTOR; i += VECTOR) STORE(down_vector(x + i, n, inner), y, i);
    for (; i < inner; i++) y[i] = down(x + i, n, inner);
}
