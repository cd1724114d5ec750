/* gemm_kernel: the parts of the matrix product that depend on the instruction set.
 *   tile       C[m,n] = act(start + bias + sum_k a_k b_k^T), gated: an outer product a step, all sums in registers
 *   epilogue   activations that need more registers, and the gate, on a tile that is still in the first cache
 *   add_parts  sums that were computed in parts
 *   pack       rows or columns into panels that a tile reads sequentially
 * Each tile height has a function of its own, so edges cost only what they compute. */
#include "backends/cpu/isa/vec.h"
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

INLINE vf gated(vf x, vf gate)
{
    return v_select(v_gt(gate, v_zero()), x, v_zero());
}

/* The epilogue in registers. first is the width of all vectors but the last. */
INLINE void finish_rows(const cpu_tile *t, vf sum[MR][2], const int rows, const int vectors, size_t first, size_t last)
{
    if (t->start != NULL) {
        CPU_UNROLL
        for (int i = 0; i < rows; i++) {
            const float *start = t->start + (size_t)i * t->start_row;
            sum[i][0] += load_row(start, first);
            if (vectors == 2) sum[i][1] += load_row(start + CPU_VW, last);
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
            const float *gate = t->gate + (size_t)i * t->gate_row;
            sum[i][0] = gated(sum[i][0], load_row(gate, first));
            if (vectors == 2) sum[i][1] = gated(sum[i][1], load_row(gate + CPU_VW, last));
        }
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
                sum[i][0] = v_fma(a, b0, sum[i][0]);
                if (vectors == 2) sum[i][1] = v_fma(a, b1, sum[i][1]);
            }
            upper += t->a_step;
            lower += t->a_step;
            b += t->b_step;
        }
    }
    const size_t first = vectors == 2 ? CPU_VW : last;
    finish_rows(t, sum, rows, vectors, first, last);
    CPU_UNROLL
    for (int i = 0; i < rows; i++) {
        float *c = t->c + (size_t)i * t->c_row;
        store_row(c, sum[i][0], first);
        if (vectors == 2) store_row(c + CPU_VW, sum[i][1], last);
    }
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

/* act is a constant where this is used. */
INLINE vf activated(vf x, const cpu_activation act)
{
    switch (act) {
    case CPU_ACT_RELU: return v_relu(x);
    case CPU_ACT_SILU: return v_silu(x);
    case CPU_ACT_SIGMOID: return v_sigmoid(x);
    case CPU_ACT_TANH: return v_tanh(x);
    case CPU_ACT_NONE: break;
    }
    return x;
}

INLINE void add_parts_of(const cpu_parts *p, const cpu_activation act)
{
    for (size_t j = 0; j < p->n; j += CPU_VW) {
        const size_t count = p->n - j < CPU_VW ? p->n - j : CPU_VW;
        vf x = load_row(p->c + j, count);
        for (size_t i = 0; i < p->count; i++) x += load_row(p->x + i * p->stride + j, count);
        x = activated(x, act);
        if (p->gate != NULL) x = gated(x, load_row(p->gate + j, count));
        store_row(p->c + j, x, count);
    }
}

static void add_parts(const cpu_parts *p)
{
    switch (p->act) {
    case CPU_ACT_NONE: add_parts_of(p, CPU_ACT_NONE); break;
    case CPU_ACT_RELU: add_parts_of(p, CPU_ACT_RELU); break;
    case CPU_ACT_SILU: add_parts_of(p, CPU_ACT_SILU); break;
    case CPU_ACT_SIGMOID: add_parts_of(p, CPU_ACT_SIGMOID); break;
    case CPU_ACT_TANH: add_parts_of(p, CPU_ACT_TANH); break;
    }
}

static void epilogue(const cpu_tile *t)
{
    for (size_t i = 0; i < t->m; i++) {
        const float *gate = t->gate != NULL ? t->gate + i * t->gate_row : NULL;
        add_parts(&(cpu_parts){.c = t->c + i * t->c_row, .gate = gate, .n = t->n, .act = t->act});
    }
}

/* One row of a panel: count <= width floats, then zeros. */
INLINE void pack_row(float *out, size_t width, const float *src, size_t count)
{
    for (size_t i = 0; i < width; i += CPU_VW) {
        size_t lanes = width - i < CPU_VW ? width - i : CPU_VW, left = i < count ? count - i : 0;
        store_row(out + i, load_row(src + i, left < lanes ? left : lanes), lanes);
    }
}

/* All panels advance together, so that memory is read along its rows. */
static void pack_copy(float *panel, size_t pitch, size_t width, const float *src, size_t stride, size_t count, size_t k)
{
    const size_t full = count / width, rest = count % width, part = width % CPU_VW;
    for (; k > 0; k--, src += stride, panel += width) {
        const float *in = src;
        float *out = panel;
        for (size_t j = 0; j < full; j++, in += width, out += pitch) {
            size_t i = 0;
            for (; i + CPU_VW <= width; i += CPU_VW) v_store(out + i, v_load(in + i));
            if (part > 0) v_store_n(out + i, part, v_load_n(in + i, part));
        }
        if (rest > 0) pack_row(out, width, in, rest);
    }
}

static void pack_panel_transposed(float *panel, size_t width, const float *src, size_t stride, size_t count, size_t k)
{
    for (size_t i = 0; i < width; i += CPU_VW) {
        size_t rows = i < count ? count - i : 0, lanes = width - i;
        if (rows > CPU_VW) rows = CPU_VW;
        if (lanes > CPU_VW) lanes = CPU_VW;
        for (size_t l = 0; l < k; l += CPU_VW) {
            size_t steps = k - l < CPU_VW ? k - l : CPU_VW;
            vf r[CPU_VW];
            for (size_t row = 0; row < CPU_VW; row++)
                r[row] = row < rows ? load_row(src + (i + row) * stride + l, steps) : v_zero();
            v_transpose(r);
            for (size_t step = 0; step < steps; step++) store_row(panel + (l + step) * width + i, r[step], lanes);
        }
    }
}

static void pack_transpose(float *panel, size_t pitch, size_t width, const float *src, size_t stride, size_t count,
                           size_t k)
{
    for (size_t j = 0; j < count; j += width, panel += pitch)
        pack_panel_transposed(panel, width, src + j * stride, stride, count - j < width ? count - j : width, k);
}

/* Enough independent chains for two units with a latency of 5; the factors keep the values finite. */
static float spin(uint64_t rounds)
{
    enum { CHAINS = 12 };
    const vf scale = v_set1(0.5f), shift = v_set1(1.0f);
    vf x[CHAINS], sum = v_zero();
    CPU_UNROLL
    for (int i = 0; i < CHAINS; i++) x[i] = v_set1((float)i);
    for (; rounds > 0; rounds--) {
        CPU_UNROLL
        for (int i = 0; i < CHAINS; i++) x[i] = v_fma(x[i], scale, shift);
    }
    CPU_UNROLL
    for (int i = 0; i < CHAINS; i++) sum += x[i];
    return v_sum(sum);
}

void CPU_FN(cpu_gemm_kernels)(cpu_gemm_kernels *kernels)
{
    *kernels = (cpu_gemm_kernels){.vector = CPU_VW,
                                  .mr = MR,
                                  .nr = NR,
                                  .tile = tile,
                                  .epilogue = epilogue,
                                  .add_parts = add_parts,
                                  .pack_copy = pack_copy,
                                  .pack_transpose = pack_transpose,
                                  .spin = spin,
                                  .spin_flops = 12 * 2 * CPU_VW};
}
