/* stats: counts of one behavior of an opened set. */
#include <stdlib.h>

#include "core/base/alloc.h"
#include "m3bsr/data.h"

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x == y ? 0 : x < y ? -1 : 1;
}

/* The smallest length that at least share of all users do not pass. */
static uint32_t quantile(const uint32_t *sorted, uint32_t count, double fraction)
{
    uint32_t at = (uint32_t)(fraction * count);
    return sorted[at < count ? at : count - 1];
}

static void count_user(m3_behavior_stats *out, m3_events events, uint32_t *seen, uint32_t user)
{
    uint32_t different = 0;
    for (uint32_t i = 0; i < events.count; i++) {
        uint32_t *last = &seen[events.items[i]];
        out->items += *last == 0;
        different += *last != user + 1;
        *last = user + 1;
    }
    if (out->events == 0 || events.times[0] < out->first_time) out->first_time = events.times[0];
    if (out->events == 0 || events.times[events.count - 1] > out->last_time)
        out->last_time = events.times[events.count - 1];
    out->events += events.count;
    out->pairs += different;
    out->users++;
    out->users_3 += different >= 3;
    out->users_5 += different >= 5;
    out->users_10 += different >= 10;
}

m3_status m3_dataset_stats(const m3_dataset *set, uint32_t behavior, m3_behavior_stats *out, m3_error *err)
{
    *out = (m3_behavior_stats){0};
    if (behavior >= m3_dataset_behavior_count(set))
        return M3_FAIL(err, M3_ERR_RANGE, "behavior", "behavior %u of a set that has %u", behavior,
                       m3_dataset_behavior_count(set));
    m3_status st = M3_OK;
    uint32_t users = m3_dataset_user_count(set);
    uint32_t *seen = m3_calloc((size_t)m3_dataset_item_count(set) + 1, sizeof *seen); /* last user with it, + 1 */
    uint32_t *lengths = m3_calloc(users, sizeof *lengths);
    if (seen == NULL || lengths == NULL) {
        st = M3_FAIL_MEMORY(err, "statistics", users * sizeof *lengths);
        goto done;
    }
    for (uint32_t u = 0; u < users; u++) {
        m3_events events = m3_dataset_events(set, u, behavior);
        if (events.count == 0) continue;
        lengths[out->users] = events.count;
        count_user(out, events, seen, u);
    }
    if (out->users == 0) goto done;
    qsort(lengths, out->users, sizeof *lengths, by_size);
    out->length_min = lengths[0];
    out->length_median = quantile(lengths, out->users, 0.5);
    out->length_p90 = quantile(lengths, out->users, 0.9);
    out->length_p99 = quantile(lengths, out->users, 0.99);
    out->length_max = lengths[out->users - 1];
    out->length_mean = (double)out->events / out->users;
done:
    m3_free(seen);
    m3_free(lengths);
    return st;
}
