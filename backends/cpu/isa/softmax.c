/* softmax: masked softmax, and cross entropy of a softmax with its gradient, over one row; see ops/softmax.h.
 * Three passes over a row: its maximum, the sum of exp(x - maximum), and the result. Of long rows the second cache
 * still holds what the first pass read. */
#include "backends/cpu/ops/softmax.h"

#include "backends/cpu/isa/row.h"

enum { PARTS = 4 }; /* independent accumulators, to hide the latency of an addition */

/* A NaN may be lost here: exp makes it one again. */
INLINE vf max_of(const float *x, size_t n)
{
    const vf lowest = v_set1(-INFINITY);
    vf max[PARTS] = {lowest, lowest, lowest, lowest};
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= n; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) max[k] = v_max(max[k], v_load(x + j + k * CPU_VW));
    }
    for (; j < n; j += CPU_VW) max[0] = v_max(max[0], v_first_or(v_load_part(x + j, n - j), n - j, lowest));
    return v_set1(v_max_of(v_max(v_max(max[0], max[1]), v_max(max[2], max[3]))));
}

/* The sum of e^(x - max), which also goes to `to` unless that is NULL. */
INLINE float sum_of_exp(const float *x, vf max, size_t n, float *to)
{
    vf sum[PARTS] = {{0}};
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= n; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            vf e = v_exp(v_load(x + j + k * CPU_VW) - max);
            sum[k] += e;
            if (to != NULL) v_store(to + j + k * CPU_VW, e);
        }
    }
    for (; j < n; j += CPU_VW) {
        vf e = v_exp(v_load_part(x + j, n - j) - max);
        sum[0] += v_first_or(e, n - j, v_zero());
        if (to != NULL) v_store_part(to + j, n - j, e);
    }
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void multiply(float *x, float factor, size_t n)
{
    const vf f = v_set1(factor);
    size_t j = 0;
    for (; j + CPU_VW <= n; j += CPU_VW) v_store(x + j, v_load(x + j) * f);
    if (j < n) v_store_n(x + j, n - j, v_load_n(x + j, n - j) * f);
}

static float loss(const float *x, size_t target, size_t n)
{
    const vf max = max_of(x, n);
    float log_sum[CPU_VW];
    v_store(log_sum, v_log(v_set1(sum_of_exp(x, max, n, NULL))) - (v_set1(x[target]) - max));
    return log_sum[0];
}

static void grad(float *dx, const float *x, size_t target, float scale, size_t n)
{
    const float sum = sum_of_exp(x, max_of(x, n), n, dx);
    const float at_target = (dx[target] / sum - 1.0f) * scale;
    multiply(dx, scale / sum, n);
    dx[target] = at_target;
}

/* The mask of the vector at j, false behind the row's end. */
INLINE vm lanes_of(const uint8_t *mask, size_t j, size_t n)
{
    return v_load_mask(mask + j, n - j < CPU_VW ? n - j : CPU_VW);
}

static void masked(float *y, const float *x, const uint8_t *mask, bool repeat, size_t n)
{
    if (repeat && n > 0) {
        if (*mask == 0) {
            memset(y, 0, n * sizeof *y);
        } else {
            const float sum = sum_of_exp(x, max_of(x, n), n, y);
            multiply(y, 1.0f / sum, n);
        }
        return;
    }
    const vf lowest = v_set1(-INFINITY);
    vf max = lowest, sum = v_zero();
    bool any = false;
    for (size_t j = 0; j < n; j += CPU_VW) {
        const vm valid = lanes_of(mask, j, n);
        max = v_max(max, v_select(valid, v_load_part(x + j, n - j), lowest));
        any |= v_any(valid);
    }
    if (!any) {
        memset(y, 0, n * sizeof *y);
        return;
    }
    max = v_set1(v_max_of(max));
    for (size_t j = 0; j < n; j += CPU_VW) {
        vf e = v_select(lanes_of(mask, j, n), v_exp(v_load_part(x + j, n - j) - max), v_zero());
        sum += e;
        v_store_part(y + j, n - j, e);
    }
    multiply(y, 1.0f / v_sum(sum), n);
}

const cpu_softmax_kernels CPU_FN(cpu_softmax_kernels) = {masked, loss, grad};
