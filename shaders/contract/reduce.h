/* reduce: sums or largest elements over an axis; contract.h has the form. */
#ifndef CONTRACT_REDUCE_H
#define CONTRACT_REDUCE_H
/* clang-format off */

/* KIND: what is done, and the type of the elements. */
#define REDUCE_SUM_F32 0
#define REDUCE_MAX_F32 1
#define REDUCE_SUM_I32 2
#define REDUCE_MAX_I32 3

#define REDUCE_ENTRIES(ENTRY)             \
    ENTRY(reduce, reduce_rows, subgroups) \
    ENTRY(reduce, reduce_columns, both)

#define CONTRACT_reduce_rows(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                              \
    CONSTANT(1, KIND)                                \
    CONSTANT(2, STRIP)                               \
    CONSTANT(3, SLICES)                              \
    CONSTANT(4, LANES)                               \
    CONSTANT(5, SUBGROUP)                            \
    BUFFER(0, read, value, x)                        \
    BUFFER(1, write, value, y)                       \
    WORD(u32, outer)                                 \
    WORD(u32, length)                                \
    WORD(u32, inner)                                 \
    WORD(u32, parts)                                 \
    WORD(u32, part)

#define CONTRACT_reduce_columns(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                 \
    CONSTANT(1, KIND)                                   \
    CONSTANT(2, STRIP)                                  \
    CONSTANT(3, SLICES)                                 \
    CONSTANT(4, LANES)                                  \
    CONSTANT(5, SUBGROUP)                               \
    BUFFER(0, read, value, x)                           \
    BUFFER(1, write, value, y)                          \
    WORD(u32, outer)                                    \
    WORD(u32, length)                                   \
    WORD(u32, inner)                                    \
    WORD(u32, parts)                                    \
    WORD(u32, part)

#endif
