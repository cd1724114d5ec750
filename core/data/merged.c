/* merged: the events of all behaviors of a user in one sequence, by time, then item. */
#include "core/data/merged.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/split.h"

static int by_time(const void *a, const void *b)
{
    const m3_merged_event *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return x->behavior < y->behavior ? -1 : x->behavior > y->behavior;
}

uint32_t m3_merge_events(const m3_events *lists, uint32_t behaviors, m3_merged_event *to)
{
    uint32_t all = 0, kept = 0;
    for (uint32_t b = 0; b < behaviors; b++)
        for (uint32_t i = 0; i < lists[b].count; i++)
            to[all++] = (m3_merged_event){lists[b].times[i], lists[b].items[i], b};
    if (all > 1) qsort(to, all, sizeof *to, by_time);
    for (uint32_t i = 0; i < all; i++) {
        const bool again = kept > 0 && to[kept - 1].time == to[i].time && to[kept - 1].item == to[i].item;
        to[again ? kept - 1 : kept++] = to[i]; /* the later one is deeper */
    }
    return kept;
}

uint32_t m3_merged_place(const m3_merged_event *events, uint32_t count, int64_t time, uint32_t item)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const m3_merged_event *e = &events[middle];
        if (e->time < time || (e->time == time && e->item < item))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t m3_merged_before(const m3_merged_event *events, uint32_t count, int64_t time)
{
    return m3_merged_place(events, count, time, 0); /* items count from 1 */
}

double m3_behavior_weight(uint32_t behavior, uint32_t behaviors)
{
    return behaviors > 1 ? pow(10.0, (double)behavior / (double)(behaviors - 1)) : 1.0;
}

m3_status m3_merged_create(const m3_dataset *set, const m3_split *split, m3_merged *merged, m3_error *err)
{
    const uint32_t behaviors = m3_dataset_behavior_count(set), users = m3_dataset_user_count(set);
    const uint64_t events = m3_dataset_event_count(set);
    const char *beside = merged->beside = m3_split_beside(split);
    m3_status st = M3_OK;
    merged->users = users;
    merged->starts = m3_spill_array(beside, (uint64_t)users + 1, sizeof *merged->starts, &st, err);
    merged->events = m3_spill_array(beside, events, sizeof *merged->events, &st, err);
    merged->until = m3_spill_array(beside, users, sizeof *merged->until, &st, err);
    if (st != M3_OK) return st;
    m3_events *lists = m3_calloc(behaviors, sizeof *lists);
    if (lists == NULL) return M3_FAIL_MEMORY(err, "merged events", behaviors * sizeof *lists);
    for (uint32_t u = 0; u < users; u++) {
        merged->until[u] = m3_split_until(split, u);
        for (uint32_t b = 0; b < behaviors; b++) lists[b] = m3_dataset_events(set, u, b);
        merged->starts[u + 1] =
            merged->starts[u] + m3_merge_events(lists, behaviors, merged->events + merged->starts[u]);
    }
    m3_free(lists);
    return M3_OK;
}

void m3_merged_fini(m3_merged *merged)
{
    m3_spill_free(merged->starts);
    m3_spill_free(merged->events);
    m3_spill_free(merged->until);
    *merged = (m3_merged){0};
}
