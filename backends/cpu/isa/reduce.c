/* reduce: y[o,i] = sum or max over l of x[o,l,i]; see ops/reduce.h.
 * inner = 1: four vectors accumulate along a row, and their lanes are added last. inner > 1: columns stay in registers.
 * Long columns are summed in blocks, and then the blocks' sums, since one long sum loses digits. */
#include "backends/cpu/ops/reduce.h"

#include "backends/cpu/isa/vec.h"

enum { ROWS = 4, BLOCK = 128 };

INLINE vf v_plus(vf a, vf b)
{
    return a + b;
}

INLINE vf fill_n(const float *x, size_t n, vf start) /* start in the lanes from n on */
{
    return n == CPU_VW ? v_load(x) : v_select(v_first(n), v_load_n(x, n), start);
}

/* One row, by f with its neutral element start. */
INLINE vf along_row(const float *x, size_t length, vf start, vf (*f)(vf, vf))
{
    vf part[ROWS] = {start, start, start, start};
    size_t l = 0;
    for (; l + ROWS * CPU_VW <= length; l += ROWS * CPU_VW) {
        CPU_UNROLL
        for (int k = 0; k < ROWS; k++) part[k] = f(part[k], v_load(x + l + (size_t)k * CPU_VW));
    }
    for (; l < length; l += CPU_VW) {
        size_t n = length - l < CPU_VW ? length - l : CPU_VW;
        part[0] = f(part[0], fill_n(x + l, n, start));
    }
    return f(f(part[0], part[1]), f(part[2], part[3]));
}

/* Up to ROWS vectors of columns, of which the last has n lanes. */
INLINE void down_columns(const float *x, size_t length, size_t row, const int vectors, size_t n, float *y, vf start,
                         vf (*f)(vf, vf))
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
                const float *at = x + l * row + (size_t)k * CPU_VW;
                part[k] = f(part[k], k + 1 < vectors ? v_load(at) : fill_n(at, n, start));
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

INLINE void columns(const cpu_reduction *r, const float *x, float *y, vf start, vf (*f)(vf, vf))
{
    size_t i = 0;
    for (; i + ROWS * CPU_VW <= r->inner; i += ROWS * CPU_VW)
        down_columns(x + i, r->length, r->row_stride, ROWS, CPU_VW, y + i, start, f);
    for (; i < r->inner; i += CPU_VW)
        down_columns(x + i, r->length, r->row_stride, 1, r->inner - i < CPU_VW ? r->inner - i : CPU_VW, y + i, start,
                     f);
}

static void sum_f32(const cpu_reduction *r, const void *x, void *y)
{
    const float *from = x;
    float *to = y;
    for (size_t o = 0; o < r->outer; o++, from += r->outer_stride) {
        if (r->inner == 1 && r->row_stride == 1)
            to[o] = v_sum(along_row(from, r->length, v_zero(), v_plus));
        else
            columns(r, from, to + o * r->inner, v_zero(), v_plus);
    }
}

static void max_f32(const cpu_reduction *r, const void *x, void *y)
{
    const float *from = x;
    float *to = y;
    const vf lowest = v_set1(-INFINITY);
    for (size_t o = 0; o < r->outer; o++, from += r->outer_stride) {
        if (r->inner == 1 && r->row_stride == 1)
            to[o] = v_max_of(along_row(from, r->length, lowest, v_max_nan));
        else
            columns(r, from, to + o * r->inner, lowest, v_max_nan);
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

const cpu_reduce_kernels CPU_FN(cpu_reduce_kernels) = {sum_f32, max_f32, sum_i32, max_i32};
