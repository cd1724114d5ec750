/* movement: elements of SIZE bytes to other places; an item makes `piece` neighbouring elements of y, a row (or part of
 * one) at a time.
 *   take  y[i, j, …] = x[first + sum of (i - before) step], 0 where an index lies outside of [before, before + within)
 *         axes [outer][4]: extent, before, within, step of the axes before the last, innermost first
 *   turn  y[o, i, j] = x[o, j, i] with rows i and columns j; o runs over axes [outer][4]: extent, step in x, step in y;
 *         x is dense along i, y along j
 *   join  y [rows, width] = x0, x1, … side by side: x0 from column `first` to e0, x1 from there to e1, …
 *   iota  y[i] = i / inner mod extent */
#if SIZE == 4
#define ELEMENT uint
#elif SIZE == 2
#define ELEMENT ushort
#else
#define ELEMENT uchar
#endif
#define TYPE_element ELEMENT
#if VECTOR == 1
#define WIDE ELEMENT
#else
#define WIDE GLUE(ELEMENT, VECTOR)
#endif

/* n times the same. */
inline void fill(global ELEMENT *y, uint n, ELEMENT v)
{
    uint i = 0;
    for (; i + VECTOR <= n; i += VECTOR) STORE((WIDE)(v), y, i);
    for (; i < n; i++) y[i] = v;
}

inline void copy(global ELEMENT *y, global const ELEMENT *x, uint n)
{
    uint i = 0;
    for (; i + VECTOR <= n; i += VECTOR) STORE(LOAD(x, i), y, i);
    for (; i < n; i++) y[i] = x[i];
}

KERNEL(take)
{
    OPEN_BUFFERS(take)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        uint row = at / last, from = first;
        const uint column = at - row * last, run = min(end - at, last - column);
        bool inside = true;
        for (uint i = 0; i < outer; i++) {
            const uint4 axis = vload4(i, axes);
            const uint index = row % axis.x - axis.y; /* before the first it is huge */
            inside = inside && index < axis.z;
            from += index * axis.w;
            row /= axis.x;
        }
        /* Of the run, [left, right) lies in x. */
        const uint left = inside ? (before > column ? min(before - column, run) : 0) : run;
        const uint right = max(left, before + within > column ? min(before + within - column, run) : 0);
        fill(y + at, left, 0);
        if (left < right) {
            from += (column + left - before) * step;
            if (step == 1)
                copy(y + at + left, x + from, right - left);
            else if (step == 0)
                fill(y + at + left, right - left, x[from]);
            else
                for (uint i = left; i < right; i++, from += step) y[at + i] = x[from];
        }
        fill(y + at + right, run - right, 0);
        at += run;
    }
}

#if SIZE == 4
/* Where matrix number `which` begins in x, and in y. */
inline uint2 matrix_at(global const uint *axes, uint outer, uint first, uint which)
{
    uint2 at = (uint2)(first, 0);
    for (uint i = 0; i < outer; i++) {
        const uint4 axis = vload4(i, axes);
        at += which % axis.x * axis.yz;
        which /= axis.x;
    }
    return at;
}

#if VECTOR >= 4
/* A full tile: each round doubles how many neighbours of a column lie side by side. */
inline void turn_tile(global uint *y, uint row_at, global const uint *x, uint step)
{
    word_t r[VECTOR], t[VECTOR];
    for (uint k = 0; k < VECTOR; k++) r[k] = LOAD(x, k * step);
    for (uint round = 1; round < VECTOR; round *= 2) {
        for (uint k = 0; k < VECTOR / 2; k++) interleave(r[k], r[k + VECTOR / 2], &t[2 * k], &t[2 * k + 1]);
        for (uint k = 0; k < VECTOR; k++) r[k] = t[k];
    }
    for (uint k = 0; k < VECTOR; k++) STORE(r[k], y, k * row_at);
}

/* An item turns VECTOR rows and up to TURN_STRIP columns. */
KERNEL(turn_strips)
{
    OPEN_BUFFERS(turn_strips)
    const uint strips = (columns + TURN_STRIP - 1) / TURN_STRIP, bands = (rows + VECTOR - 1) / VECTOR;
    const uint column = ITEM % strips * TURN_STRIP, row = ITEM / strips % bands * VECTOR, which = ITEM / strips / bands;
    if (which >= matrices) return;
    const uint2 matrix = matrix_at(axes, outer, first, which);
    const uint end = min(column + TURN_STRIP, columns), n = min(rows - row, (uint)VECTOR);
    x += matrix.x + row;
    y += matrix.y + row * row_at;
    uint j = column;
    if (n == VECTOR)
        for (; j + VECTOR <= end; j += VECTOR) turn_tile(y + j, row_at, x + j * step, step);
    for (uint i = 0; i < n; i++)
        for (uint k = j; k < end; k++) y[i * row_at + k] = x[k * step + i];
}
#endif

/* A group of TURN_TILE x TURN_TILE_ROWS turns a tile; its rows are a word longer than the tile, so that banks differ. */
KERNEL_OF(turn_tiles, TURN_TILE, TURN_TILE_ROWS)
{
    local uint tile[TURN_TILE][TURN_TILE + 1];
    OPEN_BUFFERS(turn_tiles)
    const uint2 matrix = matrix_at(axes, outer, first, get_group_id(2));
    const uint column = get_group_id(0) * TURN_TILE, row = get_group_id(1) * TURN_TILE;
    const uint i = get_local_id(0);
    for (uint j = get_local_id(1); j < TURN_TILE; j += TURN_TILE_ROWS)
        if (row + i < rows && column + j < columns) tile[j][i] = x[matrix.x + (column + j) * step + row + i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = get_local_id(1); j < TURN_TILE; j += TURN_TILE_ROWS)
        if (row + j < rows && column + i < columns) y[matrix.y + (row + j) * row_at + column + i] = tile[i][j];
}
#endif

/* Columns [begin, end) of y's row, as far as [column, column + run) reaches. */
inline void join_part(global ELEMENT *y, uint column, uint run, global const ELEMENT *x, uint row, uint begin, uint end)
{
    const uint left = max(column, begin), right = min(column + run, end);
    if (left < right) copy(y + (left - column), x + row * (end - begin) + (left - begin), right - left);
}

KERNEL(join)
{
    OPEN_BUFFERS(join)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        const uint row = at / width, column = at - row * width, run = min(end - at, width - column);
        join_part(y + at, column, run, x0, row, first, e0);
        join_part(y + at, column, run, x1, row, e0, e1);
        join_part(y + at, column, run, x2, row, e1, e2);
        join_part(y + at, column, run, x3, row, e2, e3);
        join_part(y + at, column, run, x4, row, e3, e4);
        join_part(y + at, column, run, x5, row, e4, e5);
        join_part(y + at, column, run, x6, row, e5, e6);
        join_part(y + at, column, run, x7, row, e6, e7);
        at += run;
    }
}

KERNEL(iota)
{
    OPEN_BUFFERS(iota)
    const uint at = ITEM * piece, end = at < count ? min(at + piece, count) : at;
    for (uint i = at; i < end; i++) y[i] = i / inner % extent;
}
