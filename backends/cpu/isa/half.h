/* half: f16 and bf16 in memory as vectors of floats. Rounding is to nearest, ties to even; denormals, infinities and
 * NaN stay what they are. The functions with a type take f32, too, and are compiled anew for each constant. */
#ifndef CPU_ISA_HALF_H
#define CPU_ISA_HALF_H

#include "backends/cpu/isa/row.h"
#include "m3bsr/tensor.h"

static inline float bits_f32(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float from_f16(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000u) << 16, rest = x & 0x7fffu;
    if (rest >= 0x7c00u) return bits_f32(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    /* With f32's bias the value is 2^-112 of what it should be; that holds for denormals too. */
    return bits_f32(sign | f32_bits(bits_f32(rest << 13) * 0x1p112f));
}

static inline uint16_t to_f16(float x)
{
    uint32_t bits = f32_bits(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds beyond 65504 */
    if (rest < 0x38800000u) /* a denormal: adding 1/2 leaves units of 2^-24 in the low bits, rounded */
        return (uint16_t)(sign | (f32_bits(bits_f32(rest) + 0.5f) - f32_bits(0.5f)));
    rest += 0xfffu + (rest >> 13 & 1);
    return (uint16_t)(sign | ((rest >> 13) - (112u << 10)));
}

static inline float from_bf16(uint16_t x)
{
    return bits_f32((uint32_t)x << 16);
}

static inline uint16_t to_bf16(float x)
{
    uint32_t bits = f32_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* The bits of a float as bf16 in the low half of each lane. */
static inline vu v_round_bf16(vf x)
{
    const vu bits = (vu)x, one = v_set1_u32(1);
    const vu number = (bits + v_set1_u32(0x7fff) + (bits >> 16 & one)) >> 16, quiet = bits >> 16 | v_set1_u32(0x40);
    return (vu)v_select_i32(v_ne(x, x), (vi)quiet, (vi)number);
}

#if defined(__AVX512F__)
typedef __m256i v_packed; /* CPU_VW elements of 16 bits */

static inline v_packed v_load_packed(const uint16_t *p, size_t n)
{
    return n >= CPU_VW ? _mm256_loadu_si256((const __m256i *)(const void *)p) : _mm256_maskz_loadu_epi16(v_first(n), p);
}

static inline void v_store_packed(uint16_t *p, size_t n, v_packed x)
{
    if (n >= CPU_VW)
        _mm256_storeu_si256((__m256i *)(void *)p, x);
    else
        _mm256_mask_storeu_epi16(p, v_first(n), x);
}

static inline vf v_from_bf16(v_packed x)
{
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16);
}

static inline v_packed v_to_bf16(vf x)
{
    return _mm512_cvtepi32_epi16((__m512i)v_round_bf16(x));
}

static inline vf v_from_f16(v_packed x)
{
    return _mm512_cvtph_ps(x);
}

static inline v_packed v_to_f16(vf x)
{
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#elif defined(__AVX2__)
typedef __m128i v_packed;

static inline v_packed v_load_packed(const uint16_t *p, size_t n)
{
    v_packed x = _mm_setzero_si128();
    memcpy(&x, p, (n >= CPU_VW ? CPU_VW : n) * sizeof *p);
    return x;
}

static inline void v_store_packed(uint16_t *p, size_t n, v_packed x)
{
    memcpy(p, &x, (n >= CPU_VW ? CPU_VW : n) * sizeof *p);
}

static inline vf v_from_bf16(v_packed x)
{
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16);
}

static inline v_packed v_to_bf16(vf x)
{
    const __m256i bits = (__m256i)v_round_bf16(x);
    return _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
}

static inline vf v_from_f16(v_packed x)
{
    return _mm256_cvtph_ps(x);
}

static inline v_packed v_to_f16(vf x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#else
typedef struct v_packed {
    uint16_t lane[CPU_VW];
} v_packed;

static inline v_packed v_load_packed(const uint16_t *p, size_t n)
{
    v_packed x = {{0}};
    memcpy(x.lane, p, (n >= CPU_VW ? CPU_VW : n) * sizeof *p);
    return x;
}

static inline void v_store_packed(uint16_t *p, size_t n, v_packed x)
{
    memcpy(p, x.lane, (n >= CPU_VW ? CPU_VW : n) * sizeof *p);
}

static inline vf v_from_bf16(v_packed x)
{
    vf y = {0}; /* gcc at -O1 does not see that all lanes are set */
    for (int i = 0; i < CPU_VW; i++) y[i] = from_bf16(x.lane[i]);
    return y;
}

static inline v_packed v_to_bf16(vf x)
{
    v_packed y = {0};
    for (int i = 0; i < CPU_VW; i++) y.lane[i] = to_bf16(x[i]);
    return y;
}

static inline vf v_from_f16(v_packed x)
{
    vf y = {0}; /* gcc at -O1 does not see that all lanes are set */
    for (int i = 0; i < CPU_VW; i++) y[i] = from_f16(x.lane[i]);
    return y;
}

static inline v_packed v_to_f16(vf x)
{
    v_packed y = {0};
    for (int i = 0; i < CPU_VW; i++) y.lane[i] = to_f16(x[i]);
    return y;
}
#endif

/* Elements of f32, bf16 or f16 from p[i] on, as v_load_part and v_store_part have them. */
INLINE vf v_load_as(const void *p, size_t i, size_t n, const m3_dtype type)
{
    if (type == M3_BF16) return v_from_bf16(v_load_packed((const uint16_t *)p + i, n));
    if (type == M3_F16) return v_from_f16(v_load_packed((const uint16_t *)p + i, n));
    return v_load_part((const float *)p + i, n);
}

INLINE void v_store_as(void *p, size_t i, size_t n, vf x, const m3_dtype type)
{
    if (type == M3_BF16)
        v_store_packed((uint16_t *)p + i, n, v_to_bf16(x));
    else if (type == M3_F16)
        v_store_packed((uint16_t *)p + i, n, v_to_f16(x));
    else
        v_store_part((float *)p + i, n, x);
}

#endif
