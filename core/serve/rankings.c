/* rankings: metrics over what an evaluation counted (MODEL.md 12). */
#include "core/serve/rankings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/engine.h"

const m3_sample_group m3_sample_groups[M3_SAMPLE_GROUPS] = {
    {"all", 0, UINT64_MAX}, {"0", 0, 0},       {"1-4", 1, 4},           {"5-9", 5, 9},
    {"10-19", 10, 19},      {"20-49", 20, 49}, {"50+", 50, UINT64_MAX},
};
_Static_assert((int)M3_SAMPLE_GROUPS <= (int)M3_METRIC_GROUPS, "the public struct holds every group");

const uint32_t m3_usual_cuts[M3_METRIC_CUTS] = {5, 10, 20};

static bool allocate(m3_rankings *r)
{
    const uint32_t most = r->ks[r->k_count - 1];
    r->short_lists = m3_calloc(r->k_count, sizeof *r->short_lists);
    if (r->short_lists == NULL) return false;
    for (int ranker = 0; ranker < M3_RANKERS; ranker++) {
        if (ranker == M3_RANKER_MODEL && !r->has_model) continue;
        for (int c = 0; c < M3_CANDIDATES; c++)
            for (int g = 0; g < M3_SAMPLE_GROUPS; g++)
                if (m3_places_init(&r->places[c][ranker][g], most, NULL) != M3_OK) return false;
        r->shown[ranker] = m3_calloc((size_t)r->k_count * ((size_t)r->items + 1), sizeof *r->shown[ranker]);
        if (r->shown[ranker] == NULL) return false;
    }
    return true;
}

m3_status m3_rankings_create(const m3_ranking_options *options, uint32_t items, bool has_model, m3_rankings **out,
                             m3_error *err)
{
    m3_status st;
    const uint32_t *ks = options->ks, count = options->k_count;
    *out = NULL;
    if ((st = m3_cuts_check(ks, count, "cut-offs", err)) != M3_OK) return st;
    if (ks[0] == 0) return M3_FAIL(err, M3_ERR_INVALID, "cut-offs", "have a 0; give numbers from 1");
    if (!m3_cut_fits(ks[count - 1], items))
        return M3_FAIL(err, M3_ERR_INVALID, "cut-offs",
                       "go up to %u, but the set has %u items to rank; give at most %u", ks[count - 1], items, items);
    m3_rankings *r = m3_calloc(1, sizeof *r);
    if (r == NULL || (r->ks = m3_calloc(count, sizeof *r->ks)) == NULL) {
        m3_rankings_free(r);
        return M3_FAIL_MEMORY(err, "rankings", sizeof *r);
    }
    memcpy(r->ks, ks, count * sizeof *ks);
    r->k_count = count;
    r->items = items;
    r->has_model = has_model;
    if (!allocate(r)) {
        m3_rankings_free(r);
        return M3_FAIL_MEMORY(err, "rankings", M3_RANKERS * (size_t)count * items * sizeof *r->shown[0]);
    }
    *out = r;
    return M3_OK;
}

void m3_rankings_free(m3_rankings *r)
{
    if (r == NULL) return;
    for (int ranker = 0; ranker < M3_RANKERS; ranker++) {
        for (int c = 0; c < M3_CANDIDATES; c++)
            for (int g = 0; g < M3_METRIC_GROUPS; g++) m3_places_fini(&r->places[c][ranker][g]);
        m3_free(r->shown[ranker]);
    }
    m3_free(r->short_lists);
    m3_free(r->ks);
    m3_free(r);
}

void m3_rankings_show(m3_rankings *r, m3_ranker ranker, const m3_recommendation *best)
{
    for (uint32_t i = 0, cut = 0; i < r->ks[r->k_count - 1] && best[i].item != 0; i++) {
        cut += i == r->ks[cut];
        r->shown[ranker][(size_t)cut * ((size_t)r->items + 1) + best[i].item]++;
    }
}

const uint32_t *m3_rankings_ks(const m3_rankings *r, uint32_t *count)
{
    *count = r->k_count;
    return r->ks;
}

/* The place of k among the cut-offs; their number when it is none. */
static uint32_t find_cut(const m3_rankings *r, uint32_t k)
{
    uint32_t i = 0;
    while (i < r->k_count && r->ks[i] != k) i++;
    return i;
}

