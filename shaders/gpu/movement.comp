#version 450
/* movement: elements of SIZE bytes to other places; an invocation makes `piece` neighbouring elements of y, whole words
 * where elements are narrower.
 *   take  y[i, j, …] = x[first + sum of (i - before) step], 0 where an index lies outside of [before, before + within)
 *         axes [outer][4]: extent, before, within, step of the axes before the last, innermost first
 *   turn  y[o, i, j] = x[o, j, i] with rows i and columns j; o runs over axes [outer][4]: extent, step in x, step in y;
 *         x is dense along i, y along j
 *   join  y [rows, width] = x0, x1, … side by side: x0 from column `first` to e0, x1 from there to e1, …
 *   iota  y[i] = i / inner mod extent */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/movement.h"

#define STORED_element uint
DECLARE_CONTRACT(ENTRY)

#define ELEMENT(name, i)                                                                                               \
    (SIZE == 4 ? name[i] : SIZE == 1 ? BYTE(name, i) : (name[(i) >> 1] >> (((i) & 1u) * 16u)) & 0xffffu)

#ifdef ENTRY_take
#define ROW_LENGTH last
/* Where the row begins in x, if it is not all zeros. */
bool inside;
uint row_at(uint row)
{
    uint at = first;
    inside = true;
    for (uint k = 0u; k < outer; k++) {
        const uint extent = axes[4u * k], index = row % extent - axes[4u * k + 1u]; /* before the first it is huge */
        inside = inside && index < axes[4u * k + 2u];
        at += index * axes[4u * k + 3u];
        row /= extent;
    }
    return at;
}

uint element(uint row_begin, uint row, uint column)
{
    return inside && column - before < within ? ELEMENT(x, row_begin + (column - before) * step) : 0u;
}
#endif

#ifdef ENTRY_join
#define ROW_LENGTH width
uint row_at(uint row)
{
    return row * width;
}

uint element(uint row_begin, uint row, uint column)
{
#define PART(name, begin, end)                                                                                         \
    if (column < end) return ELEMENT(name, row * (end - begin) + (column - begin))
    if (column < first) return ELEMENT(y, row_begin + column); /* another dispatch's */
    PART(x0, first, e0);
    PART(x1, e0, e1);
    PART(x2, e1, e2);
    PART(x3, e2, e3);
    PART(x4, e3, e4);
    PART(x5, e4, e5);
    PART(x6, e5, e6);
    PART(x7, e6, e7);
    return ELEMENT(y, row_begin + column);
}
#endif

#ifdef ENTRY_iota
#define ROW_LENGTH inner
uint row_at(uint row)
{
    return row % extent;
}

uint element(uint row_begin, uint row, uint column)
{
    return row_begin;
}
#endif

#ifdef ENTRY_turn_tiles
/* A group of TURN_TILE x TURN_TILE_ROWS turns a tile; its rows are a word longer than the tile, so that banks differ. */
shared uint tile[TURN_TILE][TURN_TILE + 1];

void main()
{
    uint x_at = first, y_at = 0u, which = gl_WorkGroupID.z;
    for (uint k = 0u; k < outer; k++) {
        const uint index = which % axes[4u * k];
        x_at += index * axes[4u * k + 1u];
        y_at += index * axes[4u * k + 2u];
        which /= axes[4u * k];
    }
    const uint column = gl_WorkGroupID.x * TURN_TILE, row = gl_WorkGroupID.y * TURN_TILE, i = gl_LocalInvocationID.x;
    for (uint j = gl_LocalInvocationID.y; j < TURN_TILE; j += TURN_TILE_ROWS)
        if (row + i < rows && column + j < columns) tile[j][i] = x[x_at + (column + j) * step + row + i];
    barrier();
    for (uint j = gl_LocalInvocationID.y; j < TURN_TILE; j += TURN_TILE_ROWS)
        if (row + j < rows && column + i < columns) y[y_at + (row + j) * row_at + column + i] = tile[i][j];
}
#else
void main()
{
    const uint begin = ITEM * piece, end = begin < count ? min(begin + piece, count) : begin;
    const uint per_word = 4u / SIZE, bits = 8u * SIZE;
    uint word = 0u, row = begin / ROW_LENGTH, column = begin - row * ROW_LENGTH, row_begin = row_at(row);
    for (uint i = begin; i < end; i++) {
        if (column == ROW_LENGTH) {
            column = 0u;
            row_begin = row_at(++row);
        }
        const uint v = element(row_begin, row, column), slot = i % per_word;
        word = slot == 0u ? v : word | v << slot * bits;
        if (slot == per_word - 1u || i == count - 1u) y[i / per_word] = word;
        column++;
    }
}
#endif
