/* split: which target events are training, validation and test (MODEL.md 2), by the rule that the set keeps.
 *   first(u) = a user's target events, oldest first, without repeated items, unless the rule keeps those.
 *   last   |first(u)| > 2n: the last n are test, the n before them validation, the rest train; else all train
 *   at     those from the second point in time on are test, others from the first one on validation, the rest train
 *   given  as the source said of each event; import has seen that a user's parts follow each other in time
 * Since first(u) is kept as a list, "what the user had before sample p" is its first p entries. What training sees of a
 * user ends before the first of the user's samples that is held out, or before the point in time for all. */
#include "core/data/split.h"

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/history.h"

struct m3_split {
    char *beside; /* NULL: in memory */
    m3_split_rule rule;
    uint32_t users, target;
    uint64_t *starts;   /* [U + 1] places in first */
    uint32_t *first;    /* items */
    m3_sample *samples; /* train, then valid, then test */
    uint64_t from[M3_SPLIT_COUNT + 1];
    uint32_t *counts; /* [N + 1] */
    int64_t *until;   /* [U] */
};

/* What is known of the entries of first while they are listed. */
typedef struct listing {
    uint32_t *seen;   /* [N + 1] the last user that had each item, + 1 */
    int64_t *times;   /* of the entries */
    uint32_t *places; /* among the user's target events */
    uint8_t *parts;   /* m3_split_part */
} listing;

static uint64_t max_events(const m3_dataset *set, uint32_t target)
{
    uint64_t count = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) count += m3_dataset_events(set, u, target).count;
    return count;
}

static m3_split_part part_by_time(const m3_split_rule *rule, int64_t time)
{
    if (time < rule->valid_from) return M3_SPLIT_TRAIN;
    return time < rule->test_from ? M3_SPLIT_VALID : M3_SPLIT_TEST;
}

static m3_split_part part_by_place(const m3_split_rule *rule, uint64_t position, uint64_t count)
{
    const uint64_t n = rule->last;
    if (count <= 2 * n || position + 2 * n < count) return M3_SPLIT_TRAIN;
    return position + n < count ? M3_SPLIT_VALID : M3_SPLIT_TEST;
}

/* In range, unless something writes to the set's file. */
static m3_split_part part_as_given(uint8_t part)
{
    return part < M3_SPLIT_COUNT ? (m3_split_part)part : M3_SPLIT_TEST;
}

static void list_first(m3_split *split, const m3_dataset *set, listing *l)
{
    uint64_t at = 0;
    const m3_split_rule *rule = &split->rule;
    for (uint32_t u = 0; u < split->users; u++) {
        const m3_events events = m3_dataset_events(set, u, split->target);
        const uint64_t start = split->starts[u] = at;
        for (uint32_t i = 0; i < events.count; i++) {
            const uint32_t item = events.items[i];
            if (!rule->repeats && l->seen[item] == u + 1) continue;
            l->seen[item] = u + 1;
            split->first[at] = item;
            l->times[at] = events.times[i];
            l->places[at++] = i;
        }
        const uint8_t *given = m3_dataset_event_parts(set, u, split->target);
        for (uint64_t e = start; e < at; e++)
            l->parts[e] = (uint8_t)(rule->kind == M3_SPLIT_AT ? part_by_time(rule, l->times[e])
                                    : given != NULL           ? part_as_given(given[l->places[e]])
                                                              : part_by_place(rule, e - start, at - start));
    }
    split->starts[split->users] = at;
}

static void list_samples(m3_split *split, const listing *l)
{
    uint64_t sizes[M3_SPLIT_COUNT] = {0}, at[M3_SPLIT_COUNT];
    const uint64_t entries = split->starts[split->users];
    for (uint64_t e = 0; e < entries; e++) sizes[l->parts[e]]++;
    for (int part = 0; part < M3_SPLIT_COUNT; part++) {
        at[part] = split->from[part];
        split->from[part + 1] = split->from[part] + sizes[part];
    }
    for (uint32_t u = 0; u < split->users; u++)
        for (uint64_t e = split->starts[u]; e < split->starts[u + 1]; e++) {
            const m3_split_part part = (m3_split_part)l->parts[e];
            split->samples[at[part]++] =
                (m3_sample){l->times[e], u, split->first[e], (uint32_t)(e - split->starts[u]), part};
        }
}

static uint32_t events_of_training(const uint8_t *parts, uint32_t count)
{
    uint32_t end = 0;
    while (end < count && (parts == NULL || parts[end] == M3_SPLIT_TRAIN)) end++;
    return end;
}

/* The time of a user's first event that is held out, in whatever behavior. */
static int64_t first_held(const m3_dataset *set, uint32_t user)
{
    int64_t first = M3_TIME_END;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        const m3_events events = m3_dataset_events(set, user, b);
        const uint32_t end = events_of_training(m3_dataset_event_parts(set, user, b), events.count);
        if (end < events.count && events.times[end] < first) first = events.times[end];
    }
    return first;
}

