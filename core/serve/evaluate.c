/* evaluate: metrics of a trained model and of the baselines over the samples of a part (MODEL.md 12).
 *   full    among all items that the user has not had in the target behavior before
 *   uni99   among the item and 99 others, drawn without repeats from those that the user never touched
 * Baselines rank the same candidates (baselines.c). */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/draw.h"
#include "core/data/history.h"
#include "core/run/run.h"
#include "core/runtime/engine.h"
#include "core/serve/baselines.h"
#include "core/serve/rankings.h"
#include "core/serve/serve.h"
#include "core/serve/top.h"

enum { DRAWN = 99, DRAW_SEED = 99 }; /* one seed for all runs, so that their figures are over the same items */

typedef struct evaluating {
    const m3_dataset *set;
    const m3_split *split;
    const m3_sample *samples;
    uint64_t count;
    uint32_t items;
    const uint32_t *popularity; /* [N + 1] places */
    uint32_t *popular;          /* [N] items by place */
    m3_itemknn *knn;
    m3_trending *trending;
    m3_rankings *to;
    uint8_t *marked;         /* [N + 1], zero between samples */
    m3_recommendation *best; /* [top] */
    uint32_t top;            /* items of a list */
    m3_lists *lists;         /* NULL: no file */
    uint32_t listed;         /* items of a list in it */
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

static void add(m3_rankings *to, m3_candidates candidates, uint64_t length, const uint32_t places[M3_RANKERS])
{
    for (uint32_t g = 0; g < M3_SAMPLE_GROUPS; g++) {
        if (length < m3_sample_groups[g].min || length > m3_sample_groups[g].max) continue;
        for (int r = to->has_model ? M3_RANKER_MODEL : M3_RANKER_POPULARITY; r < M3_RANKERS; r++)
            m3_places_add(&to->places[candidates][r][g], places[r]);
    }
}

typedef struct baseline_order {
    const double *scores;
    const uint32_t *popularity;
} baseline_order;

static bool before(const void *by, uint32_t a, uint32_t b)
{
    const baseline_order *o = by;
    return m3_baseline_before(o->scores, o->popularity, a, b);
}

/* They are in order already. */
static void show_popular(const evaluating *e, uint32_t top)
{
    uint32_t count = 0;
    memset(e->best, 0, top * sizeof *e->best);
    for (uint32_t i = 0; i < e->items && count < top; i++)
        if (e->marked[e->popular[i]] == 0) e->best[count++].item = e->popular[i];
    m3_rankings_show(e->to, M3_RANKER_POPULARITY, e->best);
}

/* The lists of full ranking. @param scores  The model's, NULL without one. */
static void show_lists(const evaluating *e, const m3_sample *sample, m3_items had, const float *scores,
                       const double *late, const double *near)
{
    const double *const of[M3_RANKERS] = {[M3_RANKER_TREND] = late, [M3_RANKER_ITEMKNN] = near};
    const uint32_t candidates = e->items - had.count, top = e->to->ks[e->to->k_count - 1];
    for (uint32_t i = 0; i < e->to->k_count; i++) e->to->short_lists[i] += candidates < e->to->ks[i];
    for (uint32_t i = 0; i < had.count; i++) e->marked[had.items[i]] = 1;
    show_popular(e, top);
    for (int r = M3_RANKER_TREND; r < M3_RANKERS; r++) {
        const baseline_order by = {of[r], e->popularity};
        (void)m3_top_items(&by, before, e->items, e->marked, top, e->best);
        m3_rankings_show(e->to, (m3_ranker)r, e->best);
    }
    if (scores != NULL) {
        m3_choose_top(scores, e->items, e->marked, e->popularity, e->top, e->best);
        m3_rankings_show(e->to, M3_RANKER_MODEL, e->best);
        if (e->lists != NULL) m3_lists_add(e->lists, e->set, sample, e->best, e->listed);
    }
    for (uint32_t i = 0; i < had.count; i++) e->marked[had.items[i]] = 0;
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
    uint32_t at[M3_RANKERS] = {[M3_RANKER_POPULARITY] = place[own],
                               [M3_RANKER_TREND] = m3_baseline_rank(late, place, e->items, own, had),
                               [M3_RANKER_ITEMKNN] = m3_baseline_rank(near, place, e->items, own, had)};
    for (uint32_t i = 0; i < had.count; i++) at[M3_RANKER_POPULARITY] -= place[had.items[i]] < place[own];
    if (scores != NULL) at[M3_RANKER_MODEL] = m3_rank_full(scores, e->items, own, had);
    add(e->to, M3_CANDIDATES_FULL, length, at);
    show_lists(e, sample, had, scores, late, near);

    uint32_t drawn[DRAWN];
    const uint32_t count = draw_others(e->set, sample, drawn);
    e->to->uni99_short += count < DRAWN;
    if (count < e->to->uni99_least) e->to->uni99_least = count;
    for (int r = 0; r < M3_RANKERS; r++) at[r] = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (scores != NULL) at[M3_RANKER_MODEL] += !(scores[drawn[i] - 1] < scores[own - 1]);
        at[M3_RANKER_POPULARITY] += place[drawn[i]] < place[own];
        at[M3_RANKER_TREND] += m3_baseline_before(late, place, drawn[i], own);
        at[M3_RANKER_ITEMKNN] += m3_baseline_before(near, place, drawn[i], own);
    }
    add(e->to, M3_CANDIDATES_UNI99, length, at);
}

