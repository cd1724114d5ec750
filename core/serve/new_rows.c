/* new_rows: rows for items that a trained table does not know.
 *   features   A ridge regression of the known rows on the items' features, as attribute-to-feature maps for cold items
 *              (Gantner et al., ICDM 2010): y_i = mean + x_i W, x standardised, W = (X'X + a n I)^-1 X'Y. a is chosen
 *              on a fifth of the rows; where no a predicts those better than their mean, features are not used.
 *   neighbors  The mean of the known rows that stand with the item in sequences, by their weights (neighbors.c). */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/neighbors.h"
#include "core/data/split.h"
#include "core/serve/warm_start.h"

enum { MOST_COLUMNS = 4096, FEWEST_ROWS = 20, FOLD = 5 };
#define MOST_NUMBERS (UINT64_C(1) << 23) /* of all features of the rows that are looked at */

static const double ridges[] = {1e-3, 1e-2, 1e-1, 1.0, 10.0};
enum { RIDGES = sizeof ridges / sizeof ridges[0] };

/* What a row is predicted from: the features of all modalities, one behind the other. */
typedef struct regression {
    const m3_warm_start *start;
    m3_features features[M3_MAX_MODALITIES];
    uint32_t modalities, columns, outputs;
    uint32_t *items, count; /* known items with features and events that are looked at */
    float *rows;            /* [count, outputs] theirs */
    double *mean, *scale;   /* [columns] */
    double *x;              /* [columns] of the item at hand */
    double *mean_row, *y;   /* [outputs] */
    double *a, *b;          /* [columns, columns], [columns, outputs] of the training rows; lower half of a */
    double *factor, *w;     /* the same of the ridge at hand */
} regression;

struct m3_new_rows {
    const m3_warm_start *start;
    m3_known_rows known;
    m3_new_report report;
    regression regression;  /* fitted where report.explained > 0 */
    m3_neighbors neighbors; /* zeros: not needed */
    float *row;             /* [width] */
};

static bool has_features(const regression *r, uint32_t item)
{
    for (uint32_t k = 0; k < r->modalities; k++)
        if (r->features[k].present[item] != 0) return true;
    return false;
}

static bool is_usable(const regression *r, const bool *had, uint32_t item)
{
    const uint32_t row = r->start->row_of[item];
    return row != 0 && had[row] && has_features(r, item);
}

/* Evenly spread over the usable ones, as many as are wanted at most. */
static m3_status list_items(regression *r, const bool *had, m3_error *err)
{
    const uint32_t items = m3_dataset_item_count(r->start->set);
    const uint64_t most = MOST_NUMBERS / r->columns < M3_KNOWN_ROWS ? MOST_NUMBERS / r->columns : M3_KNOWN_ROWS;
    uint64_t usable = 0, at = 0;
    for (uint32_t i = 1; i <= items; i++) usable += is_usable(r, had, i);
    const uint64_t step = usable / most + (usable % most != 0);
    if (usable == 0) return M3_OK;
    r->items = m3_calloc((usable + step - 1) / step, sizeof *r->items);
    if (r->items == NULL) return M3_FAIL_MEMORY(err, "new items", usable / step * sizeof *r->items);
    for (uint32_t i = 1; i <= items; i++)
        if (is_usable(r, had, i) && at++ % step == 0) r->items[r->count++] = i;
    return M3_OK;
}

/* Known items with features that some user of the run's set had: a row that was never trained says nothing. */
static m3_status choose_items(regression *r, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_warm_start *s = r->start;
    const uint32_t users = m3_dataset_user_count(s->from);
    bool *had =
        m3_spill_array(m3_split_beside(s->split), (uint64_t)m3_dataset_item_count(s->from) + 1, sizeof *had, &st, err);
    for (uint32_t u = 0; st == M3_OK && u < users; u++) {
        const m3_items touched = m3_dataset_touched(s->from, u);
        for (uint32_t i = 0; i < touched.count; i++) had[touched.items[i]] = true;
    }
    if (st == M3_OK) st = list_items(r, had, err);
    m3_spill_free(had);
    return st;
}

