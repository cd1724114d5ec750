/* evaluate: metrics of a trained model and of the baselines over the samples of a part (MODEL.md 12).
 *   full    among all items that the user has not had in the target behavior before
 *   uni99   among the item and 99 others, drawn without repeats from those that the user never touched
 * Baselines rank the same candidates (baselines.c). */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/draw.h"
#include "core/data/history.h"
#include "core/runtime/engine.h"
#include "core/serve/baselines.h"
#include "core/serve/serve.h"

enum { DRAWN = 99, DRAW_SEED = 99 }; /* one seed for all runs, so that their figures are over the same items */

/* Groups by the number of events before the sample, over all behaviors; the first is all of them. */
static const struct {
    const char *name;
    uint64_t min, max;
} groups[] = {
    {"all", 0, UINT64_MAX}, {"0", 0, 0},       {"1-4", 1, 4},           {"5-9", 5, 9},
    {"10-19", 10, 19},      {"20-49", 20, 49}, {"50+", 50, UINT64_MAX},
};
enum { GROUPS = sizeof groups / sizeof groups[0] };
_Static_assert((int)GROUPS <= (int)M3_METRIC_GROUPS, "the public struct holds every group");

typedef struct evaluating {
    const m3_dataset *set;
    const m3_split *split;
    const m3_sample *samples;
    uint32_t items;
    const uint32_t *popularity; /* [N + 1] places */
    m3_itemknn *knn;
    m3_trending *trending;
    m3_evaluation *to;
} evaluating;

static uint64_t history_length(const m3_dataset *set, const m3_sample *sample)
{
    uint64_t length = 0;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++)
        length += m3_events_before(m3_dataset_events(set, sample->user, b), sample->time);
    return length;
}

/* Floyd's draw of `DRAWN` different numbers below `left`: j = left - DRAWN, …, left - 1 adds one that is at most j. */
static uint32_t draw_others(const m3_dataset *set, const m3_sample *sample, uint32_t drawn[DRAWN])
{
    const uint32_t items = m3_dataset_item_count(set);
    const m3_items touched = m3_dataset_touched(set, sample->user);
    const uint32_t left = items - touched.count, count = left < DRAWN ? left : DRAWN;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = left - count + i;
        uint32_t pick = (uint32_t)(m3_draw(DRAW_SEED, sample->user, M3_SITE_UNI99, i) % ((uint64_t)j + 1));
        for (uint32_t k = 0; k < i; k++)
            if (drawn[k] == pick) pick = j; /* j itself cannot have been drawn yet */
        drawn[i] = pick;
    }
    for (uint32_t i = 0; i < count; i++) drawn[i] = m3_draw_item(drawn[i], items, touched); /* the pick-th left */
    return count;
}

/* Places by the four ways among the same candidates. */
typedef struct places {
    uint32_t model, popularity, itemknn, trend;
} places;

static void add(m3_metrics_group *to, m3_metrics *itemknn, m3_metrics *trend, uint64_t length, bool has_model,
                places at)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (length < groups[g].min || length > groups[g].max) continue;
        if (has_model) m3_metrics_add(&to[g].model, at.model);
        m3_metrics_add(&to[g].popularity, at.popularity);
        m3_metrics_add(&itemknn[g], at.itemknn);
        m3_metrics_add(&trend[g], at.trend);
    }
}

/* @param scores  The model's, NULL without one. */
static void evaluate_one(void *user, uint64_t index, const float *scores)
{
    const evaluating *e = user;
    const m3_sample *sample = &e->samples[index];
    const uint32_t *place = e->popularity, own = sample->item;
    const double *near = m3_itemknn_score(e->knn, sample), *late = m3_trending_score(e->trending, sample);
    const uint64_t length = history_length(e->set, sample);

    const m3_items had = m3_split_had_before(e->split, sample);
    places at = {.popularity = place[own],
                 .itemknn = m3_baseline_rank(near, place, e->items, own, had),
                 .trend = m3_baseline_rank(late, place, e->items, own, had)};
    for (uint32_t i = 0; i < had.count; i++) at.popularity -= place[had.items[i]] < place[own];
    if (scores != NULL) at.model = m3_rank_full(scores, e->items, own, had);
    add(e->to->full, e->to->full_itemknn, e->to->full_trend, length, scores != NULL, at);

    uint32_t drawn[DRAWN];
    const uint32_t count = draw_others(e->set, sample, drawn);
    e->to->uni99_short += count < DRAWN;
    if (count < e->to->uni99_least) e->to->uni99_least = count;
    at = (places){1, 1, 1, 1};
    for (uint32_t i = 0; i < count; i++) {
        if (scores != NULL) at.model += !(scores[drawn[i] - 1] < scores[own - 1]);
        at.popularity += place[drawn[i]] < place[own];
        at.itemknn += m3_baseline_before(near, place, drawn[i], own);
        at.trend += m3_baseline_before(late, place, drawn[i], own);
    }
    add(e->to->uni99, e->to->uni99_itemknn, e->to->uni99_trend, length, scores != NULL, at);
}

