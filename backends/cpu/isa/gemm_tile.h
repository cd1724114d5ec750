/* gemm_tile: one tile of a product, all sums in registers; machine.h has its formula. A step of the sum is one element
 * of A's rows and one of B's columns, or a pair of them in bf16 (CPU_GEMM_PAIRS, where the processor has VDPBF16PS).
 * Each tile height has a function of its own, so edges cost only what they compute. */
#ifndef CPU_GEMM_TILE_H
#define CPU_GEMM_TILE_H

#include "backends/cpu/isa/half.h"
#include "backends/cpu/machine.h"

/* The tallest tile whose sums, one step of B and one element of A fit into registers: 32 of avx512, 16 of the others.
 */
#if CPU_VW == 16
#define MR 14
#elif CPU_VW == 8
#define MR 6
#else
#define MR 4
#endif
#define NR (2 * CPU_VW)

INLINE void store_row(float *c, vf x, size_t n)
{
    if (n == CPU_VW)
        v_store(c, x);
    else
        v_store_n(c, n, x);
}

INLINE vf load_row(const float *c, size_t n)
{
    return n == CPU_VW ? v_load(c) : v_load_n(c, n);
}

/* The sum after one more step. */
INLINE vf add_step(vf a, vf b, vf sum)
{
#if defined(CPU_GEMM_PAIRS)
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#else
    return v_fma(a, b, sum);
#endif
}

INLINE vf gated(vf x, vf gate)
{
    return v_select(v_gt(gate, v_zero()), x, v_zero());
}

/* The epilogue in registers. first is the width of all vectors but the last. */
INLINE void finish_rows(const cpu_tile *t, vf sum[MR][2], const int rows, const int vectors, size_t first, size_t last,
                        const m3_dtype type)
{
    if (t->start != NULL) {
        CPU_UNROLL
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)i * t->start_row;
            sum[i][0] += v_load_as(t->start, at, first, type);
            if (vectors == 2) sum[i][1] += v_load_as(t->start, at + CPU_VW, last, type);
        }
    }
    if (t->bias != NULL) {
        vf b0 = load_row(t->bias, first), b1 = vectors == 2 ? load_row(t->bias + CPU_VW, last) : v_zero();
        CPU_UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][0] += b0;
            sum[i][1] += b1;
        }
    }
    if (t->act == CPU_ACT_RELU) {
        CPU_UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][0] = v_relu(sum[i][0]);
            sum[i][1] = v_relu(sum[i][1]);
        }
    }
    if (t->gate != NULL) {
        CPU_UNROLL
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)i * t->gate_row;
            sum[i][0] = gated(sum[i][0], v_load_as(t->gate, at, first, type));
            if (vectors == 2) sum[i][1] = gated(sum[i][1], v_load_as(t->gate, at + CPU_VW, last, type));
        }
    }
    CPU_UNROLL
    for (int i = 0; i < rows; i++) {
        const size_t at = (size_t)i * t->c_row;
        v_store_as(t->c, at, first, sum[i][0], type);
        if (vectors == 2) v_store_as(t->c, at + CPU_VW, last, sum[i][1], type);
    }
}

/* rows and vectors are constants where this is used, and every loop over them unrolls. */
INLINE void tile_rows(const cpu_tile *t, const int rows, const int vectors)
{
    vf sum[MR][2];
    const size_t a_row = t->a_row, last = t->n - (size_t)(vectors - 1) * CPU_VW;
    const float *upper = t->a, *lower = t->a + MR / 2 * a_row, *b = t->b; /* two bases, for shorter addresses */
    CPU_UNROLL
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = v_zero();
    for (size_t left = t->k, stage = 0; left > 0; stage++) {
        const float *next_a = t->next_a.at + stage * t->next_a.row, *next_b = t->next_b.at + stage * t->next_b.row;
        const float *next_c = t->next_c.at + stage * t->next_c.row;
        size_t steps = left < t->stage ? left : t->stage;
        left -= steps;
        for (; steps > 0; steps--) {
            __builtin_prefetch(next_a, 0, 2);
            __builtin_prefetch(next_b, 0, 2);
            __builtin_prefetch(next_c, 1);
            next_a += t->next_a.step;
            next_b += t->next_b.step;
            next_c += t->next_c.step;
            vf b0 = v_load(b), b1 = vectors == 2 ? v_load(b + CPU_VW) : v_zero();
            CPU_UNROLL
            for (int i = 0; i < rows; i++) {
                vf a = v_set1(i < MR / 2 ? upper[(size_t)i * a_row] : lower[(size_t)(i - MR / 2) * a_row]);
                sum[i][0] = add_step(a, b0, sum[i][0]);
                if (vectors == 2) sum[i][1] = add_step(a, b1, sum[i][1]);
            }
            upper += t->a_step;
            lower += t->a_step;
            b += t->b_step;
        }
    }
    const size_t first = vectors == 2 ? CPU_VW : last;
#if defined(CPU_GEMM_PAIRS)
    if (t->type == M3_BF16) {
        finish_rows(t, sum, rows, vectors, first, last, M3_BF16);
        return;
    }
#endif
    finish_rows(t, sum, rows, vectors, first, last, M3_F32);
}

/* clang-format off */
#define TILE(rows)                                                                     \
    static void tile_##rows##_1(const cpu_tile *t) { tile_rows(t, rows, 1); }          \
    static void tile_##rows##_2(const cpu_tile *t) { tile_rows(t, rows, 2); }
TILE(1) TILE(2) TILE(3) TILE(4)
#if MR > 4
TILE(5) TILE(6)
#endif
#if MR > 6
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif

#define ROW(rows) [rows - 1] = {tile_##rows##_1, tile_##rows##_2}
static void (*const tiles[MR][2])(const cpu_tile *) = {
    ROW(1), ROW(2), ROW(3), ROW(4),
#if MR > 4
    ROW(5), ROW(6),
#endif
#if MR > 6
    ROW(7), ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14),
#endif
};
/* clang-format on */

static void tile(const cpu_tile *t)
{
    tiles[t->m - 1][t->n > CPU_VW](t);
}

#endif
