/* softmax: masked softmax, and cross entropy of a softmax with its gradient; contract.h has the form. */
#ifndef CONTRACT_SOFTMAX_H
#define CONTRACT_SOFTMAX_H
/* clang-format off */

/* Axes of rows along which a mask may be broadcast: words dim0 … and stride0 …. */
#define SOFTMAX_AXES 5

#define SOFTMAX_ENTRIES(ENTRY)                \
    ENTRY(softmax, masked_softmax, subgroups) \
    ENTRY(softmax, cross_entropy, subgroups)  \
    ENTRY(softmax, cross_entropy_grad, subgroups)

#define CONTRACT_masked_softmax(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                 \
    CONSTANT(1, AXES)                                   \
    CONSTANT(2, STEP)                                   \
    CONSTANT(3, LANES)                                  \
    CONSTANT(4, SUBGROUP)                               \
    BUFFER(0, read, f32, x)                             \
    BUFFER(1, read, u8, mask)                           \
    BUFFER(2, write, f32, y)                            \
    WORD(u32, rows)                                     \
    WORD(u32, length)                                   \
    WORD(u32, dim0)                                     \
    WORD(u32, dim1)                                     \
    WORD(u32, dim2)                                     \
    WORD(u32, dim3)                                     \
    WORD(u32, dim4)                                     \
    WORD(u32, stride0)                                  \
    WORD(u32, stride1)                                  \
    WORD(u32, stride2)                                  \
    WORD(u32, stride3)                                  \
    WORD(u32, stride4)

#define CONTRACT_cross_entropy(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                \
    CONSTANT(1, AXES)                                  \
    CONSTANT(2, STEP)                                  \
    CONSTANT(3, LANES)                                 \
    CONSTANT(4, SUBGROUP)                              \
    BUFFER(0, read, f32, x)                            \
    BUFFER(1, read, i32, target)                       \
    BUFFER(2, write, f32, y)                           \
    WORD(u32, rows)                                    \
    WORD(u32, length)

#define CONTRACT_cross_entropy_grad(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                     \
    CONSTANT(1, AXES)                                       \
    CONSTANT(2, STEP)                                       \
    CONSTANT(3, LANES)                                      \
    CONSTANT(4, SUBGROUP)                                   \
    BUFFER(0, read, f32, x)                                 \
    BUFFER(1, read, i32, target)                            \
    BUFFER(2, read, f32, dloss)                             \
    BUFFER(3, write, f32, dx)                               \
    WORD(u32, rows)                                         \
    WORD(u32, length)

#endif
