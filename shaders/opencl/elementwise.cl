/* elementwise: z = f(x, y, w) along the last axis, where each operand goes on or stands still; an item makes `piece`
 * neighbouring elements of z, a row (or part of one) at a time, VECTOR elements at once.
 *   OP    which function, below; where(x, y, w) takes y where x, else w
 *   FROM  type of the operands (of where: of the choices), TO  type of z: M3_F32 …, as stored. Floats compute as f32,
 *         whole numbers as 32 bits. Where only the size counts, halves are f16.
 *   axes  [outer][4]: extent and strides of the operands, of the axes before the last, innermost first
 *   moves bit k: operand k goes on along the last axis */
#define NEG 0
#define ABS 1
#define EXP 2
#define LOG 3
#define SQRT 4
#define SIN 5
#define COS 6
#define TANH 7
#define FLOOR 8
#define SIGMOID 9
#define RELU 10
#define SILU 11
#define NOT 12
#define CAST 13
#define ADD 14
#define SUB 15
#define MUL 16
#define DIV 17
#define MAX 18
#define MIN 19
#define EQUAL 20
#define LESS 21
#define LESS_EQUAL 22
#define AND 23
#define OR 24
#define RELU_GRAD 25
#define WHERE 26

#define F32 0
#define I32 1
#define U32 2
#define U8 3
#define BOOL 4
#define F16 5
#define BF16 6

#if VECTOR == 1
#define WIDE(type) type
#else
#define WIDE(type) GLUE(type, VECTOR)
#endif
#define AS(type, v)      GLUE(as_, WIDE(type))(v)
#define CONVERT(type, v) GLUE(convert_, WIDE(type))(v)
#define IS_NAN(v)        ((v) != (v))

/* Stored and computed types. */
#if FROM == F32
#define FROM_TYPE float
#elif FROM == I32
#define FROM_TYPE int
#elif FROM == U32
#define FROM_TYPE uint
#elif FROM == U8 || FROM == BOOL
#define FROM_TYPE uchar
#else
#define FROM_TYPE ushort
#endif
#if TO == F32
#define TO_TYPE float
#elif TO == I32
#define TO_TYPE int
#elif TO == U32
#define TO_TYPE uint
#elif TO == U8 || TO == BOOL
#define TO_TYPE uchar
#else
#define TO_TYPE ushort
#endif
#if OP == WHERE
#define FIRST_TYPE uchar
#else
#define FIRST_TYPE FROM_TYPE
#endif

#define FLOATS (OP != WHERE && (FROM == F32 || FROM == F16 || FROM == BF16))
#if FLOATS
typedef real value;
#elif FROM == I32
typedef mask_t value;
#else
typedef word_t value;
#endif

/* Halves. A denormal f16 is a whole number of 2^-24, so that no denormal f32 is touched on the way. */
#if OP == CAST && FROM == F16
inline real widen(WIDE(ushort) half_bits)
{
    const word_t h = CONVERT(uint, half_bits), exponent = (h >> 10) & 0x1f, fraction = h & 0x3ff;
    const word_t many = (exponent == 0x1f) ? (word_t)(0xff << 23) : ((exponent + 112) << 23);
    const real small = CONVERT(float, fraction) * 0x1p-24f;
    const word_t size = (exponent == 0) ? AS(uint, small) : (many | (fraction << 13));
    return AS(float, size | ((h & 0x8000) << 16));
}
#elif OP == CAST && FROM == BF16
inline real widen(WIDE(ushort) half_bits)
{
    return AS(float, CONVERT(uint, half_bits) << 16);
}
#elif FROM == F32 || FROM == I32 || FROM == U32
#define widen(v) (v)
#else
#define widen(v) CONVERT(uint, v)
#endif

#if OP == CAST && TO == F16
/* Below 2^-14 adding 1/2 leaves a whole number of 2^-24 in the low bits; every sum here rounds ties to even. */
inline WIDE(ushort) narrow(real x)
{
    const word_t bits = AS(uint, x), size = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
    const word_t small = AS(uint, AS(float, size) + 0.5f) - 0x3f000000u;
    const word_t normal = ((size + 0xfffu + ((size >> 13) & 1u)) >> 13) - (112u << 10);
    word_t h = (size < 0x38800000u) ? small : normal;
    h = (size >= 0x477ff000u) ? (word_t)(0x7c00u) : h;
    h = (size > 0x7f800000u) ? (word_t)(0x7e00u) : h;
    return CONVERT(ushort, h | sign);
}
#elif OP == CAST && TO == BF16
inline WIDE(ushort) narrow(real x)
{
    const word_t bits = AS(uint, x), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return CONVERT(ushort, IS_NAN(x) ? (word_t)(0x7fc0u) : rounded);
}
#endif

