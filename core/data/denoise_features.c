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
#include "core/base/spill.h"
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

/* What an item attends to. */
typedef struct attention {
    uint32_t count;
    const float *rows[MOST];
    double weights[MOST], distances[MOST], logits[MOST];
} attention;

/* Of one thread. */
typedef struct scratch {
    attention over;
    float *own, *clean; /* [D] */
    double *sums;       /* [D] */
} scratch;

typedef struct work {
    const m3_features *given;
    const m3_neighbors *neighbors;
    const char *beside;
    m3_pool *pool;
    uint32_t N, D;
    double *mean, sd;    /* [D] */
    float *y, *z;        /* [N+1, D] */
    double *r, *q;       /* [N+1] */
    double *more;        /* [N+1] how much more like its neighbors an item is; NaN: it has none */
    uint32_t *marks;     /* [count] landmarks */
    float *mark_rows;    /* [count, D] x of them */
    scratch **scratches; /* [threads] */
    uint32_t mark_count;
} work;

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

static void measure(const work *k, scratch *own, const float *from)
{
    attention *over = &own->over;
    for (uint32_t j = 0; j < over->count; j++) over->distances[j] = distance(from, over->rows[j], k->D);
}

/* to = sum_j w_j e^(-distance_j / h) row_j over their sum; false, and to as it is, where no weight is positive. */
static bool attend(const work *k, scratch *own, double h, float *to)
{
    attention *over = &own->over;
    double most = -HUGE_VAL, sum = 0.0;
    for (uint32_t j = 0; j < over->count; j++) {
        over->logits[j] = -HUGE_VAL;
        if (over->weights[j] > 0.0) over->logits[j] = log(over->weights[j]) - over->distances[j] / h;
        if (over->logits[j] > most) most = over->logits[j];
    }
    if (most == -HUGE_VAL) return false;
    memset(own->sums, 0, k->D * sizeof *own->sums);
    for (uint32_t j = 0; j < over->count; j++) {
        if (over->logits[j] < most - FARTHEST) continue;
        const double a = exp(over->logits[j] - most);
        sum += a;
        for (uint32_t d = 0; d < k->D; d++) own->sums[d] += a * (double)over->rows[j][d];
    }
    for (uint32_t d = 0; d < k->D; d++) to[d] = (float)(own->sums[d] / sum);
    return true;
}

/* The mean of every column over items that have features, and the variance of an entry around it. */
static void find_moments(const m3_features *given, uint32_t items, double *mean, double *variance)
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
    m3_status st = M3_OK;
    m3_weighted *list = m3_spill_array(k->beside, k->N, sizeof *list, &st, err);
    if (st != M3_OK) return st;
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
    m3_spill_free(list);
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

/* How much more like its neighbors, the first ones, an item is than like landmarks, all others; NaN without the ones or
 * the others. */
static double compare(const attention *over, uint32_t neighbors)
{
    double near = 0.0, weight = 0.0, any = 0.0;
    for (uint32_t j = 0; j < neighbors; j++) {
        near += over->weights[j] * exp(-over->distances[j] / MODE);
        weight += over->weights[j];
    }
    for (uint32_t j = neighbors; j < over->count; j++) any += exp(-over->distances[j] / MODE);
    if (!(weight > 0.0) || over->count == neighbors) return (double)NAN;
    return near / weight - any / (over->count - neighbors);
}

static bool says_nothing(const work *k)
{
    double n = 0.0, sum = 0.0, squares = 0.0;
    for (uint32_t i = 1; i <= k->N; i++) {
        if (!k->given->present[i] || isnan(k->more[i])) continue;
        n += 1.0;
        sum += k->more[i];
        squares += k->more[i] * k->more[i];
    }
    if (n == 0.0) return false;
    const double mean = sum / n, variance = fmax(squares / n - mean * mean, 0.0);
    return mean <= ERRORS * sqrt(variance / n);
}

/* y is x here; r becomes |x^ - x|^2. */
static void believe(work *k, scratch *own, uint32_t i)
{
    attention *over = &own->over;
    const float *x = k->y + (size_t)i * k->D;
    if (!k->given->present[i]) return; /* r = 0 */
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
    measure(k, own, x);
    k->more[i] = compare(over, neighbors);
    k->r[i] = attend(k, own, NEAR, own->clean) ? distance(x, own->clean, k->D) : 0.0;
}

