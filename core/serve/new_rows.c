/* new_rows: rows for items that a trained table does not know.
 *   features   A ridge regression of the known rows on the items' features, as attribute-to-feature maps for cold items
 *              (Gantner et al., ICDM 2010): y_i = mean + x_i W, x standardised, W = (X'X + a n I)^-1 X'Y. a is chosen
 * on a fifth of the rows; where no a predicts those better than their mean, features are not used. neighbors  The mean
 * of the known rows that stand with the item in sequences, by their weights (neighbors.c). */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/neighbors.h"
#include "core/serve/warm_start.h"

enum { MOST_COLUMNS = 4096, MOST_ROWS = 16384, FEWEST_ROWS = 20, FOLD = 5 };
#define MOST_NUMBERS (UINT64_C(1) << 23) /* of all features of the rows that are looked at */

static const double ridges[] = {1e-3, 1e-2, 1e-1, 1.0, 10.0};
enum { RIDGES = sizeof ridges / sizeof ridges[0] };

/* What a row is predicted from: the features of all modalities, one behind the other. */
typedef struct regression {
    const m3_warm_start *start;
    const float *rows; /* [N+1, outputs] */
    m3_features features[M3_MAX_MODALITIES];
    uint32_t modalities, columns, outputs;
    uint32_t *items, count; /* known items with features and events that are looked at */
    double *mean, *scale;   /* [columns] */
    double *x;              /* [columns] of the item at hand */
    double *mean_row, *y;   /* [outputs] */
    double *a, *b;          /* [columns, columns], [columns, outputs] of the training rows; lower half of a */
    double *factor, *w;     /* the same of the ridge at hand */
} regression;

static bool has_features(const regression *r, uint32_t item)
{
    for (uint32_t k = 0; k < r->modalities; k++)
        if (r->features[k].present[item] != 0) return true;
    return false;
}

