/* statistics: how much a part of the model still varies. All sums are in double and in the order in which values come.
 *   C = covariance of rows around the mean of their own group;  spread = sqrt(tr C / d);  rank = (tr C)^2 / tr(C^2)
 * The rank is the participation ratio of C's eigenvalues λ, (Σλ)²/Σλ²: 1 when rows vary along one line, d when they
 * vary alike in all directions. It needs no eigenvalues. */
#ifndef M3_CORE_TRAIN_STATISTICS_H
#define M3_CORE_TRAIN_STATISTICS_H

#include "m3bsr/base.h"

/** Sums over rows [d] of some groups. Starts as {0}. */
typedef struct m3_covariance {
    uint32_t width, groups;
    uint64_t rows;
    double square;    /**< sum of all x^2 */
    uint64_t *counts; /**< [groups] */
    double *totals;   /**< [groups, d] */
    double *products; /**< [d, d], the lower triangle: sum of x_i x_j over all rows */
} m3_covariance;

typedef struct m3_variation {
    double scale;  /**< root of the mean of x^2 */
    double spread; /**< root of the mean square of what differs from the mean of its group */
    double rank;   /**< 0 where nothing differs */
} m3_variation;

m3_status m3_covariance_init(m3_covariance *sums, uint32_t width, uint32_t groups, m3_error *err);
void m3_covariance_fini(m3_covariance *sums);
void m3_covariance_add(m3_covariance *sums, uint32_t group, const float *row);
/** All zero without rows. */
m3_variation m3_variation_of(const m3_covariance *sums);

/** -sum p log p / log(count), of weights >= 0 that sum to 1: from 0 (one has all) to 1 (all are alike). 0 for a count
 * of 1. */
double m3_relative_entropy(const double *weights, uint32_t count);

/** Numbers by rising value; the median of them, of two the lower. 0 for none. Sorts in place. */
double m3_median(double *values, uint32_t count);

#endif