/* Where a user's training ends: in time, and among the target events, of which those before the place train. */
static uint32_t end_training(m3_split *split, const m3_dataset *set, const listing *l, m3_events events, uint32_t user)
{
    uint64_t e = split->starts[user];
    if (split->rule.kind == M3_SPLIT_GIVEN) {
        split->until[user] = first_held(set, user);
        return events_of_training(m3_dataset_event_parts(set, user, split->target), events.count);
    }
    if (split->rule.kind == M3_SPLIT_AT) {
        split->until[user] = split->rule.valid_from;
        return m3_events_before(events, split->until[user]);
    }
    while (e < split->starts[user + 1] && l->parts[e] == M3_SPLIT_TRAIN) e++;
    const bool held = e < split->starts[user + 1];
    split->until[user] = held ? l->times[e] : M3_TIME_END;
    return held ? l->places[e] : events.count;
}

static void count_training(m3_split *split, const m3_dataset *set, const listing *l)
{
    for (uint32_t u = 0; u < split->users; u++) {
        const m3_events events = m3_dataset_events(set, u, split->target);
        const uint32_t end = end_training(split, set, l, events, u);
        for (uint32_t i = 0; i < end; i++) split->counts[events.items[i]]++;
    }
}

/* Room for all, at most. */
static m3_status allocate(m3_split *split, listing *l, size_t users, size_t items, uint64_t events, m3_error *err)
{
    m3_status st = M3_OK;
    const char *beside = split->beside;
    split->starts = m3_spill_array(beside, users + 1, sizeof *split->starts, &st, err);
    split->first = m3_spill_array(beside, events, sizeof *split->first, &st, err);
    split->samples = m3_spill_array(beside, events, sizeof *split->samples, &st, err);
    split->counts = m3_spill_array(beside, items, sizeof *split->counts, &st, err);
    split->until = m3_spill_array(beside, users, sizeof *split->until, &st, err);
    l->seen = m3_spill_array(beside, items, sizeof *l->seen, &st, err);
    l->times = m3_spill_array(beside, events, sizeof *l->times, &st, err);
    l->places = m3_spill_array(beside, events, sizeof *l->places, &st, err);
    l->parts = m3_spill_array(beside, events, sizeof *l->parts, &st, err);
    return st;
}

m3_status m3_split_create(const m3_dataset *set, uint32_t target, const char *beside, m3_split **out, m3_error *err)
{
    m3_status st = M3_OK;
    m3_split *split = *out = NULL;
    listing l = {0};
    if (target >= m3_dataset_behavior_count(set))
        return M3_FAIL(err, M3_ERR_RANGE, "target", "behavior %u of a set that has %u", target,
                       m3_dataset_behavior_count(set));
    size_t users = m3_dataset_user_count(set), items = (size_t)m3_dataset_item_count(set) + 1;
    const uint64_t events = max_events(set, target);
    if ((split = m3_calloc(1, sizeof *split)) == NULL ||
        (beside != NULL && (split->beside = m3_strdup(beside)) == NULL)) {
        st = M3_FAIL_MEMORY(err, "split", sizeof *split);
        goto done;
    }
    if ((st = allocate(split, &l, users, items, events, err)) != M3_OK) goto done;
    split->rule = m3_dataset_split_rule(set);
    split->users = (uint32_t)users;
    split->target = target;
    list_first(split, set, &l);
    list_samples(split, &l);
    count_training(split, set, &l);
    *out = split;
    split = NULL; /* the caller owns it now */
done:
    m3_spill_free(l.parts);
    m3_spill_free(l.places);
    m3_spill_free(l.times);
    m3_spill_free(l.seen);
    m3_split_free(split);
    return st;
}

m3_status m3_dataset_split(const m3_dataset *set, uint32_t target, m3_split **split, m3_error *err)
{
    return m3_split_create(set, target, NULL, split, err);
}

void m3_split_free(m3_split *split)
{
    if (split == NULL) return;
    m3_spill_free(split->starts);
    m3_spill_free(split->first);
    m3_spill_free(split->samples);
    m3_spill_free(split->counts);
    m3_spill_free(split->until);
    m3_free(split->beside);
    m3_free(split);
}

const char *m3_split_beside(const m3_split *split)
{
    return split->beside;
}

uint32_t m3_split_target(const m3_split *split)
{
    return split->target;
}

const m3_sample *m3_split_samples(const m3_split *split, m3_split_part part, uint64_t *count)
{
    if ((unsigned)part >= M3_SPLIT_COUNT) {
        *count = 0;
        return NULL;
    }
    *count = split->from[part + 1] - split->from[part];
    return split->samples + split->from[part];
}

const uint32_t *m3_split_item_counts(const m3_split *split)
{
    return split->counts;
}

int64_t m3_split_until(const m3_split *split, uint32_t user)
{
    return user < split->users ? split->until[user] : M3_TIME_END;
}

m3_items m3_split_had(const m3_split *split, uint32_t user)
{
    if (user >= split->users) return (m3_items){0};
    uint64_t from = split->starts[user];
    return (m3_items){(uint32_t)(split->starts[user + 1] - from), split->first + from};
}

m3_items m3_split_had_before(const m3_split *split, const m3_sample *sample)
{
    m3_items had = m3_split_had(split, sample->user);
    if (split->rule.repeats)
        had.count = 0; /* any item may be next, whoever had it */
    else if (sample->position < had.count)
        had.count = sample->position;
    return had;
}