#if OP == SIN || OP == COS
/* x = n pi/2 + r, |r| <= pi/4, pi/2 in four parts, of which n times the first three is exact up to n = 2^13;
 * sin r = r + r^3 s(r^2) (2e-8), cos r = 1 - r^2 / 2 + r^4 c(r^2) (1e-9). Far arguments go to the library one by one:
 * of vectors that hold an infinity or a NaN, PoCL 3.1 gets other elements wrong. */
inline real wave(real x)
{
    const real near = (fabs(x) < 8192.0f) ? x : (real)(0.0f);
    const real shifted = near * 0x1.45f306p-1f + 0x1.8p23f, turns = shifted - 0x1.8p23f; /* whole, in the low bits */
    const word_t n = AS(uint, shifted) + (OP == COS);
    real r = near - turns * 0x1.92p0f;
    r -= turns * 0x1.fb4p-12f;
    r -= turns * 0x1.444p-24f;
    r -= turns * 0x1.68c234p-39f;
    const real z = r * r;
    const real s = (((-0x1.9ac6fcp-13f * z + 0x1.110c24p-7f) * z - 0x1.555552p-3f) * z) * r + r;
    const real c = (((0x1.9bd67p-16f * z - 0x1.6c12cep-10f) * z + 0x1.555554p-5f) * z) * z + (1.0f - 0.5f * z);
    const real y = AS(float, AS(uint, ((n & 1) != 0) ? c : s) ^ ((n & 2) << 30));
    if (sum_of((fabs(x) < 8192.0f) ? (real)(0.0f) : (real)(1.0f)) == 0.0f) return y;
    float far[VECTOR], part[VECTOR];
    STORE(x, far, 0);
    STORE(y, part, 0);
    for (uint i = 0; i < VECTOR; i++)
        if (!(fabs(far[i]) < 8192.0f)) part[i] = OP == SIN ? sin(far[i]) : cos(far[i]);
    return LOAD(part, 0);
}
#endif

/* The function. */
#if OP == CAST

inline WIDE(TO_TYPE) cast(value x)
{
#if TO == BOOL
    const mask_t yes = (x != (value)(0)) ? (mask_t)(1) : (mask_t)(0);
    return CONVERT(uchar, yes);
#elif FLOATS && TO == F32
    return x;
#elif FLOATS && (TO == F16 || TO == BF16)
    return narrow(x);
#elif FLOATS
    /* The ends of the range, where they are no f32, are written from beyond. */
    const real y = IS_NAN(x) ? (real)(0.0f) : x;
#if TO == I32
    const mask_t inside = CONVERT(int, (y >= -0x1p31f && y < 0x1p31f) ? y : (real)(0.0f));
    return (y >= 0x1p31f) ? (mask_t)(INT_MAX) : (y < -0x1p31f) ? (mask_t)(INT_MIN) : inside;
#elif TO == U32
    const word_t inside = CONVERT(uint, (y > 0.0f && y < 0x1p32f) ? y : (real)(0.0f));
    return (y >= 0x1p32f) ? (word_t)(UINT_MAX) : inside;
#else
    return CONVERT(uchar, CONVERT(int, clamp(y, 0.0f, 255.0f)));
#endif
#elif TO == F32
    return CONVERT(float, x);
#elif TO == F16
    return narrow(CONVERT(float, x));
#elif TO == BF16
    /* What f32 would round away is kept in one bit, far below the last of bf16: only one rounding counts. */
#if FROM == I32
    const mask_t far = x >= (1 << 24) || x <= -(1 << 24);
#else
    const mask_t far = x >= (1u << 24);
#endif
    const value sticky = ((x & 0xff) != 0) ? ((x & ~(value)(0xff)) | 0x100) : x;
    return narrow(CONVERT(float, far ? sticky : x));
#elif TO == U8
    return CONVERT(uchar, AS(uint, x) & 0xff);
#elif TO == I32
    return AS(int, x);
#else
    return AS(uint, x);
#endif
}

#elif OP == EQUAL || OP == LESS || OP == LESS_EQUAL || OP == NOT || OP == AND || OP == OR

inline WIDE(uchar) decide(value x, value y)
{
#if OP == EQUAL
    const mask_t yes = x == y;
#elif OP == LESS
    const mask_t yes = x < y;
#elif OP == LESS_EQUAL
    const mask_t yes = x <= y;
#elif OP == NOT
    const mask_t yes = x == 0;
#elif OP == AND
    const mask_t yes = (x & y) != 0;
#else
    const mask_t yes = (x | y) != 0;
#endif
    return CONVERT(uchar, yes & 1);
}

#else

