/* vec: vectors of CPU_VW floats for the kernels of this folder, which are compiled once for each instruction set.
 *   CPU_VW  4 (portable), 8 (avx2), 16 (avx512); vf floats, vi and vu 32-bit integers, vm a lane mask
 * Arithmetic on vf, vi, vu is written with C's operators, of two vectors. A mask is only made and used by the functions
 * below, as avx512 keeps masks in registers of their own. Memory needs no more alignment than its elements.
 * The *_n functions touch n <= CPU_VW elements and nothing else: loads fill the rest with 0.
 * exp, log, sin, cos, tanh, sigmoid are within 2 units in the last place, over the whole range of float,
 * and treat infinities and NaN as libm does. */
#ifndef CPU_VEC_H
#define CPU_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* CPU_FN(name) is name_avx512 in the avx512 build of a source. */
#define CPU_FN_PASTE(name, isa) name##_##isa
#define CPU_FN_WITH(name, isa)  CPU_FN_PASTE(name, isa)
#define CPU_FN(name)            CPU_FN_WITH(name, CPU_ISA)

#if defined(__AVX512F__)
#define CPU_VW 16
#elif defined(__AVX2__)
#define CPU_VW 8
#else
#define CPU_VW 4
#endif

/* Functions whose arguments are constants where they are called: compiled anew for each call. */
#define INLINE static inline __attribute__((always_inline))

/* Before a loop of at most 16 rounds of constant number: unroll it, so that an array of vectors stays in registers. */
#if defined(__clang__)
#define CPU_UNROLL _Pragma("clang loop unroll(full)")
#else
#define CPU_UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(CPU_VW * 4)));
typedef int32_t vi __attribute__((vector_size(CPU_VW * 4)));
typedef uint32_t vu __attribute__((vector_size(CPU_VW * 4)));
#if defined(__AVX512F__)
typedef __mmask16 vm;
#else
typedef vi vm; /* -1 or 0 in each lane */
#endif

/* Memory and constants. */

static inline vf v_load(const float *p)
{
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void v_store(float *p, vf x)
{
    memcpy(p, &x, sizeof x);
}

static inline vi v_load_i32(const int32_t *p)
{
    vi x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void v_store_i32(int32_t *p, vi x)
{
    memcpy(p, &x, sizeof x);
}

static inline vu v_load_u32(const uint32_t *p)
{
    vu x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void v_store_u32(uint32_t *p, vu x)
{
    memcpy(p, &x, sizeof x);
}

#if defined(__AVX512F__)
static inline vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}

static inline vi v_set1_i32(int32_t x)
{
    return (vi)_mm512_set1_epi32(x);
}
#elif defined(__AVX2__)
static inline vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}

static inline vi v_set1_i32(int32_t x)
{
    return (vi)_mm256_set1_epi32(x);
}
#else
static inline vf v_set1(float x)
{
    return (vf){x, x, x, x};
}

static inline vi v_set1_i32(int32_t x)
{
    return (vi){x, x, x, x};
}
#endif

static inline vf v_zero(void)
{
    return (vf){0};
}

static inline vu v_set1_u32(uint32_t x)
{
    return (vu)v_set1_i32((int32_t)x);
}

/* 0, 1, 2, … */
static inline vi v_iota(void)
{
#if CPU_VW == 16
    return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif CPU_VW == 8
    return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#else
    return (vi){0, 1, 2, 3};
#endif
}

static inline vf v_from_i32(vi x)
{
    return __builtin_convertvector(x, vf);
}

/* Towards zero; x must fit. */
static inline vi v_to_i32(vf x)
{
    return __builtin_convertvector(x, vi);
}

/* Masks. */

#if defined(__AVX512F__)
static inline vm v_first(size_t n) /* the first n lanes */
{
    return (vm)((1u << n) - 1u);
}

static inline vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

static inline vm v_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

static inline vm v_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline vm v_eq_i32(vi a, vi b)
{
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}

static inline vm v_lt_i32(vi a, vi b)
{
    return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
}

static inline vm v_not(vm a)
{
    return (vm)~a;
}

static inline vm v_and(vm a, vm b)
{
    return (vm)(a & b);
}

static inline vm v_or(vm a, vm b)
{
    return (vm)(a | b);
}

static inline bool v_any(vm a)
{
    return a != 0;
}

static inline vf v_select(vm m, vf a, vf b) /* m ? a : b */
{
    return _mm512_mask_blend_ps(m, b, a);
}
#else
static inline vm v_lt_i32(vi a, vi b)
{
    return a < b;
}

static inline vm v_first(size_t n) /* the first n lanes */
{
    return v_lt_i32(v_iota(), v_set1_i32((int32_t)n));
}

static inline vm v_lt(vf a, vf b)
{
    return (vm)(a < b);
}

static inline vm v_le(vf a, vf b)
{
    return (vm)(a <= b);
}

static inline vm v_eq(vf a, vf b)
{
    return (vm)(a == b);
}

static inline vm v_eq_i32(vi a, vi b)
{
    return (vm)(a == b);
}

static inline vm v_not(vm a)
{
    return ~a;
}

static inline vm v_and(vm a, vm b)
{
    return a & b;
}

static inline vm v_or(vm a, vm b)
{
    return a | b;
}

static inline bool v_any(vm a)
{
    int32_t any = 0;
    for (int i = 0; i < CPU_VW; i++) any |= a[i];
    return any != 0;
}

static inline vf v_select(vm m, vf a, vf b) /* m ? a : b */
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
#endif

static inline vm v_gt(vf a, vf b)
{
    return v_lt(b, a);
}

static inline vm v_ge(vf a, vf b)
{
    return v_le(b, a);
}

static inline vm v_ne(vf a, vf b) /* true with a NaN, as in C */
{
    return v_not(v_eq(a, b));
}

static inline vm v_all(void)
{
    return v_first(CPU_VW);
}

static inline vi v_select_i32(vm m, vi a, vi b)
{
    return (vi)v_select(m, (vf)a, (vf)b);
}

/* A part of a vector in memory. */

#if defined(__AVX512F__)
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}

