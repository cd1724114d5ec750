/* evaluate: metrics of a trained model and of popularity over the samples of a part (MODEL.md 12).
 *   full    among all items that the user has not had in the target behavior before
 *   uni99   among the item and 99 others, drawn without repeats from those that the user never touched
 * Popularity ranks by training events of the target behavior, ties by the lower item number. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/draw.h"
#include "core/runtime/engine.h"
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
    const m3_served *served;
    const m3_sample *samples;
    uint32_t items;
    m3_evaluation *to;
} evaluating;

static uint64_t history_length(const m3_dataset *set, const m3_sample *sample)
{
    uint64_t length = 0;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        const m3_events events = m3_dataset_events(set, sample->user, b);
        uint32_t low = 0, high = events.count;
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            if (events.times[middle] < sample->time)
                low = middle + 1;
            else
                high = middle;
        }
        length += low;
    }
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

static void add(m3_metrics_group *to, uint64_t length, uint32_t model, uint32_t popularity)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (length < groups[g].min || length > groups[g].max) continue;
        m3_metrics_add(&to[g].model, model);
        m3_metrics_add(&to[g].popularity, popularity);
    }
}

static void evaluate_one(void *user, uint64_t index, const float *scores)
{
    const evaluating *e = user;
    const m3_sample *sample = &e->samples[index];
    const uint32_t *place = e->served->popularity, own = place[sample->item];
    const uint64_t length = history_length(e->served->set, sample);

    const m3_items had = m3_split_had_before(e->served->split, sample);
    uint32_t popular = own;
    for (uint32_t i = 0; i < had.count; i++) popular -= place[had.items[i]] < own;
    add(e->to->full, length, m3_rank_full(scores, e->items, sample->item, had), popular);

    uint32_t drawn[DRAWN], rank = 1;
    const uint32_t count = draw_others(e->served->set, sample, drawn);
    popular = 1;
    for (uint32_t i = 0; i < count; i++) {
        rank += !(scores[drawn[i] - 1] < scores[sample->item - 1]);
        popular += place[drawn[i]] < own;
    }
    add(e->to->uni99, length, rank, popular);
}

m3_status m3_evaluate(m3_served *served, m3_split_part part, m3_evaluation *evaluation, m3_error *err)
{
    m3_evaluation all = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99), .part = part, .group_count = GROUPS};
    uint64_t count = 0;
    if ((unsigned)part >= M3_SPLIT_COUNT)
        return M3_FAIL(err, M3_ERR_RANGE, "part", "is %d; give one from 0 to %d", (int)part, M3_SPLIT_COUNT - 1);
    evaluating e = {served, m3_split_samples(served->split, part, &count), m3_dataset_item_count(served->set), &all};
    m3_status st = m3_score_samples(served->infer, served->set, e.samples, count, evaluate_one, &e, err);
    if (st != M3_OK) return st;
    for (uint32_t g = 0; g < GROUPS; g++) {
        m3_metrics_group *of[2] = {&all.full[g], &all.uni99[g]};
        for (int i = 0; i < 2; i++) {
            (void)snprintf(of[i]->name, sizeof of[i]->name, "%s", groups[g].name);
            m3_metrics_finish(&of[i]->model);
            m3_metrics_finish(&of[i]->popularity);
        }
    }
    m3_copy_out(evaluation, &all, evaluation->size, all.size);
    return M3_OK;
}