static m3_status check_part(m3_split_part part, m3_error *err)
{
    if ((unsigned)part < M3_SPLIT_COUNT) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, "part", "is %d; give one from 0 to %d", (int)part, M3_SPLIT_COUNT - 1);
}

static void finish(m3_evaluation *all, const evaluating *e)
{
    all->itemknn_damping = m3_itemknn_damping(e->knn);
    all->trend_half_life = m3_trending_half_life(e->trending);
    all->group_count = GROUPS;
    for (uint32_t g = 0; g < GROUPS; g++) {
        m3_metrics_group *of[2] = {&all->full[g], &all->uni99[g]};
        for (int i = 0; i < 2; i++) {
            (void)snprintf(of[i]->name, sizeof of[i]->name, "%s", groups[g].name);
            m3_metrics_finish(&of[i]->model);
            m3_metrics_finish(&of[i]->popularity);
        }
        m3_metrics_finish(&all->full_itemknn[g]);
        m3_metrics_finish(&all->uni99_itemknn[g]);
        m3_metrics_finish(&all->full_trend[g]);
        m3_metrics_finish(&all->uni99_trend[g]);
    }
}

m3_status m3_evaluate(m3_served *served, m3_split_part part, m3_evaluation *evaluation, m3_error *err)
{
    m3_evaluation all = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least), .part = part, .uni99_least = DRAWN};
    evaluating e = {.set = served->set,
                    .split = served->split,
                    .items = m3_dataset_item_count(served->set),
                    .popularity = served->popularity,
                    .to = &all};
    uint64_t count = 0;
    m3_status st = check_part(part, err);
    if (st != M3_OK) return st;
    e.samples = m3_split_samples(e.split, part, &count);
    if ((st = m3_itemknn_create(e.set, e.split, e.popularity, &e.knn, err)) != M3_OK) goto done;
    if ((st = m3_trending_create(e.set, e.split, e.popularity, &e.trending, err)) != M3_OK) goto done;
    st = m3_score_samples(served->infer, m3_served_source(served), e.samples, count, evaluate_one, &e, err);
    if (st == M3_OK) st = m3_dataset_check(e.set, err);
    if (st == M3_OK) {
        finish(&all, &e);
        m3_copy_out(evaluation, &all, evaluation->size, all.size);
    }
done:
    m3_trending_free(e.trending);
    m3_itemknn_free(e.knn);
    return st;
}

m3_status m3_evaluate_baselines(const m3_dataset *set, uint32_t target, m3_split_part part, m3_evaluation *evaluation,
                                m3_error *err)
{
    m3_evaluation all = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least), .part = part, .uni99_least = DRAWN};
    evaluating e = {.set = set, .items = m3_dataset_item_count(set), .to = &all};
    uint64_t count = 0;
    m3_split *split = NULL;
    uint32_t *popularity = NULL;
    m3_status st = check_part(part, err);
    if (st != M3_OK) return st;
    if ((st = m3_dataset_split(set, target, &split, err)) != M3_OK) goto done;
    if ((st = m3_popularity_places(set, split, &popularity, err)) != M3_OK) goto done;
    if ((st = m3_itemknn_create(set, split, popularity, &e.knn, err)) != M3_OK) goto done;
    if ((st = m3_trending_create(set, split, popularity, &e.trending, err)) != M3_OK) goto done;
    e.split = split;
    e.popularity = popularity;
    e.samples = m3_split_samples(split, part, &count);
    for (uint64_t i = 0; i < count; i++) evaluate_one(&e, i, NULL);
    if ((st = m3_dataset_check(set, err)) != M3_OK) goto done;
    finish(&all, &e);
    m3_copy_out(evaluation, &all, evaluation->size, all.size);
done:
    m3_trending_free(e.trending);
    m3_itemknn_free(e.knn);
    m3_free(popularity);
    m3_split_free(split);
    return st;
}
