#version 450
/* elementwise: z = f(x, y, w) along the last axis, where each operand goes on or stands still; an invocation makes
 * `piece` neighbouring elements of z, whole words where elements are narrower.
 *   OP    which function; where(x, y, w) takes y where x, else w
 *   FROM  type of the operands (of where: of the choices), TO  type of z: DTYPE_F32 …, as stored. Floats compute as f32,
 *         whole numbers as 32 bits. Where only the size counts, halves are f16.
 *   axes  [outer][4]: extent and strides of the operands, of the axes before the last, innermost first
 *   moves bit k: operand k goes on along the last axis
 * Everything is read and written as bits; signs, comparisons and choices work on them: a device may flush denormals. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/contract/elementwise.h"

#define STORED_first uint
#define STORED_from  uint
#define STORED_to    uint
DECLARE_CONTRACT(ENTRY)

/* Elements of a word. */
uint elements(uint type)
{
    return type == DTYPE_F32 || type == DTYPE_I32 || type == DTYPE_U32 ? 1u : type == DTYPE_U8 || type == DTYPE_BOOL ? 4u : 2u;
}

#define ELEMENT(name, i, type)                                                                                         \
    (elements(type) == 1u ? name[i]                                                                                    \
                          : elements(type) == 4u ? BYTE(name, i) : (name[(i) >> 1] >> (((i) & 1u) * 16u)) & 0xffffu)

/* Halves. A denormal f16 is a whole number of 2^-24, so that no denormal f32 is touched in between. */
uint widen(uint h)
{
    if (FROM == DTYPE_BF16) return h << 16;
    const uint exponent = (h >> 10) & 0x1fu, fraction = h & 0x3ffu;
    const uint many = exponent == 0x1fu ? M_INF : (exponent + 112u) << 23;
    const uint size = exponent == 0u ? floatBitsToUint(float(fraction) * 5.9604644775390625e-8) : many | fraction << 13;
    return size | (h & 0x8000u) << 16;
}

/* Below 2^-14 adding 1/2 leaves a whole number of 2^-24 in the low bits; every sum here rounds ties to even. */
uint narrow(uint bits)
{
    const uint size = bits & ~M_SIGN, sign = (bits >> 16) & 0x8000u;
    if (TO == DTYPE_BF16) return size > M_INF ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    if (size > M_INF) return 0x7e00u;
    if (size >= 0x477ff000u) return sign | 0x7c00u;
    if (size < 0x38800000u) return sign | (floatBitsToUint(uintBitsToFloat(size) + 0.5) - 0x3f000000u);
    return sign | (((size + 0xfffu + ((size >> 13) & 1u)) >> 13) - (112u << 10));
}

/* A float as a whole number: towards zero, the nearest end of the range from beyond, 0 of a NaN. */
uint whole(float v)
{
    if (m_is_nan(v)) return 0u;
    if (TO == DTYPE_I32) return v >= 2147483648.0 ? 0x7fffffffu : v < -2147483648.0 ? M_SIGN : uint(int(v));
    if (TO == DTYPE_U32) return v >= 4294967296.0 ? 0xffffffffu : v > 0.0 ? uint(v) : 0u;
    return v > 0.0 ? uint(min(v, 255.0)) : 0u;
}

/* A whole number as a float. Before bf16, what f32 would round away is kept in one bit, far below the last of
 * bf16: only one rounding counts. */
uint real(uint v)
{
    const bool far = FROM == DTYPE_I32 ? abs(int(v)) > 1 << 24 || v == M_SIGN : v > 1u << 24;
    if (TO == DTYPE_BF16 && far && (v & 0xffu) != 0u) v = (v & ~0xffu) | 0x100u;
    return floatBitsToUint(FROM == DTYPE_I32 ? float(int(v)) : float(v));
}

uint converted(uint v)
{
    const bool halves = FROM == DTYPE_F16 || FROM == DTYPE_BF16, floats = FROM == DTYPE_F32 || halves;
    if (halves) v = widen(v);
    if (TO == DTYPE_BOOL) return (floats ? v & ~M_SIGN : v) != 0u ? 1u : 0u;
    if (TO == DTYPE_F32 || TO == DTYPE_F16 || TO == DTYPE_BF16) {
        if (!floats) v = real(v);
        return TO == DTYPE_F32 ? v : narrow(v);
    }
    if (floats) return whole(uintBitsToFloat(v));
    return TO == DTYPE_U8 ? v & 0xffu : v;
}

/* A number that sorts as the float does; both zeros are 0. */
int order(uint bits)
{
    return bits >= M_SIGN ? -int(bits & ~M_SIGN) : int(bits);
}

bool unordered(uint a, uint b)
{
    return (a & ~M_SIGN) > M_INF || (b & ~M_SIGN) > M_INF;
}

/* a < b, or a <= b; with a NaN neither. */
bool less(uint a, uint b, bool or_equal)
{
    if (FROM == DTYPE_U32) return a < b || (or_equal && a == b);
    const int p = FROM == DTYPE_F32 ? order(a) : int(a), q = FROM == DTYPE_F32 ? order(b) : int(b);
    return (p < q || (or_equal && p == q)) && !(FROM == DTYPE_F32 && unordered(a, b));
}

