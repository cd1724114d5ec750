/* set_events: a block of events at a time, in the order of users. Lists by behavior and the items that a user touched
 * do not depend on each other, so two threads take them. */
#include "core/data/set_events.h"

#include <string.h>

#include "core/base/alloc.h"

enum { COLUMN_BYTES = 1 << 16, FEW = 48, AHEAD = 16 /* of the event at hand: what is fetched into the cache */ };

/* A section that grows at its end. */
struct column {
    uint64_t place;
    char *bytes; /* [COLUMN_BYTES] */
    size_t used;
};

/* The columns of a behavior. */
struct lists {
    struct column starts, items, times, parts;
    uint64_t count;
};

struct writing {
    const m3_set_events *e;
    const m3_outfile *out;
    char *bytes; /* of all columns */
    const m3_event *events;
    size_t count;
    /* Lists by behavior, and what is touched; a thread for each. */
    struct {
        m3_status st;
        m3_error err;
        bool begun;
        uint32_t user; /* the rank of the last event's */
    } work[2];
    struct lists lists[M3_MAX_SET_BEHAVIORS], touched;
    uint32_t *seen;         /* [items + 1] the last user with the item, from 1 */
    uint32_t *list, *spare; /* [items] of a user */
    uint32_t listed, users;
};

static void flush(struct writing *w, int work, struct column *c)
{
    if (w->work[work].st != M3_OK) return;
    w->work[work].st = m3_outfile_write_at(w->out, c->bytes, c->used, c->place, &w->work[work].err);
    c->place += c->used;
    c->used = 0;
}

static inline void put(struct writing *w, int work, struct column *c, const void *value, size_t size)
{
    if (c->used + size > COLUMN_BYTES) flush(w, work, c);
    if (w->work[work].st != M3_OK) return;
    memcpy(c->bytes + c->used, value, size);
    c->used += size;
}

static void put_starts(struct writing *w)
{
    for (uint32_t b = 0; b < w->e->behaviors; b++)
        put(w, 0, &w->lists[b].starts, &w->lists[b].count, sizeof w->lists[b].count);
}

static void add_to_lists(struct writing *w)
{
    const m3_set_events *e = w->e;
    for (size_t i = 0; i < w->count; i++) {
        const m3_event *event = &w->events[i];
        if (i + AHEAD < w->count) __builtin_prefetch(&e->item_of[event[AHEAD].item]);
        if (!w->work[0].begun || event->user != w->work[0].user) put_starts(w);
        w->work[0].begun = true;
        w->work[0].user = event->user;
        struct lists *lists = &w->lists[e->behavior_of[event->behavior]];
        const uint8_t part = (uint8_t)event->part;
        put(w, 0, &lists->items, &e->item_of[event->item], sizeof *e->item_of);
        put(w, 0, &lists->times, &event->time, sizeof event->time);
        if (e->given) put(w, 0, &lists->parts, &part, sizeof part);
        lists->count++;
    }
}

/* Few by insertion, many digit by digit. */
static void sort_numbers(uint32_t *list, uint32_t *spare, size_t count)
{
    uint32_t all = 0;
    uint32_t *from = list, *to = spare;
    for (size_t i = 0; i < count && count > FEW; i++) all |= list[i];
    for (uint32_t shift = 0; shift < 32 && all >> shift != 0; shift += 8) {
        size_t places[256] = {0}, at = 0;
        for (size_t i = 0; i < count; i++) places[from[i] >> shift & 255]++;
        for (size_t d = 0; d < 256; d++) {
            const size_t of_digit = places[d];
            places[d] = at;
            at += of_digit;
        }
        for (size_t i = 0; i < count; i++) to[places[from[i] >> shift & 255]++] = from[i];
        uint32_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != list) memcpy(list, from, count * sizeof *list);
    for (size_t i = 1; i < count && count <= FEW; i++) {
        const uint32_t number = list[i];
        size_t at = i;
        for (; at > 0 && number < list[at - 1]; at--) list[at] = list[at - 1];
        list[at] = number;
    }
}

static void end_touched(struct writing *w)
{
    sort_numbers(w->list, w->spare, w->listed);
    for (uint32_t i = 0; i < w->listed; i++) put(w, 1, &w->touched.items, &w->list[i], sizeof *w->list);
    w->touched.count += w->listed;
    w->listed = 0;
}

