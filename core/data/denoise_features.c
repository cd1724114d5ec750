/* denoise_features: the features of an item, denoised under those of its neighbors, in closed form (MODEL.md 5.5).
 *   x = (F - mean)/sd;  |.|^2 is a mean over D entries
 *   belief     x^_i = sum_j p_j e^(-|x_i-x_j|^2/h) x_j / sum_j p_j e^(-|x_i-x_j|^2/h) over neighbors and landmarks,
 *              rho_i = |x^_i - x_i|^2,  kappa = max(0.3, 2 median rho),  r_i = 1/(1 + (rho_i / kappa)^6)
 *   use        K_i = the neighbors' mean of e^(-|x_i-x_j|^2/h') minus that of the landmarks; where
 *              mean K <= 3 sd(K)/sqrt(n), the modality says nothing: the mean takes the place of all features
 *   consensus  c_i = sum_j w_ij q_j y_j / sum_j w_ij q_j, then one step to the mode;
 *              y_i = r_i x_i + (1 - r_i) c_i
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/denoised.h"

enum { LANDMARKS = 4096, ROUNDS = 3, POWER = 6, MOST = M3_NEIGHBORS + LANDMARKS };

static const double NEAR = 0.1;      /* h: of the belief's kernel */
static const double MODE = 0.3;      /* h': of the step to the mode */
static const double SCALE = 0.3;     /* least kappa */
static const double MEDIANS = 2.0;   /* kappa in medians of what beliefs miss */
static const double SHARE = 0.1;     /* of all landmarks together, beside the neighbors' 1 */
static const double REPLACED = 0.2;  /* weight of a replaced item in the next round */
static const double FARTHEST = 30.0; /* exponents below count as 0 */
static const double ERRORS = 3.0;    /* of a mean, which chance seldom exceeds */

typedef struct work {
    const m3_features *given;
    const m3_neighbors *neighbors;
    uint32_t N, D;
    double *mean, sd;
    float *y, *z;     /* [N+1, D] */
    double *r, *q;    /* [N+1] */
    uint32_t *marks;  /* [count] landmarks */
    float *mark_rows; /* [count, D] x of them */
    uint32_t mark_count;
    float *own, *clean;                  /* [D] */
    double *sums;                        /* [D] */
    double compared, more, more_squared; /* items that have neighbors, and how much more like those they are */
} work;

/* What an item attends to. */
typedef struct attention {
    uint32_t count;
    const float *rows[MOST];
    double weights[MOST], distances[MOST], logits[MOST];
} attention;

static void standardize(const work *k, uint32_t item, float *x)
{
    const float *f = k->given->rows + (size_t)item * k->D;
    for (uint32_t d = 0; d < k->D; d++)
        x[d] = k->given->present[item] ? (float)(((double)f[d] - k->mean[d]) / k->sd) : 0.0F;
}

/* In eight sums, so that a compiler may use vectors without changing a bit. */
static double distance(const float *a, const float *b, uint32_t D)
{
    float sums[8] = {0};
    uint32_t d = 0;
    for (; d + 8 <= D; d += 8)
        for (uint32_t l = 0; l < 8; l++) sums[l] += (a[d + l] - b[d + l]) * (a[d + l] - b[d + l]);
    for (; d < D; d++) sums[0] += (a[d] - b[d]) * (a[d] - b[d]);
    double sum = 0.0;
    for (uint32_t l = 0; l < 8; l++) sum += (double)sums[l];
    return sum / D;
}

static void measure(const work *k, attention *over, const float *from)
{
    for (uint32_t j = 0; j < over->count; j++) over->distances[j] = distance(from, over->rows[j], k->D);
}

/* to = sum_j w_j e^(-distance_j / h) row_j over their sum; false, and to as it is, where no weight is positive. */
static bool attend(const work *k, attention *over, double h, float *to)
{
    double most = -HUGE_VAL, sum = 0.0;
    for (uint32_t j = 0; j < over->count; j++) {
        over->logits[j] = -HUGE_VAL;
        if (over->weights[j] > 0.0) over->logits[j] = log(over->weights[j]) - over->distances[j] / h;
        if (over->logits[j] > most) most = over->logits[j];
    }
    if (most == -HUGE_VAL) return false;
    memset(k->sums, 0, k->D * sizeof *k->sums);
    for (uint32_t j = 0; j < over->count; j++) {
        if (over->logits[j] < most - FARTHEST) continue;
        const double a = exp(over->logits[j] - most);
        sum += a;
        for (uint32_t d = 0; d < k->D; d++) k->sums[d] += a * (double)over->rows[j][d];
    }
    for (uint32_t d = 0; d < k->D; d++) to[d] = (float)(k->sums[d] / sum);
    return true;
}

