/* elementwise: kernels of one run of elements, z_i = f(x_i, y_i, …); see ops/elementwise.h.
 * Floats are computed by vec.h and functions.h; integers and bytes in loops that the compiler vectorises. */
#include "backends/cpu/ops/elementwise.h"

#include "backends/cpu/isa/functions.h"
#include "backends/cpu/isa/half.h"

#define KERNEL(name)                                                                                                   \
    static void name(void *out, const void *const in[CPU_MAX_OPERANDS], const bool repeat[CPU_MAX_OPERANDS], size_t n)

/* The vector of an operand at element i. */
INLINE vf operand(const float *x, size_t i, size_t n, bool repeat)
{
    return repeat ? v_set1(*x) : v_load_part(x + i, n);
}

/* One float operand. f is a constant where these are used, and so is repeat: loops have no branches. */

INLINE void map1(float *y, const float *x, size_t n, vf (*f)(vf))
{
    size_t i = 0;
    for (; i + CPU_VW <= n; i += CPU_VW) v_store(y + i, f(v_load(x + i)));
    if (i < n) v_store_n(y + i, n - i, f(v_load_n(x + i, n - i)));
}

INLINE vf v_neg(vf x)
{
    return -x;
}

#define UNARY(name, f)                                                                                                 \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        (void)repeat;                                                                                                  \
        map1(out, in[0], n, f);                                                                                        \
    }
UNARY(neg_f32, v_neg)
UNARY(abs_f32, v_abs)
UNARY(exp_f32, v_exp)
UNARY(log_f32, v_log)
UNARY(sqrt_f32, v_sqrt)
UNARY(sin_f32, v_sin)
UNARY(cos_f32, v_cos)
UNARY(tanh_f32, v_tanh)
UNARY(sigmoid_f32, v_sigmoid)
UNARY(log1p_f32, v_log1p)
UNARY(expm1_f32, v_expm1)
UNARY(erf_f32, v_erf)
UNARY(softplus_f32, v_softplus)
UNARY(gelu_f32, v_gelu)
UNARY(floor_f32, v_floor)
UNARY(relu_f32, v_relu)
UNARY(silu_f32, v_silu)

/* Two float operands. */

INLINE void map2(float *z, const float *x, const float *y, bool repeat_x, bool repeat_y, size_t n, vf (*f)(vf, vf))
{
    size_t i = 0;
    for (; i + CPU_VW <= n; i += CPU_VW)
        v_store(z + i, f(operand(x, i, CPU_VW, repeat_x), operand(y, i, CPU_VW, repeat_y)));
    if (i < n) v_store_n(z + i, n - i, f(operand(x, i, n - i, repeat_x), operand(y, i, n - i, repeat_y)));
}

INLINE void compare2(uint8_t *z, const float *x, const float *y, bool repeat_x, bool repeat_y, size_t n,
                     vm (*f)(vf, vf))
{
    for (size_t i = 0; i < n; i += CPU_VW) {
        size_t count = n - i < CPU_VW ? n - i : CPU_VW;
        v_store_mask(z + i, count, f(operand(x, i, count, repeat_x), operand(y, i, count, repeat_y)));
    }
}

#define BINARY(name, map, f)                                                                                           \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        if (repeat[0])                                                                                                 \
            map(out, in[0], in[1], true, false, n, f);                                                                 \
        else if (repeat[1])                                                                                            \
            map(out, in[0], in[1], false, true, n, f);                                                                 \
        else                                                                                                           \
            map(out, in[0], in[1], false, false, n, f);                                                                \
    }

INLINE vf v_add(vf a, vf b)
{
    return a + b;
}

INLINE vf v_sub(vf a, vf b)
{
    return a - b;
}

INLINE vf v_mul(vf a, vf b)
{
    return a * b;
}

INLINE vf v_div(vf a, vf b)
{
    return a / b;
}

INLINE vf v_gate(vf y, vf dy) /* dy where y > 0 */
{
    return v_select(v_gt(y, v_zero()), dy, v_zero());
}

BINARY(relu_grad_f32, map2, v_gate)
BINARY(add_f32, map2, v_add)
BINARY(sub_f32, map2, v_sub)
BINARY(mul_f32, map2, v_mul)
BINARY(div_f32, map2, v_div)
BINARY(pow_f32, map2, v_pow)
BINARY(max_f32, map2, v_max_nan)
BINARY(min_f32, map2, v_min_nan)
BINARY(equal_f32, compare2, v_eq)
BINARY(less_f32, compare2, v_lt)
BINARY(less_equal_f32, compare2, v_le)