/* z from y. */
static void replace(work *k, scratch *own, uint32_t i)
{
    attention *over = &own->over;
    double sum = 0.0;
    float *z = k->z + (size_t)i * k->D;
    over->count = M3_NEIGHBORS;
    memset(own->sums, 0, k->D * sizeof *own->sums);
    for (uint32_t t = 0; t < M3_NEIGHBORS; t++) {
        const uint32_t j = k->neighbors->ids[(size_t)i * M3_NEIGHBORS + t];
        over->rows[t] = k->y + (size_t)j * k->D;
        over->weights[t] = (double)k->neighbors->weights[(size_t)i * M3_NEIGHBORS + t] * k->q[j];
        sum += over->weights[t];
        for (uint32_t d = 0; d < k->D; d++) own->sums[d] += over->weights[t] * (double)over->rows[t][d];
    }
    for (uint32_t d = 0; d < k->D; d++) own->clean[d] = sum > 0.0 ? (float)(own->sums[d] / sum) : 0.0F;
    memset(z, 0, k->D * sizeof *z);
    measure(k, own, own->clean);
    (void)attend(k, own, MODE, z);
    standardize(k, i, own->own);
    for (uint32_t d = 0; d < k->D; d++) z[d] = (float)(k->r[i] * (double)own->own[d] + (1.0 - k->r[i]) * (double)z[d]);
}

/* Items do not depend on one another within a stage, so threads change nothing. */
typedef struct stage {
    work *k;
    void (*each)(work *, scratch *, uint32_t);
} stage;

static void do_task(void *arg, uint32_t task, uint32_t worker)
{
    const stage *s = arg;
    const uint64_t first = 1 + (uint64_t)task * M3_TASK_OF, end = first + M3_TASK_OF;
    for (uint64_t i = first; i < end && i <= s->k->N; i++) s->each(s->k, s->k->scratches[worker], (uint32_t)i);
}

static void for_all(work *k, void (*each)(work *, scratch *, uint32_t))
{
    stage s = {k, each};
    m3_pool_run(k->pool, (k->N + M3_TASK_OF - 1) / M3_TASK_OF, do_task, &s);
}

static void find_beliefs(work *k)
{
    for_all(k, believe);
    const double scale = scale_of(k);
    for (uint32_t i = 1; i <= k->N; i++)
        if (k->given->present[i]) k->r[i] = 1.0 / (1.0 + pow(k->r[i] / scale, POWER));
}

static void replace_once(work *k)
{
    for_all(k, replace);
    float *swap = k->y;
    k->y = k->z;
    k->z = swap;
    for (uint32_t i = 1; i <= k->N; i++) k->q[i] = k->r[i] + REPLACED * (1.0 - k->r[i]);
}

static m3_status make_scratches(work *k, m3_error *err)
{
    const uint32_t threads = m3_pool_threads(k->pool);
    k->scratches = m3_calloc(threads, sizeof *k->scratches);
    for (uint32_t t = 0; k->scratches != NULL && t < threads; t++) {
        scratch *own = k->scratches[t] = m3_calloc(1, sizeof *own);
        if (own == NULL) return M3_FAIL_MEMORY(err, k->given->name, sizeof *own);
        own->own = m3_calloc(k->D, sizeof *own->own);
        own->clean = m3_calloc(k->D, sizeof *own->clean);
        own->sums = m3_calloc(k->D, sizeof *own->sums);
        if (own->own == NULL || own->clean == NULL || own->sums == NULL)
            return M3_FAIL_MEMORY(err, k->given->name, k->D * sizeof *own->sums);
    }
    return k->scratches != NULL ? M3_OK : M3_FAIL_MEMORY(err, k->given->name, threads * sizeof *k->scratches);
}

static m3_status make(work *k, m3_error *err)
{
    m3_status st = M3_OK;
    const uint64_t rows = (uint64_t)k->N + 1;
    k->y = m3_spill_array(k->beside, rows * k->D, sizeof *k->y, &st, err);
    k->z = m3_spill_array(k->beside, rows * k->D, sizeof *k->z, &st, err);
    k->r = m3_spill_array(k->beside, rows, sizeof *k->r, &st, err);
    k->q = m3_spill_array(k->beside, rows, sizeof *k->q, &st, err);
    k->more = m3_spill_array(k->beside, rows, sizeof *k->more, &st, err);
    if (st != M3_OK) return st;
    k->mean = m3_calloc(k->D, sizeof *k->mean);
    return k->mean != NULL ? make_scratches(k, err) : M3_FAIL_MEMORY(err, k->given->name, k->D * sizeof *k->mean);
}

