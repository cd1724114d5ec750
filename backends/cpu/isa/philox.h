/* philox: Philox4x32-10 on all lanes. Element e of a draw is word e mod 4 of the block e / 4, whose counter is
 * {block low, site, step, block high} and whose key is the seed. */
#ifndef CPU_ISA_PHILOX_H
#define CPU_ISA_PHILOX_H

#include "backends/cpu/isa/vec.h"

enum { CPU_DRAW = 4 * CPU_VW }; /* elements that are drawn at once */

typedef struct philox {
    uint32_t seed[2], step, site;
} philox;

/* 4 x 4 words within each group of four lanes: w[i][4 g + j] becomes w[j][4 g + i]. */
static inline void v_transpose_groups(vu w[4])
{
#if CPU_VW == 16
    __m512i a = _mm512_unpacklo_epi32((__m512i)w[0], (__m512i)w[1]);
    __m512i b = _mm512_unpackhi_epi32((__m512i)w[0], (__m512i)w[1]);
    __m512i c = _mm512_unpacklo_epi32((__m512i)w[2], (__m512i)w[3]);
    __m512i d = _mm512_unpackhi_epi32((__m512i)w[2], (__m512i)w[3]);
    w[0] = (vu)_mm512_unpacklo_epi64(a, c), w[1] = (vu)_mm512_unpackhi_epi64(a, c);
    w[2] = (vu)_mm512_unpacklo_epi64(b, d), w[3] = (vu)_mm512_unpackhi_epi64(b, d);
#elif CPU_VW == 8
    __m256i a = _mm256_unpacklo_epi32((__m256i)w[0], (__m256i)w[1]);
    __m256i b = _mm256_unpackhi_epi32((__m256i)w[0], (__m256i)w[1]);
    __m256i c = _mm256_unpacklo_epi32((__m256i)w[2], (__m256i)w[3]);
    __m256i d = _mm256_unpackhi_epi32((__m256i)w[2], (__m256i)w[3]);
    w[0] = (vu)_mm256_unpacklo_epi64(a, c), w[1] = (vu)_mm256_unpackhi_epi64(a, c);
    w[2] = (vu)_mm256_unpacklo_epi64(b, d), w[3] = (vu)_mm256_unpackhi_epi64(b, d);
#else
    vf r[4];
    for (int i = 0; i < 4; i++) r[i] = (vf)w[i];
    v_transpose(r);
    for (int i = 0; i < 4; i++) w[i] = (vu)r[i];
#endif
}

/* The words of CPU_VW blocks from `block` on. Lane 4 g + j holds block j VW/4 + g, so that
 * v_transpose_groups gives vectors w[0], w[1], … whose lanes are the draw's elements in order. */
static inline void v_philox(const philox *p, uint64_t block, vu w[4])
{
    const vu group = (vu)(v_iota() >> 2), within = (vu)(v_iota() & v_set1_i32(3));
    const vu lane = within * v_set1_u32(CPU_VW / 4) + group;
    const vu multiplier0 = v_set1_u32(0xD2511F53u), multiplier1 = v_set1_u32(0xCD9E8D57u);
    vu c0 = v_set1_u32((uint32_t)block) + lane, c1 = v_set1_u32(p->site), c2 = v_set1_u32(p->step);
    vu c3 = v_set1_u32((uint32_t)(block >> 32)) - (vu)(c0 < lane); /* lanes that carry are all ones */
    uint32_t key0 = p->seed[0], key1 = p->seed[1];
    CPU_UNROLL
    for (int round = 0; round < 10; round++) {
        vu high0, low0, high1, low1;
        v_mul_wide(c0, multiplier0, &high0, &low0);
        v_mul_wide(c2, multiplier1, &high1, &low1);
        c0 = high1 ^ c1 ^ v_set1_u32(key0);
        c1 = low1;
        c2 = high0 ^ c3 ^ v_set1_u32(key1);
        c3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    w[0] = c0, w[1] = c1, w[2] = c2, w[3] = c3;
}

/* Bits to [0, 1): the upper 24, which f32 holds exactly. */
static inline vf v_uniform(vu bits)
{
    return v_from_i32((vi)(bits >> 8)) * v_set1(0x1p-24f);
}

#endif