/* Integers and bytes. Arithmetic wraps, so it is done without sign. */

#define LOOP1(name, to, from, expression)                                                                              \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        to *z = out;                                                                                                   \
        const from *xs = in[0];                                                                                        \
        (void)repeat;                                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            from x = xs[i];                                                                                            \
            z[i] = (to)(expression);                                                                                   \
        }                                                                                                              \
    }
#define LOOP2(name, to, from, expression)                                                                              \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        to *z = out;                                                                                                   \
        const from *xs = in[0], *ys = in[1];                                                                           \
        const size_t step_x = !repeat[0], step_y = !repeat[1];                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            from x = xs[i * step_x], y = ys[i * step_y];                                                               \
            z[i] = (to)(expression);                                                                                   \
        }                                                                                                              \
    }

static inline int32_t divide_i32(int32_t x, int32_t y)
{
    if (y == 0) return 0;
    return y == -1 ? (int32_t)(0u - (uint32_t)x) : x / y; /* the smallest number has no opposite */
}

/* clang-format off */
LOOP1(neg_i32,        int32_t,  int32_t,  0u - (uint32_t)x)
LOOP1(abs_i32,        int32_t,  int32_t,  x < 0 ? 0u - (uint32_t)x : (uint32_t)x)
LOOP2(add_i32,        uint32_t, uint32_t, x + y)
LOOP2(sub_i32,        uint32_t, uint32_t, x - y)
LOOP2(mul_i32,        uint32_t, uint32_t, x * y)
LOOP2(div_i32,        int32_t,  int32_t,  divide_i32(x, y))
LOOP2(div_u32,        uint32_t, uint32_t, y == 0 ? 0 : x / y)
LOOP2(max_i32,        int32_t,  int32_t,  x > y ? x : y)
LOOP2(max_u32,        uint32_t, uint32_t, x > y ? x : y)
LOOP2(min_i32,        int32_t,  int32_t,  x < y ? x : y)
LOOP2(min_u32,        uint32_t, uint32_t, x < y ? x : y)
LOOP2(equal_i32,      uint8_t,  uint32_t, x == y)
LOOP2(equal_u8,       uint8_t,  uint8_t,  x == y)
LOOP2(less_i32,       uint8_t,  int32_t,  x < y)
LOOP2(less_u32,       uint8_t,  uint32_t, x < y)
LOOP2(less_equal_i32, uint8_t,  int32_t,  x <= y)
LOOP2(less_equal_u32, uint8_t,  uint32_t, x <= y)
LOOP1(not_bool,       uint8_t,  uint8_t,  x == 0)
LOOP2(and_bool,       uint8_t,  uint8_t,  x & y)
LOOP2(or_bool,        uint8_t,  uint8_t,  x | y)
/* clang-format on */

/* Casts. What an integer cannot hold becomes the nearest that it can; NaN gives 0, as comparisons with it are false. */

static inline int32_t to_i32(float x)
{
    return x >= 0x1p31f ? INT32_MAX : x >= -0x1p31f ? (int32_t)x : x < 0 ? INT32_MIN : 0;
}

static inline uint32_t to_u32(float x)
{
    return x >= 0x1p32f ? UINT32_MAX : x > 0 ? (uint32_t)x : 0;
}

static inline uint8_t to_u8(float x)
{
    return x >= 255 ? UINT8_MAX : x > 0 ? (uint8_t)x : 0;
}

/* clang-format off */
LOOP1(cast_f32_i32,  int32_t,  float,    to_i32(x))
LOOP1(cast_f32_u32,  uint32_t, float,    to_u32(x))
LOOP1(cast_f32_u8,   uint8_t,  float,    to_u8(x))
LOOP1(cast_f32_bool, uint8_t,  float,    x != 0)
LOOP1(cast_i32_f32,  float,    int32_t,  x)
LOOP1(cast_u32_f32,  float,    uint32_t, x)
LOOP1(cast_u8_f32,   float,    uint8_t,  x)
LOOP1(cast_i32_u8,   uint8_t,  uint32_t, x)
LOOP1(cast_i32_bool, uint8_t,  uint32_t, x != 0)
LOOP1(cast_u8_i32,   uint32_t, uint8_t,  x)
LOOP1(cast_u8_bool,  uint8_t,  uint8_t,  x != 0)
/* clang-format on */

/* f16 and bf16 are storage only: they are cast to f32 and from it. Rounding is to nearest, ties to even. */

