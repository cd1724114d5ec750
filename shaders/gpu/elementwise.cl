/* elementwise: z = f(x, y, w) along the last axis, where each operand goes on or stands still; an item makes `piece`
 * neighbouring elements of z, a row (or part of one) at a time, VECTOR elements at once.
 *   OP    which function; where(x, y, w) takes y where x, else w
 *   FROM  type of the operands (of where: of the choices), TO  type of z: DTYPE_F32 …, as stored. Floats compute as f32,
 *         whole numbers as 32 bits. Where only the size counts, halves are f16.
 *   axes  [outer][4]: extent and strides of the operands, of the axes before the last, innermost first
 *   moves bit k: operand k goes on along the last axis */
#if VECTOR == 1
#define WIDE(type) type
#else
#define WIDE(type) GLUE(type, VECTOR)
#endif
#define AS(type, v)      GLUE(as_, WIDE(type))(v)
#define CONVERT(type, v) GLUE(convert_, WIDE(type))(v)
#define IS_NAN(v)        ((v) != (v))

/* Stored and computed types. */
#if FROM == DTYPE_F32
#define FROM_TYPE float
#elif FROM == DTYPE_I32
#define FROM_TYPE int
#elif FROM == DTYPE_U32
#define FROM_TYPE uint
#elif FROM == DTYPE_U8 || FROM == DTYPE_BOOL
#define FROM_TYPE uchar
#else
#define FROM_TYPE ushort
#endif
#if TO == DTYPE_F32
#define TO_TYPE float
#elif TO == DTYPE_I32
#define TO_TYPE int
#elif TO == DTYPE_U32
#define TO_TYPE uint
#elif TO == DTYPE_U8 || TO == DTYPE_BOOL
#define TO_TYPE uchar
#else
#define TO_TYPE ushort
#endif
#if OP == OP_WHERE
#define FIRST_TYPE uchar
#else
#define FIRST_TYPE FROM_TYPE
#endif

#define FLOATS (OP != OP_WHERE && (FROM == DTYPE_F32 || FROM == DTYPE_F16 || FROM == DTYPE_BF16))
#if FLOATS
typedef real value;
#elif FROM == DTYPE_I32
typedef mask_t value;
#else
typedef word_t value;
#endif

/* Halves. A denormal f16 is a whole number of 2^-24, so that no denormal f32 is touched in between. */
#if OP == OP_CAST && FROM == DTYPE_F16
inline real widen(WIDE(ushort) half_bits)
{
    const word_t h = CONVERT(uint, half_bits), exponent = (h >> 10) & 0x1f, fraction = h & 0x3ff;
    const word_t many = (exponent == 0x1f) ? (word_t)(0xff << 23) : ((exponent + 112) << 23);
    const real small = CONVERT(float, fraction) * 0x1p-24f;
    const word_t size = (exponent == 0) ? AS(uint, small) : (many | (fraction << 13));
    return AS(float, size | ((h & 0x8000) << 16));
}
#elif OP == OP_CAST && FROM == DTYPE_BF16
inline real widen(WIDE(ushort) half_bits)
{
    return AS(float, CONVERT(uint, half_bits) << 16);
}
#elif FROM == DTYPE_F32 || FROM == DTYPE_I32 || FROM == DTYPE_U32
#define widen(v) (v)
#else
#define widen(v) CONVERT(uint, v)
#endif

#if OP == OP_CAST && TO == DTYPE_F16
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
#elif OP == OP_CAST && TO == DTYPE_BF16
inline WIDE(ushort) narrow(real x)
{
    const word_t bits = AS(uint, x), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return CONVERT(ushort, IS_NAN(x) ? (word_t)(0x7fc0u) : rounded);
}
#endif

#if OP == OP_SIN || OP == OP_COS
/* x = n pi/2 + r, |r| <= pi/4, pi/2 in four parts, of which n times the first three is exact up to n = 2^13;
 * sin r = r + r^3 s(r^2) (2e-8), cos r = 1 - r^2 / 2 + r^4 c(r^2) (1e-9). Far arguments go to the library one by one:
 * of vectors that hold an infinity or a NaN, PoCL 3.1 gets other elements wrong. */
inline real wave(real x)
{
    const real near = (fabs(x) < 8192.0f) ? x : (real)(0.0f);
    const real shifted = near * 0x1.45f306p-1f + 0x1.8p23f, quarters = shifted - 0x1.8p23f; /* whole, in the low bits */
    const word_t n = AS(uint, shifted) + (OP == OP_COS);
    real r = near - quarters * 0x1.92p0f;
    r -= quarters * 0x1.fb4p-12f;
    r -= quarters * 0x1.444p-24f;
    r -= quarters * 0x1.68c234p-39f;
    const real z = r * r;
    const real s = (((-0x1.9ac6fcp-13f * z + 0x1.110c24p-7f) * z - 0x1.555552p-3f) * z) * r + r;
    const real c = (((0x1.9bd67p-16f * z - 0x1.6c12cep-10f) * z + 0x1.555554p-5f) * z) * z + (1.0f - 0.5f * z);
    const real y = AS(float, AS(uint, ((n & 1) != 0) ? c : s) ^ ((n & 2) << 30));
    if (sum_of((fabs(x) < 8192.0f) ? (real)(0.0f) : (real)(1.0f)) == 0.0f) return y;
    float far[VECTOR], part[VECTOR];
    STORE(x, far, 0);
    STORE(y, part, 0);
    for (uint i = 0; i < VECTOR; i++)
        if (!(fabs(far[i]) < 8192.0f)) part[i] = OP == OP_SIN ? sin(far[i]) : cos(far[i]);
    return LOAD(part, 0);
}
#endif

