/* rows: what is left to do when all rows are read: their order, and repeats, which lie side by side in it. */
#include "core/data/rows.h"

#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/data/text.h"

/* What an id takes beside its text and its place in the table of names, until the set is written. */
enum { BYTES_A_USER = 48, BYTES_AN_ITEM = 64 };
/* Parts of the memory: what the process has besides, and what events must have at least. */
enum { OWN_PART = 32, NEEDED_PART = 8 };

static const int64_t NEVER = INT64_MIN;

m3_reading m3_reading_resolve(const m3_reading *reading)
{
    m3_reading r = reading != NULL ? *reading : (m3_reading){0};
    if (r.user_column == NULL) r.user_column = "user_id";
    if (r.item_column == NULL) r.item_column = "item_id";
    if (r.behavior_column == NULL) r.behavior_column = "behavior";
    if (r.time_column == NULL) r.time_column = "timestamp";
    if (r.title_column == NULL) r.title_column = "title";
    if (r.category_column == NULL) r.category_column = "category";
    return r;
}

void m3_rows_begin(m3_rows *rows, m3_pool *pool, const char *beside, uint64_t memory, const m3_watch *watch)
{
    rows->memory = memory != 0 ? memory : UINT64_MAX;
    rows->log = (m3_event_log){.pool = pool, .beside = beside, .room = rows->memory, .watch = watch};
}

m3_status m3_rows_make_room(m3_rows *rows, uint64_t other, m3_error *err)
{
    const uint64_t ids = m3_names_bytes(&rows->users) + m3_names_bytes(&rows->items) +
                         rows->last_time_capacity * sizeof *rows->last_time +
                         (uint64_t)BYTES_A_USER * rows->users.count + (uint64_t)BYTES_AN_ITEM * rows->items.count;
    const uint64_t own = rows->memory / OWN_PART, needed = (ids + other) / NEEDED_PART * (NEEDED_PART + 1);
    if (needed > rows->memory - own)
        return M3_FAIL(err, M3_ERR_MEMORY, "memory",
                       "%llu MiB are too little: the ids of %u users and %u items, which have been read so far, take "
                       "%llu MiB and are needed at once, and reading takes %llu MiB; give at least %llu MiB, and more "
                       "if more ids are to come",
                       (unsigned long long)(rows->memory >> 20), rows->users.count, rows->items.count,
                       (unsigned long long)(ids >> 20), (unsigned long long)(other >> 20),
                       (unsigned long long)((needed + needed / (OWN_PART - 1)) >> 20) + 1);
    rows->log.room = rows->memory - own - ids - other;
    return M3_OK;
}

m3_status m3_rows_add(m3_rows *rows, const m3_event *events, size_t count, m3_error *err)
{
    for (size_t i = 0; i < count; i++) rows->counts[events[i].behavior]++;
    return m3_event_log_add(&rows->log, events, count, err);
}

void m3_rows_refine(m3_rows *rows, uint32_t digits)
{
    m3_event_log_scale(&rows->log, digits);
    for (uint32_t u = 0; u < rows->last_time_capacity; u++)
        if (rows->last_time[u] != NEVER) (void)m3_time_scale(&rows->last_time[u], digits);
    (void)m3_time_scale(&rows->latest, digits);
    if (rows->first <= rows->last) {
        (void)m3_time_scale(&rows->first, digits);
        (void)m3_time_scale(&rows->last, digits);
    }
    rows->time_digits += digits;
}

/* Repeats come in the order of users, and are said in that of lines. */

struct repeat {
    m3_event event;
    uint32_t earlier;
};

enum { FIRST_REPEATS = 8, REPEATS_AT_ONCE = 1 << 16 };

struct repeats {
    m3_rows *rows;
    m3_drops *drops;
    const uint32_t *order;
    struct repeat *list; /* those with the lowest lines, rising; of all when all are said, in no order */
    uint32_t count, capacity;
    uint64_t unsaid;
    m3_status st;
    m3_error *err;
};