static int by_count(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of counts by rising number, in place. */
static double gini_of(uint64_t *counts, uint32_t n)
{
    double sum = 0, all = 0;
    qsort(counts, n, sizeof *counts, by_count);
    for (uint32_t j = 1; j <= n; j++) {
        sum += (2.0 * j - n - 1.0) * (double)counts[j - 1];
        all += (double)counts[j - 1];
    }
    return n > 1 && all > 0 ? sum / (all * (n - 1.0)) : 0.0;
}

static double of_lists(const m3_rankings *r, m3_ranker ranker, m3_metric metric)
{
    const uint32_t cut = find_cut(r, metric.k);
    uint64_t *counts = cut < r->k_count ? m3_calloc(r->items, sizeof *counts) : NULL;
    if (counts == NULL) return NAN;
    double value = 0;
    for (uint32_t i = 0; i < r->items; i++) {
        for (uint32_t c = 0; c <= cut; c++) counts[i] += r->shown[ranker][(size_t)c * ((size_t)r->items + 1) + i + 1];
        value += counts[i] != 0;
    }
    value = metric.measure == M3_MEASURE_GINI ? gini_of(counts, r->items) : value / r->items;
    m3_free(counts);
    return value;
}

double m3_rankings_metric(const m3_rankings *r, m3_candidates candidates, m3_ranker ranker, uint32_t group,
                          m3_metric metric)
{
    if ((unsigned)candidates >= M3_CANDIDATES || (unsigned)ranker >= M3_RANKERS || group >= M3_SAMPLE_GROUPS ||
        r->shown[ranker] == NULL || metric.k > r->ks[r->k_count - 1])
        return NAN;
    if (metric.measure < M3_MEASURE_COVERAGE) return m3_places_mean(&r->places[candidates][ranker][group], metric);
    return candidates == M3_CANDIDATES_FULL && group == 0 ? of_lists(r, ranker, metric) : NAN;
}

uint64_t m3_rankings_short(const m3_rankings *r, uint32_t k)
{
    const uint32_t cut = find_cut(r, k);
    return cut < r->k_count ? r->short_lists[cut] : 0;
}

static m3_metrics metrics_of(const m3_places *places)
{
    m3_metrics m = {.samples = places->samples};
    for (int i = 0; i < M3_METRIC_CUTS && places->at != NULL; i++) {
        if (m3_usual_cuts[i] > places->most) continue;
        m.hr[i] = m3_places_mean(places, (m3_metric){M3_MEASURE_HR, m3_usual_cuts[i]});
        m.ndcg[i] = m3_places_mean(places, (m3_metric){M3_MEASURE_NDCG, m3_usual_cuts[i]});
        m.mrr[i] = m3_places_mean(places, (m3_metric){M3_MEASURE_MRR, m3_usual_cuts[i]});
    }
    return m;
}

void m3_rankings_evaluation(const m3_rankings *r, m3_evaluation *evaluation)
{
    m3_evaluation all = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least),
                         .part = r->part,
                         .group_count = M3_SAMPLE_GROUPS,
                         .itemknn_damping = r->itemknn_damping,
                         .trend_half_life = r->trend_half_life,
                         .uni99_short = r->uni99_short,
                         .uni99_least = r->uni99_least};
    m3_metrics_group *const groups[M3_CANDIDATES] = {all.full, all.uni99};
    m3_metrics *const trend[M3_CANDIDATES] = {all.full_trend, all.uni99_trend};
    m3_metrics *const itemknn[M3_CANDIDATES] = {all.full_itemknn, all.uni99_itemknn};
    for (int c = 0; c < M3_CANDIDATES; c++)
        for (uint32_t g = 0; g < M3_SAMPLE_GROUPS; g++) {
            (void)snprintf(groups[c][g].name, sizeof groups[c][g].name, "%s", m3_sample_groups[g].name);
            groups[c][g].model = metrics_of(&r->places[c][M3_RANKER_MODEL][g]);
            groups[c][g].popularity = metrics_of(&r->places[c][M3_RANKER_POPULARITY][g]);
            trend[c][g] = metrics_of(&r->places[c][M3_RANKER_TREND][g]);
            itemknn[c][g] = metrics_of(&r->places[c][M3_RANKER_ITEMKNN][g]);
        }
    m3_copy_out(evaluation, &all, evaluation->size, all.size);
}