#if OP == OP_LOG1P || OP == OP_SOFTPLUS
/* ln u + (x - (u - 1)) / u, u = 1 + x: the second term is what the sum rounded away. */
inline real log_of_next(real x)
{
    const real u = 1.0f + x, y = log(u) + (x - (u - 1.0f)) / u;
    const real ends = (u == 0.0f) ? (real)(-INFINITY) : (x == INFINITY) ? x : y;
    return (u == 1.0f) ? x : ends;
}
#endif

#if OP == OP_EXPM1
/* x + x^2 q(x) (8e-9) within ln 2 / 2; beyond, e^x - 1 loses two bits at most. */
inline real exp_less_one(real x)
{
    const real q = (((0x1.6d110ap-10f * x + 0x1.120b6ep-7f) * x + 0x1.55551ap-5f) * x + 0x1.5554dcp-3f) * x + 0.5f;
    const real y = (fabs(x) < 0.34657f) ? q * (x * x) + x : exp(x) - 1.0f;
    return (x == 0.0f) ? x : y;
}
#endif

#if OP == OP_ERF || OP == OP_GELU
/* x + x p(x^2) below 1 (3e-8), 1 - e^-q(|x|) to 4 (3e-8), 1 from there on. */
inline real error_function(real x)
{
    const real z = x * x, a = (fabs(x) > 4.0f) ? (real)(4.0f) : fabs(x); /* a NaN stays */
    real p = 0x1.4a5690p-14f * z - 0x1.a45088p-11f;
    p = (((p * z + 0x1.541270p-8f) * z - 0x1.b7fabap-6f) * z + 0x1.ce2d10p-4f) * z - 0x1.81273ep-2f;
    p = p * z + 0x1.06eba8p-3f;
    real q = (-0x1.b77830p-20f * a + 0x1.825ce4p-15f) * a - 0x1.38e5e6p-11f;
    q = ((q * a + 0x1.37ecc6p-8f) * a - 0x1.b0e246p-6f) * a + 0x1.c2e356p-4f;
    q = ((q * a + 0x1.437eb4p-1f) * a + 0x1.2156fap0f) * a - 0x1.4fb068p-12f;
    const real near = (x == 0.0f) ? x : p * x + x;
    return (a < 1.0f) ? near : copysign(1.0f - exp(-q), x);
}
#endif

#if OP == OP_POW
/* |x|^y, and the rules of C's pow for what is 0, 1, negative or infinite. */
inline real power(real x, real y)
{
    const real a = fabs(x), halved = 0.5f * y, one = (real)(1.0f);
    real z = exp(y * log(a));
    z = (a == 1.0f && !IS_NAN(y)) ? one : z; /* an infinite y, too */
    z = (floor(y) == y && fabs(y) < 0x1p24f && floor(halved) != halved && AS(int, x) < 0) ? -z : z;
    z = (x < 0.0f && x > -INFINITY && floor(y) != y) ? (real)(NAN) : z;
    return (x == 1.0f || y == 0.0f) ? one : z;
}
#endif

/* The function. */
#if OP == OP_CAST

inline WIDE(TO_TYPE) cast(value x)
{
#if TO == DTYPE_BOOL
    const mask_t yes = (x != (value)(0)) ? (mask_t)(1) : (mask_t)(0);
    return CONVERT(uchar, yes);
#elif FLOATS && TO == DTYPE_F32
    return x;
#elif FLOATS && (TO == DTYPE_F16 || TO == DTYPE_BF16)
    return narrow(x);
#elif FLOATS
    /* The ends of the range, where they are no f32, are written from beyond. */
    const real y = IS_NAN(x) ? (real)(0.0f) : x;
#if TO == DTYPE_I32
    const mask_t inside = CONVERT(int, (y >= -0x1p31f && y < 0x1p31f) ? y : (real)(0.0f));
    return (y >= 0x1p31f) ? (mask_t)(INT_MAX) : (y < -0x1p31f) ? (mask_t)(INT_MIN) : inside;
#elif TO == DTYPE_U32
    const word_t inside = CONVERT(uint, (y > 0.0f && y < 0x1p32f) ? y : (real)(0.0f));
    return (y >= 0x1p32f) ? (word_t)(UINT_MAX) : inside;
#else
    return CONVERT(uchar, CONVERT(int, clamp(y, 0.0f, 255.0f)));
#endif
#elif TO == DTYPE_F32
    return CONVERT(float, x);
#elif TO == DTYPE_F16
    return narrow(CONVERT(float, x));
#elif TO == DTYPE_BF16
    /* What f32 would round away is kept in one bit, far below the last of bf16: only one rounding counts. */
#if FROM == DTYPE_I32
    const mask_t far = x >= (1 << 24) || x <= -(1 << 24);
#else
    const mask_t far = x >= (1u << 24);
#endif
    const value sticky = ((x & 0xff) != 0) ? ((x & ~(value)(0xff)) | 0x100) : x;
    return narrow(CONVERT(float, far ? sticky : x));
#elif TO == DTYPE_U8
    return CONVERT(uchar, AS(uint, x) & 0xff);
#elif TO == DTYPE_I32
    return AS(int, x);
#else
    return AS(uint, x);
#endif
}

