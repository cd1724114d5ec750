/* event_log: sorting in runs of what fits into memory, and a pass that merges them. A run is written to where it was
 * read, so the file holds the events once while they are sorted and twice while they are merged. */
#include "core/data/event_log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/data/text.h"

/* In events: of a pass and of a piece of work for a thread; the least of a run and of a run's window. */
enum { BLOCK = 1 << 16, LEAST_RUN = 1 << 10, LEAST_WINDOW = 16, SMALL_GROUP = 16 };

static uint64_t run_events(const m3_event_log *log)
{
    const uint64_t fit = log->room / (2 * sizeof(m3_event)); /* sorting takes as much again */
    return fit > LEAST_RUN ? fit : LEAST_RUN;
}

/* Of a pass. */
static size_t block_events(const m3_event_log *log)
{
    const uint64_t fit = run_events(log) / 2;
    return fit < BLOCK ? (size_t)fit : BLOCK;
}

static m3_status check_watch(const m3_event_log *log, m3_error *err)
{
    return log->watch != NULL ? m3_watch_check(log->watch, log->beside != NULL ? log->beside : "events", err) : M3_OK;
}

static m3_status write_at(const m3_event_log *log, int fd, const m3_event *events, size_t count, uint64_t place,
                          m3_error *err)
{
    return m3_scratch_write(fd, log->beside, events, count * sizeof *events, place * sizeof *events, err);
}

static m3_status read_at(const m3_event_log *log, m3_event *events, size_t count, uint64_t place, m3_error *err)
{
    return m3_scratch_read(log->fd, log->beside, events, count * sizeof *events, place * sizeof *events, err);
}

/* Adding. */

static m3_status write_held(m3_event_log *log, m3_error *err)
{
    const m3_status st = write_at(log, log->fd, log->events, log->held, log->count - log->held, err);
    if (st == M3_OK) log->held = 0;
    return st;
}

static m3_status set_capacity(m3_event_log *log, size_t capacity, m3_error *err)
{
    m3_event *events = m3_realloc(log->events, capacity, sizeof *events);
    if (events == NULL) return M3_FAIL_MEMORY(err, "events", capacity * sizeof *events);
    log->events = events;
    log->capacity = capacity;
    return M3_OK;
}

static m3_status start_file(m3_event_log *log, m3_error *err)
{
    m3_status st = m3_outfile_scratch(log->beside, &log->fd, err);
    if (st != M3_OK) return st;
    log->in_file = true;
    if ((st = write_held(log, err)) != M3_OK) return st;
    return set_capacity(log, block_events(log), err);
}

m3_status m3_event_log_add(m3_event_log *log, const m3_event *events, size_t count, m3_error *err)
{
    m3_status st = M3_OK;
    if (!log->in_file && log->beside != NULL && log->held + count > run_events(log)) st = start_file(log, err);
    while (st == M3_OK && count > 0) {
        if (log->held == log->capacity && log->in_file)
            st = write_held(log, err);
        else if (log->held + count > log->capacity && !log->in_file)
            st = set_capacity(log, 2 * log->capacity > log->held + count ? 2 * log->capacity : log->held + count, err);
        if (st != M3_OK) break;
        const size_t left = log->capacity - log->held, part = count < left ? count : left;
        memcpy(log->events + log->held, events, part * sizeof *events);
        log->held += part;
        log->count += part;
        events += part;
        count -= part;
    }
    return st;
}

void m3_event_log_scale(m3_event_log *log, uint32_t digits)
{
    if (log->count == 0 || log->mark_count == M3_EVENT_LOG_MARKS) return; /* times have 18 digits at most */
    log->marks[log->mark_count].before = log->count;
    log->marks[log->mark_count++].digits = digits;
}

/* Sorting. */

struct translating {
    const m3_event_log *log;
    m3_event *events;
    size_t count;
    uint64_t place; /* of the first in the log */
    const uint32_t *rank;
};

static void translate_block(void *arg, uint32_t block, uint32_t worker)
{
    const struct translating *t = arg;
    const size_t from = (size_t)block * BLOCK, to = t->count - from < BLOCK ? t->count : from + BLOCK;
    (void)worker;
    for (size_t i = from; i < to; i++) t->events[i].user = t->rank[t->events[i].user];
    for (uint32_t m = 0; m < t->log->mark_count; m++)
        for (size_t i = from; i < to && t->place + i < t->log->marks[m].before; i++)
            (void)m3_time_scale(&t->events[i].time, t->log->marks[m].digits);
}

