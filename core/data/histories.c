/* histories: users from a file against an opened set's items and behaviors. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/history.h"
#include "core/data/rows.h"
#include "core/data/text.h"

struct m3_histories {
    m3_names users; /* numbered by rising id */
    uint32_t behaviors;
    uint64_t *starts; /* [B][U + 1] places in items and times */
    uint32_t *items;
    int64_t *times;
};

/* From the numbers of the file to those of the set; unknown ones are UINT32_MAX. */
static m3_status map_names(const m3_dataset *set, const m3_names *names,
                           bool (*find)(const m3_dataset *, const char *, uint32_t *), uint32_t **map, m3_error *err)
{
    *map = m3_calloc(names->count, sizeof **map);
    if (*map == NULL) return M3_FAIL_MEMORY(err, "histories", names->count * sizeof **map);
    for (uint32_t i = 0; i < names->count; i++)
        if (!find(set, m3_names_at(names, i), &(*map)[i])) (*map)[i] = UINT32_MAX;
    return M3_OK;
}

static int by_line(const void *a, const void *b)
{
    const m3_event *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Translate the events whose item and behavior the set has, and drop the others. All are in memory. */
static m3_status translate(m3_rows *rows, const m3_dataset *set, const char *path, m3_drops *drops, m3_error *err)
{
    m3_status st;
    m3_event_log *log = &rows->log;
    uint32_t *items = NULL, *behaviors = NULL;
    if ((st = map_names(set, &rows->items, m3_dataset_find_item, &items, err)) != M3_OK) goto done;
    if ((st = map_names(set, &rows->behaviors, m3_dataset_find_behavior, &behaviors, err)) != M3_OK) goto done;
    if (log->count > 0) qsort(log->events, log->count, sizeof *log->events, by_line); /* messages in the file's order */
    size_t kept = 0;
    for (size_t i = 0; i < log->count && st == M3_OK; i++) {
        m3_event event = log->events[i];
        if (items[event.item] == UINT32_MAX) {
            st = m3_drops_add(drops, M3_DROP_UNKNOWN_ITEM, path, event.line, err, "the set has no item '%s'",
                              m3_names_at(&rows->items, event.item));
        } else if (behaviors[event.behavior] == UINT32_MAX) {
            st = m3_drops_add(drops, M3_DROP_UNKNOWN_BEHAVIOR, path, event.line, err, "the set has no behavior '%s'",
                              m3_names_at(&rows->behaviors, event.behavior));
        } else {
            event.item = items[event.item];
            event.behavior = (uint16_t)behaviors[event.behavior];
            log->events[kept++] = event;
        }
    }
    log->count = log->held = kept;
done:
    m3_free(items);
    m3_free(behaviors);
    return st;
}

/* Times of the set and of the histories are compared. In larger units lines still break ties. */
static void change_units(m3_rows *rows, uint32_t digits)
{
    for (size_t i = 0; i < rows->log.count; i++) {
        int64_t *time = &rows->log.events[i].time;
        if (digits >= rows->time_digits) (void)m3_time_scale(time, digits - rows->time_digits);
        for (uint32_t d = digits; d < rows->time_digits; d++) *time = *time / 10 - (*time % 10 < 0);
    }
}

/* The users of the rows by rising id, which the histories number so. */
static m3_status order_users(m3_histories *h, m3_rows *rows, m3_drops *drops, m3_error *err)
{
    uint32_t *order, count, number;
    m3_status st = m3_names_sort(&rows->users, NULL, &order, &count, err);
    for (uint32_t i = 0; i < count && st == M3_OK; i++) {
        const char *id = m3_names_at(&rows->users, order[i]);
        st = m3_names_add(&h->users, id, strlen(id), &number, NULL, err);
    }
    if (st == M3_OK) st = m3_rows_settle(rows, order, drops, err);
    m3_free(order);
    return st;
}

static m3_status fill(m3_histories *h, m3_rows *rows, m3_error *err)
{
    size_t users = h->users.count, lists = h->behaviors * (users + 1);
    h->starts = m3_calloc(lists, sizeof *h->starts);
    h->items = m3_calloc(rows->log.count, sizeof *h->items);
    h->times = m3_calloc(rows->log.count, sizeof *h->times);
    if (h->starts == NULL || h->items == NULL || h->times == NULL)
        return M3_FAIL_MEMORY(err, "histories", rows->log.count * sizeof *h->times);
    if (rows->log.count > 0) qsort(rows->log.events, rows->log.count, sizeof *rows->log.events, m3_event_by_time);
    uint64_t at = 0;
    for (uint32_t b = 0; b < h->behaviors; b++) {
        uint64_t *starts = h->starts + b * (users + 1);
        size_t user = 0;
        starts[0] = at;
        for (size_t i = 0; i < rows->log.count; i++) {
            const m3_event *event = &rows->log.events[i];
            if (event->behavior != b) continue;
            while (user < event->user) starts[++user] = at;
            h->items[at] = event->item;
            h->times[at++] = event->time;
        }
        while (user < users) starts[++user] = at;
    }
    return M3_OK;
}

m3_status m3_histories_read(const m3_dataset *set, const char *path, const m3_reading *reading, m3_histories **out,
                            m3_import_report *report, m3_error *err)
{
    m3_status st;
    m3_histories *h = *out = NULL;
    m3_import_report own = {0};
    m3_reading how = m3_reading_resolve(reading);
    m3_drops drops = {
        .report = &own, .strict = how.strict, .say_all = how.say_all, .log = how.log, .log_user = how.log_user};
    m3_rows rows = {.time_unit = m3_dataset_time_unit(set)};
    m3_pool *pool = NULL;
    if ((st = m3_pool_create(1, &pool, err)) != M3_OK) return st;
    m3_rows_begin(&rows, pool, NULL, 0, NULL);
    if ((h = m3_calloc(1, sizeof *h)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, sizeof *h);
        goto done;
    }
    h->behaviors = m3_dataset_behavior_count(set);
    const char *sole = h->behaviors == 1 ? m3_dataset_behavior_name(set, 0) : NULL;
    if ((st = m3_rows_read(&rows, path, &how, sole, &drops, err)) != M3_OK) goto done;
    if ((st = order_users(h, &rows, &drops, err)) != M3_OK) goto done;
    change_units(&rows, m3_dataset_time_digits(set));
    if ((st = translate(&rows, set, path, &drops, err)) != M3_OK) goto done;
    own.events = rows.log.count;
    if (h->users.count == 0) {
        char text[512];
        m3_drops_summary(&own, text, sizeof text);
        st = M3_FAIL(err, M3_ERR_INVALID, path, "has no user in %llu rows: %s", (unsigned long long)own.rows, text);
        goto done;
    }
    if ((st = fill(h, &rows, err)) != M3_OK) goto done;
    *out = h;
    h = NULL; /* the caller owns it now */
done:
    if (report != NULL) *report = own;
    m3_rows_fini(&rows);
    m3_pool_free(pool);
    m3_histories_free(h);
    return st;
}

void m3_histories_free(m3_histories *histories)
{
    if (histories == NULL) return;
    m3_names_fini(&histories->users);
    m3_free(histories->starts);
    m3_free(histories->items);
    m3_free(histories->times);
    m3_free(histories);
}

uint32_t m3_histories_user_count(const m3_histories *histories)
{
    return histories->users.count;
}

const char *m3_histories_user_id(const m3_histories *histories, uint32_t user)
{
    return user < histories->users.count ? m3_names_at(&histories->users, user) : "";
}

bool m3_histories_find_user(const m3_histories *histories, const char *id, uint32_t *found)
{
    return m3_names_find(&histories->users, id, strlen(id), found);
}

m3_events m3_histories_events(const m3_histories *histories, uint32_t user, uint32_t behavior)
{
    if (user >= histories->users.count || behavior >= histories->behaviors) return (m3_events){0};
    const uint64_t *starts = histories->starts + behavior * ((size_t)histories->users.count + 1);
    uint64_t from = starts[user];
    return (m3_events){(uint32_t)(starts[user + 1] - from), histories->items + from, histories->times + from};
}

void m3_histories_fill(const m3_histories *histories, uint32_t user, int64_t time, uint32_t length, size_t stride,
                       int32_t *ids)
{
    for (uint32_t b = 0; b < histories->behaviors; b++)
        m3_history_fill(m3_histories_events(histories, user, b), time, length, ids + b * stride);
}

/* The items of the shallowest behavior that stay, newest at the end. */
static void fill_kept(m3_events events, const uint8_t *keeps, uint32_t length, int32_t *ids)
{
    uint32_t to = length;
    for (uint32_t i = events.count; i-- > 0 && to > 0;)
        if (keeps[i]) ids[--to] = (int32_t)events.items[i];
    while (to > 0) ids[--to] = 0;
}

m3_status m3_histories_filtered(const m3_event_filter *filter, const m3_histories *histories, uint32_t user,
                                uint32_t length, size_t stride, int32_t *ids, m3_error *err)
{
    m3_events lists[M3_MAX_BEHAVIORS] = {0};
    m3_histories_fill(histories, user, M3_TIME_END, length, stride, ids);
    if (filter == NULL) return M3_OK;
    for (uint32_t b = 0; b < histories->behaviors && b < M3_MAX_BEHAVIORS; b++)
        lists[b] = m3_histories_events(histories, user, b);
    uint8_t *keeps = m3_calloc(lists[0].count, 1);
    if (keeps == NULL) return M3_FAIL_MEMORY(err, "events that stay", lists[0].count);
    m3_status st = m3_event_filter_judge(filter, lists, keeps, err);
    bool left = memchr(keeps, 1, lists[0].count) != NULL;
    for (uint32_t b = 1; b < histories->behaviors && b < M3_MAX_BEHAVIORS; b++) left = left || lists[b].count > 0;
    if (st == M3_OK && left) fill_kept(lists[0], keeps, length, ids);
    m3_free(keeps);
    return st;
}
