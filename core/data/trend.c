/* trend: recent popularity. The training events of all users and behaviors are numbered from 0 by time; ties by user,
 * behavior and place. Events are the clock: it runs as fast at night as by day, and in seconds as in milliseconds.
 *   c_j(k) = sum over events e < k S of item j of 2^((e - k S) / H);  z_j(k) = ln(1 + c_j(k) / 0.1)
 * A moment before which n events lie reads row k = floor(n / S), so that no event of that moment or later counts. Rows
 * are made once; S is such that there are at most ROWS of them, and no more than about FLOATS numbers. */
#include "core/data/trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/history.h"
#include "core/data/split.h"

enum { ROWS = 1024, FEWEST_ROWS = 16, FLOATS = 1 << 26 };
static const double FLOOR = 0.1;

typedef struct event {
    int64_t time;
    uint64_t place;
    uint32_t item;
} event;

struct m3_trend {
    uint32_t items;
    uint64_t count, step; /* events; S */
    int64_t *times;       /* [count] */
    float *rows;          /* [count / step + 1, N] */
};

static int by_time(const void *a, const void *b)
{
    const event *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The training events by user, behavior and place, into `to` unless it is NULL; returns how many. */
static uint64_t list(const m3_dataset *set, const m3_split *split, event *to)
{
    uint64_t count = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) {
        for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
            const m3_events events = m3_dataset_events(set, u, b);
            const uint32_t before = m3_events_before(events, m3_split_until(split, u));
            for (uint32_t i = 0; i < before; i++, count++)
                if (to != NULL) to[count] = (event){events.times[i], count, events.items[i]};
        }
    }
    return count;
}

static void read_row(const double *sums, uint32_t items, float *row)
{
    for (uint32_t j = 0; j < items; j++) row[j] = (float)log(1.0 + sums[j] / FLOOR);
}

/* Row after row: what is left of the sums of the row before, and the events since. */
static void fill(m3_trend *t, const event *events, double half_life, double *sums)
{
    const double kept = exp2(-(double)t->step / half_life);
    read_row(sums, t->items, t->rows);
    for (uint64_t k = 1; k <= t->count / t->step; k++) {
        const uint64_t end = k * t->step;
        for (uint32_t j = 0; j < t->items; j++) sums[j] *= kept;
        for (uint64_t e = end - t->step; e < end; e++) sums[events[e].item - 1] += exp2(-(double)(end - e) / half_life);
        read_row(sums, t->items, t->rows + k * t->items);
    }
}

static uint64_t rows_but_first(uint64_t items)
{
    const uint64_t fit = FLOATS / (items + 1);
    return fit > ROWS ? ROWS : fit < FEWEST_ROWS ? FEWEST_ROWS : fit;
}

uint64_t m3_trend_rows(uint64_t events, uint64_t items)
{
    const uint64_t most = rows_but_first(items);
    return 1 + (events < most ? events : most);
}

m3_status m3_trend_create(const m3_dataset *set, const m3_split *split, double half_life, m3_trend **out, m3_error *err)
{
    m3_status st = M3_OK;
    event *events = NULL;
    double *sums = NULL;
    m3_trend *t = *out = NULL;
    const uint32_t items = m3_dataset_item_count(set);
    const uint64_t count = list(set, split, NULL), rows = rows_but_first(items);
    const uint64_t step = count < rows ? 1 : (count + rows - 1) / rows, floats = (count / step + 1) * items;
    const char *beside = m3_split_beside(split);
    if ((t = m3_calloc(1, sizeof *t)) == NULL) return M3_FAIL_MEMORY(err, "trend", sizeof *t);
    t->times = m3_spill_array(beside, count, sizeof *t->times, &st, err);
    t->rows = m3_spill_array(beside, floats, sizeof *t->rows, &st, err);
    events = m3_spill_array(beside, count, sizeof *events, &st, err);
    sums = m3_spill_array(beside, items, sizeof *sums, &st, err);
    if (st != M3_OK) goto done;
    t->items = items;
    t->count = count;
    t->step = step;
    (void)list(set, split, events);
    if (count > 0) qsort(events, count, sizeof *events, by_time);
    for (uint64_t e = 0; e < count; e++) t->times[e] = events[e].time;
    fill(t, events, half_life, sums);
    m3_spill_rest(t->times);
    m3_spill_rest(t->rows);
    *out = t;
    t = NULL; /* the caller owns it now */
done:
    m3_spill_free(events);
    m3_spill_free(sums);
    m3_trend_free(t);
    return st;
}

void m3_trend_free(m3_trend *trend)
{
    if (trend == NULL) return;
    m3_spill_free(trend->times);
    m3_spill_free(trend->rows);
    m3_free(trend);
}

const float *m3_trend_at(const m3_trend *trend, int64_t time)
{
    uint64_t low = 0, high = trend->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (trend->times[middle] < time)
            low = middle + 1;
        else
            high = middle;
    }
    return trend->rows + low / trend->step * trend->items;
}
