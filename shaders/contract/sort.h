/* sort: a stable order of rows of keys, and what follows from it; contract.h has the form. */
#ifndef CONTRACT_SORT_H
#define CONTRACT_SORT_H
/* clang-format off */

/* KEYS: what an unsigned key is made of. */
#define KEYS_READY   0 /* a key already */
#define KEYS_U32     1
#define KEYS_I32     2
#define KEYS_F32     3
#define KEYS_FALLING 4 /* f32, the largest first */
#define KEYS_IDS     5 /* an id below the limit that is not skip is its own key; all others have the limit's */

/* Parts of a tile of order_move, if there are so many lanes. */
#define ORDER_PARTS 8

#define SORT_ENTRIES(ENTRY)             \
    ENTRY(sort, order_count, both)      \
    ENTRY(sort, order_move, both)       \
    ENTRY(sort, order_values, both)     \
    ENTRY(sort, order_short, both)      \
    ENTRY(sort, top_select, both)       \
    ENTRY(sort, sort_alone, processor)  \
    ENTRY(sort, group_alone, processor) \
    ENTRY(sort, count_alone, processor) \
    ENTRY(sort, top_alone, processor)

#define CONTRACT_order_count(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                               \
    CONSTANT(1, KEYS)                                \
    BUFFER(0, read, u32, x)                          \
    BUFFER(1, write, u32, counts)                    \
    WORD(u32, rows)                                  \
    WORD(u32, length)                                \
    WORD(u32, blocks)                                \
    WORD(u32, block)                                 \
    WORD(u32, shift)                                 \
    WORD(u32, limit)                                 \
    WORD(i32, skip)

#define CONTRACT_order_move(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                              \
    CONSTANT(1, KEYS)                               \
    CONSTANT(2, WHOLE)                              \
    BUFFER(0, read, u32, x)                         \
    BUFFER(1, read, u32, x_place)                   \
    BUFFER(2, read, u32, counts)                    \
    BUFFER(3, write, u32, y)                        \
    BUFFER(4, write, u32, y_place)                  \
    WORD(u32, rows)                                 \
    WORD(u32, length)                               \
    WORD(u32, blocks)                               \
    WORD(u32, block)                                \
    WORD(u32, shift)                                \
    WORD(u32, limit)                                \
    WORD(i32, skip)

#define CONTRACT_order_values(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, KEYS)                                 \
    BUFFER(0, read, u32, x)                           \
    BUFFER(1, read, u32, place)                       \
    BUFFER(2, write, u32, y)                          \
    BUFFER(3, write, u32, y_place)                    \
    WORD(u32, count)                                  \
    WORD(u32, length)                                 \
    WORD(u32, k)

#define CONTRACT_order_short(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, KEYS)                                \
    BUFFER(0, read, u32, x)                          \
    BUFFER(1, write, u32, y)                         \
    BUFFER(2, write, u32, y_place)                   \
    WORD(u32, count)                                 \
    WORD(u32, length)                                \
    WORD(u32, k)

#define CONTRACT_top_select(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                              \
    CONSTANT(1, KEYS)                               \
    CONSTANT(2, DIGIT)                              \
    CONSTANT(3, KEEP)                               \
    BUFFER(0, read, u32, x)                         \
    BUFFER(1, write, u32, y)                        \
    BUFFER(2, write, i32, y_place)                  \
    WORD(u32, rows)                                 \
    WORD(u32, length)                               \
    WORD(u32, k)                                    \
    WORD(u32, place_bits)

#define CONTRACT_sort_alone(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                              \
    CONSTANT(1, KEYS)                               \
    CONSTANT(2, DIGIT)                              \
    BUFFER(0, read, u32, x)                         \
    BUFFER(1, update, u32, a)                       \
    BUFFER(2, update, u32, a_place)                 \
    BUFFER(3, update, u32, b)                       \
    BUFFER(4, update, u32, b_place)                 \
    BUFFER(5, write, u32, y)                        \
    BUFFER(6, write, u32, y_place)                  \
    WORD(u32, rows)                                 \
    WORD(u32, length)

#define CONTRACT_group_alone(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                               \
    CONSTANT(1, KEYS)                                \
    CONSTANT(2, DIGIT)                               \
    BUFFER(0, read, u32, ids)                        \
    BUFFER(1, update, u32, a)                        \
    BUFFER(2, update, u32, place)                    \
    BUFFER(3, update, u32, b)                        \
    BUFFER(4, update, u32, b_place)                  \
    BUFFER(5, write, u32, start)                     \
    BUFFER(6, write, i32, groups)                    \
    WORD(u32, count)                                 \
    WORD(u32, limit)                                 \
    WORD(i32, skip)

#define CONTRACT_count_alone(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                               \
    BUFFER(0, read, u32, ids)                        \
    BUFFER(1, update, u32, start)                    \
    BUFFER(2, write, u32, place)                     \
    WORD(u32, count)                                 \
    WORD(u32, rows)                                  \
    WORD(i32, skip)

#define CONTRACT_top_alone(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, LANES)                             \
    CONSTANT(1, VECTOR)                            \
    BUFFER(0, read, f32, x)                        \
    BUFFER(1, update, f32, y)                      \
    BUFFER(2, update, i32, y_place)                \
    WORD(u32, rows)                                \
    WORD(u32, length)                              \
    WORD(u32, k)

#endif
