/* gemm_kernel: the parts of the matrix product that depend on the instruction set.
 *   tile       C[m,n] = act(start + bias + sum_k a_k b_k^T), gated: an outer product a step (gemm_tile.h)
 *   epilogue   activations that need more registers, and the gate, on a tile that is still in the first cache
 *   add_parts  sums that were computed in parts
 *   add_rows   sums of an operand itself, over rows that are in a cache
 *   pack       rows or columns into panels that a tile reads sequentially
 *   finish     the whole epilogue of a row whose results have 16 bits
 * 16-bit elements are widened while they are packed, or laid side by side in pairs of a sum's steps. */
#include "backends/cpu/isa/gemm_tile.h"

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
        const float *gate = t->gate != NULL ? (const float *)t->gate + i * t->gate_row : NULL;
        add_parts(&(cpu_parts){.c = (float *)t->c + i * t->c_row, .gate = gate, .n = t->n, .act = t->act});
    }
}

INLINE void finish_as(const cpu_finish *f, const cpu_activation act, const m3_dtype type)
{
    for (size_t j = 0; j < f->n; j += CPU_VW) {
        const size_t count = f->n - j < CPU_VW ? f->n - j : CPU_VW;
        vf x = load_row(f->x + j, count);
        if (f->start != NULL) x += v_load_as(f->start, j, count, type);
        if (f->bias != NULL) x += load_row(f->bias + j, count);
        x = activated(x, act);
        if (f->gate != NULL) x = gated(x, v_load_as(f->gate, j, count, type));
        v_store_as(f->c, j, count, x, type);
    }
}

INLINE void finish_of(const cpu_finish *f, const cpu_activation act)
{
    if (f->type == M3_BF16)
        finish_as(f, act, M3_BF16);
    else
        finish_as(f, act, M3_F16);
}

static void finish(const cpu_finish *f)
{
    switch (f->act) {
    case CPU_ACT_NONE: finish_of(f, CPU_ACT_NONE); break;
    case CPU_ACT_RELU: finish_of(f, CPU_ACT_RELU); break;
    case CPU_ACT_SILU: finish_of(f, CPU_ACT_SILU); break;
    case CPU_ACT_SIGMOID: finish_of(f, CPU_ACT_SIGMOID); break;
    case CPU_ACT_TANH: finish_of(f, CPU_ACT_TANH); break;
    }
}

/* Up to 4 vectors of columns, of which the last has n elements. */
INLINE void add_columns(const cpu_row_sums *r, size_t j, const int vectors, size_t n, const m3_dtype type)
{
    vf sum[4];
    CPU_UNROLL
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (size_t row = 0; row < r->rows; row++) {
        CPU_UNROLL
        for (int v = 0; v < vectors; v++) sum[v] += v_load_as(r->x, row * r->stride + j + (size_t)v * CPU_VW, n, type);
    }
    CPU_UNROLL
    for (int v = 0; v < vectors; v++) {
        float *to = r->sums + j + (size_t)v * CPU_VW;
        store_row(to, r->add ? load_row(to, n) + sum[v] : sum[v], n);
    }
}

INLINE void add_rows_as(const cpu_row_sums *r, const m3_dtype type)
{
    size_t j = 0;
    for (; j + 4 * CPU_VW <= r->n; j += 4 * CPU_VW) add_columns(r, j, 4, CPU_VW, type);
    for (; j + CPU_VW <= r->n; j += CPU_VW) add_columns(r, j, 1, CPU_VW, type);
    if (j < r->n) add_columns(r, j, 1, r->n - j, type);
}

static void add_rows(const cpu_row_sums *r)
{
    if (r->type == M3_BF16)
        add_rows_as(r, M3_BF16);
    else
        add_rows_as(r, M3_F16);
}

/* One row of a panel: count <= width elements, then zeros. */
INLINE void pack_row(float *out, size_t width, const void *src, size_t count, const m3_dtype type)
{
    for (size_t i = 0; i < width; i += CPU_VW) {
        size_t lanes = width - i < CPU_VW ? width - i : CPU_VW, left = i < count ? count - i : 0;
        store_row(out + i, v_load_as(src, i, left < lanes ? left : lanes, type), lanes);
    }
}