#define CAST(name, from, to)                                                                                           \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        const void *x = in[0];                                                                                         \
        (void)repeat;                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + CPU_VW <= n; i += CPU_VW) v_store_as(out, i, CPU_VW, v_load_as(x, i, CPU_VW, from), to);            \
        if (i < n) v_store_as(out, i, n - i, v_load_as(x, i, n - i, from), to);                                        \
    }
CAST(cast_f16_f32, M3_F16, M3_F32)
CAST(cast_bf16_f32, M3_BF16, M3_F32)
CAST(cast_f32_f16, M3_F32, M3_F16)
CAST(cast_f32_bf16, M3_F32, M3_BF16)
CAST(cast_f16_bf16, M3_F16, M3_BF16)
CAST(cast_bf16_f16, M3_BF16, M3_F16)

/* A whole number as one that f32 holds exactly and bf16 rounds alike: what f32 would round away is one bit, far below
 * the last of bf16, so that only one rounding counts. */
static inline uint32_t sticky(uint32_t x, bool far)
{
    return far && (x & 0xffU) != 0 ? (x & ~0xffU) | 0x100U : x;
}

static inline uint16_t i32_to_bf16(int32_t x)
{
    return to_bf16((float)(int32_t)sticky((uint32_t)x, x > 1 << 24 || x < -(1 << 24)));
}

static inline uint16_t u32_to_bf16(uint32_t x)
{
    return to_bf16((float)sticky(x, x > 1U << 24));
}

LOOP1(cast_f16_i32, int32_t, uint16_t, to_i32(from_f16(x)))
LOOP1(cast_f16_u32, uint32_t, uint16_t, to_u32(from_f16(x)))
LOOP1(cast_f16_u8, uint8_t, uint16_t, to_u8(from_f16(x)))
LOOP1(cast_f16_bool, uint8_t, uint16_t, from_f16(x) != 0)
LOOP1(cast_bf16_i32, int32_t, uint16_t, to_i32(from_bf16(x)))
LOOP1(cast_bf16_u32, uint32_t, uint16_t, to_u32(from_bf16(x)))
LOOP1(cast_bf16_u8, uint8_t, uint16_t, to_u8(from_bf16(x)))
LOOP1(cast_bf16_bool, uint8_t, uint16_t, from_bf16(x) != 0)
LOOP1(cast_i32_f16, uint16_t, int32_t, to_f16((float)x))
LOOP1(cast_u32_f16, uint16_t, uint32_t, to_f16((float)x))
LOOP1(cast_u8_f16, uint16_t, uint8_t, to_f16((float)x))
LOOP1(cast_i32_bf16, uint16_t, int32_t, i32_to_bf16(x))
LOOP1(cast_u32_bf16, uint16_t, uint32_t, u32_to_bf16(x))
LOOP1(cast_u8_bf16, uint16_t, uint8_t, to_bf16((float)x))

KERNEL(copy_4)
{
    (void)repeat;
    memmove(out, in[0], n * 4);
}

KERNEL(copy_2)
{
    (void)repeat;
    memmove(out, in[0], n * 2);
}

KERNEL(copy_1)
{
    (void)repeat;
    memmove(out, in[0], n);
}

/* where: bits are selected, so one kernel serves all types of a size. */

INLINE void choose(float *z, const uint8_t *cond, const float *x, const float *y, bool repeat_x, bool repeat_y,
                   size_t n)
{
    for (size_t i = 0; i < n; i += CPU_VW) {
        size_t count = n - i < CPU_VW ? n - i : CPU_VW;
        vm mask = v_load_mask(cond + i, count);
        v_store_part(z + i, count, v_select(mask, operand(x, i, count, repeat_x), operand(y, i, count, repeat_y)));
    }
}

/* One choice alone, for a condition that holds for all elements. */
static void copy_choice(float *z, const float *x, bool repeat, size_t n)
{
    if (!repeat)
        memmove(z, x, n * sizeof *z);
    else
        for (size_t i = 0; i < n; i++) z[i] = *x;
}

KERNEL(where_4)
{
    const uint8_t *cond = in[0];
    if (repeat[0])
        copy_choice(out, *cond != 0 ? in[1] : in[2], repeat[*cond != 0 ? 1 : 2], n);
    else if (repeat[1] && repeat[2])
        choose(out, cond, in[1], in[2], true, true, n);
    else if (repeat[1])
        choose(out, cond, in[1], in[2], true, false, n);
    else if (repeat[2])
        choose(out, cond, in[1], in[2], false, true, n);
    else
        choose(out, cond, in[1], in[2], false, false, n);
}

