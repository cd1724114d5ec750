/* reduce: sums or largest elements over the axis of x [outer, length, inner], in parts of the axis:
 *   y[o, p, i] = sum or largest of x[o, l, i] over l in [p part, (p + 1) part), l < length
 *   KIND: REDUCE_SUM_F32, REDUCE_MAX_F32 (NaN if one is NaN), REDUCE_SUM_I32 (which wraps), REDUCE_MAX_I32
 * A group takes LANES / SLICES outputs, SLICES items each, whose results are joined in local memory.
 * Long columns are added up in blocks, whose sums are then added, since one long sum loses digits. */

enum { COLUMNS = LANES / SLICES };

/* Of output `column` of the group, slice `slice`; every item comes here. */
inline void reduce(global const TYPE *x, global TYPE *y, uint outer, uint length, uint inner, uint parts, uint part,
                   uint column, uint slice, local TYPE *between)
{
    const uint blocks = (outer * inner + COLUMNS - 1) / COLUMNS;
    const uint p = GROUP / blocks, at = GROUP % blocks * COLUMNS + column, o = at / inner, i = at % inner;
    const bool valid = p < parts && at < outer * inner;
    local TYPE *mine = between + slice * COLUMNS + column;
    TYPE total = START;
    if (valid) {
        const uint end = min((p + 1) * part, length);
        x += o * length * inner + i;
        for (uint l = p * part + slice; l < end;) {
            TYPE sum = START;
            for (uint k = 0; k < BLOCK && l < end; k++, l += SLICES) sum = JOIN(sum, x[l * inner]);
            total = JOIN(total, sum);
        }
    }
    *mine = total;
    for (uint k = SLICES / 2; k > 0; k /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice < k) *mine = JOIN(*mine, mine[k * COLUMNS]);
    }
    if (valid && slice == 0) y[(o * parts + p) * inner + i] = *mine;
}

/* Neighbours take neighbouring words: of a row, or of a line of columns. */
GROUP_KERNEL(reduce_rows)
{
    local TYPE between[LANES];
    OPEN_BUFFERS(reduce_rows)
    reduce(x, y, outer, length, inner, parts, part, LANE / SLICES, LANE % SLICES, between);
}

GROUP_KERNEL(reduce_columns)
{
    local TYPE between[LANES];
    OPEN_BUFFERS(reduce_columns)
    reduce(x, y, outer, length, inner, parts, part, LANE % COLUMNS, LANE / COLUMNS, between);
}