static void add_to_touched(struct writing *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const m3_event *event = &w->events[i];
        if (i + AHEAD < w->count) __builtin_prefetch(&w->e->item_of[event[AHEAD].item]);
        if (i + AHEAD / 2 < w->count) __builtin_prefetch(&w->seen[w->e->item_of[event[AHEAD / 2].item]], 1);
        if (!w->work[1].begun || event->user != w->work[1].user) {
            end_touched(w);
            put(w, 1, &w->touched.starts, &w->touched.count, sizeof w->touched.count);
            w->users++;
        }
        w->work[1].begun = true;
        w->work[1].user = event->user;
        const uint32_t item = w->e->item_of[event->item];
        if (w->seen[item] == w->users) continue;
        w->seen[item] = w->users;
        w->list[w->listed++] = item;
    }
}

static void add_block(void *arg, uint32_t task, uint32_t worker)
{
    struct writing *w = arg;
    (void)worker;
    if (task == 0)
        add_to_lists(w);
    else
        add_to_touched(w);
}

static m3_status work_status(const struct writing *w, m3_error *err)
{
    for (int i = 0; i < 2; i++) {
        if (w->work[i].st == M3_OK) continue;
        if (err != NULL) *err = w->work[i].err;
        return w->work[i].st;
    }
    return M3_OK;
}

static m3_status take_block(void *arg, const m3_event *events, size_t count, m3_error *err)
{
    struct writing *w = arg;
    w->events = events;
    w->count = count;
    m3_pool_run(w->e->log->pool, 2, add_block, w);
    return work_status(w, err);
}

static void place(struct lists *lists, const m3_set_events_places *places, char **bytes)
{
    struct column *const columns[] = {&lists->starts, &lists->items, &lists->times, &lists->parts};
    const uint64_t at[] = {places->starts, places->items, places->times, places->parts};
    for (int i = 0; i < 4; i++, *bytes += COLUMN_BYTES) *columns[i] = (struct column){.place = at[i], .bytes = *bytes};
}

static void end_lists(struct writing *w, int work, struct lists *lists)
{
    put(w, work, &lists->starts, &lists->count, sizeof lists->count);
    flush(w, work, &lists->starts);
    flush(w, work, &lists->items);
    flush(w, work, &lists->times);
    flush(w, work, &lists->parts);
}

m3_status m3_set_events_write(const m3_set_events *events, const m3_set_events_places *places, const m3_outfile *out,
                              uint64_t *touched, m3_error *err)
{
    m3_status st;
    const uint32_t behaviors = events->behaviors;
    struct writing *w = m3_calloc(1, sizeof *w);
    if (w == NULL) return M3_FAIL_MEMORY(err, "events", sizeof *w);
    w->e = events;
    w->out = out;
    w->bytes = m3_calloc((size_t)behaviors + 1, 4 * (size_t)COLUMN_BYTES);
    w->seen = m3_calloc((size_t)events->items + 1, sizeof *w->seen);
    w->list = m3_calloc(events->items, sizeof *w->list);
    w->spare = m3_calloc(events->items, sizeof *w->spare);
    if (w->bytes == NULL || w->seen == NULL || w->list == NULL || w->spare == NULL) {
        st = M3_FAIL_MEMORY(err, "events", (behaviors + (uint64_t)1) * 4 * COLUMN_BYTES);
        goto done;
    }
    char *bytes = w->bytes;
    for (uint32_t b = 0; b < behaviors; b++) place(&w->lists[b], &places[b], &bytes);
    place(&w->touched, &places[behaviors], &bytes);
    if ((st = m3_event_log_scan(events->log, take_block, w, err)) != M3_OK) goto done;
    end_touched(w);
    for (uint32_t b = 0; b < behaviors; b++) end_lists(w, 0, &w->lists[b]);
    end_lists(w, 1, &w->touched);
    st = work_status(w, err);
    *touched = w->touched.count;
done:
    m3_free(w->bytes);
    m3_free(w->seen);
    m3_free(w->list);
    m3_free(w->spare);
    m3_free(w);
    return st;
}
