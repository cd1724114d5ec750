/* rows: rows of axis 0 that ids name; contract.h has the form. */
#ifndef CONTRACT_ROWS_H
#define CONTRACT_ROWS_H
/* clang-format off */

#define ROWS_ENTRIES(ENTRY)        \
    ENTRY(rows, gather, both)      \
    ENTRY(rows, copy, both)        \
    ENTRY(rows, replace, both)     \
    ENTRY(rows, sum, both)         \
    ENTRY(rows, starts, both)      \
    ENTRY(rows, heads_count, both) \
    ENTRY(rows, heads_write, both)

#define CONTRACT_gather(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                          \
    CONSTANT(1, VECTOR)                         \
    CONSTANT(2, UNIT)                           \
    CONSTANT(3, PART)                           \
    BUFFER(0, read, unit, table)                \
    BUFFER(1, read, u32, ids)                   \
    BUFFER(2, write, unit, y)                   \
    WORD(u32, count)                            \
    WORD(u32, rows)                             \
    WORD(u32, size)                             \
    WORD(i32, skip)

#define CONTRACT_copy(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                        \
    CONSTANT(1, VECTOR)                       \
    CONSTANT(2, UNIT)                         \
    CONSTANT(3, PART)                         \
    CONSTANT(4, ZERO)                         \
    BUFFER(0, read, unit, table)              \
    BUFFER(1, write, unit, y)                 \
    WORD(u32, count)

#define CONTRACT_replace(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                           \
    CONSTANT(1, VECTOR)                          \
    CONSTANT(2, UNIT)                            \
    CONSTANT(3, PART)                            \
    BUFFER(0, read, u32, ids)                    \
    BUFFER(1, read, unit, from)                  \
    BUFFER(2, update, unit, y)                   \
    WORD(u32, count)                             \
    WORD(u32, rows)                              \
    WORD(u32, size)

#define CONTRACT_sum(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                       \
    CONSTANT(1, VECTOR)                      \
    CONSTANT(2, INTEGER)                     \
    BUFFER(0, read, number, rows)            \
    BUFFER(1, read, u32, place)              \
    BUFFER(2, read, u32, start)              \
    BUFFER(3, update, number, y)             \
    WORD(u32, count)                         \
    WORD(u32, size)                          \
    WORD(u32, first)                         \
    WORD(u32, most)

#define CONTRACT_starts(CONSTANT, BUFFER, WORD) \
    BUFFER(0, read, u32, key)                   \
    BUFFER(1, write, u32, start)                \
    WORD(u32, rows)                             \
    WORD(u32, count)

#define CONTRACT_heads_count(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                               \
    BUFFER(0, read, u32, key)                        \
    BUFFER(1, write, u32, heads)                     \
    WORD(u32, count)                                 \
    WORD(u32, block)                                 \
    WORD(u32, limit)

#define CONTRACT_heads_write(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                               \
    BUFFER(0, read, u32, key)                        \
    BUFFER(1, read, u32, heads)                      \
    BUFFER(2, write, i32, groups)                    \
    BUFFER(3, write, u32, start)                     \
    WORD(u32, count)                                 \
    WORD(u32, block)                                 \
    WORD(u32, blocks)                                \
    WORD(u32, limit)

#endif