static inline void v_store_n(float *p, size_t n, vf x)
{
    _mm512_mask_storeu_ps(p, v_first(n), x);
}

static inline vi v_load_i32_n(const int32_t *p, size_t n)
{
    return (vi)_mm512_maskz_loadu_epi32(v_first(n), p);
}

static inline void v_store_i32_n(int32_t *p, size_t n, vi x)
{
    _mm512_mask_storeu_epi32(p, v_first(n), (__m512i)x);
}

static inline vf v_gather(const float *p, vi index)
{
    return _mm512_i32gather_ps((__m512i)index, p, 4);
}

/* Lanes whose byte is not 0; lanes from n on are false. */
static inline vm v_load_mask(const uint8_t *p, size_t n)
{
    __m128i bytes = _mm_maskz_loadu_epi8(v_first(n), p);
    return _mm_test_epi8_mask(bytes, bytes);
}

/* Writes 1 or 0. */
static inline void v_store_mask(uint8_t *p, size_t n, vm m)
{
    _mm_mask_storeu_epi8(p, v_first(n), _mm_maskz_set1_epi8(m, 1));
}
#else
#if defined(__AVX2__)
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, (__m256i)v_first(n));
}

static inline void v_store_n(float *p, size_t n, vf x)
{
    _mm256_maskstore_ps(p, (__m256i)v_first(n), x);
}

static inline vi v_load_i32_n(const int32_t *p, size_t n)
{
    return (vi)_mm256_maskload_epi32(p, (__m256i)v_first(n));
}

static inline void v_store_i32_n(int32_t *p, size_t n, vi x)
{
    _mm256_maskstore_epi32(p, (__m256i)v_first(n), (__m256i)x);
}
#else
static inline vf v_load_n(const float *p, size_t n)
{
    vf x = {0};
    for (size_t i = 0; i < n; i++) x[i] = p[i];
    return x;
}

static inline void v_store_n(float *p, size_t n, vf x)
{
    for (size_t i = 0; i < n; i++) p[i] = x[i];
}

static inline vi v_load_i32_n(const int32_t *p, size_t n)
{
    vi x = {0};
    for (size_t i = 0; i < n; i++) x[i] = p[i];
    return x;
}

static inline void v_store_i32_n(int32_t *p, size_t n, vi x)
{
    for (size_t i = 0; i < n; i++) p[i] = x[i];
}
#endif

static inline vf v_gather(const float *p, vi index)
{
    vf x;
    for (int i = 0; i < CPU_VW; i++) x[i] = p[index[i]];
    return x;
}

/* Lanes whose byte is not 0; lanes from n on are false. */
static inline vm v_load_mask(const uint8_t *p, size_t n)
{
    uint8_t bytes[CPU_VW] = {0};
    vi x;
    if (n == CPU_VW)
        memcpy(bytes, p, CPU_VW); /* of known size: one load */
    else
        memcpy(bytes, p, n);
    for (int i = 0; i < CPU_VW; i++) x[i] = bytes[i] != 0 ? -1 : 0;
    return x;
}

