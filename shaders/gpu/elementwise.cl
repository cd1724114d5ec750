/* elementwise: a tape of functions along the last axis, where each input goes on or stands still; an item makes `piece`
 * neighbouring elements of each output, a row (or part of one) at a time, VECTOR elements at once, the values in
 * registers.
 *   TAPE_READ(X), TAPE_STEPS(X), TAPE_WRITE(X)  the tape, which the backend writes in front (backends/opencl/tape.c):
 *         X(k, type) of each input, X(k, function, (operands)) of each step, X(k, type, value) of each output
 *   axes  [outer][1 + TAPE_INPUTS]: extent and strides of the inputs, of the axes before the last, innermost first
 *   moves bit k: input k goes on along the last axis
 * Values are words (contract/elementwise.h): halves are widened when they are read and narrowed when they are stored.
 * Sums and products of two steps are not fused, so that a chain has the bits of its steps alone. */
#if VECTOR == 1
#define WIDE(type) type
#else
#define WIDE(type) GLUE(type, VECTOR)
#endif
#define AS(type, v)      GLUE(as_, WIDE(type))(v)
#define CONVERT(type, v) GLUE(convert_, WIDE(type))(v)
#define IS_NAN(v)        ((v) != (v))

/* Halves. A denormal f16 is a whole number of 2^-24, so that no denormal f32 is touched in between. */
static inline word_t widen_f16(word_t h)
{
    const word_t exponent = (h >> 10) & 0x1f, fraction = h & 0x3ff;
    const word_t many = (exponent == 0x1f) ? (word_t)(0xff << 23) : ((exponent + 112) << 23);
    const real small = CONVERT(float, fraction) * 0x1p-24f;
    const word_t size = (exponent == 0) ? AS(uint, small) : (many | (fraction << 13));
    return size | ((h & 0x8000) << 16);
}

/* Below 2^-14 adding 1/2 leaves a whole number of 2^-24 in the low bits; every sum here rounds ties to even. */
static inline word_t narrow_f16(word_t bits)
{
    const word_t size = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
    const word_t small = AS(uint, AS(float, size) + 0.5f) - 0x3f000000u;
    const word_t normal = ((size + 0xfffu + ((size >> 13) & 1u)) >> 13) - (112u << 10);
    word_t h = (size < 0x38800000u) ? small : normal;
    h = (size >= 0x477ff000u) ? (word_t)(0x7c00u) : h;
    h = (size > 0x7f800000u) ? (word_t)(0x7e00u) : h;
    return h | sign;
}

static inline word_t narrow_bf16(word_t bits)
{
    const word_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return ((bits & 0x7fffffffu) > 0x7f800000u) ? (word_t)(0x7fc0u) : rounded;
}

/* x = n pi/2 + r, |r| <= pi/4, pi/2 in four parts, of which n times the first three is exact up to n = 2^13;
 * sin r = r + r^3 s(r^2) (2e-8), cos r = 1 - r^2 / 2 + r^4 c(r^2) (1e-9). Far arguments go to the library one by one:
 * of vectors that hold an infinity or a NaN, PoCL 3.1 gets other elements wrong. */
static inline real wave(real x, bool of_cos)
{
    const real near = (fabs(x) < 8192.0f) ? x : (real)(0.0f);
    const real shifted = near * 0x1.45f306p-1f + 0x1.8p23f, quarters = shifted - 0x1.8p23f; /* whole, in the low bits */
    const word_t n = AS(uint, shifted) + (of_cos ? 1 : 0);
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
        if (!(fabs(far[i]) < 8192.0f)) part[i] = of_cos ? cos(far[i]) : sin(far[i]);
    return LOAD(part, 0);
}

/* ln u + (x - (u - 1)) / u, u = 1 + x: the second term is what the sum rounded away. */
static inline real log_of_next(real x)
{
    const real u = 1.0f + x, y = log(u) + (x - (u - 1.0f)) / u;
    const real ends = (u == 0.0f) ? (real)(-INFINITY) : (x == INFINITY) ? x : y;
    return (u == 1.0f) ? x : ends;
}