static m3_status check_part(m3_split_part part, m3_error *err)
{
    if ((unsigned)part < M3_SPLIT_COUNT) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, "part", "is %d; give one from 0 to %d", (int)part, M3_SPLIT_COUNT - 1);
}

/* What both forms share: e has set, split and popularity. @param infer  NULL: the baselines alone. */
static m3_status rank_all(evaluating *e, m3_split_part part, const m3_ranking_options *options, m3_executable *infer,
                          m3_infer_source source, m3_rankings **rankings, m3_error *err)
{
    m3_status st;
    m3_lists lists = {0};
    e->items = m3_dataset_item_count(e->set);
    e->samples = m3_split_samples(e->split, part, &e->count);
    if ((st = m3_rankings_create(options, e->items, infer != NULL, &e->to, err)) != M3_OK) goto done;
    e->to->part = part;
    e->to->uni99_least = DRAWN;
    const uint32_t last = e->to->ks[e->to->k_count - 1];
    e->listed = options->top != 0 ? options->top : last;
    if (e->listed > e->items) e->listed = e->items;
    e->top = options->lists != NULL && e->listed > last ? e->listed : last;
    if (options->lists != NULL && (st = m3_lists_begin(&lists, options->lists, err)) != M3_OK) goto done;
    if (options->lists != NULL) e->lists = &lists;
    e->marked = m3_calloc((size_t)e->items + 1, 1);
    e->best = m3_calloc(e->top, sizeof *e->best);
    e->popular = m3_calloc(e->items, sizeof *e->popular);
    if (e->marked == NULL || e->best == NULL || e->popular == NULL) {
        st = M3_FAIL_MEMORY(err, "lists", e->items * sizeof *e->popular + e->top * sizeof *e->best);
        goto done;
    }
    for (uint32_t item = 1; item <= e->items; item++) e->popular[e->popularity[item] - 1] = item;
    if ((st = m3_itemknn_create(e->set, e->split, e->popularity, &e->knn, err)) != M3_OK) goto done;
    if ((st = m3_trending_create(e->set, e->split, e->popularity, &e->trending, err)) != M3_OK) goto done;
    if (infer != NULL) st = m3_score_samples(infer, source, e->samples, e->count, evaluate_one, e, err);
    for (uint64_t i = 0; infer == NULL && i < e->count; i++) evaluate_one(e, i, NULL);
    if (st == M3_OK) st = m3_dataset_check(e->set, err);
    if (st == M3_OK && e->lists != NULL) st = m3_lists_end(&lists, err);
    if (st != M3_OK) goto done;
    e->to->itemknn_damping = m3_itemknn_damping(e->knn);
    e->to->trend_half_life = m3_trending_half_life(e->trending);
    *rankings = e->to;
    e->to = NULL; /* the caller owns it now */
done:
    m3_lists_discard(&lists);
    m3_trending_free(e->trending);
    m3_itemknn_free(e->knn);
    m3_free(e->marked);
    m3_free(e->best);
    m3_free(e->popular);
    m3_rankings_free(e->to);
    return st;
}

