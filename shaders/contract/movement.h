/* movement: elements to other places; contract.h has the form. */
#ifndef CONTRACT_MOVEMENT_H
#define CONTRACT_MOVEMENT_H
/* clang-format off */

/* Items along each side of a tile that is turned: a workgroup is TURN_TILE x TURN_TILE_ROWS. Columns that an item of a
 * processor turns. Inputs that a join takes. */
#define TURN_TILE      16
#define TURN_TILE_ROWS 8
#define TURN_STRIP     256
#define JOIN_INPUTS    8

#define MOVEMENT_ENTRIES(ENTRY)          \
    ENTRY(movement, take, both)          \
    ENTRY(movement, turn_tiles, both)    \
    ENTRY(movement, turn_strips, opencl) \
    ENTRY(movement, join, both)          \
    ENTRY(movement, iota, both)

#define CONTRACT_take(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, SIZE)                         \
    BUFFER(0, read, element, x)               \
    BUFFER(1, write, element, y)              \
    BUFFER(2, read, u32, axes)                \
    WORD(u32, count)                          \
    WORD(u32, piece)                          \
    WORD(u32, outer)                          \
    WORD(u32, last)                           \
    WORD(u32, before)                         \
    WORD(u32, within)                         \
    WORD(u32, step)                           \
    WORD(u32, first)

#define CONTRACT_turn_tiles(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                             \
    CONSTANT(1, SIZE)                               \
    BUFFER(0, read, u32, x)                         \
    BUFFER(1, write, u32, y)                        \
    BUFFER(2, read, u32, axes)                      \
    WORD(u32, outer)                                \
    WORD(u32, first)                                \
    WORD(u32, rows)                                 \
    WORD(u32, columns)                              \
    WORD(u32, step)                                 \
    WORD(u32, row_at)                               \
    WORD(u32, matrices)

#define CONTRACT_turn_strips(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                              \
    CONSTANT(1, SIZE)                                \
    BUFFER(0, read, u32, x)                          \
    BUFFER(1, write, u32, y)                         \
    BUFFER(2, read, u32, axes)                       \
    WORD(u32, outer)                                 \
    WORD(u32, first)                                 \
    WORD(u32, rows)                                  \
    WORD(u32, columns)                               \
    WORD(u32, step)                                  \
    WORD(u32, row_at)                                \
    WORD(u32, matrices)

#define CONTRACT_join(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, SIZE)                         \
    BUFFER(0, read, element, x0)              \
    BUFFER(1, read, element, x1)              \
    BUFFER(2, read, element, x2)              \
    BUFFER(3, read, element, x3)              \
    BUFFER(4, read, element, x4)              \
    BUFFER(5, read, element, x5)              \
    BUFFER(6, read, element, x6)              \
    BUFFER(7, read, element, x7)              \
    BUFFER(8, update, element, y)             \
    WORD(u32, count)                          \
    WORD(u32, piece)                          \
    WORD(u32, width)                          \
    WORD(u32, first)                          \
    WORD(u32, e0)                             \
    WORD(u32, e1)                             \
    WORD(u32, e2)                             \
    WORD(u32, e3)                             \
    WORD(u32, e4)                             \
    WORD(u32, e5)                             \
    WORD(u32, e6)                             \
    WORD(u32, e7)

#define CONTRACT_iota(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, SIZE)                         \
    BUFFER(0, write, element, y)              \
    WORD(u32, count)                          \
    WORD(u32, piece)                          \
    WORD(u32, inner)                          \
    WORD(u32, extent)

#endif