#define WHERE(name, type)                                                                                              \
    KERNEL(name)                                                                                                       \
    {                                                                                                                  \
        const uint8_t *cond = in[0];                                                                                   \
        const type *x = in[1], *y = in[2];                                                                             \
        type *z = out;                                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type a = x[repeat[1] ? 0 : i], b = y[repeat[2] ? 0 : i];                                                   \
            z[i] = cond[repeat[0] ? 0 : i] != 0 ? a : b;                                                               \
        }                                                                                                              \
    }
WHERE(where_2, uint16_t)
WHERE(where_1, uint8_t)

/* The table. */

/* clang-format off */
static const struct entry {
    const char *op;
    m3_dtype from, to;
    cpu_elementwise_fn kernel;
} entries[] = {
    {"neg",        M3_F32,  M3_F32,  neg_f32},
    {"abs",        M3_F32,  M3_F32,  abs_f32},
    {"exp",        M3_F32,  M3_F32,  exp_f32},
    {"log",        M3_F32,  M3_F32,  log_f32},
    {"sqrt",       M3_F32,  M3_F32,  sqrt_f32},
    {"sin",        M3_F32,  M3_F32,  sin_f32},
    {"cos",        M3_F32,  M3_F32,  cos_f32},
    {"tanh",       M3_F32,  M3_F32,  tanh_f32},
    {"sigmoid",    M3_F32,  M3_F32,  sigmoid_f32},
    {"log1p",      M3_F32,  M3_F32,  log1p_f32},
    {"expm1",      M3_F32,  M3_F32,  expm1_f32},
    {"erf",        M3_F32,  M3_F32,  erf_f32},
    {"softplus",   M3_F32,  M3_F32,  softplus_f32},
    {"gelu",       M3_F32,  M3_F32,  gelu_f32},
    {"floor",      M3_F32,  M3_F32,  floor_f32},
    {"relu",       M3_F32,  M3_F32,  relu_f32},
    {"silu",       M3_F32,  M3_F32,  silu_f32},
    {"relu_grad",  M3_F32,  M3_F32,  relu_grad_f32},
    {"add",        M3_F32,  M3_F32,  add_f32},
    {"sub",        M3_F32,  M3_F32,  sub_f32},
    {"mul",        M3_F32,  M3_F32,  mul_f32},
    {"div",        M3_F32,  M3_F32,  div_f32},
    {"pow",        M3_F32,  M3_F32,  pow_f32},
    {"max",        M3_F32,  M3_F32,  max_f32},
    {"min",        M3_F32,  M3_F32,  min_f32},
    {"equal",      M3_F32,  M3_BOOL, equal_f32},
    {"less",       M3_F32,  M3_BOOL, less_f32},
    {"less_equal", M3_F32,  M3_BOOL, less_equal_f32},
    {"where",      M3_F32,  M3_F32,  where_4},
    {"where",      M3_I32,  M3_I32,  where_4},
    {"where",      M3_U32,  M3_U32,  where_4},
    {"where",      M3_U8,   M3_U8,   where_1},
    {"where",      M3_BOOL, M3_BOOL, where_1},
    {"where",      M3_F16,  M3_F16,  where_2},
    {"where",      M3_BF16, M3_BF16, where_2},
    {"neg",        M3_I32,  M3_I32,  neg_i32},
    {"abs",        M3_I32,  M3_I32,  abs_i32},
    {"add",        M3_I32,  M3_I32,  add_i32},
    {"add",        M3_U32,  M3_U32,  add_i32},
    {"sub",        M3_I32,  M3_I32,  sub_i32},
    {"sub",        M3_U32,  M3_U32,  sub_i32},
    {"mul",        M3_I32,  M3_I32,  mul_i32},
    {"mul",        M3_U32,  M3_U32,  mul_i32},
    {"div",        M3_I32,  M3_I32,  div_i32},
    {"div",        M3_U32,  M3_U32,  div_u32},
    {"max",        M3_I32,  M3_I32,  max_i32},
    {"max",        M3_U32,  M3_U32,  max_u32},
    {"min",        M3_I32,  M3_I32,  min_i32},
    {"min",        M3_U32,  M3_U32,  min_u32},
    {"equal",      M3_I32,  M3_BOOL, equal_i32},
    {"equal",      M3_U32,  M3_BOOL, equal_i32},
    {"equal",      M3_U8,   M3_BOOL, equal_u8},
    {"equal",      M3_BOOL, M3_BOOL, equal_u8},
    {"less",       M3_I32,  M3_BOOL, less_i32},
    {"less",       M3_U32,  M3_BOOL, less_u32},
    {"less_equal", M3_I32,  M3_BOOL, less_equal_i32},
    {"less_equal", M3_U32,  M3_BOOL, less_equal_u32},
    {"not",        M3_BOOL, M3_BOOL, not_bool},
    {"and",        M3_BOOL, M3_BOOL, and_bool},
    {"or",         M3_BOOL, M3_BOOL, or_bool},
    {"cast",       M3_F32, M3_F32, copy_4},
    {"cast",       M3_F32, M3_I32, cast_f32_i32},
    {"cast",       M3_F32, M3_U32, cast_f32_u32},
    {"cast",       M3_F32, M3_U8,  cast_f32_u8},
    {"cast",       M3_F32, M3_BOOL,cast_f32_bool},
    {"cast",       M3_I32, M3_F32, cast_i32_f32},
    {"cast",       M3_I32, M3_I32, copy_4},
    {"cast",       M3_I32, M3_U32, copy_4},
    {"cast",       M3_I32, M3_U8,  cast_i32_u8},
    {"cast",       M3_I32, M3_BOOL,cast_i32_bool},
    {"cast",       M3_U32, M3_F32, cast_u32_f32},
    {"cast",       M3_U32, M3_I32, copy_4},
    {"cast",       M3_U32, M3_U32, copy_4},
    {"cast",       M3_U32, M3_U8,  cast_i32_u8},
    {"cast",       M3_U32, M3_BOOL,cast_i32_bool},
    {"cast",       M3_U8,  M3_F32, cast_u8_f32},
    {"cast",       M3_U8,  M3_I32, cast_u8_i32},
    {"cast",       M3_U8,  M3_U32, cast_u8_i32},
    {"cast",       M3_U8,  M3_U8,  copy_1},
    {"cast",       M3_U8,  M3_BOOL,cast_u8_bool},
    {"cast",       M3_BOOL,M3_F32, cast_u8_f32},
    {"cast",       M3_BOOL,M3_I32, cast_u8_i32},
    {"cast",       M3_BOOL,M3_U32, cast_u8_i32},
    {"cast",       M3_BOOL,M3_U8,  copy_1},
    {"cast",       M3_BOOL,M3_BOOL,copy_1},
    {"cast",       M3_F16, M3_F32, cast_f16_f32},
    {"cast",       M3_F32, M3_F16, cast_f32_f16},
    {"cast",       M3_F16, M3_F16, copy_2},
    {"cast",       M3_BF16,M3_F32, cast_bf16_f32},
    {"cast",       M3_F32, M3_BF16,cast_f32_bf16},
    {"cast",       M3_BF16,M3_BF16,copy_2},
    {"cast",       M3_F16, M3_I32, cast_f16_i32},
    {"cast",       M3_F16, M3_U32, cast_f16_u32},
    {"cast",       M3_F16, M3_U8,  cast_f16_u8},
    {"cast",       M3_F16, M3_BOOL,cast_f16_bool},
    {"cast",       M3_I32, M3_F16, cast_i32_f16},
    {"cast",       M3_U32, M3_F16, cast_u32_f16},
    {"cast",       M3_U8,  M3_F16, cast_u8_f16},
    {"cast",       M3_BOOL,M3_F16, cast_u8_f16},
    {"cast",       M3_BF16,M3_I32, cast_bf16_i32},
    {"cast",       M3_BF16,M3_U32, cast_bf16_u32},
    {"cast",       M3_BF16,M3_U8,  cast_bf16_u8},
    {"cast",       M3_BF16,M3_BOOL,cast_bf16_bool},
    {"cast",       M3_I32, M3_BF16,cast_i32_bf16},
    {"cast",       M3_U32, M3_BF16,cast_u32_bf16},
    {"cast",       M3_U8,  M3_BF16,cast_u8_bf16},
    {"cast",       M3_BOOL,M3_BF16,cast_u8_bf16},
    {"cast",       M3_F16, M3_BF16,cast_f16_bf16},
    {"cast",       M3_BF16,M3_F16, cast_bf16_f16},
};
/* clang-format on */

static cpu_elementwise_fn find(const char *op, m3_dtype from, m3_dtype to)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (entries[i].from == from && entries[i].to == to && strcmp(entries[i].op, op) == 0) return entries[i].kernel;
    return NULL;
}

const cpu_elementwise_kernels CPU_FN(cpu_elementwise_kernels) = {find};