inline value apply(value x, value y, value w)
{
#if OP == NEG
    return -x;
#elif OP == ABS && FLOATS
    return fabs(x);
#elif OP == ABS
    return AS(int, abs(x));
#elif OP == EXP
    return exp(x);
#elif OP == LOG
    return log(x);
#elif OP == SQRT
    return sqrt(x);
#elif OP == SIN || OP == COS
    return wave(x);
#elif OP == TANH
    return tanh(x);
#elif OP == FLOOR
    return floor(x);
#elif OP == SIGMOID
    return 1.0f / (1.0f + exp(-x));
#elif OP == RELU
    return (x < 0.0f) ? (value)(0.0f) : x;
#elif OP == SILU
    return x / (1.0f + exp(-x));
#elif OP == ADD
    return x + y;
#elif OP == SUB
    return x - y;
#elif OP == MUL
    return x * y;
#elif OP == DIV && FLOATS
    return x / y;
#elif OP == DIV && FROM == I32 /* whole numbers divided by 0 give 0; the one quotient that is too large wraps */
    const value by_self = (y == 0 || (x == INT_MIN && y == -1)) ? (value)(1) : y;
    return (y == 0) ? (value)(0) : x / by_self;
#elif OP == DIV
    return (y == 0) ? (value)(0) : x / ((y == 0) ? (value)(1) : y);
#elif OP == MAX && FLOATS
    return (IS_NAN(x) || IS_NAN(y)) ? x + y : (x >= y) ? x : y;
#elif OP == MAX
    return (x >= y) ? x : y;
#elif OP == MIN && FLOATS
    return (IS_NAN(x) || IS_NAN(y)) ? x + y : (x <= y) ? x : y;
#elif OP == MIN
    return (x <= y) ? x : y;
#elif OP == RELU_GRAD
    return (x > 0.0f) ? y : (value)(0.0f);
#else
    return (x != 0) ? y : w;
#endif
}

#endif

inline WIDE(TO_TYPE) result(value x, value y, value w)
{
#if OP == CAST
    return cast(x);
#elif OP == EQUAL || OP == LESS || OP == LESS_EQUAL || OP == NOT || OP == AND || OP == OR
    return decide(x, y);
#elif TO == F32 || TO == I32 || TO == U32
    return apply(x, y, w);
#else
    return CONVERT(TO_TYPE, apply(x, y, w));
#endif
}

/* Up to VECTOR elements from x[i] on, or x[i] everywhere. */
#define FETCH(name, type)                                                                                              \
    inline WIDE(type) name(global const type *x, uint i, uint n, bool moves)                                           \
    {                                                                                                                  \
        if (!moves) return (WIDE(type))(x[i]);                                                                         \
        if (n >= VECTOR) return LOAD(x, i);                                                                            \
        type part[VECTOR];                                                                                             \
        for (uint k = 0; k < VECTOR; k++) part[k] = k < n ? x[i + k] : 0;                                              \
        return LOAD(part, 0);                                                                                          \
    }
FETCH(fetch, FROM_TYPE)
#if OP == WHERE
FETCH(fetch_first, uchar)
#define FIRST(x, i, n, moves) CONVERT(uint, fetch_first(x, i, n, moves))
#else
#define FIRST(x, i, n, moves) widen(fetch(x, i, n, moves))
#endif

kernel void map(IN(FIRST_TYPE, x), IN(FROM_TYPE, y), IN(FROM_TYPE, w), OUT(TO_TYPE, z), IN(uint, axes), uint count,
                uint piece, uint last, uint outer, uint moves)
{
    OPEN(x);
    OPEN(y);
    OPEN(w);
    OPEN(z);
    OPEN(axes);
    const uint3 goes = (uint3)(moves & 1, (moves >> 1) & 1, (moves >> 2) & 1);
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        uint row = at / last;
        const uint column = at - row * last, run = min(end - at, last - column);
        uint3 from = goes * column;
        for (uint i = 0; i < outer; i++) {
            const uint extent = axes[4 * i];
            from += row % extent * vload3(0, axes + 4 * i + 1);
            row /= extent;
        }
        for (uint k = 0; k < run; k += VECTOR) {
            const uint n = run - k;
            const uint3 i = from + goes * k;
            const value a = FIRST(x, i.x, n, goes.x);
#if OP >= ADD
            const value b = widen(fetch(y, i.y, n, goes.y));
#else
            const value b = a;
#endif
#if OP == WHERE
            const value c = widen(fetch(w, i.z, n, goes.z));
#else
            const value c = b;
#endif
            const WIDE(TO_TYPE) r = result(a, b, c);
            if (n >= VECTOR) {
                STORE(r, z, at + k);
                continue;
            }
            TO_TYPE part[VECTOR];
            STORE(r, part, 0);
            for (uint j = 0; j < n; j++) z[at + k + j] = part[j];
        }
        at += run;
    }
}
