/* attention: multi-head attention and its gradient; contract.h has the form. */
#ifndef CONTRACT_ATTENTION_H
#define CONTRACT_ATTENTION_H
/* clang-format off */

/* Columns of queries and keys that lie in local memory at a time. */
#define ATTEND_COLUMNS 32

/* Words: q_row and kv_row, elements between rows of q and dq, and of k, v and their gradients; k_first and v_first, elements
 * before the first k and v and their gradients: packed operands are columns of one tensor. */
#define ATTENTION_ENTRIES(ENTRY)                \
    ENTRY(attention, attend, subgroups)         \
    ENTRY(attention, attend_grad, subgroups)    \
    ENTRY(attention, attend_alone, simulated)   \
    ENTRY(attention, attend_queries, simulated) \
    ENTRY(attention, attend_keys, simulated)

#define CONTRACT_attend(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                         \
    CONSTANT(1, WIDTH)                          \
    CONSTANT(2, QUERIES)                        \
    CONSTANT(3, KEYS)                           \
    CONSTANT(4, TILE)                           \
    CONSTANT(5, AGAIN)                          \
    CONSTANT(6, GRADIENT)                       \
    CONSTANT(7, LANES)                          \
    CONSTANT(8, HALVES)                         \
    CONSTANT(9, Y_HALVES)                       \
    CONSTANT(10, SUBGROUP)                      \
    BUFFER(0, read, f32, q)                     \
    BUFFER(1, read, f32, k)                     \
    BUFFER(2, read, f32, v)                     \
    BUFFER(3, read, u8, mask)                   \
    BUFFER(4, write, f32, y)                    \
    WORD(u32, units)                            \
    WORD(u32, heads)                            \
    WORD(u32, queries)                          \
    WORD(u32, keys)                             \
    WORD(u32, q_row)                            \
    WORD(u32, kv_row)                           \
    WORD(u32, k_first)                          \
    WORD(u32, v_first)                          \
    WORD(f32, scale)

#define CONTRACT_attend_grad(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                              \
    CONSTANT(1, WIDTH)                               \
    CONSTANT(2, QUERIES)                             \
    CONSTANT(3, KEYS)                                \
    CONSTANT(4, TILE)                                \
    CONSTANT(5, AGAIN)                               \
    CONSTANT(6, GRADIENT)                            \
    CONSTANT(7, LANES)                               \
    CONSTANT(8, HALVES)                              \
    CONSTANT(9, Y_HALVES)                            \
    CONSTANT(10, SUBGROUP)                           \
    BUFFER(0, read, f32, q)                          \
    BUFFER(1, read, f32, k)                          \
    BUFFER(2, read, f32, v)                          \
    BUFFER(3, read, u8, mask)                        \
    BUFFER(4, read, f32, dy)                         \
    BUFFER(5, write, f32, dq)                        \
    BUFFER(6, write, f32, dk)                        \
    BUFFER(7, write, f32, dv)                        \
    WORD(u32, units)                                 \
    WORD(u32, heads)                                 \
    WORD(u32, queries)                               \
    WORD(u32, keys)                                  \
    WORD(u32, q_row)                                 \
    WORD(u32, kv_row)                                \
    WORD(u32, k_first)                               \
    WORD(u32, v_first)                               \
    WORD(f32, scale)

#define CONTRACT_attend_alone(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, WIDTH)                                \
    CONSTANT(1, QUERIES)                              \
    CONSTANT(2, KEYS)                                 \
    CONSTANT(3, AGAIN)                                \
    CONSTANT(4, LANES)                                \
    CONSTANT(5, HALVES)                               \
    CONSTANT(6, Y_HALVES)                             \
    BUFFER(0, read, f32, q)                           \
    BUFFER(1, read, f32, k)                           \
    BUFFER(2, read, f32, v)                           \
    BUFFER(3, read, u8, mask)                         \
    BUFFER(4, write, f32, y)                          \
    WORD(u32, units)                                  \
    WORD(u32, heads)                                  \
    WORD(u32, queries)                                \
    WORD(u32, keys)                                   \
    WORD(u32, q_row)                                  \
    WORD(u32, kv_row)                                 \
    WORD(u32, k_first)                                \
    WORD(u32, v_first)                                \
    WORD(f32, scale)

#define CONTRACT_attend_queries(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, WIDTH)                                  \
    CONSTANT(1, QUERIES)                                \
    CONSTANT(2, KEYS)                                   \
    CONSTANT(3, AGAIN)                                  \
    CONSTANT(4, LANES)                                  \
    CONSTANT(5, HALVES)                                 \
    CONSTANT(6, Y_HALVES)                               \
    BUFFER(0, read, f32, q)                             \
    BUFFER(1, read, f32, k)                             \
    BUFFER(2, read, f32, v)                             \
    BUFFER(3, read, u8, mask)                           \
    BUFFER(4, read, f32, dy)                            \
    BUFFER(5, write, f32, dq)                           \
    BUFFER(6, write, f32, stats)                        \
    WORD(u32, units)                                    \
    WORD(u32, heads)                                    \
    WORD(u32, queries)                                  \
    WORD(u32, keys)                                     \
    WORD(u32, q_row)                                    \
    WORD(u32, kv_row)                                   \
    WORD(u32, k_first)                                  \
    WORD(u32, v_first)                                  \
    WORD(f32, scale)

#define CONTRACT_attend_keys(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, WIDTH)                               \
    CONSTANT(1, QUERIES)                             \
    CONSTANT(2, KEYS)                                \
    CONSTANT(3, AGAIN)                               \
    CONSTANT(4, LANES)                               \
    CONSTANT(5, HALVES)                              \
    CONSTANT(6, Y_HALVES)                            \
    BUFFER(0, read, f32, q)                          \
    BUFFER(1, read, f32, k)                          \
    BUFFER(2, read, f32, v)                          \
    BUFFER(3, read, u8, mask)                        \
    BUFFER(4, read, f32, dy)                         \
    BUFFER(5, read, f32, stats)                      \
    BUFFER(6, write, f32, dk)                        \
    BUFFER(7, write, f32, dv)                        \
    WORD(u32, units)                                 \
    WORD(u32, heads)                                 \
    WORD(u32, queries)                               \
    WORD(u32, keys)                                  \
    WORD(u32, q_row)                                 \
    WORD(u32, kv_row)                                \
    WORD(u32, k_first)                               \
    WORD(u32, v_first)                               \
    WORD(f32, scale)

#endif