static m3_status sort_run(m3_event_log *log, m3_event *events, m3_event *spare, size_t count, uint64_t place,
                          const uint32_t *rank, uint32_t users, m3_error *err)
{
    struct translating t = {log, events, count, place, rank};
    const m3_status st = check_watch(log, err);
    if (st != M3_OK) return st;
    m3_pool_run(log->pool, (uint32_t)((count + BLOCK - 1) / BLOCK), translate_block, &t);
    return m3_events_sort(events, spare, count, users, log->pool, err);
}

static m3_status sort_all(m3_event_log *log, const uint32_t *rank, uint32_t users, m3_error *err)
{
    m3_status st = log->in_file ? write_held(log, err) : M3_OK;
    log->run = log->in_file ? run_events(log) : log->count;
    if (log->run > log->count) log->run = log->count;
    m3_event *spare = st == M3_OK ? m3_calloc(log->run, sizeof *spare) : NULL;
    if (st == M3_OK && spare == NULL) st = M3_FAIL_MEMORY(err, "events", log->run * sizeof *spare);
    if (st == M3_OK && log->in_file) st = set_capacity(log, log->run, err);
    for (uint64_t at = 0; st == M3_OK && at < log->count; at += log->run) {
        const size_t count = log->count - at < log->run ? (size_t)(log->count - at) : (size_t)log->run;
        if (log->in_file && (st = read_at(log, log->events, count, at, err)) != M3_OK) break;
        if ((st = sort_run(log, log->events, spare, count, at, rank, users, err)) != M3_OK) break;
        if (log->in_file) st = write_at(log, log->fd, log->events, count, at, err);
    }
    m3_free(spare);
    return st;
}

/* Repeats, which are all at one time of one user. */

struct repeats {
    m3_repeat_fn fn;
    void *arg;
};

static bool same_event(const m3_event *a, const m3_event *b)
{
    return a->item == b->item && a->behavior == b->behavior;
}

static bool same_moment(const m3_event *a, const m3_event *b)
{
    return a->user == b->user && a->time == b->time;
}

static size_t drop_few(m3_event *group, size_t count, const struct repeats *repeats)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const m3_event event = group[i];
        size_t same = 0;
        while (same < kept && !same_event(&group[same], &event)) same++;
        if (same == kept) {
            group[kept++] = event;
        } else if (group[same].line <= event.line) {
            repeats->fn(repeats->arg, &event, group[same].line);
        } else { /* of a later part, but first in the source */
            repeats->fn(repeats->arg, &group[same], event.line);
            memmove(&group[same], &group[same + 1], (kept - same - 1) * sizeof *group);
            group[kept - 1] = event;
        }
    }
    return kept;
}

struct indexed {
    m3_event event;
    size_t at;
};

