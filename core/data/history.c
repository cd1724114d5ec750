/* history: ids[L - 1] is the newest item before the time, ids[L - 2] the one before it, …, 0 where there is none. */
#include "core/data/history.h"

uint32_t m3_events_before(m3_events events, int64_t time)
{
    uint32_t low = 0, high = events.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (events.times[middle] < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void m3_history_fill(m3_events events, int64_t time, uint32_t length, int32_t *ids)
{
    uint32_t before = m3_events_before(events, time);
    uint32_t taken = before < length ? before : length, padding = length - taken;
    for (uint32_t i = 0; i < padding; i++) ids[i] = 0;
    for (uint32_t i = 0; i < taken; i++) ids[padding + i] = (int32_t)events.items[before - taken + i];
}

/* The filter, unless it would leave nothing at all: a history of few events is better than none. */
static const m3_event_filter *unless_empty(const m3_event_filter *filter, const m3_dataset *set, uint32_t user,
                                           int64_t time)
{
    if (filter == NULL) return NULL;
    for (uint32_t b = 1; b < m3_dataset_behavior_count(set); b++)
        if (m3_events_before(m3_dataset_events(set, user, b), time) > 0) return filter;
    for (uint32_t i = m3_events_before(m3_dataset_events(set, user, 0), time); i-- > 0;)
        if (m3_event_filter_keeps(filter, user, i, time)) return filter;
    return NULL;
}

uint32_t m3_history_places(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                           uint32_t behavior, uint32_t length, uint32_t *places)
{
    uint32_t count = 0;
    if (behavior == 0) filter = unless_empty(filter, set, user, time);
    for (uint32_t i = m3_events_before(m3_dataset_events(set, user, behavior), time); i-- > 0 && count < length;)
        if (filter == NULL || behavior > 0 || m3_event_filter_keeps(filter, user, i, time))
            places[length - ++count] = i;
    return count;
}

uint32_t m3_history_count(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                          uint32_t behavior, uint32_t length)
{
    uint32_t count = 0, before = m3_events_before(m3_dataset_events(set, user, behavior), time);
    if (behavior == 0) filter = unless_empty(filter, set, user, time);
    if (behavior > 0 || filter == NULL) return before < length ? before : length;
    while (before-- > 0 && count < length) count += m3_event_filter_keeps(filter, user, before, time);
    return count;
}

void m3_history_filtered(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                         uint32_t length, size_t stride, int32_t *ids)
{
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        int32_t *to = ids + b * stride;
        const m3_events events = m3_dataset_events(set, user, b);
        const uint32_t first = length - m3_history_places(filter, set, user, time, b, length, (uint32_t *)to);
        for (uint32_t i = 0; i < length; i++) to[i] = i < first ? 0 : (int32_t)events.items[(uint32_t)to[i]];
    }
}

void m3_dataset_history(const m3_dataset *set, uint32_t user, int64_t time, uint32_t length, size_t stride,
                        int32_t *ids)
{
    m3_history_filtered(NULL, set, user, time, length, stride, ids);
}