/* All panels advance together, so that memory is read along its rows. */
static void pack_copy(float *panel, size_t pitch, size_t width, const void *from, size_t stride, size_t count, size_t k)
{
    const float *src = from;
    const size_t full = count / width, rest = count % width, part = width % CPU_VW;
    for (; k > 0; k--, src += stride, panel += width) {
        const float *in = src;
        float *out = panel;
        for (size_t j = 0; j < full; j++, in += width, out += pitch) {
            size_t i = 0;
            for (; i + CPU_VW <= width; i += CPU_VW) v_store(out + i, v_load(in + i));
            if (part > 0) v_store_n(out + i, part, v_load_n(in + i, part));
        }
        if (rest > 0) pack_row(out, width, in, rest, M3_F32);
    }
}

INLINE void pack_copy_as(float *panel, size_t pitch, size_t width, const uint16_t *src, size_t stride, size_t count,
                         size_t k, const m3_dtype type)
{
    for (; k > 0; k--, src += stride, panel += width)
        for (size_t j = 0; j < count; j += width)
            pack_row(panel + j / width * pitch, width, src + j, count - j < width ? count - j : width, type);
}

INLINE void pack_panel_transposed(float *panel, size_t width, const void *src, size_t stride, size_t count, size_t k,
                                  const m3_dtype type)
{
    for (size_t i = 0; i < width; i += CPU_VW) {
        size_t rows = i < count ? count - i : 0, lanes = width - i;
        if (rows > CPU_VW) rows = CPU_VW;
        if (lanes > CPU_VW) lanes = CPU_VW;
        for (size_t l = 0; l < k; l += CPU_VW) {
            size_t steps = k - l < CPU_VW ? k - l : CPU_VW;
            vf r[CPU_VW];
            for (size_t row = 0; row < CPU_VW; row++)
                r[row] = row < rows ? v_load_as(src, (i + row) * stride + l, steps, type) : v_zero();
            v_transpose(r);
            for (size_t step = 0; step < steps; step++) store_row(panel + (l + step) * width + i, r[step], lanes);
        }
    }
}

static void pack_transpose(float *panel, size_t pitch, size_t width, const void *from, size_t stride, size_t count,
                           size_t k)
{
    const float *src = from;
    for (size_t j = 0; j < count; j += width, panel += pitch) {
        const size_t rows = count - j < width ? count - j : width;
        pack_panel_transposed(panel, width, src + j * stride, stride, rows, k, M3_F32);
    }
}

INLINE void pack_transpose_as(float *panel, size_t pitch, size_t width, const uint16_t *src, size_t stride,
                              size_t count, size_t k, const m3_dtype type)
{
    for (size_t j = 0; j < count; j += width, panel += pitch) {
        const size_t rows = count - j < width ? count - j : width;
        pack_panel_transposed(panel, width, src + j * stride, stride, rows, k, type);
    }
}

#define PACK(function, type)                                                                                           \
    static void function##_##type(float *panel, size_t pitch, size_t width, const void *src, size_t stride,            \
                                  size_t count, size_t k)                                                              \
    {                                                                                                                  \
        function##_as(panel, pitch, width, src, stride, count, k, type);                                               \
    }
PACK(pack_copy, M3_BF16)
PACK(pack_copy, M3_F16)
PACK(pack_transpose, M3_BF16)
PACK(pack_transpose, M3_F16)

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
                                  .finish = finish,
                                  .add_rows = add_rows,
                                  .pack = {pack_copy, pack_transpose},
                                  .pack_bf16 = {pack_copy_M3_BF16, pack_transpose_M3_BF16},
                                  .pack_f16 = {pack_copy_M3_F16, pack_transpose_M3_F16},
                                  .spin = spin,
                                  .spin_flops = 12 * 2 * CPU_VW};
}
