/* reduce: y[o,i] = sum or max over l of x[o,l,i]; see ops/reduce.h.
 * inner = 1: four vectors accumulate along a row, and their lanes are added last. inner > 1: columns stay in registers.
 * Long columns are summed in blocks, and then the blocks' sums, since one long sum loses digits. */
#include "backends/cpu/ops/reduce.h"

#include "backends/cpu/isa/half.h"

enum { ROWS = 4, BLOCK = 128 };

INLINE vf v_plus(vf a, vf b)
{
    return a + b;
}

INLINE vf fill_n(const void *x, size_t i, size_t n, vf start, const m3_dtype type) /* start in the lanes from n on */
{
    return n == CPU_VW ? v_load_as(x, i, n, type) : v_select(v_first(n), v_load_as(x, i, n, type), start);
}

/* One row, by f with its neutral element start. */
INLINE vf along_row(const void *x, size_t at, size_t length, vf start, vf (*f)(vf, vf), const m3_dtype type)
{
    vf part[ROWS] = {start, start, start, start};
    size_t l = 0;
    for (; l + ROWS * CPU_VW <= length; l += ROWS * CPU_VW) {
        CPU_UNROLL
        for (int k = 0; k < ROWS; k++) part[k] = f(part[k], v_load_as(x, at + l + (size_t)k * CPU_VW, CPU_VW, type));
    }
    for (; l < length; l += CPU_VW) {
        size_t n = length - l < CPU_VW ? length - l : CPU_VW;
        part[0] = f(part[0], fill_n(x, at + l, n, start, type));
    }
    return f(f(part[0], part[1]), f(part[2], part[3]));
}

/* Up to ROWS vectors of columns, of which the last has n lanes. */
INLINE void down_columns(const void *x, size_t at, size_t length, size_t row, const int vectors, size_t n, float *y,
                         vf start, vf (*f)(vf, vf), const m3_dtype type)
{
    vf total[ROWS];
    CPU_UNROLL
    for (int k = 0; k < vectors; k++) total[k] = start;
    for (size_t first = 0; first < length; first += BLOCK) {
        size_t end = length - first < BLOCK ? length : first + BLOCK;
        vf part[ROWS];
        CPU_UNROLL
        for (int k = 0; k < vectors; k++) part[k] = start;
        for (size_t l = first; l < end; l++) {
            CPU_UNROLL
            for (int k = 0; k < vectors; k++) {
                const size_t i = at + l * row + (size_t)k * CPU_VW;
                part[k] = f(part[k], fill_n(x, i, k + 1 < vectors ? CPU_VW : n, start, type));
            }
        }
        CPU_UNROLL
        for (int k = 0; k < vectors; k++) total[k] = f(total[k], part[k]);
    }
    CPU_UNROLL
    for (int k = 0; k < vectors; k++) {
        if (k + 1 < vectors || n == CPU_VW)
            v_store(y + (size_t)k * CPU_VW, total[k]);
        else
            v_store_n(y + (size_t)k * CPU_VW, n, total[k]);
    }
}

INLINE void columns(const cpu_reduction *r, const void *x, size_t at, float *y, vf start, vf (*f)(vf, vf),
                    const m3_dtype type)
{
    size_t i = 0;
    for (; i + ROWS * CPU_VW <= r->inner; i += ROWS * CPU_VW)
        down_columns(x, at + i, r->length, r->row_stride, ROWS, CPU_VW, y + i, start, f, type);
    for (; i < r->inner; i += CPU_VW)
        down_columns(x, at + i, r->length, r->row_stride, 1, r->inner - i < CPU_VW ? r->inner - i : CPU_VW, y + i,
                     start, f, type);
}

INLINE void sum_of(const cpu_reduction *r, const void *x, float *y, const m3_dtype type)
{
    for (size_t o = 0, at = 0; o < r->outer; o++, at += r->outer_stride) {
        if (r->inner == 1 && r->row_stride == 1)
            y[o] = v_sum(along_row(x, at, r->length, v_zero(), v_plus, type));
        else
            columns(r, x, at, y + o * r->inner, v_zero(), v_plus, type);
    }
}

static void sum_f32(const cpu_reduction *r, const void *x, void *y)
{
    sum_of(r, x, y, M3_F32);
}

static void sum_bf16(const cpu_reduction *r, const void *x, void *y)
{
    sum_of(r, x, y, M3_BF16);
}

static void sum_f16(const cpu_reduction *r, const void *x, void *y)
{
    sum_of(r, x, y, M3_F16);
}

static void max_f32(const cpu_reduction *r, const void *x, void *y)
{
    float *to = y;
    const vf lowest = v_set1(-INFINITY);
    for (size_t o = 0, at = 0; o < r->outer; o++, at += r->outer_stride) {
        if (r->inner == 1 && r->row_stride == 1)
            to[o] = v_max_of(along_row(x, at, r->length, lowest, v_max_nan, M3_F32));
        else
            columns(r, x, at, to + o * r->inner, lowest, v_max_nan, M3_F32);
    }
}

/* Whole numbers: sums wrap. */

static void sum_i32(const cpu_reduction *r, const void *x, void *y)
{
    const uint32_t *from = x;
    uint32_t *to = y;
    for (size_t o = 0; o < r->outer; o++, from += r->outer_stride, to += r->inner) {
        memset(to, 0, r->inner * sizeof *to);
        for (size_t l = 0; l < r->length; l++)
            for (size_t i = 0; i < r->inner; i++) to[i] += from[l * r->row_stride + i];
    }
}

static void max_i32(const cpu_reduction *r, const void *x, void *y)
{
    const int32_t *from = x;
    int32_t *to = y;
    for (size_t o = 0; o < r->outer; o++, from += r->outer_stride, to += r->inner) {
        for (size_t i = 0; i < r->inner; i++) to[i] = INT32_MIN;
        for (size_t l = 0; l < r->length; l++)
            for (size_t i = 0; i < r->inner; i++)
                to[i] = from[l * r->row_stride + i] > to[i] ? from[l * r->row_stride + i] : to[i];
    }
}

const cpu_reduce_kernels CPU_FN(cpu_reduce_kernels) = {sum_f32, max_f32, sum_i32, max_i32, sum_bf16, sum_f16};
