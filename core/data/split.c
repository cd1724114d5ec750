/* split: leave-one-out by time (MODEL.md 2). first(u) = a user's target events, oldest first, without repeated items;
 *   |first(u)| >= 3: the last is test, the one before it validation, the rest train; else all train.
 * Since first(u) is kept as a list, "what the user had before sample p" is its first p entries. */
#include "core/base/alloc.h"
#include "m3bsr/data.h"

enum { FEWEST_TO_HOLD_OUT = 3 };

struct m3_split {
    uint32_t users, target;
    uint64_t *starts;   /* [U + 1] places in first */
    uint32_t *first;    /* items */
    m3_sample *samples; /* train, then valid, then test */
    uint64_t from[M3_SPLIT_COUNT + 1];
    uint32_t *counts; /* [N + 1] */
};

static uint64_t max_events(const m3_dataset *set, uint32_t target)
{
    uint64_t count = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) count += m3_dataset_events(set, u, target).count;
    return count;
}

/* seen [N + 1], zeros: the last user that had each item, + 1. times: those of the entries of first. */
static void list_first(m3_split *split, const m3_dataset *set, uint32_t *seen, int64_t *times)
{
    uint64_t at = 0;
    for (uint32_t u = 0; u < split->users; u++) {
        m3_events events = m3_dataset_events(set, u, split->target);
        split->starts[u] = at;
        for (uint32_t i = 0; i < events.count; i++) {
            if (seen[events.items[i]] == u + 1) continue;
            seen[events.items[i]] = u + 1;
            split->first[at] = events.items[i];
            times[at++] = events.times[i];
        }
    }
    split->starts[split->users] = at;
}

static m3_split_part part_of(uint32_t position, uint32_t count)
{
    if (count < FEWEST_TO_HOLD_OUT || position + 2 < count) return M3_SPLIT_TRAIN;
    return position + 1 == count ? M3_SPLIT_TEST : M3_SPLIT_VALID;
}

static void list_samples(m3_split *split, const int64_t *times)
{
    uint64_t sizes[M3_SPLIT_COUNT] = {0}, at[M3_SPLIT_COUNT];
    for (uint32_t u = 0; u < split->users; u++) {
        uint32_t count = m3_split_had(split, u).count;
        for (uint32_t p = 0; p < count; p++) sizes[part_of(p, count)]++;
    }
    for (int part = 0; part < M3_SPLIT_COUNT; part++) {
        at[part] = split->from[part];
        split->from[part + 1] = split->from[part] + sizes[part];
    }
    for (uint32_t u = 0; u < split->users; u++) {
        m3_items had = m3_split_had(split, u);
        for (uint32_t p = 0; p < had.count; p++) {
            m3_split_part part = part_of(p, had.count);
            split->samples[at[part]++] = (m3_sample){times[split->starts[u] + p], u, had.items[p], p, part};
        }
    }
}

static void count_training(m3_split *split, const m3_dataset *set)
{
    for (uint32_t u = 0; u < split->users; u++) {
        m3_events events = m3_dataset_events(set, u, split->target);
        m3_items had = m3_split_had(split, u);
        bool held = had.count >= FEWEST_TO_HOLD_OUT;
        for (uint32_t i = 0; i < events.count; i++)
            if (!held || (events.items[i] != had.items[had.count - 1] && events.items[i] != had.items[had.count - 2]))
                split->counts[events.items[i]]++;
    }
}

m3_status m3_dataset_split(const m3_dataset *set, uint32_t target, m3_split **out, m3_error *err)
{
    m3_status st = M3_OK;
    m3_split *split = *out = NULL;
    uint32_t *seen = NULL;
    int64_t *times = NULL;
    if (target >= m3_dataset_behavior_count(set))
        return M3_FAIL(err, M3_ERR_RANGE, "target", "behavior %u of a set that has %u", target,
                       m3_dataset_behavior_count(set));
    size_t users = m3_dataset_user_count(set), items = (size_t)m3_dataset_item_count(set) + 1;
    uint64_t events = max_events(set, target);
    if ((split = m3_calloc(1, sizeof *split)) == NULL ||
        (split->starts = m3_calloc(users + 1, sizeof *split->starts)) == NULL ||
        (split->first = m3_calloc(events, sizeof *split->first)) == NULL ||
        (split->samples = m3_calloc(events, sizeof *split->samples)) == NULL ||
        (split->counts = m3_calloc(items, sizeof *split->counts)) == NULL ||
        (seen = m3_calloc(items, sizeof *seen)) == NULL || (times = m3_calloc(events, sizeof *times)) == NULL) {
        st = M3_FAIL_MEMORY(err, "split", events * sizeof *split->samples);
        goto done;
    }
    split->users = (uint32_t)users;
    split->target = target;
    list_first(split, set, seen, times);
    list_samples(split, times);
    count_training(split, set);
    *out = split;
    split = NULL; /* the caller owns it now */
done:
    m3_free(times);
    m3_free(seen);
    m3_split_free(split);
    return st;
}

void m3_split_free(m3_split *split)
{
    if (split == NULL) return;
    m3_free(split->starts);
    m3_free(split->first);
    m3_free(split->samples);
    m3_free(split->counts);
    m3_free(split);
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

m3_items m3_split_had(const m3_split *split, uint32_t user)
{
    if (user >= split->users) return (m3_items){0};
    uint64_t from = split->starts[user];
    return (m3_items){(uint32_t)(split->starts[user + 1] - from), split->first + from};
}

m3_items m3_split_had_before(const m3_split *split, const m3_sample *sample)
{
    m3_items had = m3_split_had(split, sample->user);
    if (sample->position < had.count) had.count = sample->position;
    return had;
}
