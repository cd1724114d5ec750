/* event: a stable radix sort. All threads deal the events to buckets of neighbouring users, each its slice, and then
 * take a bucket at a time, which fits into a processor's cache, and sort it digit by digit from the lowest up. */
#include "core/data/event.h"

#include <string.h>

#include "core/base/alloc.h"

enum { BUCKET = 8192, MOST_BUCKETS = 4096, DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, FEW = 24 };

struct sorting {
    m3_event *events, *spare;
    size_t count;
    uint32_t slices, buckets;
    uint32_t shift; /* a user's bucket is its number without so many bits */
    size_t *places; /* [slices][buckets]: how many events the slice has for the bucket, then where they go */
    size_t *starts; /* [buckets + 1] */
};

int m3_event_by_time(const void *a, const void *b)
{
    const m3_event *x = a, *y = b;
    if (x->user != y->user) return x->user < y->user ? -1 : 1;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    return x->line == y->line ? 0 : x->line < y->line ? -1 : 1;
}

static size_t slice_start(const struct sorting *s, uint32_t slice)
{
    return (size_t)((double)s->count / s->slices * slice);
}

static size_t slice_end(const struct sorting *s, uint32_t slice)
{
    return slice + 1 == s->slices ? s->count : slice_start(s, slice + 1);
}

static void count_slice(void *arg, uint32_t slice, uint32_t worker)
{
    const struct sorting *s = arg;
    size_t *places = s->places + (size_t)slice * s->buckets;
    (void)worker;
    for (size_t i = slice_start(s, slice); i < slice_end(s, slice); i++) places[s->events[i].user >> s->shift]++;
}

static void deal_slice(void *arg, uint32_t slice, uint32_t worker)
{
    const struct sorting *s = arg;
    size_t *places = s->places + (size_t)slice * s->buckets;
    (void)worker;
    for (size_t i = slice_start(s, slice); i < slice_end(s, slice); i++)
        s->spare[places[s->events[i].user >> s->shift]++] = s->events[i];
}

/* Bucket by bucket, and in a bucket slice by slice: the order within a bucket stays. */
static void place_slices(struct sorting *s)
{
    size_t at = 0;
    for (uint32_t b = 0; b < s->buckets; b++) {
        s->starts[b] = at;
        for (uint32_t slice = 0; slice < s->slices; slice++) {
            size_t *place = &s->places[(size_t)slice * s->buckets + b];
            const size_t count = *place;
            *place = at;
            at += count;
        }
    }
    s->starts[s->buckets] = at;
}

static void insert(m3_event *events, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const m3_event event = events[i];
        size_t at = i;
        for (; at > 0 && m3_event_by_time(&event, &events[at - 1]) < 0; at--) events[at] = events[at - 1];
        events[at] = event;
    }
}

/* What is sorted by, and from what value on it counts. */
enum field { PART, TIME, USER };

static inline uint64_t value_of(const m3_event *event, enum field field, uint64_t least)
{
    if (field == PART) return event->part;
    return field == TIME ? (uint64_t)event->time - least : event->user - least;
}

/* By one field; the events are in *from before and behind. */
static void sort_by(enum field field, uint64_t least, uint64_t span, size_t count, m3_event **from, m3_event **to)
{
    for (uint32_t shift = 0; shift < 64 && span >> shift != 0; shift += DIGIT_BITS) {
        size_t places[DIGITS] = {0}, at = 0;
        for (size_t i = 0; i < count; i++) places[value_of(&(*from)[i], field, least) >> shift & (DIGITS - 1)]++;
        for (size_t d = 0; d < DIGITS; d++) {
            const size_t of_digit = places[d];
            places[d] = at;
            at += of_digit;
        }
        for (size_t i = 0; i < count; i++)
            (*to)[places[value_of(&(*from)[i], field, least) >> shift & (DIGITS - 1)]++] = (*from)[i];
        m3_event *sorted = *to;
        *to = *from;
        *from = sorted;
    }
}

static void sort_bucket(void *arg, uint32_t bucket, uint32_t worker)
{
    const struct sorting *s = arg;
    const size_t start = s->starts[bucket], count = s->starts[bucket + 1] - start;
    m3_event *from = s->spare + start, *to = s->events + start;
    (void)worker;
    if (count == 0) return;
    int64_t first = from[0].time, last = first;
    uint32_t low = from[0].user, high = low, part = 0;
    for (size_t i = 0; i < count && count > FEW; i++) {
        first = from[i].time < first ? from[i].time : first;
        last = from[i].time > last ? from[i].time : last;
        low = from[i].user < low ? from[i].user : low;
        high = from[i].user > high ? from[i].user : high;
        part |= from[i].part;
    }
    if (count <= FEW) insert(from, count);
    sort_by(PART, 0, part, count, &from, &to);
    sort_by(TIME, (uint64_t)first, (uint64_t)last - (uint64_t)first, count, &from, &to);
    sort_by(USER, low, high - low, count, &from, &to);
    if (from != s->events + start) memcpy(to, from, count * sizeof *to);
}

m3_status m3_events_sort(m3_event *events, m3_event *spare, size_t count, uint32_t users, m3_pool *pool, m3_error *err)
{
    m3_status st = M3_OK;
    const size_t wanted = count / BUCKET + 1 < MOST_BUCKETS ? count / BUCKET + 1 : MOST_BUCKETS;
    struct sorting s = {.events = events, .spare = spare, .count = count, .slices = m3_pool_threads(pool)};
    if (count == 0) return M3_OK;
    while (((users - 1) >> s.shift) + (uint64_t)1 > wanted) s.shift++;
    s.buckets = ((users - 1) >> s.shift) + 1;
    s.places = m3_calloc((size_t)s.slices * s.buckets, sizeof *s.places);
    s.starts = m3_calloc((size_t)s.buckets + 1, sizeof *s.starts);
    if (s.places != NULL && s.starts != NULL) {
        m3_pool_run(pool, s.slices, count_slice, &s);
        place_slices(&s);
        m3_pool_run(pool, s.slices, deal_slice, &s);
        m3_pool_run(pool, s.buckets, sort_bucket, &s);
    } else {
        st = M3_FAIL_MEMORY(err, "events", (uint64_t)s.slices * s.buckets * sizeof *s.places);
    }
    m3_free(s.places);
    m3_free(s.starts);
    return st;
}