static m3_status read_rows(regression *r, const m3_known_rows *known, m3_error *err)
{
    m3_status st = M3_OK;
    r->rows = m3_spill_array(m3_split_beside(r->start->split), r->count, r->outputs * sizeof *r->rows, &st, err);
    for (uint32_t i = 0; st == M3_OK && i < r->count; i++) {
        const uint64_t row = r->start->row_of[r->items[i]];
        st = known->read(known->user, row, row + 1, r->rows + (size_t)i * r->outputs, err);
    }
    return st;
}

static void read_x(const regression *r, uint32_t item, double *x)
{
    uint32_t at = 0;
    for (uint32_t k = 0; k < r->modalities; k++) {
        const m3_features *f = &r->features[k];
        for (uint32_t d = 0; d < f->width; d++, at++)
            x[at] = ((double)f->rows[(size_t)item * f->width + d] - r->mean[at]) * r->scale[at];
    }
}

/* Of the item that is the i-th of those that are looked at. */
static const float *row(const regression *r, uint32_t i)
{
    return r->rows + (size_t)i * r->outputs;
}

/* Means of rows and columns, and one over the columns' deviations, 0 for one that does not vary. */
static void standardise(regression *r)
{
    for (uint32_t d = 0; d < r->columns; d++) r->scale[d] = 1.0;
    for (uint32_t i = 0; i < r->count; i++) {
        read_x(r, r->items[i], r->x); /* the means are still 0 */
        for (uint32_t d = 0; d < r->columns; d++) r->w[d] += r->x[d] / r->count;
        for (uint32_t o = 0; o < r->outputs; o++) r->mean_row[o] += (double)row(r, i)[o] / r->count;
    }
    memcpy(r->mean, r->w, r->columns * sizeof *r->mean);
    memset(r->w, 0, r->columns * sizeof *r->w);
    for (uint32_t i = 0; i < r->count; i++) {
        read_x(r, r->items[i], r->x);
        for (uint32_t d = 0; d < r->columns; d++) r->w[d] += r->x[d] * r->x[d] / r->count;
    }
    for (uint32_t d = 0; d < r->columns; d++) r->scale[d] = r->w[d] > 0.0 ? 1.0 / sqrt(r->w[d]) : 0.0;
}

/* Add the rows of a fold, or of all but it, to X'X and X'Y. */
static uint32_t accumulate(regression *r, bool held)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if ((i % FOLD == 0) != held) continue;
        read_x(r, r->items[i], r->x);
        for (uint32_t o = 0; o < r->outputs; o++) r->y[o] = (double)row(r, i)[o] - r->mean_row[o];
        for (uint32_t p = 0; p < r->columns; p++) {
            const double x = r->x[p];
            if (x == 0.0) continue;
            double *a = r->a + (size_t)p * r->columns, *b = r->b + (size_t)p * r->outputs;
            for (uint32_t q = 0; q <= p; q++) a[q] += x * r->x[q];
            for (uint32_t o = 0; o < r->outputs; o++) b[o] += x * r->y[o];
        }
        count++;
    }
    return count;
}

/* w = (a + ridge I)^-1 b by Cholesky; a + ridge I is positive definite. */
static void solve(regression *r, double ridge)
{
    const size_t n = r->columns, m = r->outputs;
    memcpy(r->factor, r->a, n * n * sizeof *r->a);
    memcpy(r->w, r->b, n * m * sizeof *r->b);
    for (size_t p = 0; p < n; p++) {
        double *l = r->factor + p * n;
        l[p] += ridge;
        for (size_t q = 0; q <= p; q++) {
            const double *other = r->factor + q * n;
            double sum = l[q];
            for (size_t k = 0; k < q; k++) sum -= l[k] * other[k];
            l[q] = q == p ? sqrt(sum) : sum / other[q];
        }
        for (size_t k = 0; k < p; k++)
            for (size_t o = 0; o < m; o++) r->w[p * m + o] -= l[k] * r->w[k * m + o];
        for (size_t o = 0; o < m; o++) r->w[p * m + o] /= l[p];
    }
    for (size_t p = n; p-- > 0;) {
        for (size_t k = p + 1; k < n; k++)
            for (size_t o = 0; o < m; o++) r->w[p * m + o] -= r->factor[k * n + p] * r->w[k * m + o];
        for (size_t o = 0; o < m; o++) r->w[p * m + o] /= r->factor[p * n + p];
    }
}

