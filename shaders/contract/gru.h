/* gru: one step of a cell, and its gradient; contract.h has the form. */
#ifndef CONTRACT_GRU_H
#define CONTRACT_GRU_H
/* clang-format off */

#define GRU_ENTRIES(ENTRY)     \
    ENTRY(gru, gru_cell, both) \
    ENTRY(gru, gru_cell_grad, both)

#define CONTRACT_gru_cell(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                           \
    BUFFER(0, read, f32, xi)                      \
    BUFFER(1, read, f32, hh)                      \
    BUFFER(2, read, f32, h)                       \
    BUFFER(3, read, u8, mask)                     \
    BUFFER(4, write, f32, y)                      \
    WORD(u32, count)                              \
    WORD(u32, piece)                              \
    WORD(u32, width)

#define CONTRACT_gru_cell_grad(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                \
    BUFFER(0, read, f32, xi)                           \
    BUFFER(1, read, f32, hh)                           \
    BUFFER(2, read, f32, h)                            \
    BUFFER(3, read, u8, mask)                          \
    BUFFER(4, read, f32, dy)                           \
    BUFFER(5, write, f32, dxi)                         \
    BUFFER(6, write, f32, dhh)                         \
    BUFFER(7, write, f32, dh)                          \
    WORD(u32, count)                                   \
    WORD(u32, piece)                                   \
    WORD(u32, width)

#endif