/* x + x^2 q(x) (8e-9) within ln 2 / 2; beyond, e^x - 1 loses two bits at most. */
static inline real exp_less_one(real x)
{
    const real q = (((0x1.6d110ap-10f * x + 0x1.120b6ep-7f) * x + 0x1.55551ap-5f) * x + 0x1.5554dcp-3f) * x + 0.5f;
    const real y = (fabs(x) < 0.34657f) ? q * (x * x) + x : exp(x) - 1.0f;
    return (x == 0.0f) ? x : y;
}

/* x + x p(x^2) below 1 (3e-8), 1 - e^-q(|x|) to 4 (3e-8), 1 from there on. */
static inline real error_function(real x)
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

/* |x|^y, and the rules of C's pow for what is 0, 1, negative or infinite. */
static inline real power(real x, real y)
{
    const real a = fabs(x), halved = 0.5f * y, one = (real)(1.0f);
    real z = exp(y * log(a));
    z = (a == 1.0f && !IS_NAN(y)) ? one : z; /* an infinite y, too */
    z = (floor(y) == y && fabs(y) < 0x1p24f && floor(halved) != halved && AS(int, x) < 0) ? -z : z;
    z = (x < 0.0f && x > -INFINITY && floor(y) != y) ? (real)(NAN) : z;
    return (x == 1.0f || y == 0.0f) ? one : z;
}

/* The functions. */

#define OF_ONE(name, value)                                                                                            \
    static inline word_t do_##name(word_t a)                                                                           \
    {                                                                                                                  \
        return value;                                                                                                  \
    }
#define OF_TWO(name, value)                                                                                            \
    static inline word_t do_##name(word_t a, word_t b)                                                                 \
    {                                                                                                                  \
        return value;                                                                                                  \
    }
#define FLOAT_OF_ONE(name, value)                                                                                      \
    static inline word_t do_##name(word_t a)                                                                           \
    {                                                                                                                  \
        const real x = AS(float, a);                                                                                   \
        return AS(uint, value);                                                                                        \
    }
#define FLOAT_OF_TWO(name, value)                                                                                      \
    static inline word_t do_##name(word_t a, word_t b)                                                                 \
    {                                                                                                                  \
        const real x = AS(float, a), y = AS(float, b);                                                                 \
        const real z = value;                                                                                          \
        return AS(uint, z);                                                                                            \
    }
/* A comparison gives 1 of a scalar, -1 of an element of a vector. */
#define YES(mask) AS(uint, (mask) & 1)
#define DECIDE(name, mask)                                                                                             \
    static inline word_t do_##name(word_t a, word_t b)                                                                 \
    {                                                                                                                  \
        const mask_t yes = mask;                                                                                       \
        return YES(yes);                                                                                               \
    }

FLOAT_OF_ONE(neg, -x)
FLOAT_OF_ONE(abs, fabs(x))
FLOAT_OF_ONE(exp, exp(x))
FLOAT_OF_ONE(log, log(x))
FLOAT_OF_ONE(sqrt, sqrt(x))
FLOAT_OF_ONE(sin, wave(x, false))
FLOAT_OF_ONE(cos, wave(x, true))
FLOAT_OF_ONE(tanh, TANH(x))
FLOAT_OF_ONE(floor, floor(x))
FLOAT_OF_ONE(sigmoid, 1.0f / (1.0f + exp(-x)))
FLOAT_OF_ONE(relu, (x < 0.0f) ? (real)(0.0f) : x)
FLOAT_OF_ONE(silu, x / (1.0f + exp(-x)))
FLOAT_OF_ONE(log1p, log_of_next(x))
FLOAT_OF_ONE(expm1, exp_less_one(x))
FLOAT_OF_ONE(erf, error_function(x))
FLOAT_OF_ONE(softplus, ((x < 0.0f) ? (real)(0.0f) : x) + log_of_next(exp(-fabs(x))))
FLOAT_OF_ONE(gelu, x * (0.5f * error_function(x * 0x1.6a09e6p-1f) + 0.5f))
OF_ONE(neg_int, 0 - a)
OF_ONE(abs_int, abs(AS(int, a)))