static int by_content(const void *a, const void *b)
{
    const struct indexed *x = a, *y = b;
    if (x->event.item != y->event.item) return x->event.item < y->event.item ? -1 : 1;
    if (x->event.behavior != y->event.behavior) return x->event.behavior < y->event.behavior ? -1 : 1;
    if (x->event.line != y->event.line) return x->event.line < y->event.line ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static m3_status drop_many(m3_event *group, size_t *count, const struct repeats *repeats, m3_error *err)
{
    struct indexed *list = m3_calloc(*count, sizeof *list);
    bool *repeated = m3_calloc(*count, sizeof *repeated);
    m3_status st = M3_OK;
    if (list != NULL && repeated != NULL) {
        size_t kept = 0;
        for (size_t i = 0; i < *count; i++) list[i] = (struct indexed){group[i], i};
        qsort(list, *count, sizeof *list, by_content);
        for (size_t i = 1, first = 0; i < *count; i++) {
            if (!same_event(&list[first].event, &list[i].event)) {
                first = i;
                continue;
            }
            repeated[list[i].at] = true;
            repeats->fn(repeats->arg, &list[i].event, list[first].event.line);
        }
        for (size_t i = 0; i < *count; i++)
            if (!repeated[i]) group[kept++] = group[i];
        *count = kept;
    } else {
        st = M3_FAIL_MEMORY(err, "events of one time", *count * sizeof *list);
    }
    m3_free(list);
    m3_free(repeated);
    return st;
}

/* Without repeats, in place. @param count  In: of the group; out: of those that stay. */
static m3_status drop_repeats(m3_event *group, size_t *count, const struct repeats *repeats, m3_error *err)
{
    if (*count > SMALL_GROUP) return drop_many(group, count, repeats, err);
    *count = drop_few(group, *count, repeats);
    return M3_OK;
}

static m3_status drop_held(m3_event_log *log, const struct repeats *repeats, m3_error *err)
{
    m3_status st = M3_OK;
    size_t kept = 0;
    for (size_t from = 0, to; from < log->held; from = to) {
        for (to = from + 1; to < log->held && same_moment(&log->events[from], &log->events[to]);) to++;
        size_t count = to - from;
        if (count > 1 && (st = drop_repeats(log->events + from, &count, repeats, err)) != M3_OK) return st;
        if (kept != from) memmove(log->events + kept, log->events + from, count * sizeof *log->events);
        kept += count;
    }
    log->held = kept;
    log->count = kept;
    return st;
}

/* Merging. */

struct run {
    m3_event *window;
    const m3_event *at, *end; /* in the window */
    uint64_t next, last;      /* places in the file: behind the window, and behind the run */
};

struct merging {
    m3_event_log *log;
    struct run *runs;
    uint32_t run_count;
    uint32_t *heap; /* [heap_count] runs, the one with the first event on top */
    uint32_t heap_count;
    m3_event *windows;
    size_t window; /* events of each */
    m3_event *group;
    size_t grouped, group_capacity;
    m3_event *out; /* [out_capacity] */
    size_t out_count, out_capacity;
    uint64_t written;
    int fd;
};

static m3_status fill_window(const struct merging *m, struct run *run, m3_error *err)
{
    const uint64_t left = run->last - run->next;
    const size_t count = left < m->window ? (size_t)left : m->window;
    const m3_status st = read_at(m->log, run->window, count, run->next, err);
    run->at = run->window;
    run->end = run->window + count;
    run->next += count;
    return st;
}

/* A run's lines come before those of runs behind it, so it goes first where all else is equal. */
static bool comes_first(const struct merging *m, uint32_t a, uint32_t b)
{
    const int order = m3_event_by_time(m->runs[a].at, m->runs[b].at);
    return order != 0 ? order < 0 : a < b;
}

static void sink(struct merging *m, uint32_t at)
{
    for (;;) {
        uint32_t first = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < m->heap_count; child++)
            if (comes_first(m, m->heap[child], m->heap[first])) first = child;
        if (first == at) return;
        const uint32_t run = m->heap[at];
        m->heap[at] = m->heap[first];
        m->heap[first] = run;
        at = first;
    }
}

static m3_status flush_out(struct merging *m, m3_error *err)
{
    m3_status st = check_watch(m->log, err);
    if (st == M3_OK) st = write_at(m->log, m->fd, m->out, m->out_count, m->written, err);
    m->written += m->out_count;
    m->out_count = 0;
    return st;
}

static m3_status end_group(struct merging *m, const struct repeats *repeats, m3_error *err)
{
    m3_status st = M3_OK;
    if (m->grouped > 1) st = drop_repeats(m->group, &m->grouped, repeats, err);
    for (size_t i = 0; st == M3_OK && i < m->grouped; i++) {
        m->out[m->out_count++] = m->group[i];
        if (m->out_count == m->out_capacity) st = flush_out(m, err);
    }
    m->grouped = 0;
    return st;
}

static m3_status take_first(struct merging *m, const struct repeats *repeats, m3_error *err)
{
    m3_status st = M3_OK;
    struct run *run = &m->runs[m->heap[0]];
    const m3_event *event = run->at;
    if (m->grouped > 0 && !same_moment(&m->group[0], event) && (st = end_group(m, repeats, err)) != M3_OK) return st;
    if (m->grouped == m->group_capacity) {
        const size_t capacity = 2 * m->group_capacity;
        m3_event *group = m3_realloc(m->group, capacity, sizeof *group);
        if (group == NULL) return M3_FAIL_MEMORY(err, "events of one time", capacity * sizeof *group);
        m->group = group;
        m->group_capacity = capacity;
    }
    m->group[m->grouped++] = *event;
    if (++run->at == run->end) {
        if (run->next < run->last)
            st = fill_window(m, run, err);
        else
            m->heap[0] = m->heap[--m->heap_count];
    }
    sink(m, 0);
    return st;
}

