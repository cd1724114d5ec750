#version 450
/* elementwise: a tape of functions, one element after another, the values in registers. An invocation makes `piece`
 * neighbouring elements of each output, whole words where elements are narrower.
 *   tape  what stands here only names all functions: the backend writes its steps (backends/vulkan/tape.c), by the
 *         names of functions and of what they read and write
 *   axes  [outer][1 + TAPE_INPUTS]: extent and strides of the inputs, of the axes before the last, innermost first
 *   moves bit k: input k goes on along the last axis
 * Everything is read and written as bits; signs, comparisons and choices work on them: a device may flush denormals.
 * Sums, differences, products and quotients are `precise`, so that none is fused with another step. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/halves.glsl"
#include "shaders/contract/elementwise.h"

#define STORED_bits uint
DECLARE_CONTRACT(ENTRY)

/* Before bf16, what f32 would round away of a whole number is kept in one bit, far below the last of bf16: only one
 * rounding counts. */
uint sticky(const uint v, const bool far)
{
    return far && (v & 0xffu) != 0u ? (v & ~0xffu) | 0x100u : v;
}

/* A whole number as a float, by its upper and lower half, whose sum is rounded once: Mesa leaves out a conversion to a
 * float and back, and the rounding with it. */
uint rounded(const float upper, const uint v)
{
    precise float x = upper * 65536.0 + float(v & 0xffffu);
    return floatBitsToUint(x);
}

/* A number that sorts as the float does; both zeros are 0. */
int order(const uint bits)
{
    return bits >= M_SIGN ? -int(bits & ~M_SIGN) : int(bits);
}

bool unordered(const uint a, const uint b)
{
    return (a & ~M_SIGN) > M_INF || (b & ~M_SIGN) > M_INF;
}

/* The functions. */

#define F(v) uintBitsToFloat(v)
#define OF_ONE(name, value)                                                                                            \
    uint do_##name(const uint a)                                                                                       \
    {                                                                                                                  \
        return value;                                                                                                  \
    }
#define OF_TWO(name, value)                                                                                            \
    uint do_##name(const uint a, const uint b)                                                                         \
    {                                                                                                                  \
        return value;                                                                                                  \
    }
#define FLOAT_OF_ONE(name, value)                                                                                      \
    uint do_##name(const uint a)                                                                                       \
    {                                                                                                                  \
        const float x = F(a);                                                                                          \
        return floatBitsToUint(value);                                                                                 \
    }
#define PRECISE_OF_TWO(name, value)                                                                                    \
    uint do_##name(const uint a, const uint b)                                                                         \
    {                                                                                                                  \
        const float x = F(a), y = F(b);                                                                                \
        precise float z = value;                                                                                       \
        return floatBitsToUint(z);                                                                                     \
    }
#define DECIDE(name, yes) OF_TWO(name, (yes) ? 1u : 0u)

OF_ONE(neg, a ^ M_SIGN)
OF_ONE(neg_int, 0u - a)
OF_ONE(abs, a & ~M_SIGN)
OF_ONE(abs_int, a >= M_SIGN ? 0u - a : a)
OF_ONE(relu, a > M_SIGN && a <= (M_SIGN | M_INF) ? 0u : a)
OF_ONE(not, a == 0u ? 1u : 0u)
FLOAT_OF_ONE(exp, m_exp(x))
FLOAT_OF_ONE(log, m_log(x))
FLOAT_OF_ONE(sqrt, x < 0.0 ? F(M_NAN) : sqrt(x))
FLOAT_OF_ONE(sin, m_sin(x))
FLOAT_OF_ONE(cos, m_cos(x))
FLOAT_OF_ONE(tanh, m_tanh(x))
FLOAT_OF_ONE(floor, floor(x))
FLOAT_OF_ONE(sigmoid, m_sigmoid(x))
FLOAT_OF_ONE(silu, x * m_sigmoid(x))
FLOAT_OF_ONE(log1p, m_log1p(x))
FLOAT_OF_ONE(expm1, m_expm1(x))
FLOAT_OF_ONE(erf, m_erf(x))
FLOAT_OF_ONE(softplus, (x < 0.0 ? 0.0 : x) + m_log1p(m_exp(-abs(x))))
FLOAT_OF_ONE(gelu, x * (0.5 * m_erf(x * 0.70710677) + 0.5))

PRECISE_OF_TWO(add, x + y)
PRECISE_OF_TWO(sub, x - y)
PRECISE_OF_TWO(mul, x * y)
PRECISE_OF_TWO(div, x / y)
PRECISE_OF_TWO(pow, m_pow(x, y))
OF_TWO(add_int, a + b)
OF_TWO(sub_int, a - b)
OF_TWO(mul_int, a * b)
/* Whole numbers divided by 0 give 0; the one quotient that is too large wraps. */
OF_TWO(div_i32, b == 0u ? 0u : b == 0xffffffffu ? 0u - a : uint(int(a) / int(b)))
OF_TWO(div_u32, b == 0u ? 0u : a / b)
OF_TWO(max, unordered(a, b) ? M_NAN : order(b) <= order(a) ? a : b)
OF_TWO(max_i32, uint(max(int(a), int(b))))
OF_TWO(max_u32, max(a, b))
OF_TWO(min, unordered(a, b) ? M_NAN : order(a) <= order(b) ? a : b)
OF_TWO(min_i32, uint(min(int(a), int(b))))
OF_TWO(min_u32, min(a, b))
DECIDE(equal, order(a) == order(b) && !unordered(a, b))
DECIDE(equal_int, a == b)
DECIDE(less, order(a) < order(b) && !unordered(a, b))
DECIDE(less_i32, int(a) < int(b))
DECIDE(less_u32, a < b)
DECIDE(less_equal, order(a) <= order(b) && !unordered(a, b))
DECIDE(less_equal_i32, int(a) <= int(b))
DECIDE(less_equal_u32, a <= b)
OF_TWO(and, a & b)
OF_TWO(or, a | b)
OF_TWO(relu_grad, a != 0u && a <= M_INF ? b : 0u)

