/* event_filter: events of the shallowest behavior that nothing else of the user supports (MODEL.md 5.5).
 *   S(p) = sum_q w_q e^(-|y_p - y_q|^2 / h') / sum_q w_q over the user's merged events q of other items within WINDOW
 *   places of p and before the history's end, w_q = a_q / sqrt|p - q|
 * What training may look at ends at the same time for all of a user's samples, so a verdict for all its histories is
 * kept, an event each; in other histories events are judged when they are made.
 */
#include <math.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/denoised.h"

static const double MODE = 0.3;        /* h' */
static const double DISCOVERIES = 0.1; /* of the deepest behavior's events, for one of those that went no deeper */

/* An event of the shallowest behavior. */
typedef struct judged {
    uint32_t place; /* in the user's merged events */
    bool keeps;     /* by all that training may look at */
} judged;

struct m3_event_filter {
    const m3_dataset *set;
    m3_merged merged;
    uint32_t behaviors, count;
    double weight_of[M3_MAX_BEHAVIORS];
    const m3_denoised_features *features; /* [count] */
    double scales[M3_MAX_MODALITIES]; /* of |F_p - F_q|^2, so that the sum over modalities is the mean |y_p - y_q|^2 */
    uint64_t *starts;                 /* [U+1] into events */
    judged *events;
    m3_event_filter_summary summary;
};

/* A sequence, up to the end of what is looked at. */
typedef struct sequence {
    const m3_merged_event *events;
    uint32_t end;
} sequence;

static sequence sequence_of(const m3_event_filter *f, uint32_t user, int64_t time)
{
    const uint64_t start = f->merged.starts[user];
    const m3_merged_event *events = f->merged.events + start;
    const int64_t until = time > f->merged.until[user] ? time : f->merged.until[user];
    return (sequence){events, m3_merged_before(events, (uint32_t)(f->merged.starts[user + 1] - start), until)};
}

static const float *row_of(const m3_event_filter *f, uint32_t k, uint32_t item)
{
    const m3_denoised_features *features = &f->features[k];
    return features->rows + (size_t)item * features->width;
}

static double distance(const m3_event_filter *f, uint32_t a, uint32_t b)
{
    double all = 0.0;
    for (uint32_t k = 0; k < f->count; k++) {
        if (f->features[k].says_nothing) continue;
        const uint32_t D = f->features[k].width;
        const float *x = row_of(f, k, a), *y = row_of(f, k, b);
        double sum = 0.0;
        for (uint32_t d = 0; d < D; d++) sum += ((double)x[d] - (double)y[d]) * ((double)x[d] - (double)y[d]);
        all += sum * f->scales[k];
    }
    return all;
}

/* S(p). */
static double support_at(const m3_event_filter *f, const sequence *s, uint32_t p)
{
    double part = 0.0, sum = 0.0;
    const m3_merged_event *e = s->events;
    for (uint32_t q = p > M3_WINDOW ? p - M3_WINDOW : 0; q < s->end && q <= p + M3_WINDOW; q++) {
        if (e[q].item == e[p].item) continue;
        const double w = f->weight_of[e[q].behavior] / sqrt((double)(q > p ? q - p : p - q));
        sum += w;
        part += w * exp(-distance(f, e[p].item, e[q].item) / MODE);
    }
    return sum > 0.0 ? part / sum : 1.0;
}

static bool goes_deeper(const sequence *s, uint32_t p)
{
    for (uint32_t q = p; q < s->end && q <= p + M3_WINDOW; q++)
        if (s->events[q].item == s->events[p].item && s->events[q].behavior > 0) return true;
    return false;
}

/* An event of the shallowest behavior that went deeper needs no support. */
static bool keeps(const m3_event_filter *f, const sequence *s, uint32_t p)
{
    return goes_deeper(s, p) || support_at(f, s, p) > f->summary.threshold;
}

double m3_event_filter_support(const m3_event_filter *f, uint32_t user, uint32_t index, int64_t time)
{
    const sequence s = sequence_of(f, user, time);
    const uint32_t place = f->events[f->starts[user] + index].place;
    return goes_deeper(&s, place) ? 1.0 : support_at(f, &s, place);
}

