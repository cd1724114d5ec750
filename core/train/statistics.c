/* statistics: covariance within groups from sums, in one pass over the rows: with n_g rows in group g, s_g their sum,
 *   n C = sum over rows of x x^T - sum over groups of s_g s_g^T / n_g */
#include "core/train/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/alloc.h"

/* Of rows that are all alike the difference leaves rounding, some 1e-16 of the squares; f32 rows have 1e-14 of noise.
 */
static const double noise = 1e-12;

m3_status m3_covariance_init(m3_covariance *sums, uint32_t width, uint32_t groups, m3_error *err)
{
    const size_t products = (size_t)width * width, totals = (size_t)groups * width;
    *sums = (m3_covariance){.width = width,
                            .groups = groups,
                            .counts = m3_calloc(groups, sizeof *sums->counts),
                            .totals = m3_calloc(totals, sizeof *sums->totals),
                            .products = m3_calloc(products, sizeof *sums->products)};
    if (sums->counts != NULL && sums->totals != NULL && sums->products != NULL) return M3_OK;
    m3_covariance_fini(sums);
    return M3_FAIL_MEMORY(err, "instruments", (products + totals) * sizeof(double));
}

void m3_covariance_fini(m3_covariance *sums)
{
    m3_free(sums->counts);
    m3_free(sums->totals);
    m3_free(sums->products);
    *sums = (m3_covariance){0};
}

void m3_covariance_add(m3_covariance *sums, uint32_t group, const float *row)
{
    const size_t d = sums->width;
    double *sum = sums->totals + group * d;
    sums->rows++;
    sums->counts[group]++;
    for (size_t i = 0; i < d; i++) {
        const double x = (double)row[i];
        double *products = sums->products + i * d;
        sum[i] += x;
        sums->square += x * x;
        for (size_t j = 0; j <= i; j++) products[j] += x * (double)row[j];
    }
}

m3_variation m3_variation_of(const m3_covariance *sums)
{
    const size_t d = sums->width;
    double trace = 0.0, squares = 0.0;
    if (sums->rows == 0) return (m3_variation){0};
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++) {
            double c = sums->products[i * d + j];
            for (uint32_t g = 0; g < sums->groups; g++) {
                const double *sum = sums->totals + g * d;
                if (sums->counts[g] != 0) c -= sum[i] * sum[j] / (double)sums->counts[g];
            }
            if (i == j) trace += fmax(c, 0.0);
            squares += (i == j ? 1.0 : 2.0) * c * c;
        }
    const double count = (double)sums->rows * (double)d;
    const bool alike = trace <= noise * sums->square;
    return (m3_variation){.scale = sqrt(sums->square / count),
                          .spread = alike ? 0.0 : sqrt(trace / count),
                          .rank = alike ? 0.0 : trace * trace / squares};
}

double m3_relative_entropy(const double *weights, uint32_t count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++)
        if (weights[i] > 0.0) sum -= weights[i] * log(weights[i]);
    return count > 1 ? fmax(sum, 0.0) / log((double)count) : 0.0;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double m3_median(double *values, uint32_t count)
{
    if (count == 0) return 0.0;
    qsort(values, count, sizeof *values, by_value);
    return values[(count - 1) / 2];
}