static m3_status start_merge(struct merging *m, m3_error *err)
{
    m3_event_log *log = m->log;
    m3_status st;
    const uint64_t fit = run_events(log) * 2 / (m->run_count + (uint64_t)1);
    m->window = fit > BLOCK ? BLOCK : fit < LEAST_WINDOW ? LEAST_WINDOW : (size_t)fit;
    m->out_capacity = m->window;
    m->group_capacity = SMALL_GROUP;
    m->runs = m3_calloc(m->run_count, sizeof *m->runs);
    m->heap = m3_calloc(m->run_count, sizeof *m->heap);
    m->windows = m3_calloc(m->run_count * m->window, sizeof *m->windows);
    m->group = m3_calloc(m->group_capacity, sizeof *m->group);
    m->out = m3_calloc(m->out_capacity, sizeof *m->out);
    if (m->runs == NULL || m->heap == NULL || m->windows == NULL || m->group == NULL || m->out == NULL)
        return M3_FAIL_MEMORY(err, "events", (m->run_count + 1) * m->window * sizeof *m->out);
    if ((st = m3_outfile_scratch(log->beside, &m->fd, err)) != M3_OK) return st;
    for (uint32_t r = 0; r < m->run_count; r++) {
        const uint64_t from = r * log->run, left = log->count - from;
        m->runs[r] = (struct run){
            .window = m->windows + r * m->window, .next = from, .last = from + (left < log->run ? left : log->run)};
        if ((st = fill_window(m, &m->runs[r], err)) != M3_OK) return st;
        m->heap[m->heap_count++] = r;
    }
    for (uint32_t at = m->heap_count / 2 + 1; at-- > 0;) sink(m, at);
    return M3_OK;
}

static m3_status merge_runs(m3_event_log *log, const struct repeats *repeats, m3_error *err)
{
    struct merging m = {.log = log, .fd = -1, .run_count = (uint32_t)((log->count + log->run - 1) / log->run)};
    m3_status st;
    m3_free(log->events);
    log->events = NULL;
    log->capacity = 0;
    st = start_merge(&m, err);
    while (st == M3_OK && m.heap_count > 0) st = take_first(&m, repeats, err);
    if (st == M3_OK) st = end_group(&m, repeats, err);
    if (st == M3_OK) st = flush_out(&m, err);
    if (st == M3_OK) {
        (void)close(log->fd);
        log->fd = m.fd;
        m.fd = -1;
        log->count = m.written;
    }
    if (m.fd >= 0) (void)close(m.fd);
    m3_free(m.runs);
    m3_free(m.heap);
    m3_free(m.windows);
    m3_free(m.group);
    m3_free(m.out);
    return st;
}

m3_status m3_event_log_settle(m3_event_log *log, const uint32_t *rank, uint32_t users, m3_repeat_fn repeat, void *arg,
                              m3_error *err)
{
    const struct repeats repeats = {repeat, arg};
    if (log->count == 0) return M3_OK;
    const m3_status st = sort_all(log, rank, users, err);
    log->mark_count = 0;
    if (st != M3_OK) return st;
    return log->in_file ? merge_runs(log, &repeats, err) : drop_held(log, &repeats, err);
}

/* Passes. */

m3_status m3_event_log_scan(m3_event_log *log, m3_events_fn fn, void *arg, m3_error *err)
{
    m3_status st = M3_OK;
    const size_t block = block_events(log);
    if (log->in_file && log->capacity < block && (st = set_capacity(log, block, err)) != M3_OK) return st;
    for (uint64_t at = 0; st == M3_OK && at < log->count; at += block) {
        const size_t count = log->count - at < block ? (size_t)(log->count - at) : block;
        if ((st = check_watch(log, err)) != M3_OK) break;
        if (log->in_file && (st = read_at(log, log->events, count, at, err)) != M3_OK) break;
        st = fn(arg, log->in_file ? log->events : log->events + at, count, err);
    }
    return st;
}

m3_status m3_event_log_keep(m3_event_log *log, m3_events_keep_fn fn, void *arg, m3_error *err)
{
    m3_status st = M3_OK;
    const size_t block = block_events(log);
    uint64_t kept = 0;
    if (log->in_file && log->capacity < block && (st = set_capacity(log, block, err)) != M3_OK) return st;
    for (uint64_t at = 0; st == M3_OK && at < log->count; at += block) {
        const size_t count = log->count - at < block ? (size_t)(log->count - at) : block;
        m3_event *events = log->in_file ? log->events : log->events + at;
        if ((st = check_watch(log, err)) != M3_OK) break;
        if (log->in_file && (st = read_at(log, events, count, at, err)) != M3_OK) break;
        const size_t stay = fn(arg, events, count);
        if (!log->in_file && kept != at)
            memmove(log->events + kept, events, stay * sizeof *events);
        else if (log->in_file && (kept != at || stay != count))
            st = write_at(log, log->fd, events, stay, kept, err);
        kept += stay;
    }
    if (st != M3_OK) return st;
    log->count = kept;
    if (!log->in_file) log->held = (size_t)kept;
    return M3_OK;
}

void m3_event_log_fini(m3_event_log *log)
{
    if (log->in_file) (void)close(log->fd);
    m3_free(log->events);
    *log = (m3_event_log){0};
}