bool m3_event_filter_keeps(const m3_event_filter *f, uint32_t user, uint32_t index, int64_t time)
{
    const judged *j = &f->events[f->starts[user] + index];
    if (time <= f->merged.until[user]) return j->keeps;
    const sequence s = sequence_of(f, user, time);
    return keeps(f, &s, j->place);
}

m3_status m3_event_filter_judge(const m3_event_filter *f, const m3_events *lists, uint8_t *kept, m3_error *err)
{
    size_t all = 0;
    for (uint32_t b = 0; b < f->behaviors; b++) all += lists[b].count;
    m3_merged_event *events = m3_calloc(all, sizeof *events);
    if (events == NULL) return M3_FAIL_MEMORY(err, "merged events", all * sizeof *events);
    const sequence s = {events, m3_merge_events(lists, f->behaviors, events)};
    for (uint32_t i = 0; i < lists[0].count; i++)
        kept[i] = keeps(f, &s, m3_merged_place(events, s.end, lists[0].times[i], lists[0].items[i]));
    m3_free(events);
    return M3_OK;
}

/* Making one. */

/* Where each event of the shallowest behavior stands. */
static void place_events(m3_event_filter *f, uint32_t user)
{
    const m3_events events = m3_dataset_events(f->set, user, 0);
    const sequence all = sequence_of(f, user, M3_TIME_END);
    f->starts[user + 1] = f->starts[user] + events.count;
    for (uint32_t i = 0; i < events.count; i++)
        f->events[f->starts[user] + i].place = m3_merged_place(all.events, all.end, events.times[i], events.items[i]);
}

typedef struct scores {
    double *at;
    uint64_t count;
} scores;