#elif OP == OP_EQUAL || OP == OP_LESS || OP == OP_LESS_EQUAL || OP == OP_NOT || OP == OP_AND || OP == OP_OR

inline WIDE(uchar) decide(value x, value y)
{
#if OP == OP_EQUAL
    const mask_t yes = x == y;
#elif OP == OP_LESS
    const mask_t yes = x < y;
#elif OP == OP_LESS_EQUAL
    const mask_t yes = x <= y;
#elif OP == OP_NOT
    const mask_t yes = x == 0;
#elif OP == OP_AND
    const mask_t yes = (x & y) != 0;
#else
    const mask_t yes = (x | y) != 0;
#endif
    return CONVERT(uchar, yes & 1);
}

#else

inline value apply(value x, value y, value w)
{
#if OP == OP_NEG
    return -x;
#elif OP == OP_ABS && FLOATS
    return fabs(x);
#elif OP == OP_ABS
    return AS(int, abs(x));
#elif OP == OP_EXP
    return exp(x);
#elif OP == OP_LOG
    return log(x);
#elif OP == OP_SQRT
    return sqrt(x);
#elif OP == OP_SIN || OP == OP_COS
    return wave(x);
#elif OP == OP_TANH
    return TANH(x);
#elif OP == OP_FLOOR
    return floor(x);
#elif OP == OP_SIGMOID
    return 1.0f / (1.0f + exp(-x));
#elif OP == OP_RELU
    return (x < 0.0f) ? (value)(0.0f) : x;
#elif OP == OP_SILU
    return x / (1.0f + exp(-x));
#elif OP == OP_LOG1P
    return log_of_next(x);
#elif OP == OP_EXPM1
    return exp_less_one(x);
#elif OP == OP_ERF
    return error_function(x);
#elif OP == OP_SOFTPLUS
    return ((x < 0.0f) ? (value)(0.0f) : x) + log_of_next(exp(-fabs(x)));
#elif OP == OP_GELU
    return x * (0.5f * error_function(x * 0x1.6a09e6p-1f) + 0.5f);
#elif OP == OP_POW
    return power(x, y);
#elif OP == OP_ADD
    return x + y;
#elif OP == OP_SUB
    return x - y;
#elif OP == OP_MUL
    return x * y;
#elif OP == OP_DIV && FLOATS
    return x / y;
#elif OP == OP_DIV && FROM == DTYPE_I32 /* whole numbers divided by 0 give 0; the one quotient that is too large wraps */
    const value by_self = (y == 0 || (x == INT_MIN && y == -1)) ? (value)(1) : y;
    return (y == 0) ? (value)(0) : x / by_self;
#elif OP == OP_DIV
    return (y == 0) ? (value)(0) : x / ((y == 0) ? (value)(1) : y);
#elif OP == OP_MAX && FLOATS
    return (IS_NAN(x) || IS_NAN(y)) ? x + y : (x >= y) ? x : y;
#elif OP == OP_MAX
    return (x >= y) ? x : y;
#elif OP == OP_MIN && FLOATS
    return (IS_NAN(x) || IS_NAN(y)) ? x + y : (x <= y) ? x : y;
#elif OP == OP_MIN
    return (x <= y) ? x : y;
#elif OP == OP_RELU_GRAD
    return (x > 0.0f) ? y : (value)(0.0f);
#else
    return (x != 0) ? y : w;
#endif
}

#endif

inline WIDE(TO_TYPE) result(value x, value y, value w)
{
#if OP == OP_CAST
    return cast(x);
#elif OP == OP_EQUAL || OP == OP_LESS || OP == OP_LESS_EQUAL || OP == OP_NOT || OP == OP_AND || OP == OP_OR
    return decide(x, y);
#elif TO == DTYPE_F32 || TO == DTYPE_I32 || TO == DTYPE_U32
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
#if OP == OP_WHERE
FETCH(fetch_first, uchar)
#define FIRST(x, i, n, moves) CONVERT(uint, fetch_first(x, i, n, moves))
#else
#define FIRST(x, i, n, moves) widen(fetch(x, i, n, moves))
#endif

#define TYPE_first FIRST_TYPE
#define TYPE_from  FROM_TYPE
#define TYPE_to    TO_TYPE

KERNEL(map)
{
    OPEN_BUFFERS(map)
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
#if OP >= OP_ADD
            const value b = widen(fetch(y, i.y, n, goes.y));
#else
            const value b = a;
#endif
#if OP == OP_WHERE
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