void m3_features_moments(const m3_features *given, uint32_t items, double *mean, double *variance)
{
    const uint32_t D = given->width;
    double count = 0.0, square = 0.0;
    memset(mean, 0, D * sizeof *mean);
    for (uint32_t i = 1; i <= items; i++) {
        if (!given->present[i]) continue;
        count += 1.0;
        for (uint32_t d = 0; d < D; d++) mean[d] += (double)given->rows[(size_t)i * D + d];
    }
    for (uint32_t d = 0; d < D && count > 0.0; d++) mean[d] /= count;
    for (uint32_t i = 1; i <= items; i++)
        for (uint32_t d = 0; d < D && given->present[i]; d++) {
            const double v = (double)given->rows[(size_t)i * D + d] - mean[d];
            square += v * v;
        }
    *variance = count > 0.0 ? square / (count * D) : 0.0;
}

/* The heaviest items that have features. */
static m3_status choose_landmarks(work *k, m3_error *err)
{
    uint32_t count = 0;
    m3_weighted *list = m3_calloc(k->N, sizeof *list);
    if (list == NULL) return M3_FAIL_MEMORY(err, "landmarks", k->N * sizeof *list);
    for (uint32_t i = 1; i <= k->N; i++)
        if (k->given->present[i]) list[count++] = (m3_weighted){k->neighbors->mass[i], i};
    m3_weighted_sort(list, count);
    if (count > LANDMARKS) count = LANDMARKS;
    uint32_t *marks = m3_calloc(count, sizeof *marks);
    float *rows = m3_calloc((size_t)count * k->D, sizeof *rows);
    for (uint32_t m = 0; marks != NULL && rows != NULL && m < count; m++) {
        marks[m] = list[m].item;
        standardize(k, list[m].item, rows + (size_t)m * k->D);
    }
    k->mark_count = count;
    k->marks = marks;
    k->mark_rows = rows;
    m3_free(list);
    if (marks != NULL && rows != NULL) return M3_OK;
    return M3_FAIL_MEMORY(err, "landmarks", (uint64_t)count * k->D * sizeof *rows);
}

static int rising(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Where most items are unlike all others, an item that is says nothing. */
static double scale_of(work *k)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= k->N; i++)
        if (k->given->present[i]) k->q[count++] = k->r[i];
    if (count > 1) qsort(k->q, count, sizeof *k->q, rising);
    return count > 0 ? fmax(SCALE, MEDIANS * k->q[count / 2]) : SCALE;
}

/* How much more like its neighbors, the first ones, an item is than like landmarks, all others. */
static void compare(work *k, const attention *over, uint32_t neighbors)
{
    double near = 0.0, weight = 0.0, any = 0.0;
    for (uint32_t j = 0; j < neighbors; j++) {
        near += over->weights[j] * exp(-over->distances[j] / MODE);
        weight += over->weights[j];
    }
    for (uint32_t j = neighbors; j < over->count; j++) any += exp(-over->distances[j] / MODE);
    if (!(weight > 0.0) || over->count == neighbors) return;
    const double more = near / weight - any / (over->count - neighbors);
    k->compared += 1.0;
    k->more += more;
    k->more_squared += more * more;
}

static bool says_nothing(const work *k)
{
    if (k->compared == 0.0) return false;
    const double mean = k->more / k->compared;
    const double variance = fmax(k->more_squared / k->compared - mean * mean, 0.0);
    return mean <= ERRORS * sqrt(variance / k->compared);
}

/* y is x here; r holds |x^ - x|^2 on the way. */
static void believe(work *k, attention *over)
{
    for (uint32_t i = 1; i <= k->N; i++) {
        if (!k->given->present[i]) continue; /* r = 0 */
        const float *x = k->y + (size_t)i * k->D;
        over->count = 0;
        for (uint32_t t = 0; t < M3_NEIGHBORS; t++) {
            const uint32_t j = k->neighbors->ids[(size_t)i * M3_NEIGHBORS + t];
            if (!k->given->present[j]) continue;
            over->rows[over->count] = k->y + (size_t)j * k->D;
            over->weights[over->count++] = (double)k->neighbors->weights[(size_t)i * M3_NEIGHBORS + t];
        }
        const uint32_t neighbors = over->count;
        for (uint32_t m = 0; m < k->mark_count; m++) {
            if (k->marks[m] == i) continue;
            over->rows[over->count] = k->mark_rows + (size_t)m * k->D;
            over->weights[over->count++] = SHARE / k->mark_count;
        }
        measure(k, over, x);
        compare(k, over, neighbors);
        k->r[i] = attend(k, over, NEAR, k->clean) ? distance(x, k->clean, k->D) : 0.0;
    }
    const double scale = scale_of(k);
    for (uint32_t i = 1; i <= k->N; i++)
        if (k->given->present[i]) k->r[i] = 1.0 / (1.0 + pow(k->r[i] / scale, POWER));
}