static int by_line(const void *a, const void *b)
{
    const struct repeat *x = a, *y = b;
    return x->event.line < y->event.line ? -1 : x->event.line > y->event.line;
}

static m3_status say_repeat(const struct repeats *r, const struct repeat *repeat)
{
    const m3_rows *rows = r->rows;
    const m3_event *event = &repeat->event;
    uint32_t file = rows->file_count;
    while (file > 1 && event->line <= rows->files[file - 1].before) file--;
    const uint32_t before = file > 0 ? rows->files[file - 1].before : 0;
    char where[32] = "in the data set";
    if (repeat->earlier > rows->of_set) (void)snprintf(where, sizeof where, "in a file before it");
    if (repeat->earlier > before) (void)snprintf(where, sizeof where, "at line %u", repeat->earlier - before);
    return m3_drops_add(r->drops, M3_DROP_DUPLICATE_EVENT, file > 0 ? rows->files[file - 1].path : "events",
                        event->line - before, r->err, "the '%s' of user '%s' on item '%s' at %lld is already %s",
                        m3_names_at(&rows->behaviors, event->behavior),
                        m3_names_at(&rows->users, r->order[event->user]), m3_names_at(&rows->items, event->item),
                        (long long)event->time, where);
}

static void say_list(struct repeats *r)
{
    qsort(r->list, r->count, sizeof *r->list, by_line);
    for (uint32_t i = 0; r->st == M3_OK && i < r->count; i++) r->st = say_repeat(r, &r->list[i]);
    r->count = 0;
}

static void take_repeat(void *arg, const m3_event *event, uint32_t earlier)
{
    struct repeats *r = arg;
    r->rows->counts[event->behavior]--;
    if (earlier == event->line) return; /* a derived behavior that the behavior column names too */
    const struct repeat repeat = {*event, earlier};
    if (r->drops->say_all && !r->drops->strict) {
        r->list[r->count++] = repeat;
        if (r->count == r->capacity) say_list(r);
        return;
    }
    uint32_t at = r->count;
    for (; at > 0 && event->line < r->list[at - 1].event.line; at--)
        if (at < r->capacity) r->list[at] = r->list[at - 1];
    if (at < r->capacity) r->list[at] = repeat;
    if (r->count < r->capacity)
        r->count++;
    else
        r->unsaid++;
}

m3_status m3_rows_settle(m3_rows *rows, const uint32_t *order, m3_drops *drops, m3_error *err)
{
    m3_status st;
    struct repeats r = {.rows = rows, .drops = drops, .order = order, .err = err};
    r.capacity = drops->say_all && !drops->strict ? REPEATS_AT_ONCE : FIRST_REPEATS;
    uint32_t *rank = m3_calloc(rows->users.count, sizeof *rank);
    m3_free(rows->last_time);
    rows->last_time = NULL;
    rows->last_time_capacity = 0;
    if (rank == NULL || (r.list = m3_calloc(r.capacity, sizeof *r.list)) == NULL) {
        st = M3_FAIL_MEMORY(err, "users", rows->users.count * sizeof *rank);
        goto done;
    }
    for (uint32_t u = 0; u < rows->users.count; u++) rank[order[u]] = u;
    if ((st = m3_rows_make_room(rows, 0, err)) != M3_OK) goto done;
    st = m3_event_log_settle(&rows->log, rank, rows->users.count, take_repeat, &r, err);
    if (st != M3_OK) goto done;
    say_list(&r);
    st = r.st;
    drops->report->dropped[M3_DROP_DUPLICATE_EVENT] += r.unsaid;
done:
    m3_free(rank);
    m3_free(r.list);
    return st;
}

void m3_rows_fini(m3_rows *rows)
{
    m3_names_fini(&rows->users);
    m3_names_fini(&rows->items);
    m3_names_fini(&rows->behaviors);
    m3_event_log_fini(&rows->log);
    m3_free(rows->last_time);
    *rows = (m3_rows){0};
}
