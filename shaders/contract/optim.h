/* optim: AdamW and the global norm; contract.h has the form. */
#ifndef CONTRACT_OPTIM_H
#define CONTRACT_OPTIM_H
/* clang-format off */

/* Numbers of a table's line: a tensor's first chunk in the dispatch, its elements, its first chunk in the node, then
 * where it lies in each buffer, in elements. */
#define TABLE_FIRST 0
#define TABLE_COUNT 1
#define TABLE_ORDER 2
#define TABLE_AT    3

#define OPTIM_ENTRIES(ENTRY)         \
    ENTRY(optim, adamw, both)        \
    ENTRY(optim, adamw_rows, both)   \
    ENTRY(optim, adamw_copy, both)   \
    ENTRY(optim, squares, subgroups) \
    ENTRY(optim, norm, subgroups)

#define CONTRACT_adamw(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                        \
    CONSTANT(1, CHUNK)                         \
    CONSTANT(2, LANES)                         \
    CONSTANT(3, SUBGROUP)                      \
    BUFFER(0, read, u32, table)                \
    BUFFER(1, read, f32, step)                 \
    BUFFER(2, read, f32, scale)                \
    BUFFER(3, read, f32, p)                    \
    BUFFER(4, read, f32, m)                    \
    BUFFER(5, read, f32, v)                    \
    BUFFER(6, read, f32, g)                    \
    BUFFER(7, write, f32, new_p)               \
    BUFFER(8, write, f32, new_m)               \
    BUFFER(9, write, f32, new_v)               \
    WORD(u32, tensors)                         \
    WORD(u32, chunks)                          \
    WORD(f32, beta1)                           \
    WORD(f32, rest1)                           \
    WORD(f32, beta2)                           \
    WORD(f32, rest2)                           \
    WORD(f32, eps)                             \
    WORD(f32, decay)

#define CONTRACT_adamw_rows(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                             \
    CONSTANT(1, CHUNK)                              \
    CONSTANT(2, LANES)                              \
    CONSTANT(3, SUBGROUP)                           \
    BUFFER(0, read, f32, step)                      \
    BUFFER(1, read, f32, scale)                     \
    BUFFER(2, read, f32, p)                         \
    BUFFER(3, read, f32, m)                         \
    BUFFER(4, read, f32, v)                         \
    BUFFER(5, read, i32, ids)                       \
    BUFFER(6, read, f32, g)                         \
    BUFFER(7, update, f32, new_p)                   \
    BUFFER(8, update, f32, new_m)                   \
    BUFFER(9, update, f32, new_v)                   \
    WORD(u32, count)                                \
    WORD(u32, rows)                                 \
    WORD(u32, size)                                 \
    WORD(f32, beta1)                                \
    WORD(f32, rest1)                                \
    WORD(f32, beta2)                                \
    WORD(f32, rest2)                                \
    WORD(f32, eps)                                  \
    WORD(f32, decay)

#define CONTRACT_adamw_copy(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                             \
    CONSTANT(1, CHUNK)                              \
    CONSTANT(2, LANES)                              \
    CONSTANT(3, SUBGROUP)                           \
    BUFFER(0, read, f32, p)                         \
    BUFFER(1, read, f32, m)                         \
    BUFFER(2, read, f32, v)                         \
    BUFFER(3, write, f32, new_p)                    \
    BUFFER(4, write, f32, new_m)                    \
    BUFFER(5, write, f32, new_v)                    \
    WORD(u32, count)                                \
    WORD(u32, chunks)

#define CONTRACT_squares(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                          \
    CONSTANT(1, CHUNK)                           \
    CONSTANT(2, LANES)                           \
    CONSTANT(3, SUBGROUP)                        \
    BUFFER(0, read, u32, table)                  \
    BUFFER(1, read, f32, g)                      \
    BUFFER(2, update, f32, sums)                 \
    WORD(u32, tensors)                           \
    WORD(u32, chunks)

#define CONTRACT_norm(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, CHUNK)                        \
    CONSTANT(2, LANES)                        \
    CONSTANT(3, SUBGROUP)                     \
    BUFFER(0, read, f32, sums)                \
    BUFFER(1, write, f32, y)                  \
    WORD(u32, count)

#endif