static void predict(const regression *r, uint32_t item, double *y)
{
    read_x(r, item, r->x);
    memcpy(y, r->mean_row, r->outputs * sizeof *y);
    for (uint32_t p = 0; p < r->columns; p++)
        for (uint32_t o = 0; r->x[p] != 0.0 && o < r->outputs; o++) y[o] += r->x[p] * r->w[(size_t)p * r->outputs + o];
}

/* 1 - error / variance over the rows held out. */
static double explained(const regression *r)
{
    double error = 0.0, variance = 0.0;
    for (uint32_t i = 0; i < r->count; i += FOLD) {
        const float *wanted = row(r, i);
        predict(r, r->items[i], r->y);
        for (uint32_t o = 0; o < r->outputs; o++) {
            const double e = (double)wanted[o] - r->y[o], v = (double)wanted[o] - r->mean_row[o];
            error += e * e;
            variance += v * v;
        }
    }
    return variance > 0.0 ? 1.0 - error / variance : 0.0;
}

static bool allocate(regression *r)
{
    const size_t n = r->columns, m = r->outputs;
    return (r->mean = m3_calloc(n, sizeof *r->mean)) != NULL && (r->scale = m3_calloc(n, sizeof *r->scale)) != NULL &&
           (r->x = m3_calloc(n, sizeof *r->x)) != NULL && (r->mean_row = m3_calloc(m, sizeof *r->y)) != NULL &&
           (r->y = m3_calloc(m, sizeof *r->y)) != NULL && (r->a = m3_calloc(n * n, sizeof *r->a)) != NULL &&
           (r->factor = m3_calloc(n * n, sizeof *r->a)) != NULL && (r->b = m3_calloc(n * m, sizeof *r->b)) != NULL &&
           (r->w = m3_calloc(n * m, sizeof *r->w)) != NULL;
}

/* What is needed to fit, and not to predict. */
static void free_fit(regression *r)
{
    m3_free(r->items);
    m3_spill_free(r->rows);
    m3_free(r->a);
    m3_free(r->b);
    m3_free(r->factor);
    r->items = NULL;
    r->rows = NULL;
    r->a = r->b = r->factor = NULL;
}

static void free_regression(regression *r)
{
    free_fit(r);
    m3_free(r->mean);
    m3_free(r->scale);
    m3_free(r->x);
    m3_free(r->mean_row);
    m3_free(r->y);
    m3_free(r->w);
}

/* Fit on four fifths, choose the ridge on the last, fit again on all. Returns the share that features explain. */
static double fit(regression *r)
{
    double best = ridges[0], most = 0.0;
    standardise(r);
    const uint32_t fitted = accumulate(r, false);
    for (size_t i = 0; i < RIDGES; i++) {
        solve(r, ridges[i] * fitted);
        const double share = explained(r);
        if (share > most) {
            most = share;
            best = ridges[i];
        }
    }
    if (most <= 0.0) return most;
    (void)accumulate(r, true);
    solve(r, best * r->count);
    return most;
}

static void find_features(regression *r)
{
    const m3_warm_start *s = r->start;
    for (uint32_t k = 1; k < s->names.modality_count; k++)
        for (uint32_t m = 0; m < m3_dataset_modality_count(s->set); m++) {
            const m3_features f = m3_dataset_features(s->set, m);
            if (strcmp(f.name, s->names.modalities[k]) != 0 || r->columns + f.width > MOST_COLUMNS) continue;
            r->features[r->modalities++] = f;
            r->columns += f.width;
        }
}

static m3_status learn_features(m3_new_rows *n, m3_error *err)
{
    m3_status st = M3_OK;
    regression *r = &n->regression;
    find_features(r);
    if (r->columns == 0) return M3_OK;
    if ((st = choose_items(r, err)) != M3_OK || r->count < FEWEST_ROWS) return st;
    if ((st = read_rows(r, &n->known, err)) != M3_OK) return st;
    if (!allocate(r)) return M3_FAIL_MEMORY(err, "new items", 2 * (uint64_t)r->columns * r->columns * sizeof *r->a);
    n->report.explained = fit(r);
    free_fit(r);
    return M3_OK;
}

static m3_status find_neighbors(m3_new_rows *n, m3_error *err)
{
    const m3_warm_start *s = n->start;
    m3_merged merged = {0};
    m3_status st = m3_merged_create(s->set, s->split, &merged, err);
    if (st == M3_OK)
        st = m3_neighbors_create(&merged, m3_dataset_item_count(s->set), m3_dataset_behavior_count(s->set),
                                 &n->neighbors, err);
    m3_merged_fini(&merged);
    return st;
}