/* One round: z from y. */
static void replace(work *k, attention *over)
{
    over->count = M3_NEIGHBORS;
    for (uint32_t i = 1; i <= k->N; i++) {
        double sum = 0.0;
        float *z = k->z + (size_t)i * k->D;
        memset(k->sums, 0, k->D * sizeof *k->sums);
        for (uint32_t t = 0; t < M3_NEIGHBORS; t++) {
            const uint32_t j = k->neighbors->ids[(size_t)i * M3_NEIGHBORS + t];
            over->rows[t] = k->y + (size_t)j * k->D;
            over->weights[t] = (double)k->neighbors->weights[(size_t)i * M3_NEIGHBORS + t] * k->q[j];
            sum += over->weights[t];
            for (uint32_t d = 0; d < k->D; d++) k->sums[d] += over->weights[t] * (double)over->rows[t][d];
        }
        for (uint32_t d = 0; d < k->D; d++) k->clean[d] = sum > 0.0 ? (float)(k->sums[d] / sum) : 0.0F;
        memset(z, 0, k->D * sizeof *z);
        measure(k, over, k->clean);
        (void)attend(k, over, MODE, z);
        standardize(k, i, k->own);
        for (uint32_t d = 0; d < k->D; d++)
            z[d] = (float)(k->r[i] * (double)k->own[d] + (1.0 - k->r[i]) * (double)z[d]);
    }
    float *swap = k->y;
    k->y = k->z;
    k->z = swap;
    for (uint32_t i = 1; i <= k->N; i++) k->q[i] = k->r[i] + REPLACED * (1.0 - k->r[i]);
}

static m3_status make(work *k, m3_error *err)
{
    const size_t rows = (size_t)k->N + 1;
    k->mean = m3_calloc(k->D, sizeof *k->mean);
    k->y = m3_calloc(rows * k->D, sizeof *k->y);
    k->z = m3_calloc(rows * k->D, sizeof *k->z);
    k->r = m3_calloc(rows, sizeof *k->r);
    k->q = m3_calloc(rows, sizeof *k->q);
    k->own = m3_calloc(k->D, sizeof *k->own);
    k->clean = m3_calloc(k->D, sizeof *k->clean);
    k->sums = m3_calloc(k->D, sizeof *k->sums);
    if (k->mean == NULL || k->y == NULL || k->z == NULL || k->r == NULL || k->q == NULL || k->own == NULL ||
        k->clean == NULL || k->sums == NULL)
        return M3_FAIL_MEMORY(err, k->given->name, 2 * rows * k->D * sizeof *k->y);
    return M3_OK;
}

static void finish(work *k)
{
    m3_free(k->mean);
    m3_free(k->y);
    m3_free(k->z);
    m3_free(k->r);
    m3_free(k->q);
    m3_free(k->marks);
    m3_free(k->mark_rows);
    m3_free(k->own);
    m3_free(k->clean);
    m3_free(k->sums);
}

static void denoise(work *k, attention *over, m3_denoised_features *out)
{
    for (uint32_t i = 1; i <= k->N; i++) {
        const float *x = k->y + (size_t)i * k->D;
        standardize(k, i, k->y + (size_t)i * k->D);
        for (uint32_t d = 0; d < k->D; d++) out->farthest = fmax(out->farthest, fabs((double)x[d]));
    }
    believe(k, over);
    out->says_nothing = says_nothing(k);
    memcpy(k->q, k->r, ((size_t)k->N + 1) * sizeof *k->q);
    for (int round = 0; round < ROUNDS && !out->says_nothing; round++) replace(k, over);
    if (out->says_nothing) {
        memset(k->y, 0, ((size_t)k->N + 1) * k->D * sizeof *k->y);
        memset(k->r, 0, ((size_t)k->N + 1) * sizeof *k->r);
    }
    double count = 0.0;
    for (uint32_t i = 1; i <= k->N; i++) {
        float *y = k->y + (size_t)i * k->D;
        for (uint32_t d = 0; d < k->D; d++) y[d] = (float)(k->mean[d] + k->sd * (double)y[d]);
        if (!k->given->present[i]) continue;
        count += 1.0;
        out->belief += k->r[i];
        out->replaced += k->r[i] < 0.5;
    }
    if (count > 0.0) out->belief /= count;
    out->rows = k->y;
    k->y = NULL; /* the caller owns it now */
}

m3_status m3_denoise_features(const m3_features *given, const m3_neighbors *neighbors, m3_denoised_features *out,
                              m3_error *err)
{
    m3_status st;
    work k = {.given = given, .neighbors = neighbors, .N = neighbors->items, .D = given->width};
    attention *over = m3_calloc(1, sizeof *over);
    if (over == NULL) return M3_FAIL_MEMORY(err, given->name, sizeof *over);
    if ((st = make(&k, err)) == M3_OK) {
        m3_features_moments(given, k.N, k.mean, &out->variance);
        k.sd = out->variance > 0.0 ? sqrt(out->variance) : 1.0;
        if ((st = choose_landmarks(&k, err)) == M3_OK) denoise(&k, over, out);
    }
    finish(&k);
    m3_free(over);
    return st;
}