static const m3_ranking_options at_usual_cuts = {
    .size = M3_STRUCT_SIZE(m3_ranking_options, top), .ks = m3_usual_cuts, .k_count = M3_METRIC_CUTS};

/* @param ks  What stands for none. */
static m3_ranking_options read_options(const m3_ranking_options *options, const uint32_t *ks, uint32_t k_count)
{
    m3_ranking_options all = {0};
    if (options != NULL) m3_copy_out(&all, options, options->size, at_usual_cuts.size);
    if (all.ks == NULL) {
        all.ks = ks;
        all.k_count = k_count;
    }
    return all;
}

m3_status m3_rank_part(m3_served *served, m3_split_part part, const m3_ranking_options *options, m3_rankings **rankings,
                       m3_error *err)
{
    m3_training keys = {0};
    m3_settings_training(served->settings, &keys);
    const m3_ranking_options o = read_options(options, keys.ks.at, keys.ks.count);
    const char *const inputs[] = {served->data, served->checkpoint};
    evaluating e = {.set = served->set, .split = served->split, .popularity = served->popularity};
    *rankings = NULL;
    m3_status st = check_part(part, err);
    if (st == M3_OK && o.lists != NULL) st = m3_lists_check(o.lists, err);
    if (st == M3_OK && o.lists != NULL) st = m3_outfile_check(o.lists, inputs, 2, err);
    if (st == M3_OK && o.lists != NULL) st = m3_run_check_output(served->run, o.lists, err);
    if (st == M3_OK && o.lists != NULL) st = m3_run_check_beside(served->checkpoint, o.lists, err);
    if (st != M3_OK) return st;
    return rank_all(&e, part, &o, served->infer, m3_served_source(served), rankings, err);
}

m3_status m3_rank_part_baselines(const m3_dataset *set, uint32_t target, m3_split_part part,
                                 const m3_ranking_options *options, m3_rankings **rankings, m3_error *err)
{
    const m3_ranking_options o = read_options(options, m3_usual_cuts, M3_METRIC_CUTS);
    m3_split *split = NULL;
    uint32_t *popularity = NULL;
    *rankings = NULL;
    m3_status st = check_part(part, err);
    if (st != M3_OK) return st;
    if (o.lists != NULL)
        return M3_FAIL(err, M3_ERR_INVALID, o.lists, "cannot be written without a model; leave the lists out");
    if ((st = m3_dataset_split(set, target, &split, err)) != M3_OK) goto done;
    if ((st = m3_popularity_places(set, split, &popularity, err)) != M3_OK) goto done;
    evaluating e = {.set = set, .split = split, .popularity = popularity};
    st = rank_all(&e, part, &o, NULL, (m3_infer_source){0}, rankings, err);
done:
    m3_free(popularity);
    m3_split_free(split);
    return st;
}

/* At 5, 10 and 20. */

m3_status m3_evaluate(m3_served *served, m3_split_part part, m3_evaluation *evaluation, m3_error *err)
{
    m3_rankings *rankings = NULL;
    m3_status st = m3_rank_part(served, part, &at_usual_cuts, &rankings, err);
    if (st == M3_OK) m3_rankings_evaluation(rankings, evaluation);
    m3_rankings_free(rankings);
    return st;
}

m3_status m3_evaluate_baselines(const m3_dataset *set, uint32_t target, m3_split_part part, m3_evaluation *evaluation,
                                m3_error *err)
{
    m3_rankings *rankings = NULL;
    m3_status st = m3_rank_part_baselines(set, target, part, &at_usual_cuts, &rankings, err);
    if (st == M3_OK) m3_rankings_evaluation(rankings, evaluation);
    m3_rankings_free(rankings);
    return st;
}
