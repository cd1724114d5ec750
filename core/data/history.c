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

void m3_dataset_history(const m3_dataset *set, uint32_t user, int64_t time, uint32_t length, size_t stride,
                        int32_t *ids)
{
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++)
        m3_history_fill(m3_dataset_events(set, user, b), time, length, ids + b * stride);
}