FLOAT_OF_TWO(add, x + y)
FLOAT_OF_TWO(sub, x - y)
FLOAT_OF_TWO(mul, x * y)
FLOAT_OF_TWO(div, x / y)
FLOAT_OF_TWO(pow, power(x, y))
FLOAT_OF_TWO(max, (IS_NAN(x) || IS_NAN(y)) ? x + y : (x >= y) ? x : y)
FLOAT_OF_TWO(min, (IS_NAN(x) || IS_NAN(y)) ? x + y : (x <= y) ? x : y)
FLOAT_OF_TWO(relu_grad, (x > 0.0f) ? y : (real)(0.0f))
OF_TWO(add_int, a + b)
OF_TWO(sub_int, a - b)
OF_TWO(mul_int, a * b)
OF_TWO(max_i32, AS(uint, max(AS(int, a), AS(int, b))))
OF_TWO(max_u32, max(a, b))
OF_TWO(min_i32, AS(uint, min(AS(int, a), AS(int, b))))
OF_TWO(min_u32, min(a, b))
OF_TWO(and, a & b)
OF_TWO(or, a | b)

/* Whole numbers divided by 0 give 0; the one quotient that is too large wraps. */
static inline word_t do_div_i32(word_t a, word_t b)
{
    const mask_t x = AS(int, a), y = AS(int, b);
    const mask_t by = (y == 0 || (x == INT_MIN && y == -1)) ? (mask_t)(1) : y;
    return (b == 0) ? (word_t)(0) : AS(uint, x / by);
}

static inline word_t do_div_u32(word_t a, word_t b)
{
    return (b == 0) ? (word_t)(0) : a / ((b == 0) ? (word_t)(1) : b);
}

DECIDE(equal, AS(float, a) == AS(float, b))
DECIDE(less, AS(float, a) < AS(float, b))
DECIDE(less_equal, AS(float, a) <= AS(float, b))
DECIDE(equal_int, a == b)
DECIDE(less_i32, AS(int, a) < AS(int, b))
DECIDE(less_u32, a < b)
DECIDE(less_equal_i32, AS(int, a) <= AS(int, b))
DECIDE(less_equal_u32, a <= b)

OF_ONE(not, do_equal_int(a, (word_t)(0)))

static inline word_t do_where(word_t a, word_t b, word_t c)
{
    return (a != 0) ? b : c;
}

/* Casts. Before bf16, what f32 would round away of a whole number is kept in one bit, far below the last of bf16: only
 * one rounding counts. */
static inline word_t sticky(word_t v, mask_t far)
{
    return (far && (v & 0xff) != 0) ? ((v & ~(word_t)(0xff)) | 0x100) : v;
}

OF_ONE(keep, a)
OF_ONE(truth, 1 - do_equal(a, (word_t)(0)))
OF_ONE(truth_of_int, 1 - do_equal_int(a, (word_t)(0)))
OF_ONE(f32_of_i32, AS(uint, CONVERT(float, AS(int, a))))
OF_ONE(f32_of_u32, AS(uint, CONVERT(float, a)))
OF_ONE(f16, widen_f16(narrow_f16(a)))
OF_ONE(f16_of_i32, do_f16(do_f32_of_i32(a)))
OF_ONE(f16_of_u32, do_f16(do_f32_of_u32(a)))
OF_ONE(bf16, narrow_bf16(a) << 16)
OF_ONE(bf16_of_i32, do_bf16(do_f32_of_i32(sticky(a, AS(int, a) >= (1 << 24) || AS(int, a) <= -(1 << 24)))))
OF_ONE(bf16_of_u32, do_bf16(do_f32_of_u32(sticky(a, a >= (1u << 24)))))
OF_ONE(u8_of_int, a & 0xff)

/* Towards zero, the nearest end of the range from beyond, 0 of a NaN. Ends that are no f32 are written from beyond. */
static inline word_t do_i32(word_t a)
{
    const real x = AS(float, a), y = IS_NAN(x) ? (real)(0.0f) : x;
    const mask_t inside = CONVERT(int, (y >= -0x1p31f && y < 0x1p31f) ? y : (real)(0.0f));
    return AS(uint, (y >= 0x1p31f) ? (mask_t)(INT_MAX) : (y < -0x1p31f) ? (mask_t)(INT_MIN) : inside);
}

