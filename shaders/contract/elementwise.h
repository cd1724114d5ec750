/* elementwise: a tape of functions of one to three operands; contract.h has the form. */
#ifndef CONTRACT_ELEMENTWISE_H
#define CONTRACT_ELEMENTWISE_H
/* clang-format off */

/* The functions, X(operands, name): in both languages do_NAME. Values are words: the bits of an f32, which halves are
 * too, or a whole number of up to 32 bits, a bool as 0 or 1. Without a type in its name a function is of floats, or of
 * what it alone can be. From `truth` on: casts, by what they make. */
#define TAPE_FUNCTIONS(X) \
    X(1, neg)             \
    X(1, neg_int)         \
    X(1, abs)             \
    X(1, abs_int)         \
    X(1, exp)             \
    X(1, log)             \
    X(1, sqrt)            \
    X(1, sin)             \
    X(1, cos)             \
    X(1, tanh)            \
    X(1, floor)           \
    X(1, sigmoid)         \
    X(1, relu)            \
    X(1, silu)            \
    X(1, log1p)           \
    X(1, expm1)           \
    X(1, erf)             \
    X(1, softplus)        \
    X(1, gelu)            \
    X(1, not)             \
    X(2, add)             \
    X(2, add_int)         \
    X(2, sub)             \
    X(2, sub_int)         \
    X(2, mul)             \
    X(2, mul_int)         \
    X(2, div)             \
    X(2, div_i32)         \
    X(2, div_u32)         \
    X(2, pow)             \
    X(2, max)             \
    X(2, max_i32)         \
    X(2, max_u32)         \
    X(2, min)             \
    X(2, min_i32)         \
    X(2, min_u32)         \
    X(2, equal)           \
    X(2, equal_int)       \
    X(2, less)            \
    X(2, less_i32)        \
    X(2, less_u32)        \
    X(2, less_equal)      \
    X(2, less_equal_i32)  \
    X(2, less_equal_u32)  \
    X(2, and)             \
    X(2, or)              \
    X(2, relu_grad)       \
    X(3, where)           \
    X(1, keep)            \
    X(1, truth)           \
    X(1, truth_of_int)    \
    X(1, f32_of_i32)      \
    X(1, f32_of_u32)      \
    X(1, f16)             \
    X(1, f16_of_i32)      \
    X(1, f16_of_u32)      \
    X(1, bf16)            \
    X(1, bf16_of_i32)     \
    X(1, bf16_of_u32)     \
    X(1, i32)             \
    X(1, u32)             \
    X(1, u8)              \
    X(1, u8_of_int)

/* INPUT_TYPES and OUTPUT_TYPES have a type (types.h) in three bits for each buffer. */

#define TAPE_INPUTS  10
#define TAPE_OUTPUTS 4

#define ELEMENTWISE_ENTRIES(ENTRY) \
    ENTRY(elementwise, map, both)

#define CONTRACT_map(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                      \
    CONSTANT(1, INPUT_TYPES)                 \
    CONSTANT(2, OUTPUT_TYPES)                \
    BUFFER(0, read, bits, x0)                \
    BUFFER(1, read, bits, x1)                \
    BUFFER(2, read, bits, x2)                \
    BUFFER(3, read, bits, x3)                \
    BUFFER(4, read, bits, x4)                \
    BUFFER(5, read, bits, x5)                \
    BUFFER(6, read, bits, x6)                \
    BUFFER(7, read, bits, x7)                \
    BUFFER(8, read, bits, x8)                \
    BUFFER(9, read, bits, x9)                \
    BUFFER(10, write, bits, z0)              \
    BUFFER(11, write, bits, z1)              \
    BUFFER(12, write, bits, z2)              \
    BUFFER(13, write, bits, z3)              \
    BUFFER(14, read, u32, axes)              \
    WORD(u32, count)                         \
    WORD(u32, piece)                         \
    WORD(u32, last)                          \
    WORD(u32, outer)                         \
    WORD(u32, moves)

#endif
