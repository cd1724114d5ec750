/* norm: layer_norm and its gradient; contract.h has the form. */
#ifndef CONTRACT_NORM_H
#define CONTRACT_NORM_H
/* clang-format off */

/* adds: residual is there, and is added to dx. */
#define NORM_ENTRIES(ENTRY)                 \
    ENTRY(norm, layer_norm, subgroups)      \
    ENTRY(norm, layer_norm_grad, subgroups) \
    ENTRY(norm, layer_norm_sums, both)

#define CONTRACT_layer_norm(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                             \
    CONSTANT(1, COLUMNS)                            \
    CONSTANT(2, SLICES)                             \
    CONSTANT(3, LANES)                              \
    CONSTANT(4, HALVES)                             \
    CONSTANT(5, SUBGROUP)                           \
    BUFFER(0, read, f32, x)                         \
    BUFFER(1, read, f32, gamma)                     \
    BUFFER(2, read, f32, beta)                      \
    BUFFER(3, write, f32, y)                        \
    WORD(u32, groups)                               \
    WORD(u32, rows)                                 \
    WORD(u32, width)                                \
    WORD(f32, eps)

#define CONTRACT_layer_norm_grad(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                  \
    CONSTANT(1, COLUMNS)                                 \
    CONSTANT(2, SLICES)                                  \
    CONSTANT(3, LANES)                                   \
    CONSTANT(4, HALVES)                                  \
    CONSTANT(5, SUBGROUP)                                \
    BUFFER(0, read, f32, x)                              \
    BUFFER(1, read, f32, gamma)                          \
    BUFFER(2, read, f32, dy)                             \
    BUFFER(3, read, f32, residual)                       \
    BUFFER(4, write, f32, dx)                            \
    BUFFER(5, update, f32, sums)                         \
    WORD(u32, groups)                                    \
    WORD(u32, rows)                                      \
    WORD(u32, width)                                     \
    WORD(f32, eps)                                       \
    WORD(u32, parts)                                     \
    WORD(u32, part)                                      \
    WORD(u32, adds)

#define CONTRACT_layer_norm_sums(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                  \
    CONSTANT(1, COLUMNS)                                 \
    CONSTANT(2, SLICES)                                  \
    CONSTANT(3, LANES)                                   \
    CONSTANT(4, HALVES)                                  \
    CONSTANT(5, SUBGROUP)                                \
    BUFFER(0, read, f32, sums)                           \
    BUFFER(1, write, f32, dgamma)                        \
    BUFFER(2, write, f32, dbeta)                         \
    WORD(u32, groups)                                    \
    WORD(u32, width)                                     \
    WORD(u32, parts)

#endif