/* Writes 1 or 0. */
static inline void v_store_mask(uint8_t *p, size_t n, vm m)
{
    for (size_t i = 0; i < n; i++) p[i] = m[i] != 0;
}
#endif

/* Arithmetic. */

#if defined(__AVX512F__)
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* The maximum of two numbers; with a NaN, b. So v_max(limit, x) propagates a NaN in x, v_max(x, limit) does not. */
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

static inline vf v_min(vf a, vf b) /* as v_max */
{
    return _mm512_min_ps(a, b);
}

static inline vf v_sqrt(vf x)
{
    return _mm512_sqrt_ps(x);
}

static inline vf v_round(vf x) /* to nearest, ties to even */
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf v_floor(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
#elif defined(__AVX2__)
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* The maximum of two numbers; with a NaN, b. So v_max(limit, x) propagates a NaN in x, v_max(x, limit) does not. */
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

static inline vf v_min(vf a, vf b) /* as v_max */
{
    return _mm256_min_ps(a, b);
}

static inline vf v_sqrt(vf x)
{
    return _mm256_sqrt_ps(x);
}

static inline vf v_round(vf x) /* to nearest, ties to even */
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf v_floor(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
#else
static inline vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}

/* The maximum of two numbers; with a NaN, b. So v_max(limit, x) propagates a NaN in x, v_max(x, limit) does not. */
static inline vf v_max(vf a, vf b)
{
    return v_select(v_gt(a, b), a, b);
}

static inline vf v_min(vf a, vf b) /* as v_max */
{
    return v_select(v_lt(a, b), a, b);
}

static inline vf v_sqrt(vf x)
{
    for (int i = 0; i < CPU_VW; i++) x[i] = sqrtf(x[i]);
    return x;
}

static inline vf v_round(vf x) /* to nearest, ties to even */
{
    for (int i = 0; i < CPU_VW; i++) x[i] = rintf(x[i]);
    return x;
}

static inline vf v_floor(vf x)
{
    for (int i = 0; i < CPU_VW; i++) x[i] = floorf(x[i]);
    return x;
}
#endif

static inline vf v_abs(vf x)
{
    return (vf)((vi)x & v_set1_i32(INT32_MAX));
}

/* |x| with the sign of s. */
static inline vf v_copysign(vf x, vf s)
{
    vi sign = v_set1_i32(INT32_MIN);
    return (vf)(((vi)x & ~sign) | ((vi)s & sign));
}

/* The maximum of two numbers; a NaN in either gives a NaN. */
static inline vf v_max_nan(vf a, vf b)
{
    return v_select(v_ne(a, a), a, v_max(a, b));
}

static inline vf v_min_nan(vf a, vf b)
{
    return v_select(v_ne(a, a), a, v_min(a, b));
}

static inline vf v_relu(vf x) /* NaN stays NaN */
{
    return v_max(v_zero(), x);
}

/* The sum of all lanes, always in the same order: halves onto halves. */
static inline float v_sum(vf x)
{
#if CPU_VW == 16
    __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
#elif CPU_VW == 8
    __m256 y = x;
#endif
#if CPU_VW >= 8
    __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
#else
    return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

/* The largest lane; a NaN in any gives a NaN. */
static inline float v_max_of(vf x)
{
    float lane[CPU_VW];
    v_store(lane, x);
    float max = lane[0];
    for (int i = 1; i < CPU_VW; i++) max = lane[i] > max || lane[i] != lane[i] ? lane[i] : max;
    return max;
}

/* The smallest lane; a NaN in any gives a NaN. */
static inline float v_min_of(vf x)
{
    return -v_max_of(-x);
}

/* The upper and the lower half of the 64-bit products a * b. */
static inline void v_mul_wide(vu a, vu b, vu *high, vu *low)
{
    *low = a * b;
#if CPU_VW == 16
    __m512i even = _mm512_mul_epu32((__m512i)a, (__m512i)b);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), _mm512_srli_epi64((__m512i)b, 32));
    *high = (vu)_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
#elif CPU_VW == 8
    __m256i even = _mm256_mul_epu32((__m256i)a, (__m256i)b);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), _mm256_srli_epi64((__m256i)b, 32));
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
#else
    for (int i = 0; i < CPU_VW; i++) (*high)[i] = (uint32_t)(((uint64_t)a[i] * b[i]) >> 32);
#endif
}

/* Functions. */

/* Polynomials below interpolate at Chebyshev nodes; the error stated is relative to the function. */

