/* gemm_pairs: tiles and panels of bf16 in pairs, for VDPBF16PS, which adds two products to each sum of f32. An operand
 * whose pairs lie side by side in memory, as the columns of a row do, is read as if they were floats. */
#define CPU_GEMM_PAIRS

#include "backends/cpu/isa/gemm_tile.h"

/* Lane i of both: the pair of element i of two rows. */
INLINE vf pairs_of(v_packed even, v_packed odd)
{
    return (vf)((vu)_mm512_cvtepu16_epi32(even) | (vu)_mm512_cvtepu16_epi32(odd) << 16);
}

/* Two vectors of pairs. */
INLINE void store_wide(float *out, const uint16_t *even, const uint16_t *odd)
{
    static const uint16_t low[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i first = _mm512_loadu_si512(low), e = _mm512_loadu_si512(even), o = _mm512_loadu_si512(odd);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(CPU_VW));
    v_store(out, (vf)_mm512_permutex2var_epi16(e, first, o));
    v_store(out + CPU_VW, (vf)_mm512_permutex2var_epi16(e, second, o));
}

/* n <= width elements of two rows, and zeros behind them. */
INLINE void store_part(float *out, size_t width, const uint16_t *even, const uint16_t *odd, size_t n)
{
    for (size_t i = 0; i < width; i += CPU_VW) {
        const size_t lanes = width - i < CPU_VW ? width - i : CPU_VW, left = i < n ? n - i : 0;
        const size_t part = left < lanes ? left : lanes;
        store_row(out + i, pairs_of(v_load_packed(even + i, part), v_load_packed(odd + i, part)), lanes);
    }
}

/* Tiles of up to a vector of rows. */
static void pack_narrow(float *panel, size_t pitch, size_t width, const uint16_t *even, const uint16_t *odd,
                        size_t full)
{
    const __mmask16 lanes = v_first(width);
    for (size_t j = 0; j < full; j++, even += width, odd += width, panel += pitch)
        _mm512_mask_storeu_ps(panel, lanes,
                              pairs_of(_mm256_maskz_loadu_epi16(lanes, even), _mm256_maskz_loadu_epi16(lanes, odd)));
}

/* Rows 2 k and 2 k + 1 of memory as one row of pairs; all panels advance together. */
static void pack_pairs(float *panel, size_t pitch, size_t width, const void *from, size_t stride, size_t count,
                       size_t k)
{
    const size_t full = count / width, rest = count % width;
    const uint16_t *row = from;
    for (; k > 0; k--, row += 2 * stride, panel += width) {
        const uint16_t *even = row, *odd = row + stride;
        float *out = panel;
        if (width == NR)
            for (size_t j = 0; j < full; j++) store_wide(out + j * pitch, even + j * NR, odd + j * NR);
        else
            pack_narrow(out, pitch, width, even, odd, full); /* a tile of A: mr <= CPU_VW */
        even += full * width;
        odd += full * width;
        out += full * pitch;
        if (rest > 0) store_part(out, width, even, odd, rest);
    }
}

void cpu_gemm_kernels_avx512bf16(cpu_gemm_kernels *kernels)
{
    kernels->tile_pairs = tile;
    kernels->pack_pairs = (cpu_pack){pack_pairs, kernels->pack.transpose};
}
