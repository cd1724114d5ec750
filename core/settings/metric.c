/* metric: names of metrics, and what one right item at a place is worth (m3bsr/settings.h has definitions and sources).
 */
#include <math.h>
#include <string.h>

#include "core/settings/settings.h"

static const char *const names[M3_MEASURES] = {[M3_MEASURE_HR] = "hr",
                                               [M3_MEASURE_RECALL] = "recall",
                                               [M3_MEASURE_PRECISION] = "precision",
                                               [M3_MEASURE_NDCG] = "ndcg",
                                               [M3_MEASURE_MRR] = "mrr",
                                               [M3_MEASURE_MAP] = "map",
                                               [M3_MEASURE_COVERAGE] = "coverage",
                                               [M3_MEASURE_GINI] = "gini"};
#define NAMES "hr, recall, precision, ndcg, mrr, map, coverage or gini"

const char *m3_measure_name(m3_measure measure)
{
    return (unsigned)measure < M3_MEASURES ? names[measure] : NULL;
}

m3_status m3_measure_find(const char *name, m3_measure *measure, m3_error *err)
{
    for (int i = 0; i < M3_MEASURES; i++)
        if (strcmp(names[i], name) == 0) {
            *measure = (m3_measure)i;
            return M3_OK;
        }
    return M3_FAIL(err, M3_ERR_INVALID, "metric", "'%s' is no metric; give " NAMES, name);
}

/* Digits alone, from 1 to M3_MOST_CUT; 0 for anything else. */
static uint32_t read_cut(const char *text)
{
    const size_t length = strspn(text, "0123456789");
    uint32_t cut = 0;
    if (length == 0 || length > 7 || text[0] == '0' || text[length] != '\0') return 0;
    for (size_t i = 0; i < length; i++) cut = cut * 10 + (uint32_t)(text[i] - '0');
    return cut <= M3_MOST_CUT ? cut : 0;
}

m3_status m3_metric_parse(const char *text, m3_metric *metric, m3_error *err)
{
    char name[16];
    const char *at = strchr(text, '@');
    const size_t length = at != NULL ? (size_t)(at - text) : strlen(text);
    (void)snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), text);
    m3_status st = m3_measure_find(name, &metric->measure, err);
    if (st != M3_OK) return st;
    metric->k = at != NULL ? read_cut(at + 1) : 0;
    if (metric->k != 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "metric", "'%s' has no cut-off from 1 to %d; write %s@10", text, M3_MOST_CUT,
                   name);
}

double m3_metric_of_place(m3_metric metric, uint32_t place)
{
    if (place > metric.k) return 0.0;
    switch (metric.measure) {
    case M3_MEASURE_HR:
    case M3_MEASURE_RECALL: return 1.0;
    case M3_MEASURE_PRECISION: return 1.0 / metric.k;
    case M3_MEASURE_NDCG: return 1.0 / log2(place + 1.0);
    case M3_MEASURE_MRR:
    case M3_MEASURE_MAP: return 1.0 / place;
    case M3_MEASURE_COVERAGE:
    case M3_MEASURE_GINI: break; /* of all lists together */
    }
    return 0.0;
}

/* Keys. */

m3_status m3_metric_key_check(const char *text, m3_error *err)
{
    m3_metric metric;
    m3_status st = m3_metric_parse(text, &metric, err);
    if (st == M3_OK && metric.measure >= M3_MEASURE_COVERAGE)
        st = M3_FAIL(err, M3_ERR_INVALID, "metric",
                     "'%s' says nothing of how well targets are ranked, so it cannot choose an epoch; give hr, recall, "
                     "precision, ndcg, mrr or map, such as ndcg@10",
                     text);
    return st;
}

m3_status m3_cuts_check(const uint32_t *ks, uint32_t count, const char *who, m3_error *err)
{
    if (count == 0) return M3_FAIL(err, M3_ERR_INVALID, who, "has no cut-off; give some, such as 5, 10, 20");
    for (uint32_t i = 1; i < count; i++)
        if (ks[i] <= ks[i - 1])
            return M3_FAIL(err, M3_ERR_INVALID, who, "has %u after %u; give rising cut-offs, such as 5, 10, 20", ks[i],
                           ks[i - 1]);
    return M3_OK;
}

m3_metric m3_settings_metric(const m3_settings *settings)
{
    m3_metric metric = {0};
    (void)m3_metric_parse(m3_settings_get(settings, "metric"), &metric, NULL); /* it was checked when it was set */
    return metric;
}

bool m3_cut_fits(uint32_t k, uint32_t items)
{
    return k <= items || k <= M3_SMALL_CUT;
}

m3_status m3_settings_check_cuts(const m3_settings *settings, const m3_dataset *set, m3_error *err)
{
    m3_training keys = {0};
    m3_settings_training(settings, &keys);
    const uint32_t items = m3_dataset_item_count(set), last = keys.ks.at[keys.ks.count - 1],
                   k = m3_settings_metric(settings).k;
    const bool fits = m3_cut_fits(k, items);
    if (fits && m3_cut_fits(last, items)) return M3_OK;
    m3_status st = M3_FAIL(err, M3_ERR_INVALID, fits ? "ks" : "metric",
                           "has the cut-off %u, but the set has %u items to rank; give one of at most %u",
                           fits ? last : k, items, items);
    m3_setting_locate(m3_setting_find(settings, fits ? "ks" : "metric"), err);
    return st;
}
