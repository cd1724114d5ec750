/* draws: random bits, uniforms and normals; contract.h has the form. */
#ifndef CONTRACT_DRAWS_H
#define CONTRACT_DRAWS_H
/* clang-format off */

/* PARTED: of a part of a batch, rng is [5], and a batch has `blocks` blocks. KIND: what is drawn. */
#define DRAW_BITS    0
#define DRAW_UNIFORM 1
#define DRAW_NORMAL  2

#define DRAWS_ENTRIES(ENTRY) \
    ENTRY(draws, draw, both)

#define CONTRACT_draw(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, KIND)                         \
    CONSTANT(1, VECTOR)                       \
    CONSTANT(2, PART)                         \
    CONSTANT(3, PARTED)                       \
    BUFFER(0, read, u32, rng)                 \
    BUFFER(1, write, u32, y)                  \
    WORD(u32, count)                          \
    WORD(u32, site)                           \
    WORD(u32, blocks)

#endif