static void finish(work *k)
{
    for (uint32_t t = 0; k->scratches != NULL && t < m3_pool_threads(k->pool); t++) {
        if (k->scratches[t] == NULL) continue;
        m3_free(k->scratches[t]->own);
        m3_free(k->scratches[t]->clean);
        m3_free(k->scratches[t]->sums);
        m3_free(k->scratches[t]);
    }
    m3_free(k->scratches);
    m3_free(k->mean);
    m3_spill_free(k->y);
    m3_spill_free(k->z);
    m3_spill_free(k->r);
    m3_spill_free(k->q);
    m3_spill_free(k->more);
    m3_free(k->marks);
    m3_free(k->mark_rows);
}

static void denoise(work *k, m3_denoised_features *out)
{
    for (uint32_t i = 1; i <= k->N; i++) standardize(k, i, k->y + (size_t)i * k->D);
    find_beliefs(k);
    out->says_nothing = says_nothing(k);
    memcpy(k->q, k->r, ((size_t)k->N + 1) * sizeof *k->q);
    for (int round = 0; round < ROUNDS && !out->says_nothing; round++) replace_once(k);
    if (out->says_nothing) {
        memset(k->y, 0, ((size_t)k->N + 1) * k->D * sizeof *k->y);
        memset(k->r, 0, ((size_t)k->N + 1) * sizeof *k->r);
    }
    double count = 0.0;
    for (uint32_t i = 1; i <= k->N; i++) {
        float *y = k->y + (size_t)i * k->D;
        for (uint32_t d = 0; d < k->D; d++) y[d] = (float)(k->sd * (double)y[d]);
        if (!k->given->present[i]) continue;
        count += 1.0;
        out->belief += k->r[i];
        out->replaced += k->r[i] < 0.5;
    }
    if (count > 0.0) out->belief /= count;
    for (uint32_t d = 0; d < k->D; d++) out->mean[d] = (float)k->mean[d];
    out->rows = k->y;
    k->y = NULL; /* the caller owns it now */
}

m3_status m3_denoise_features(const m3_features *given, const m3_neighbors *neighbors, const char *beside,
                              m3_pool *pool, m3_denoised_features *out, m3_error *err)
{
    work k = {.given = given,
              .neighbors = neighbors,
              .beside = beside,
              .pool = pool,
              .N = neighbors->items,
              .D = given->width};
    m3_status st = make(&k, err);
    out->mean = m3_calloc(k.D, sizeof *out->mean);
    if (st == M3_OK && out->mean == NULL) st = M3_FAIL_MEMORY(err, given->name, k.D * sizeof *out->mean);
    if (st == M3_OK) {
        find_moments(given, k.N, k.mean, &out->variance);
        k.sd = out->variance > 0.0 ? sqrt(out->variance) : 1.0;
        if ((st = choose_landmarks(&k, err)) == M3_OK) denoise(&k, out);
    }
    finish(&k);
    return st;
}

m3_status m3_center_features(const m3_features *given, uint32_t items, const char *beside, m3_denoised_features *out,
                             m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t D = given->width;
    out->rows = m3_spill_array(beside, ((uint64_t)items + 1) * D, sizeof *out->rows, &st, err);
    if (st != M3_OK) return st;
    double *mean = m3_calloc(D, sizeof *mean);
    out->mean = m3_calloc(D, sizeof *out->mean);
    out->belief = 1.0;
    if (mean == NULL || out->mean == NULL) {
        m3_free(mean);
        return M3_FAIL_MEMORY(err, given->name, D * sizeof *mean);
    }
    find_moments(given, items, mean, &out->variance);
    for (uint32_t d = 0; d < D; d++) out->mean[d] = (float)mean[d];
    for (uint32_t i = 1; i <= items; i++)
        for (uint32_t d = 0; d < D && given->present[i]; d++)
            out->rows[(size_t)i * D + d] = (float)((double)given->rows[(size_t)i * D + d] - mean[d]);
    m3_free(mean);
    return M3_OK;
}