static int rising(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* What training sees of each merged event, [of all users]; those that are neither in D nor in C stay 0. */
typedef struct seeing {
    m3_event_filter *f;
    double *support;
} seeing;

static bool is_deepest(const m3_event_filter *f, const m3_merged_event *event)
{
    return event->behavior + 1 == f->behaviors;
}

static bool is_candidate(const sequence *s, uint32_t p)
{
    return s->events[p].behavior == 0 && !goes_deeper(s, p);
}

static void see_users(void *arg, uint32_t task, uint32_t worker)
{
    const seeing *all = arg;
    const m3_event_filter *f = all->f;
    const uint64_t first = (uint64_t)task * M3_TASK_OF, end = first + M3_TASK_OF;
    (void)worker;
    for (uint64_t u = first; u < end && u < f->merged.users; u++) {
        const sequence s = sequence_of(f, (uint32_t)u, INT64_MIN);
        double *to = all->support + f->merged.starts[u];
        for (uint32_t p = 0; p < s.end; p++)
            if (is_deepest(f, &s.events[p]) || is_candidate(&s, p)) to[p] = support_at(f, &s, p);
    }
}

/* Support of training's events: of the deepest behavior, and of those that went no deeper than the shallowest. */
static void list_scores(const seeing *all, scores *deep, scores *shallow)
{
    const m3_event_filter *f = all->f;
    for (uint32_t u = 0; u < f->merged.users; u++) {
        const sequence s = sequence_of(f, u, INT64_MIN);
        const double *of = all->support + f->merged.starts[u];
        for (uint32_t p = 0; p < s.end; p++) {
            if (is_deepest(f, &s.events[p]))
                deep->at[deep->count++] = of[p];
            else if (is_candidate(&s, p))
                shallow->at[shallow->count++] = of[p];
        }
    }
    if (deep->count > 1) qsort(deep->at, deep->count, sizeof *deep->at, rising);
    if (shallow->count > 1) qsort(shallow->at, shallow->count, sizeof *shallow->at, rising);
}

/* The largest score below which events are seldom as genuine as the deepest behavior's are. */
static void choose_threshold(m3_event_filter *f, const scores *deep, const scores *shallow)
{
    f->summary = (m3_event_filter_summary){.judged = shallow->count, .threshold = -1.0};
    for (uint64_t i = 0, d = 0; i < shallow->count && deep->count > 0; i++) {
        while (d < deep->count && deep->at[d] <= shallow->at[i]) d++;
        const bool last = i + 1 == shallow->count || shallow->at[i + 1] > shallow->at[i];
        const double genuine = (double)d / (double)deep->count, all = (double)(i + 1) / (double)shallow->count;
        if (!last || genuine > DISCOVERIES * all) continue;
        f->summary.threshold = shallow->at[i];
        f->summary.left_out = i + 1;
    }
}

/* The verdict for the histories that end where training may look. */
static void judge_events(const seeing *all)
{
    m3_event_filter *f = all->f;
    for (uint32_t u = 0; u < f->merged.users; u++) {
        const sequence s = sequence_of(f, u, INT64_MIN);
        const double *of = all->support + f->merged.starts[u];
        for (uint64_t i = f->starts[u]; i < f->starts[u + 1]; i++) {
            const uint32_t p = f->events[i].place;
            f->events[i].keeps = p < s.end && (!is_candidate(&s, p) || of[p] > f->summary.threshold);
        }
    }
}

static m3_status measure(m3_event_filter *f, m3_pool *pool, m3_error *err)
{
    m3_status st = M3_OK;
    const uint64_t count = f->merged.starts[f->merged.users];
    const char *beside = f->merged.beside;
    seeing all = {f, m3_spill_array(beside, count, sizeof *all.support, &st, err)};
    scores deep = {.at = m3_spill_array(beside, count, sizeof *deep.at, &st, err)};
    scores shallow = {.at = m3_spill_array(beside, count, sizeof *shallow.at, &st, err)};
    if (st == M3_OK) {
        m3_pool_run(pool, (f->merged.users + M3_TASK_OF - 1) / M3_TASK_OF, see_users, &all);
        list_scores(&all, &deep, &shallow);
        choose_threshold(f, &deep, &shallow);
        judge_events(&all);
    }
    m3_spill_free(all.support);
    m3_spill_free(deep.at);
    m3_spill_free(shallow.at);
    return st;
}

static void take_features(m3_event_filter *f, const m3_denoised_options *options, const m3_denoised_features *features)
{
    uint32_t judges = 0;
    f->count = options->modality_count;
    f->features = features;
    for (uint32_t k = 0; k < f->count; k++) judges += !features[k].says_nothing;
    for (uint32_t k = 0; k < f->count; k++) {
        const double variance = features[k].variance > 0.0 ? features[k].variance : 1.0;
        f->scales[k] = 1.0 / (variance * (double)features[k].width * (double)judges);
    }
    for (uint32_t b = 0; b < f->behaviors; b++) f->weight_of[b] = m3_behavior_weight(b, f->behaviors);
}

m3_status m3_event_filter_create(const m3_dataset *set, m3_merged *merged, const m3_denoised_options *options,
                                 const m3_denoised_features *features, m3_event_filter **filter, m3_error *err)
{
    m3_event_filter *f = *filter = m3_calloc(1, sizeof *f);
    if (f == NULL) return M3_FAIL_MEMORY(err, "event filter", sizeof *f);
    f->set = set;
    f->behaviors = m3_dataset_behavior_count(set);
    take_features(f, options, features);
    f->merged = *merged;
    *merged = (m3_merged){0};
    uint64_t shallow = 0;
    for (uint32_t u = 0; u < f->merged.users; u++) shallow += m3_dataset_events(set, u, 0).count;
    m3_status st = M3_OK;
    f->starts = m3_spill_array(f->merged.beside, (uint64_t)f->merged.users + 1, sizeof *f->starts, &st, err);
    f->events = m3_spill_array(f->merged.beside, shallow, sizeof *f->events, &st, err);
    if (st != M3_OK) return st;
    for (uint32_t u = 0; u < f->merged.users; u++) place_events(f, u);
    return measure(f, options->pool, err);
}

void m3_event_filter_free(m3_event_filter *filter)
{
    if (filter == NULL) return;
    m3_merged_fini(&filter->merged);
    m3_spill_free(filter->starts);
    m3_spill_free(filter->events);
    m3_free(filter);
}

m3_event_filter_summary m3_event_filter_summarize(const m3_event_filter *filter)
{
    return filter->summary;
}
