/* softmax: masked softmax, and cross entropy of a softmax with its gradient, over one row; see ops/softmax.h.
 * A row is walked for its maximum, for the sum of exp(x - maximum), and once more for what is wanted; of long rows the
 * second cache still holds what the first walk read. */
#include "backends/cpu/ops/softmax.h"

#include "backends/cpu/isa/row.h"

enum { PARTS = 4 }; /* side by side, since one would wait for itself */

/* A NaN may be lost here: exp makes it one again. */
INLINE vf largest(const float *x, size_t n)
{
    const vf least = v_set1(-INFINITY);
    vf most[PARTS] = {least, least, least, least};
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= n; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) most[k] = v_max(most[k], v_load(x + j + k * CPU_VW));
    }
    for (; j < n; j += CPU_VW) most[0] = v_max(most[0], v_first_or(v_load_part(x + j, n - j), n - j, least));
    return v_set1(v_max_of(v_max(v_max(most[0], most[1]), v_max(most[2], most[3]))));
}

/* The sum of e^(x - most), which also goes to `to` unless that is NULL. */
INLINE float sum_of_exp(const float *x, vf most, size_t n, float *to)
{
    vf sum[PARTS] = {{0}};
    size_t j = 0;
    for (; j + PARTS * CPU_VW <= n; j += PARTS * CPU_VW) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            vf e = v_exp(v_load(x + j + k * CPU_VW) - most);
            sum[k] += e;
            if (to != NULL) v_store(to + j + k * CPU_VW, e);
        }
    }
    for (; j < n; j += CPU_VW) {
        vf e = v_exp(v_load_part(x + j, n - j) - most);
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
    const vf most = largest(x, n);
    float log_sum[CPU_VW];
    v_store(log_sum, v_log(v_set1(sum_of_exp(x, most, n, NULL))) - (v_set1(x[target]) - most));
    return log_sum[0];
}

static void slope(float *dx, const float *x, size_t target, float scale, size_t n)
{
    const float sum = sum_of_exp(x, largest(x, n), n, dx);
    const float hit = (dx[target] / sum - 1.0f) * scale;
    multiply(dx, scale / sum, n);
    dx[target] = hit;
}

/* The mask as lanes of the vector at j; none behind the row's end. */
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
            const float sum = sum_of_exp(x, largest(x, n), n, y);
            multiply(y, 1.0f / sum, n);
        }
        return;
    }
    const vf least = v_set1(-INFINITY);
    vf most = least, sum = v_zero();
    bool any = false;
    for (size_t j = 0; j < n; j += CPU_VW) {
        const vm valid = lanes_of(mask, j, n);
        most = v_max(most, v_select(valid, v_load_part(x + j, n - j), least));
        any |= v_any(valid);
    }
    if (!any) {
        memset(y, 0, n * sizeof *y);
        return;
    }
    most = v_set1(v_max_of(most));
    for (size_t j = 0; j < n; j += CPU_VW) {
        vf e = v_select(lanes_of(mask, j, n), v_exp(v_load_part(x + j, n - j) - most), v_zero());
        sum += e;
        v_store_part(y + j, n - j, e);
    }
    multiply(y, 1.0f / v_sum(sum), n);
}

const cpu_softmax_kernels CPU_FN(cpu_softmax_kernels) = {masked, loss, slope};