/* Known items with features that some user of the run's set had: a row that was never trained says nothing. */
static m3_status choose_items(regression *r, m3_error *err)
{
    const m3_warm_start *s = r->start;
    const uint32_t items = m3_dataset_item_count(s->set), users = m3_dataset_user_count(s->from);
    uint64_t usable = 0, most = MOST_NUMBERS / r->columns < MOST_ROWS ? MOST_NUMBERS / r->columns : MOST_ROWS;
    bool *had = m3_calloc((size_t)m3_dataset_item_count(s->from) + 1, sizeof *had);
    r->items = m3_calloc((size_t)items + 1, sizeof *r->items);
    if (had == NULL || r->items == NULL) {
        m3_free(had);
        return M3_FAIL_MEMORY(err, "new items", items * sizeof *r->items);
    }
    for (uint32_t u = 0; u < users; u++) {
        const m3_items touched = m3_dataset_touched(s->from, u);
        for (uint32_t i = 0; i < touched.count; i++) had[touched.items[i]] = true;
    }
    for (uint32_t i = 1; i <= items; i++)
        if (s->row_of[i] != 0 && had[s->row_of[i]] && has_features(r, i)) r->items[usable++] = i;
    const uint64_t step = usable / most + (usable % most != 0);
    for (uint64_t i = 0; i < usable; i += step) r->items[r->count++] = r->items[i];
    m3_free(had);
    return M3_OK;
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

static const float *row(const regression *r, uint32_t item)
{
    return r->rows + (size_t)item * r->outputs;
}

/* Means of rows and columns, and one over the columns' deviations, 0 for one that does not vary. */
static void standardise(regression *r)
{
    for (uint32_t d = 0; d < r->columns; d++) r->scale[d] = 1.0;
    for (uint32_t i = 0; i < r->count; i++) {
        read_x(r, r->items[i], r->x); /* the means are still 0 */
        for (uint32_t d = 0; d < r->columns; d++) r->w[d] += r->x[d] / r->count;
        for (uint32_t o = 0; o < r->outputs; o++) r->mean_row[o] += (double)row(r, r->items[i])[o] / r->count;
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
        for (uint32_t o = 0; o < r->outputs; o++) r->y[o] = (double)row(r, r->items[i])[o] - r->mean_row[o];
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
        const float *wanted = row(r, r->items[i]);
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

static void free_regression(regression *r)
{
    m3_free(r->items);
    m3_free(r->mean);
    m3_free(r->scale);
    m3_free(r->x);
    m3_free(r->mean_row);
    m3_free(r->y);
    m3_free(r->a);
    m3_free(r->b);
    m3_free(r->factor);
    m3_free(r->w);
}

/* Fit on four fifths, choose the ridge on the last, fit again on all. */
static void fit(regression *r, m3_new_rows *report)
{
    double best = ridges[0];
    standardise(r);
    const uint32_t fitted = accumulate(r, false);
    for (size_t i = 0; i < RIDGES; i++) {
        solve(r, ridges[i] * fitted);
        const double share = explained(r);
        if (share > report->explained) {
            report->explained = share;
            best = ridges[i];
        }
    }
    if (report->explained <= 0.0) return;
    (void)accumulate(r, true);
    solve(r, best * r->count);
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

/* done [N+1]: items that have got a row. */
static m3_status from_features(const m3_warm_start *s, float *rows, uint32_t width, bool *done, m3_new_rows *report,
                               m3_error *err)
{
    m3_status st = M3_OK;
    regression r = {.start = s, .rows = rows, .outputs = width};
    find_features(&r);
    if (r.columns == 0) return M3_OK;
    if ((st = choose_items(&r, err)) != M3_OK || r.count < FEWEST_ROWS) goto end;
    if (!allocate(&r)) {
        st = M3_FAIL_MEMORY(err, "new items", 2 * (uint64_t)r.columns * r.columns * sizeof *r.a);
        goto end;
    }
    fit(&r, report);
    for (uint32_t i = 1; report->explained > 0.0 && i <= m3_dataset_item_count(s->set); i++) {
        if (s->row_of[i] != 0 || !has_features(&r, i)) continue;
        predict(&r, i, r.y);
        for (uint32_t o = 0; o < width; o++) rows[(size_t)i * width + o] = (float)r.y[o];
        done[i] = true;
        report->features++;
    }
end:
    free_regression(&r);
    return st;
}

static m3_status from_neighbors(const m3_warm_start *s, float *rows, uint32_t width, const bool *done,
                                m3_new_rows *report, m3_error *err)
{
    const uint32_t items = m3_dataset_item_count(s->set);
    m3_merged merged = {0};
    m3_neighbors neighbors = {0};
    m3_status st = m3_merged_create(s->set, s->split, &merged, err);
    if (st == M3_OK) st = m3_neighbors_create(&merged, items, m3_dataset_behavior_count(s->set), &neighbors, err);
    for (uint32_t i = 1; st == M3_OK && i <= items; i++) {
        const uint32_t *ids = neighbors.ids + (size_t)i * M3_NEIGHBORS;
        const float *weights = neighbors.weights + (size_t)i * M3_NEIGHBORS;
        float *to = rows + (size_t)i * width, sum = 0.0F;
        if (s->row_of[i] != 0 || done[i]) continue;
        for (uint32_t q = 0; q < M3_NEIGHBORS && ids[q] != 0; q++) sum += s->row_of[ids[q]] != 0 ? weights[q] : 0.0F;
        if (sum <= 0.0F) continue;
        memset(to, 0, width * sizeof *to);
        for (uint32_t q = 0; q < M3_NEIGHBORS && ids[q] != 0; q++)
            for (uint32_t o = 0; s->row_of[ids[q]] != 0 && o < width; o++)
                to[o] += weights[q] / sum * rows[(size_t)ids[q] * width + o];
        report->neighbors++;
    }
    m3_neighbors_fini(&neighbors);
    m3_merged_fini(&merged);
    return st;
}

m3_status m3_new_rows_fill(const m3_warm_start *start, m3_new_items how, float *rows, uint32_t width,
                           m3_new_rows *report, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t items = m3_dataset_item_count(start->set);
    *report = (m3_new_rows){0};
    if (how == M3_NEW_RANDOM) return M3_OK;
    bool *done = m3_calloc((size_t)items + 1, sizeof *done);
    if (done == NULL) return M3_FAIL_MEMORY(err, "new items", items);
    if (how == M3_NEW_FEATURES) st = from_features(start, rows, width, done, report, err);
    if (st == M3_OK && report->features < start->unknown) st = from_neighbors(start, rows, width, done, report, err);
    m3_free(done);
    return st;
}