static inline word_t do_u32(word_t a)
{
    const real x = AS(float, a), y = IS_NAN(x) ? (real)(0.0f) : x;
    const word_t inside = CONVERT(uint, (y > 0.0f && y < 0x1p32f) ? y : (real)(0.0f));
    return (y >= 0x1p32f) ? (word_t)(UINT_MAX) : inside;
}

static inline word_t do_u8(word_t a)
{
    const real x = AS(float, a), y = IS_NAN(x) ? (real)(0.0f) : x;
    return CONVERT(uint, clamp(y, 0.0f, 255.0f));
}

/* Elements. */

#define STORED_f32  uint
#define STORED_i32  uint
#define STORED_u32  uint
#define STORED_u8   uchar
#define STORED_bool uchar
#define STORED_f16  ushort
#define STORED_bf16 ushort
#define VALUE_f32(v)  (v)
#define VALUE_i32(v)  (v)
#define VALUE_u32(v)  (v)
#define VALUE_u8(v)   CONVERT(uint, v)
#define VALUE_bool(v) CONVERT(uint, v)
#define VALUE_f16(v)  widen_f16(CONVERT(uint, v))
#define VALUE_bf16(v) (CONVERT(uint, v) << 16)
#define BITS_f32(v)   (v)
#define BITS_i32(v)   (v)
#define BITS_u32(v)   (v)
#define BITS_u8(v)    CONVERT(uchar, v)
#define BITS_bool(v)  CONVERT(uchar, v)
#define BITS_f16(v)   CONVERT(ushort, narrow_f16(v))
#define BITS_bf16(v)  CONVERT(ushort, narrow_bf16(v))

/* Up to VECTOR elements from x[i] on, or x[i] everywhere; and up to VECTOR elements to z[i] on. */
#define ACCESS(type)                                                                                                   \
    static inline WIDE(type) fetch_##type(global const type *x, uint i, uint n, uint moves)                            \
    {                                                                                                                  \
        if (moves == 0) return (WIDE(type))(x[i]);                                                                     \
        if (n >= VECTOR) return LOAD(x, i);                                                                            \
        type part[VECTOR];                                                                                             \
        for (uint k = 0; k < VECTOR; k++) part[k] = k < n ? x[i + k] : 0;                                              \
        return LOAD(part, 0);                                                                                          \
    }                                                                                                                  \
    static inline void put_##type(WIDE(type) v, global type *z, uint i, uint n)                                        \
    {                                                                                                                  \
        if (n >= VECTOR) {                                                                                             \
            STORE(v, z, i);                                                                                            \
            return;                                                                                                    \
        }                                                                                                              \
        type part[VECTOR];                                                                                             \
        STORE(v, part, 0);                                                                                             \
        for (uint k = 0; k < n; k++) z[i + k] = part[k];                                                               \
    }
ACCESS(uint)
ACCESS(ushort)
ACCESS(uchar)

#define TYPE_bits void
#define START(k, type) uint from##k = goes##k * column;
#define GOES(k, type)  const uint goes##k = (moves >> k) & 1;
#define OUTER(k, type) from##k += index * axes[(1 + TAPE_INPUTS) * i + 1 + k];
#define READ(k, type)                                                                                                  \
    const word_t v##k = VALUE_##type(GLUE(fetch_, STORED_##type)(x##k, from##k + goes##k * k0, n, goes##k));
#define STEP(k, function, operands) const word_t v##k = do_##function operands;
#define WRITE(k, type, value)       GLUE(put_, STORED_##type)(BITS_##type(v##value), z##k, at + k0, n);

KERNEL(map)
{
    OPEN_BUFFERS(map)
    TAPE_READ(GOES)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        uint row = at / last;
        const uint column = at - row * last, run = min(end - at, last - column);
        TAPE_READ(START)
        for (uint i = 0; i < outer; i++) {
            const uint extent = axes[(1 + TAPE_INPUTS) * i], index = row % extent;
            TAPE_READ(OUTER)
            row /= extent;
        }
        for (uint k0 = 0; k0 < run; k0 += VECTOR) {
            const uint n = run - k0;
            TAPE_READ(READ)
            TAPE_STEPS(STEP)
            TAPE_WRITE(WRITE)
        }
        at += run;
    }
}
