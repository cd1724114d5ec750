/* norm: layer_norm and its gradient, row by row; see ops/norm.h.
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * Three passes over a row, the last two from the first cache. Elements of 16 bits are widened in each. */
#include "backends/cpu/ops/norm.h"

#include "backends/cpu/isa/half.h"

enum { PARTS = 4 }; /* independent accumulators, to hide the latency of an addition */

typedef struct moments {
    vf mean, inverse; /* 1 / s */
} moments;

/* x, dy and dx are given with the element at which the row begins. */
INLINE moments moments_of(const cpu_norm *n, size_t x, const m3_dtype type)
{
    const size_t d = n->width;
    vf sum[PARTS] = {{0}}, square[PARTS] = {{0}};
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= d; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) sum[k] += v_load_as(n->x, x + j + k * CPU_VW, CPU_VW, type);
    }
    for (; j < d; j += CPU_VW) sum[0] += v_load_as(n->x, x + j, d - j, type);
    const vf mean = v_set1(v_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)d);
    for (j = 0; j + PARTS * CPU_VW <= d; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            vf centred = v_load_as(n->x, x + j + k * CPU_VW, CPU_VW, type) - mean;
            square[k] = v_fma(centred, centred, square[k]);
        }
    }
    for (; j < d; j += CPU_VW) {
        vf centred = v_first_or(v_load_as(n->x, x + j, d - j, type) - mean, d - j, v_zero());
        square[0] = v_fma(centred, centred, square[0]);
    }
    float variance = v_sum((square[0] + square[1]) + (square[2] + square[3])) / (float)d;
    return (moments){mean, v_set1(1.0f / sqrtf(variance + n->eps))};
}

INLINE void forward_as(const cpu_norm *n, const float *beta, void *y, const m3_dtype type)
{
    const size_t d = n->width;
    for (size_t i = 0, at = 0; i < n->rows; i++, at += d) {
        const moments m = moments_of(n, at, type);
        size_t j = 0;
        for (; j + CPU_VW <= d; j += CPU_VW) {
            vf normal = (v_load_as(n->x, at + j, CPU_VW, type) - m.mean) * m.inverse;
            v_store_as(y, at + j, CPU_VW, v_fma(normal, v_load(n->gamma + j), v_load(beta + j)), type);
        }
        if (j < d) {
            vf normal = (v_load_as(n->x, at + j, d - j, type) - m.mean) * m.inverse;
            vf result = v_fma(normal, v_load_n(n->gamma + j, d - j), v_load_n(beta + j, d - j));
            v_store_as(y, at + j, d - j, result, type);
        }
    }
}

static void forward(const cpu_norm *n, const float *beta, void *y)
{
    if (n->type == M3_BF16)
        forward_as(n, beta, y, M3_BF16);
    else if (n->type == M3_F16)
        forward_as(n, beta, y, M3_F16);
    else
        forward_as(n, beta, y, M3_F32);
}

/* What a row's dx needs: the sums of e and of e n. */
typedef struct row_sums {
    vf e, en;
} row_sums;

/* Vector j of a row, `left` elements before its end: adds to dgamma, dbeta and the sums row_sums the row. */
INLINE void add_to_sums(const cpu_norm *n, size_t at, const void *dy, moments m, size_t j, size_t left, float *sums,
                        row_sums *a, const m3_dtype type)
{
    vf g = v_load_as(dy, at + j, left, type);
    vf normal = (v_load_as(n->x, at + j, left, type) - m.mean) * m.inverse;
    vf e = g * v_load_part(n->gamma + j, left);
    float *dgamma = sums + j, *dbeta = sums + n->width + j;
    a->e += e;
    a->en = v_fma(e, normal, a->en);
    v_store_part(dgamma, left, v_fma(g, normal, v_load_part(dgamma, left)));
    v_store_part(dbeta, left, v_load_part(dbeta, left) + g);
}

INLINE void put_dx(const cpu_norm *n, size_t at, const void *dy, moments m, size_t j, size_t left, row_sums mean,
                   void *dx, const m3_dtype type)
{
    vf normal = (v_load_as(n->x, at + j, left, type) - m.mean) * m.inverse;
    vf e = v_load_as(dy, at + j, left, type) * v_load_part(n->gamma + j, left);
    v_store_as(dx, at + j, left, (e - mean.e - normal * mean.en) * m.inverse, type);
}

INLINE void backward_as(const cpu_norm *n, const void *dy, void *dx, float *sums, const m3_dtype type)
{
    const size_t d = n->width, whole = d / CPU_VW * CPU_VW;
    memset(sums, 0, 2 * d * sizeof *sums);
    for (size_t i = 0, x = 0; i < n->rows; i++, x += d) {
        const moments m = moments_of(n, x, type);
        row_sums sum[2] = {{{0}, {0}}, {{0}, {0}}};
        size_t j = 0;
        for (; j + 2 * CPU_VW <= d; j += 2 * CPU_VW) {
            add_to_sums(n, x, dy, m, j, CPU_VW, sums, &sum[0], type);
            add_to_sums(n, x, dy, m, j + CPU_VW, CPU_VW, sums, &sum[1], type);
        }
        for (; j < d; j += CPU_VW) add_to_sums(n, x, dy, m, j, d - j, sums, &sum[0], type);
        const row_sums mean = {v_set1(v_sum(sum[0].e + sum[1].e) / (float)d),
                               v_set1(v_sum(sum[0].en + sum[1].en) / (float)d)};
        for (j = 0; j < whole; j += CPU_VW) put_dx(n, x, dy, m, j, CPU_VW, mean, dx, type);
        if (j < d) put_dx(n, x, dy, m, j, d - j, mean, dx, type);
    }
}

static void backward(const cpu_norm *n, const void *dy, void *dx, float *sums)
{
    if (n->type == M3_BF16)
        backward_as(n, dy, dx, sums, M3_BF16);
    else if (n->type == M3_F16)
        backward_as(n, dy, dx, sums, M3_F16);
    else
        backward_as(n, dy, dx, sums, M3_F32);
}

const cpu_norm_kernels CPU_FN(cpu_norm_kernels) = {forward, backward};
