/* drops: the counts of a report, and their words. */
#include "core/data/drops.h"

#include <string.h>

#include "core/base/alloc.h"

enum { EXAMPLES = 3 };

typedef struct m3_held_drop {
    m3_drop reason;
    uint64_t line;
    char *text;
} m3_held_drop;

static const struct {
    const char *name, *meaning;
} reasons[] = {
    [M3_DROP_FIELDS] = {"fields", "have a wrong number of fields or broken quotes"},
    [M3_DROP_ID] = {"id", "have an id that is empty, too long or has control characters"},
    [M3_DROP_NUMBER] = {"number", "have no number where one is needed"},
    [M3_DROP_ENCODING] = {"encoding", "are not UTF-8"},
    [M3_DROP_DUPLICATE_EVENT] = {"duplicate_event", "repeat an earlier event"},
    [M3_DROP_DUPLICATE_ITEM] = {"duplicate_item", "repeat an item of the items file"},
    [M3_DROP_DUPLICATE_FEATURE] = {"duplicate_feature", "repeat an item of a feature matrix"},
    [M3_DROP_NOT_FINITE] = {"not_finite", "are feature rows with NaN or infinity"},
    [M3_DROP_BEHAVIOR] = {"behavior", "have a behavior that is not wanted, or none"},
    [M3_DROP_CORE] = {"core", "are events that the k-core filter removed"},
    [M3_DROP_UNUSED_ITEM] = {"unused_item", "are items without events"},
    [M3_DROP_UNUSED_FEATURE] = {"unused_feature", "are feature rows of items without events"},
    [M3_DROP_UNKNOWN_ITEM] = {"unknown_item", "have an item that is not in the set"},
    [M3_DROP_UNKNOWN_BEHAVIOR] = {"unknown_behavior", "have a behavior that is not in the set"},
};

const char *m3_drop_name(uint32_t reason)
{
    return reason < sizeof reasons / sizeof reasons[0] ? reasons[reason].name : NULL;
}

const char *m3_drop_meaning(uint32_t reason)
{
    return reason < sizeof reasons / sizeof reasons[0] ? reasons[reason].meaning : NULL;
}

m3_status m3_watch_check(const m3_watch *watch, const char *path, m3_error *err)
{
    if (watch->stop == NULL || *watch->stop == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INTERRUPTED, path, "the import was stopped; nothing was written");
}

m3_status m3_watch_tell(const m3_watch *watch, const m3_import_progress *progress, m3_error *err)
{
    if (watch->progress != NULL) watch->progress(watch->progress_user, progress);
    return m3_watch_check(watch, progress->path, err);
}

m3_status m3_watch_row(const m3_watch *watch, const m3_table *table, uint64_t rows, m3_error *err)
{
    if (rows % M3_WATCH_ROWS != 0) return M3_OK;
    m3_import_progress progress = {.path = m3_table_path(table), .rows = rows};
    m3_table_position(table, &progress.done, &progress.bytes);
    return m3_watch_tell(watch, &progress, err);
}

static void say_drop(m3_drops *drops, m3_drop reason, const char *path, uint64_t line, const char *text)
{
    if (drops->said[reason]++ < EXAMPLES || drops->say_all)
        m3_drops_say(drops, M3_LOG_WARN, "%s:%llu: %s; dropped", path, (unsigned long long)line, text);
    else if (drops->said[reason] == EXAMPLES + 1)
        m3_drops_say(drops, M3_LOG_WARN, "%s:%llu: one more of these; the rest is only counted", path,
                     (unsigned long long)line);
}

static m3_status hold(m3_drops *drops, m3_drop reason, uint64_t line, const char *text, m3_error *err)
{
    m3_held_drops *held = drops->held;
    drops->said[reason]++;
    if (held->count == held->capacity) {
        const size_t capacity = held->capacity == 0 ? 16 : 2 * held->capacity;
        m3_held_drop *list = m3_realloc(held->list, capacity, sizeof *list);
        if (list == NULL) return M3_FAIL_MEMORY(err, "messages", capacity * sizeof *list);
        held->list = list;
        held->capacity = capacity;
    }
    char *copy = m3_strdup(text);
    if (copy == NULL) return M3_FAIL_MEMORY(err, "messages", strlen(text) + 1);
    held->list[held->count++] = (m3_held_drop){reason, line, copy};
    return M3_OK;
}

void m3_drops_say_held(m3_drops *drops, m3_held_drops *held, const char *path)
{
    for (size_t i = 0; i < held->count; i++) {
        say_drop(drops, held->list[i].reason, path, held->list[i].line, held->list[i].text);
        m3_free(held->list[i].text);
    }
    held->count = 0;
}

void m3_held_drops_fini(m3_held_drops *held)
{
    for (size_t i = 0; i < held->count; i++) m3_free(held->list[i].text);
    m3_free(held->list);
    *held = (m3_held_drops){0};
}

m3_status m3_drops_add(m3_drops *drops, m3_drop reason, const char *path, uint64_t line, m3_error *err,
                       const char *format, ...)
{
    drops->report->dropped[reason]++;
    if (!drops->strict && (drops->log == NULL || (drops->said[reason] > EXAMPLES && !drops->say_all))) return M3_OK;
    char text[512], subject[M3_ERROR_SUBJECT];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (drops->strict) {
        (void)snprintf(subject, sizeof subject, "%s:%llu", path, (unsigned long long)line);
        return m3_error_set(err, M3_ERR_INVALID, path, line > INT32_MAX ? INT32_MAX : (int)line, subject,
                            "%s; mend it, or leave out strict to drop it", text);
    }
    if (drops->held != NULL) return hold(drops, reason, line, text, err);
    say_drop(drops, reason, path, line, text);
    return M3_OK;
}

m3_status m3_drops_add_row(m3_drops *drops, const m3_table *table, const m3_row *row, m3_error *err)
{
    char text[256];
    m3_table_defect(table, row, text, sizeof text);
    return m3_drops_add(drops, M3_DROP_FIELDS, m3_table_path(table), row->line, err, "%s", text);
}

void m3_drops_count(m3_drops *drops, m3_drop reason)
{
    drops->report->dropped[reason]++;
}

void m3_drops_say(const m3_drops *drops, m3_log_level level, const char *format, ...)
{
    if (drops->log == NULL) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    drops->log(drops->log_user, level, line);
}

void m3_drops_say_separator(const m3_drops *drops, const m3_table *table)
{
    char name[32];
    if (m3_table_unusual(table, name, sizeof name))
        m3_drops_say(drops, M3_LOG_INFO, "%s: its fields are separated by %s", m3_table_path(table), name);
}

void m3_drops_summary(const m3_import_report *report, char *text, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < M3_DROP_REASONS && used < size; i++) {
        if (report->dropped[i] == 0 || m3_drop_meaning(i) == NULL) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%llu %s", used == 0 ? "" : ", ",
                                 (unsigned long long)report->dropped[i], m3_drop_meaning(i));
    }
    if (used == 0) (void)snprintf(text, size, "nothing was dropped");
}