/* Where an item's row comes from. */

static bool has_prediction(const m3_new_rows *n, uint32_t item)
{
    return n->report.explained > 0.0 && has_features(&n->regression, item);
}

/* Of those of its neighbors that the run knows; 0: none. */
static float neighbor_weight(const m3_new_rows *n, uint32_t item)
{
    float sum = 0.0F;
    if (n->neighbors.ids == NULL) return sum;
    const uint32_t *ids = n->neighbors.ids + (size_t)item * M3_NEIGHBORS;
    const float *weights = n->neighbors.weights + (size_t)item * M3_NEIGHBORS;
    for (uint32_t q = 0; q < M3_NEIGHBORS && ids[q] != 0; q++) sum += n->start->row_of[ids[q]] != 0 ? weights[q] : 0.0F;
    return sum;
}

static m3_status add_neighbors(m3_new_rows *n, uint32_t item, float sum, float *row, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t *ids = n->neighbors.ids + (size_t)item * M3_NEIGHBORS, width = n->known.width;
    const float *weights = n->neighbors.weights + (size_t)item * M3_NEIGHBORS;
    memset(row, 0, width * sizeof *row);
    for (uint32_t q = 0; st == M3_OK && q < M3_NEIGHBORS && ids[q] != 0; q++) {
        const uint64_t from = n->start->row_of[ids[q]];
        if (from == 0) continue;
        st = n->known.read(n->known.user, from, from + 1, n->row, err);
        for (uint32_t o = 0; st == M3_OK && o < width; o++) row[o] += weights[q] / sum * n->row[o];
    }
    return st;
}

/* All ranks that share out a table count all of its items. */
static m3_status learn(m3_new_rows *n, m3_new_items how, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_warm_start *s = n->start;
    const uint32_t items = m3_dataset_item_count(s->set);
    if (how == M3_NEW_RANDOM) return M3_OK;
    if (how == M3_NEW_FEATURES && (st = learn_features(n, err)) != M3_OK) return st;
    for (uint32_t i = 1; i <= items; i++) n->report.features += s->row_of[i] == 0 && has_prediction(n, i);
    if (n->report.features == s->unknown) return M3_OK;
    if ((st = find_neighbors(n, err)) != M3_OK) return st;
    for (uint32_t i = 1; i <= items; i++)
        n->report.neighbors += s->row_of[i] == 0 && !has_prediction(n, i) && neighbor_weight(n, i) > 0.0F;
    return M3_OK;
}

m3_status m3_new_rows_create(const m3_warm_start *start, m3_new_items how, const m3_known_rows *known,
                             m3_new_rows **rows, m3_error *err)
{
    m3_status st;
    m3_new_rows *n = m3_calloc(1, sizeof *n);
    *rows = NULL;
    if (n == NULL) return M3_FAIL_MEMORY(err, "new items", sizeof *n);
    *n = (m3_new_rows){.start = start, .known = *known, .regression = {.start = start, .outputs = known->width}};
    if ((n->row = m3_calloc(known->width, sizeof *n->row)) == NULL)
        st = M3_FAIL_MEMORY(err, "new items", known->width * sizeof *n->row);
    else
        st = learn(n, how, err);
    if (st == M3_OK)
        *rows = n;
    else
        m3_new_rows_free(n);
    return st;
}

void m3_new_rows_free(m3_new_rows *n)
{
    if (n == NULL) return;
    free_regression(&n->regression);
    m3_neighbors_fini(&n->neighbors);
    m3_free(n->row);
    m3_free(n);
}

m3_new_report m3_new_rows_report(const m3_new_rows *n)
{
    return n->report;
}

m3_status m3_new_rows_make(m3_new_rows *n, uint32_t item, float *row, m3_error *err)
{
    regression *r = &n->regression;
    if (has_prediction(n, item)) {
        predict(r, item, r->y);
        for (uint32_t o = 0; o < r->outputs; o++) row[o] = (float)r->y[o];
        return M3_OK;
    }
    const float sum = neighbor_weight(n, item);
    return sum > 0.0F ? add_neighbors(n, item, sum, row, err) : M3_OK;
}
