/* dropout: elements that a draw keeps; contract.h has the form. */
#ifndef CONTRACT_DROPOUT_H
#define CONTRACT_DROPOUT_H
/* clang-format off */

#define DROPOUT_ENTRIES(ENTRY) \
    ENTRY(dropout, drop, both)

/* PARTED, blocks: as in draws.h. */
#define CONTRACT_drop(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, PARTED)                       \
    BUFFER(0, read, f32, x)                   \
    BUFFER(1, read, u32, rng)                 \
    BUFFER(2, write, f32, y)                  \
    WORD(u32, count)                          \
    WORD(u32, piece)                          \
    WORD(u32, site)                           \
    WORD(u32, blocks)                         \
    WORD(f32, rate)                           \
    WORD(f32, factor)

#endif
