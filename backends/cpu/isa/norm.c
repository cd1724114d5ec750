/* norm: layer_norm and its gradient, row by row; see ops/norm.h.
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * Three passes over a row, the last two from the first cache. Elements of 16 bits are widened in each. */
#include "backends/cpu/ops/norm.h"

#include "backends/cpu/isa/half.h"

/* Independent accumulators of a row, and rows that advance together, to hide the latency of additions, sums across
 * lanes and divisions. A row is computed alike in any company. */
enum { PARTS = 4, ROWS = CPU_VW == 16 ? 4 : 2 };

typedef struct moments {
    vf mean, inverse; /* 1 / s */
} moments;

/* Of rows that begin at element `at` of x. */
INLINE void moments_of(const cpu_norm *n, size_t at, const int rows, moments *m, const m3_dtype type)
{
    const size_t d = n->width;
    vf sum[ROWS][PARTS] = {{{0}}}, square[ROWS][PARTS] = {{{0}}}, mean[ROWS];
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= d; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            CPU_UNROLL
            for (int r = 0; r < rows; r++)
                sum[r][k] += v_load_as(n->x, at + (size_t)r * d + j + k * CPU_VW, CPU_VW, type);
        }
    }
    for (; j < d; j += CPU_VW) {
        CPU_UNROLL
        for (int r = 0; r < rows; r++) sum[r][0] += v_load_as(n->x, at + (size_t)r * d + j, d - j, type);
    }
    CPU_UNROLL
    for (int r = 0; r < rows; r++)
        mean[r] = v_set1(v_sum((sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3])) / (float)d);
    for (j = 0; j + PARTS * CPU_VW <= d; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            CPU_UNROLL
            for (int r = 0; r < rows; r++) {
                vf centred = v_load_as(n->x, at + (size_t)r * d + j + k * CPU_VW, CPU_VW, type) - mean[r];
                square[r][k] = v_fma(centred, centred, square[r][k]);
            }
        }
    }
    for (; j < d; j += CPU_VW) {
        CPU_UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = v_load_as(n->x, at + (size_t)r * d + j, d - j, type);
            vf centred = v_first_or(x - mean[r], d - j, v_zero());
            square[r][0] = v_fma(centred, centred, square[r][0]);
        }
    }
    CPU_UNROLL
    for (int r = 0; r < rows; r++) {
        float variance = v_sum((square[r][0] + square[r][1]) + (square[r][2] + square[r][3])) / (float)d;
        m[r] = (moments){mean[r], v_set1(1.0f / sqrtf(variance + n->eps))};
    }
}

INLINE void normalise(const cpu_norm *n, size_t at, moments m, const float *beta, void *y, const m3_dtype type)
{
    const size_t d = n->width;
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

INLINE void forward_as(const cpu_norm *n, const float *beta, void *y, const m3_dtype type)
{
    const size_t d = n->width;
    moments m[ROWS];
    size_t i = 0;
    for (; i + ROWS <= n->rows; i += ROWS) {
        moments_of(n, i * d, ROWS, m, type);
        for (size_t r = 0; r < ROWS; r++) normalise(n, (i + r) * d, m[r], beta, y, type);
    }
    for (; i < n->rows; i++) {
        moments_of(n, i * d, 1, m, type);
        normalise(n, i * d, m[0], beta, y, type);
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

/* Vector j of rows from element `at` on, `left` elements before their ends: adds to dgamma, dbeta and the rows' sums.
 */
INLINE void add_to_sums(const cpu_norm *n, size_t at, const void *dy, const int rows, const moments *m, size_t j,
                        size_t left, float *sums, row_sums *a, const m3_dtype type)
{
    float *dgamma_at = sums + j, *dbeta_at = sums + n->width + j;
    vf gamma = v_load_part(n->gamma + j, left), dgamma = v_load_part(dgamma_at, left);
    vf dbeta = v_load_part(dbeta_at, left);
    CPU_UNROLL
    for (int r = 0; r < rows; r++) {
        const size_t i = at + (size_t)r * n->width + j;
        vf g = v_load_as(dy, i, left, type), normal = (v_load_as(n->x, i, left, type) - m[r].mean) * m[r].inverse;
        vf e = g * gamma;
        a[r].e += e;
        a[r].en = v_fma(e, normal, a[r].en);
        dgamma = v_fma(g, normal, dgamma);
        dbeta = dbeta + g;
    }
    v_store_part(dgamma_at, left, dgamma);
    v_store_part(dbeta_at, left, dbeta);
}

INLINE void put_dx(const cpu_norm *n, size_t at, const void *dy, moments m, size_t j, size_t left, row_sums mean,
                   void *dx, const m3_dtype type)
{
    const void *more = n->residual;
    vf normal = (v_load_as(n->x, at + j, left, type) - m.mean) * m.inverse;
    vf e = v_load_as(dy, at + j, left, type) * v_load_part(n->gamma + j, left);
    vf result = (e - mean.e - normal * mean.en) * m.inverse;
    v_store_as(dx, at + j, left, more != NULL ? result + v_load_as(more, at + j, left, type) : result, type);
}

INLINE void backward_rows(const cpu_norm *n, size_t at, const void *dy, const int rows, void *dx, float *sums,
                          const m3_dtype type)
{
    const size_t d = n->width, whole = d / CPU_VW * CPU_VW;
    moments m[ROWS];
    row_sums even[ROWS] = {{{0}, {0}}}, odd[ROWS] = {{{0}, {0}}};
    size_t j = 0;
    moments_of(n, at, rows, m, type);
    for (; j + 2 * CPU_VW <= d; j += 2 * CPU_VW) {
        add_to_sums(n, at, dy, rows, m, j, CPU_VW, sums, even, type);
        add_to_sums(n, at, dy, rows, m, j + CPU_VW, CPU_VW, sums, odd, type);
    }
    for (; j < d; j += CPU_VW) add_to_sums(n, at, dy, rows, m, j, d - j, sums, even, type);
    CPU_UNROLL
    for (int r = 0; r < rows; r++) {
        even[r] = (row_sums){v_set1(v_sum(even[r].e + odd[r].e) / (float)d),
                             v_set1(v_sum(even[r].en + odd[r].en) / (float)d)};
    }
    for (int r = 0; r < rows; r++) {
        const size_t row = at + (size_t)r * d;
        for (j = 0; j < whole; j += CPU_VW) put_dx(n, row, dy, m[r], j, CPU_VW, even[r], dx, type);
        if (j < d) put_dx(n, row, dy, m[r], j, d - j, even[r], dx, type);
    }
}

INLINE void backward_as(const cpu_norm *n, const void *dy, void *dx, float *sums, const m3_dtype type)
{
    const size_t d = n->width;
    size_t i = 0;
    memset(sums, 0, 2 * d * sizeof *sums);
    for (; i + ROWS <= n->rows; i += ROWS) backward_rows(n, i * d, dy, ROWS, dx, sums, type);
    for (; i < n->rows; i++) backward_rows(n, i * d, dy, 1, dx, sums, type);
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