uint do_where(const uint a, const uint b, const uint c)
{
    return a != 0u ? b : c;
}

OF_ONE(keep, a)
OF_ONE(truth, (a & ~M_SIGN) != 0u ? 1u : 0u)
OF_ONE(truth_of_int, a != 0u ? 1u : 0u)
OF_ONE(f32_of_i32, rounded(float(int(a) >> 16), a))
OF_ONE(f32_of_u32, rounded(float(a >> 16), a))
OF_ONE(f16, widen_f16(narrow_f16(a)))
OF_ONE(f16_of_i32, do_f16(do_f32_of_i32(a)))
OF_ONE(f16_of_u32, do_f16(do_f32_of_u32(a)))
OF_ONE(bf16, narrow_bf16(a) << 16)
OF_ONE(bf16_of_i32, do_bf16(do_f32_of_i32(sticky(a, abs(int(a)) > 1 << 24 || a == M_SIGN))))
OF_ONE(bf16_of_u32, do_bf16(do_f32_of_u32(sticky(a, a > 1u << 24))))
OF_ONE(u8_of_int, a & 0xffu)

/* A float as a whole number: towards zero, the nearest end of the range from beyond, 0 of a NaN. */
uint do_i32(const uint a)
{
    const float v = F(a);
    if (m_is_nan(v)) return 0u;
    return v >= 2147483648.0 ? 0x7fffffffu : v < -2147483648.0 ? M_SIGN : uint(int(v));
}

uint do_u32(const uint a)
{
    const float v = F(a);
    if (m_is_nan(v)) return 0u;
    return v >= 4294967296.0 ? 0xffffffffu : v > 0.0 ? uint(v) : 0u;
}

uint do_u8(const uint a)
{
    const float v = F(a);
    if (m_is_nan(v)) return 0u;
    return v > 0.0 ? uint(min(v, 255.0)) : 0u;
}

/* The tape. */

uint in0, in1, in2, in3, in4, in5, in6, in7, in8, in9, out0, out1, out2, out3;

#define CALL(operands, name) out0 = do_##name(OPERANDS_##operands);
#define OPERANDS_1 in0
#define OPERANDS_2 in0, in1
#define OPERANDS_3 in0, in1, in2

void tape()
{
    TAPE_FUNCTIONS(CALL)
}

/* Elements. */

#define TYPE_IN(k)   ((INPUT_TYPES >> (3u * k)) & 7u)
#define TYPE_OUT(k)  ((OUTPUT_TYPES >> (3u * k)) & 7u)
#define INPUTS(X)    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define OUTPUTS(X)   X(0) X(1) X(2) X(3)

/* Elements of a word. */
uint elements(const uint type)
{
    if (type == DTYPE_U8 || type == DTYPE_BOOL) return 4u;
    return type == DTYPE_F16 || type == DTYPE_BF16 ? 2u : 1u;
}

uint element_of(const uint word, const uint i, const uint type)
{
    if (elements(type) == 1u) return word;
    if (elements(type) == 4u) return (word >> ((i & 3u) * 8u)) & 0xffu;
    const uint half_bits = (word >> ((i & 1u) * 16u)) & 0xffffu;
    return type == DTYPE_F16 ? widen_f16(half_bits) : half_bits << 16;
}

uint stored(const uint value, const uint type)
{
    return type == DTYPE_F16 ? narrow_f16(value) : type == DTYPE_BF16 ? narrow_bf16(value) : value;
}

#define START(k) uint at##k = 0u, word##k = 0u;
#define START_ROW(k)                                                                                                   \
    if (TYPE_IN(k) != DTYPE_NONE) at##k = row_at(row, k) + ((moves >> k) & 1u) * column;
#define READ(k)                                                                                                        \
    if (TYPE_IN(k) != DTYPE_NONE) {                                                                                    \
        in##k = element_of(x##k[at##k / elements(TYPE_IN(k))], at##k, TYPE_IN(k));                                     \
        at##k += (moves >> k) & 1u;                                                                                    \
    }
#define WRITE(k)                                                                                                       \
    if (TYPE_OUT(k) != DTYPE_NONE) {                                                                                   \
        const uint per_word = elements(TYPE_OUT(k)), slot = i % per_word, r = stored(out##k, TYPE_OUT(k));             \
        word##k = slot == 0u ? r : word##k | r << slot * (32u / per_word);                                             \
        if (slot == per_word - 1u || i == count - 1u) z##k[i / per_word] = word##k;                                    \
    }

/* Where input k lies at a row's first element. */
uint row_at(uint row, const uint k)
{
    uint at = 0u;
    for (uint i = 0u; i < outer; i++) {
        const uint extent = axes[(1u + TAPE_INPUTS) * i];
        at += row % extent * axes[(1u + TAPE_INPUTS) * i + 1u + k];
        row /= extent;
    }
    return at;
}

void main()
{
    const uint begin = ITEM * piece, end = begin < count ? min(begin + piece, count) : begin;
    uint row = begin / last, column = begin - row * last;
    INPUTS(START)
    INPUTS(START_ROW)
    for (uint i = begin; i < end; i++) {
        if (column == last) {
            column = 0u;
            row++;
            INPUTS(START_ROW)
        }
        INPUTS(READ)
        tape();
        OUTPUTS(WRITE)
        column++;
    }
}