/* exp: x = n ln 2 + r, |r| <= ln 2 / 2, e^r = 1 + r + r^2 q(r) (8e-9). n ranges from -151, where the product is
 * denormal, to 128, where it overflows only after rounding: without an instruction for it, 2^n is a product of two
 * factors. */
static inline vf v_exp(vf x)
{
    const vf magic = v_set1(0x1.8p23f); /* adding it rounds to an integer, which then lies in the low bits */
    vf y = v_min(v_set1(89.0f), v_max(v_set1(-105.0f), x)); /* a NaN stays */
    vf shifted = v_fma(y, v_set1(0x1.715476p0f), magic);
    vf nf = shifted - magic;
    vf r = v_fma(nf, v_set1(-0x1.62e4p-1f), y);
    r = v_fma(nf, v_set1(-0x1.7f7d1cp-20f), r);
    vf q = v_set1(0x1.6d110ap-10f);
    q = v_fma(q, r, v_set1(0x1.120b6ep-7f));
    q = v_fma(q, r, v_set1(0x1.55551ap-5f));
    q = v_fma(q, r, v_set1(0x1.5554dcp-3f));
    q = v_fma(q, r, v_set1(0.5f));
    q = v_fma(q, r * r, r) + v_set1(1.0f);
#if CPU_VW == 16
    return _mm512_scalef_ps(q, nf);
#else
    vi n = (vi)shifted - (vi)magic, half = n >> 1;
    vf scale1 = (vf)((vu)(half + v_set1_i32(127)) << 23), scale2 = (vf)((vu)(n - half + v_set1_i32(127)) << 23);
    return q * scale1 * scale2;
#endif
}

/* log: x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt 2), log(1 + f) = f - f^2 / 2 + f^3 q(f) (5e-9). */
static inline vf v_log(vf x)
{
    vm tiny = v_lt(x, v_set1(0x1p-126f));
    vf scaled = v_select(tiny, x * v_set1(0x1p24f), x);
    vi bits = (vi)((vu)scaled - v_set1_u32(0x3f3504f3u)); /* sqrt(1/2): exponents count from there */
    vi n = bits >> 23;
    vf f = (vf)((bits & v_set1_i32(0x007fffff)) + v_set1_i32(0x3f3504f3)) - v_set1(1.0f);
    vf nf = v_from_i32(n) - v_select(tiny, v_set1(24.0f), v_zero());
    vf q = v_set1(0x1.1d8ea6p-4f);
    q = v_fma(q, f, v_set1(-0x1.d635bcp-4f));
    q = v_fma(q, f, v_set1(0x1.dea282p-4f));
    q = v_fma(q, f, v_set1(-0x1.fcf4c6p-4f));
    q = v_fma(q, f, v_set1(0x1.23d21ap-3f));
    q = v_fma(q, f, v_set1(-0x1.555b4ap-3f));
    q = v_fma(q, f, v_set1(0x1.999d5ap-3f));
    q = v_fma(q, f, v_set1(-0x1.fffffcp-3f));
    q = v_fma(q, f, v_set1(0x1.555554p-2f));
    vf f2 = f * f;
    vf y = v_fma(nf, v_set1(0x1.7f7d1cp-20f), q * f * f2);
    y = v_fma(v_set1(-0.5f), f2, y) + f;
    y = v_fma(nf, v_set1(0x1.62e4p-1f), y);
    y = v_select(v_lt(x, v_set1(INFINITY)), y, x); /* inf, NaN */
    y = v_select(v_lt(x, v_zero()), v_set1(NAN), y);
    return v_select(v_eq(x, v_zero()), v_set1(-INFINITY), y);
}

static inline void v_sin_cos_far(vf x, vf *sine, vf *cosine)
{
    for (int i = 0; i < CPU_VW; i++) {
        (*sine)[i] = sinf(x[i]);
        (*cosine)[i] = cosf(x[i]);
    }
}

/* sin, cos: x = n pi/2 + r, |r| <= pi/4, pi/2 in four parts, of which n times the first three is exact up to n = 2^13.
 * sin r = r + r^3 s(r^2) (2e-8), cos r = 1 - r^2 / 2 + r^4 c(r^2) (1e-9). Arguments beyond go to libm. */
