/* elementwise: functions of one to three operands; contract.h has the form. */
#ifndef CONTRACT_ELEMENTWISE_H
#define CONTRACT_ELEMENTWISE_H
/* clang-format off */

/* OP: the function. From OP_ADD on there is a second operand. */
#define OP_NEG        0
#define OP_ABS        1
#define OP_EXP        2
#define OP_LOG        3
#define OP_SQRT       4
#define OP_SIN        5
#define OP_COS        6
#define OP_TANH       7
#define OP_FLOOR      8
#define OP_SIGMOID    9
#define OP_RELU       10
#define OP_SILU       11
#define OP_LOG1P      12
#define OP_EXPM1      13
#define OP_ERF        14
#define OP_SOFTPLUS   15
#define OP_GELU       16
#define OP_NOT        17
#define OP_CAST       18
#define OP_ADD        19
#define OP_SUB        20
#define OP_MUL        21
#define OP_DIV        22
#define OP_POW        23
#define OP_MAX        24
#define OP_MIN        25
#define OP_EQUAL      26
#define OP_LESS       27
#define OP_LESS_EQUAL 28
#define OP_AND        29
#define OP_OR         30
#define OP_RELU_GRAD  31
#define OP_WHERE      32

/* FROM, TO: types as stored, as m3_dtype numbers them. */
#define DTYPE_F32  0
#define DTYPE_I32  1
#define DTYPE_U32  2
#define DTYPE_U8   3
#define DTYPE_BOOL 4
#define DTYPE_F16  5
#define DTYPE_BF16 6

#define ELEMENTWISE_ENTRIES(ENTRY) \
    ENTRY(elementwise, map, both)

#define CONTRACT_map(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                      \
    CONSTANT(1, OP)                          \
    CONSTANT(2, FROM)                        \
    CONSTANT(3, TO)                          \
    BUFFER(0, read, first, x)                \
    BUFFER(1, read, from, y)                 \
    BUFFER(2, read, from, w)                 \
    BUFFER(3, write, to, z)                  \
    BUFFER(4, read, u32, axes)               \
    WORD(u32, count)                         \
    WORD(u32, piece)                         \
    WORD(u32, last)                          \
    WORD(u32, outer)                         \
    WORD(u32, moves)

#endif