/* Whole numbers divided by 0 give 0; the one quotient that is too large wraps. */
uint divide(uint a, uint b)
{
    if (b == 0u) return 0u;
    if (FROM == DTYPE_U32) return a / b;
    if (b == 0xffffffffu) return 0u - a;
    return uint(int(a) / int(b));
}

float function(float v)
{
    switch (int(OP)) {
    case OP_EXP: return m_exp(v);
    case OP_LOG: return m_log(v);
    case OP_SQRT: return v < 0.0 ? uintBitsToFloat(M_NAN) : sqrt(v);
    case OP_SIN: return m_sin(v);
    case OP_COS: return m_cos(v);
    case OP_TANH: return m_tanh(v);
    case OP_FLOOR: return floor(v);
    case OP_SIGMOID: return m_sigmoid(v);
    case OP_LOG1P: return m_log1p(v);
    case OP_EXPM1: return m_expm1(v);
    case OP_ERF: return m_erf(v);
    case OP_SOFTPLUS: return (v < 0.0 ? 0.0 : v) + m_log1p(m_exp(-abs(v)));
    case OP_GELU: return v * (0.5 * m_erf(v * 0.70710677) + 0.5);
    default: return v * m_sigmoid(v); /* OP_SILU */
    }
}

float arithmetic(float a, float b)
{
    return OP == OP_ADD ? a + b : OP == OP_SUB ? a - b : OP == OP_MUL ? a * b : a / b;
}

uint apply(uint a, uint b, uint c)
{
    switch (int(OP)) {
    case OP_NEG: return FROM == DTYPE_F32 ? a ^ M_SIGN : 0u - a;
    case OP_ABS: return FROM == DTYPE_F32 ? a & ~M_SIGN : a >= M_SIGN ? 0u - a : a;
    case OP_RELU: return a > M_SIGN && a <= (M_SIGN | M_INF) ? 0u : a;
    case OP_NOT: return a == 0u ? 1u : 0u;
    case OP_CAST: return converted(a);
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
        if (FROM == DTYPE_F32) return floatBitsToUint(arithmetic(uintBitsToFloat(a), uintBitsToFloat(b)));
        return OP == OP_ADD ? a + b : OP == OP_SUB ? a - b : OP == OP_MUL ? a * b : divide(a, b);
    case OP_POW: return floatBitsToUint(m_pow(uintBitsToFloat(a), uintBitsToFloat(b)));
    case OP_MAX: return FROM == DTYPE_F32 && unordered(a, b) ? M_NAN : less(b, a, true) ? a : b;
    case OP_MIN: return FROM == DTYPE_F32 && unordered(a, b) ? M_NAN : less(a, b, true) ? a : b;
    case OP_EQUAL:
        if (FROM == DTYPE_F32) return order(a) == order(b) && !unordered(a, b) ? 1u : 0u;
        return a == b ? 1u : 0u;
    case OP_LESS: return less(a, b, false) ? 1u : 0u;
    case OP_LESS_EQUAL: return less(a, b, true) ? 1u : 0u;
    case OP_AND: return a & b;
    case OP_OR: return a | b;
    case OP_RELU_GRAD: return a != 0u && a <= M_INF ? b : 0u;
    case OP_WHERE: return a != 0u ? b : c;
    default: return floatBitsToUint(function(uintBitsToFloat(a)));
    }
}

/* Where the operands of a row's first element lie. */
uvec3 row_at(uint row)
{
    uvec3 at = uvec3(0u);
    for (uint k = 0u; k < outer; k++) {
        const uint extent = axes[4u * k];
        at += row % extent * uvec3(axes[4u * k + 1u], axes[4u * k + 2u], axes[4u * k + 3u]);
        row /= extent;
    }
    return at;
}

void main()
{
    const uvec3 goes = uvec3(moves, moves >> 1, moves >> 2) & 1u;
    const uint begin = ITEM * piece, end = begin < count ? min(begin + piece, count) : begin;
    const uint per_word = elements(TO), bits = 32u / per_word;
    uint word = 0u, row = begin / last, column = begin - row * last;
    uvec3 at = row_at(row) + column * goes;
    for (uint i = begin; i < end; i++) {
        if (column == last) {
            column = 0u;
            at = row_at(++row);
        }
        const uint a = OP == OP_WHERE ? BYTE(x, at.x) : ELEMENT(x, at.x, FROM);
        uint b = 0u, c = 0u;
        if (OP >= OP_ADD) b = ELEMENT(y, at.y, FROM);
        if (OP == OP_WHERE) c = ELEMENT(w, at.z, FROM);
        const uint r = apply(a, b, c), slot = i % per_word;
        word = slot == 0u ? r : word | r << slot * bits;
        if (slot == per_word - 1u || i == count - 1u) z[i / per_word] = word;
        column++;
        at += goes;
    }
}