static inline void v_sin_cos(vf x, vf *sine, vf *cosine)
{
    if (v_any(v_not(v_lt(v_abs(x), v_set1(8192.0f))))) {
        v_sin_cos_far(x, sine, cosine);
        return;
    }
    const vf magic = v_set1(0x1.8p23f);
    vf shifted = v_fma(x, v_set1(0x1.45f306p-1f), magic);
    vi n = (vi)shifted; /* only the two lowest bits count */
    vf nf = shifted - magic;
    vf r = v_fma(nf, v_set1(-0x1.92p0f), x);
    r = v_fma(nf, v_set1(-0x1.fb4p-12f), r);
    r = v_fma(nf, v_set1(-0x1.444p-24f), r);
    r = v_fma(nf, v_set1(-0x1.68c234p-39f), r);
    vf z = r * r;
    vf s = v_fma(v_set1(-0x1.9ac6fcp-13f), z, v_set1(0x1.110c24p-7f));
    s = v_fma(s, z, v_set1(-0x1.555552p-3f));
    s = v_fma(s * z, r, r);
    vf c = v_fma(v_set1(0x1.9bd67p-16f), z, v_set1(-0x1.6c12cep-10f));
    c = v_fma(c, z, v_set1(0x1.555554p-5f));
    c = v_fma(c * z, z, v_fma(v_set1(-0.5f), z, v_set1(1.0f)));
    vm swap = v_eq_i32(n & v_set1_i32(1), v_set1_i32(1));
    vi sign_s = (vi)((vu)n << 30) & v_set1_i32(INT32_MIN);
    vi sign_c = (vi)((vu)(n + v_set1_i32(1)) << 30) & v_set1_i32(INT32_MIN);
    *sine = (vf)((vi)v_select(swap, c, s) ^ sign_s);
    *cosine = (vf)((vi)v_select(swap, s, c) ^ sign_c);
}

static inline vf v_sin(vf x)
{
    vf s, c;
    v_sin_cos(x, &s, &c);
    return s;
}

static inline vf v_cos(vf x)
{
    vf s, c;
    v_sin_cos(x, &s, &c);
    return c;
}

/* tanh: x + x^3 q(x^2) below 0.625 (1e-9), 1 - 2 / (e^2x + 1) above. */
static inline vf v_tanh(vf x)
{
    vf z = x * x, y = v_abs(x);
    vf q = v_set1(0x1.2c83cp-9f);
    q = v_fma(q, z, v_set1(-0x1.116a16p-7f));
    q = v_fma(q, z, v_set1(0x1.64a976p-6f));
    q = v_fma(q, z, v_set1(-0x1.ba08c4p-5f));
    q = v_fma(q, z, v_set1(0x1.1110eap-3f));
    q = v_fma(q, z, v_set1(-0x1.555556p-2f));
    vf near = v_fma(q * z, x, x);
    vf far = v_set1(1.0f) - v_set1(2.0f) / (v_exp(y + y) + v_set1(1.0f));
    return v_select(v_lt(y, v_set1(0.625f)), near, v_copysign(far, x));
}

/* sigmoid: e^min(x, 0) / (1 + e^-|x|), which neither overflows nor cancels. */
static inline vf v_sigmoid(vf x)
{
    vf e = v_exp(-v_abs(x)), one = v_set1(1.0f);
    return v_select(v_lt(x, v_zero()), e, one) / (one + e);
}

static inline vf v_silu(vf x)
{
    return x * v_sigmoid(x);
}

/* r[i][j] becomes r[j][i]. */
static inline void v_transpose(vf r[CPU_VW])
{
#if CPU_VW == 16
    const __m512i lane = (__m512i)v_iota();
    CPU_UNROLL
    for (int step = 1; step < 16; step *= 2) {
        __m512i from_b = _mm512_set1_epi32(step), both = _mm512_set1_epi32(16);
        __mmask16 odd = _mm512_test_epi32_mask(lane, from_b);
        __m512i low = _mm512_mask_add_epi32(lane, odd, _mm512_sub_epi32(lane, from_b), both);
        __m512i high = _mm512_mask_add_epi32(_mm512_add_epi32(lane, from_b), odd, lane, both);
        CPU_UNROLL
        for (int i = 0; i < 16; i++) {
            if (i & step) continue;
            vf a = r[i], b = r[i + step];
            r[i] = _mm512_permutex2var_ps(a, low, b);
            r[i + step] = _mm512_permutex2var_ps(a, high, b);
        }
    }
#elif CPU_VW == 8
    vf pair[8], quad[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
        quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
    }
#else
    vf a = r[0], b = r[1], c = r[2], d = r[3];
    r[0] = (vf){a[0], b[0], c[0], d[0]};
    r[1] = (vf){a[1], b[1], c[1], d[1]};
    r[2] = (vf){a[2], b[2], c[2], d[2]};
    r[3] = (vf){a[3], b[3], c[3], d[3]};
#endif
}

#endif
