/* rows: one pass over an interactions file.
 *   row (user, item, behavior, time, numbers) -> one event for its behavior and each derived one that holds */
#include "core/data/rows.h"

#include <string.h>

#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/data/clock.h"
#include "core/data/table.h"

static const uint32_t NO_COLUMN = UINT32_MAX;
static const int64_t NEVER = INT64_MIN;

enum compare { ALWAYS, AT_LEAST, ABOVE, AT_MOST, BELOW, EQUAL, UNEQUAL };

struct rule {
    uint32_t behavior, column;
    enum compare compare;
    double number;
};

struct reader {
    m3_rows *rows;
    m3_drops *drops;
    m3_table *table;
    uint32_t user, item, behavior, time; /* columns; time: NO_COLUMN where the order of the rows is the time */
    uint32_t split;                      /* or NO_COLUMN */
    uint32_t last;                       /* the highest line of an event */
    m3_clock clock;
    int64_t begin; /* the time before the first row, where their order is the time */
    struct rule *rules;
    uint32_t rule_count;
    uint32_t sole;    /* behavior of every row, or NO_COLUMN */
    uint64_t literal; /* rows */
};

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

static bool holds(const struct rule *rule, double value)
{
    switch (rule->compare) {
    case ALWAYS: return true;
    case AT_LEAST: return value >= rule->number;
    case ABOVE: return value > rule->number;
    case AT_MOST: return value <= rule->number;
    case BELOW: return value < rule->number;
    case EQUAL: return value == rule->number;
    case UNEQUAL: return value != rule->number;
    }
    return false;
}

static m3_status find_behavior(m3_rows *rows, m3_field name, uint32_t *number, const m3_table *table, m3_error *err)
{
    m3_status st = m3_names_add(&rows->behaviors, name.text, name.size, number, NULL, err);
    if (st == M3_OK && rows->behaviors.count > M3_MAX_SET_BEHAVIORS)
        return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table),
                       "has more than %d behaviors, '%.*s' among them; name the right column with --behavior-column",
                       M3_MAX_SET_BEHAVIORS, M3_FIELD_ARGS(name));
    return st;
}

/* "NAME=COLUMN>=NUMBER" or "NAME=*" */
static m3_status parse_rule(struct reader *r, const char *text, struct rule *rule, m3_error *err)
{
    static const struct {
        const char *sign;
        enum compare compare;
    } signs[] = {{">=", AT_LEAST}, {"<=", AT_MOST}, {"==", EQUAL}, {"!=", UNEQUAL},
                 {">", ABOVE},     {"<", BELOW},    {"=", EQUAL}};
    m3_status st;
    const char *column = strchr(text, '=');
    m3_field name = {text, column != NULL ? (size_t)(column - text) : 0};
    if (name.size == 0 || name.size > M3_ID_BYTES || !m3_field_is_utf8(name) || m3_field_has_control(name)) goto bad;
    column++;
    if ((st = find_behavior(r->rows, name, &rule->behavior, r->table, err)) != M3_OK) return st;
    rule->column = NO_COLUMN;
    rule->compare = ALWAYS;
    if (strcmp(column, "*") == 0) return M3_OK;
    size_t size = strcspn(column, "<>=!");
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t width = strlen(signs[i].sign);
        if (size == 0 || strncmp(column + size, signs[i].sign, width) != 0) continue;
        const char *number = column + size + width;
        if (!m3_field_number((m3_field){number, strlen(number)}, &rule->number)) goto bad;
        rule->compare = signs[i].compare;
        char *column_name = m3_strfmt("%.*s", (int)size, column);
        if (column_name == NULL) return M3_FAIL_MEMORY(err, text, size + 1);
        st = m3_table_need(r->table, column_name, "--derive", &rule->column, err);
        m3_free(column_name);
        return st;
    }
bad:
    return M3_FAIL(err, M3_ERR_INVALID, "derive",
                   "'%s' is no rule; give BEHAVIOR=COLUMN>=NUMBER (or >, <=, <, ==, !=), or BEHAVIOR=*", text);
}

static m3_status say_columns(const struct reader *r, const m3_reading *reading, m3_error *err)
{
    char list[512];
    uint32_t *used = m3_calloc((size_t)r->rule_count + 5, sizeof *used);
    if (used == NULL) return M3_FAIL_MEMORY(err, "derive", (r->rule_count + 5) * sizeof *used);
    used[0] = r->user;
    used[1] = r->item;
    used[2] = r->behavior;
    used[3] = r->time;
    used[4] = r->split;
    for (uint32_t i = 0; i < r->rule_count; i++) used[i + 5] = r->rules[i].column;
    m3_table_list(r->table, used, r->rule_count + 5, list, sizeof list);
    m3_free(used);
    if (list[0] != '\0') m3_drops_say(r->drops, M3_LOG_INFO, "%s: columns not used: %s", m3_table_path(r->table), list);
    if (r->time == NO_COLUMN)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: the order of its rows is the time, so none repeats another",
                     m3_table_path(r->table));
    if (r->sole != NO_COLUMN && reading->behavior_column[0] != '\0')
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: no column '%s', so every row is one event of the behavior '%s'",
                     m3_table_path(r->table), reading->behavior_column, m3_names_at(&r->rows->behaviors, r->sole));
    return M3_OK;
}

static m3_status bind_columns(struct reader *r, const m3_reading *reading, const char *sole_behavior, m3_error *err)
{
    m3_status st;
    r->behavior = r->sole = r->time = r->split = NO_COLUMN;
    if ((st = m3_table_need(r->table, reading->user_column, "--user-column", &r->user, err)) != M3_OK ||
        (st = m3_table_need(r->table, reading->item_column, "--item-column", &r->item, err)) != M3_OK ||
        (reading->time_column[0] != '\0' &&
         (st = m3_table_need(r->table, reading->time_column, "--time-column", &r->time, err)) != M3_OK) ||
        (reading->split_column != NULL &&
         (st = m3_table_need(r->table, reading->split_column, "--split-column", &r->split, err)) != M3_OK))
        return st;
    bool named = reading->behavior_column[0] != '\0' && strcmp(reading->behavior_column, "behavior") != 0;
    bool found = false;
    if ((st = m3_table_seek(r->table, reading->behavior_column, &r->behavior, &found, err)) != M3_OK) return st;
    if (!found && (named || (reading->derive_count == 0 && sole_behavior == NULL)))
        return m3_table_need(r->table, reading->behavior_column, "--behavior-column or derive it with --derive",
                             &r->behavior, err);
    r->rules = m3_calloc(reading->derive_count, sizeof *r->rules);
    if (r->rules == NULL) return M3_FAIL_MEMORY(err, "derive", reading->derive_count * sizeof *r->rules);
    for (; r->rule_count < reading->derive_count; r->rule_count++)
        if ((st = parse_rule(r, reading->derive[r->rule_count], &r->rules[r->rule_count], err)) != M3_OK) return st;
    if (!found && r->rule_count == 0) {
        m3_field name = {sole_behavior, strlen(sole_behavior)};
        if ((st = find_behavior(r->rows, name, &r->sole, r->table, err)) != M3_OK) return st;
    }
    return say_columns(r, reading, err);
}

static size_t event_slot(const m3_rows *rows, const m3_event *event)
{
    struct {
        int64_t time;
        uint32_t user, item, behavior, zero;
    } key = {event->time, event->user, event->item, event->behavior, 0};
    size_t mask = rows->slot_count - 1;
    size_t at = (size_t)XXH3_64bits(&key, sizeof key) & mask;
    for (; rows->slots[at] != 0; at = (at + 1) & mask) {
        const m3_event *other = &rows->events[rows->slots[at] - 1];
        if (other->time == event->time && other->user == event->user && other->item == event->item &&
            other->behavior == event->behavior)
            break;
    }
    return at;
}

static void fill_slots(m3_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) rows->slots[event_slot(rows, &rows->events[i])] = (uint32_t)i + 1;
}

/* Smaller units, as far as what is there fits in them. */
static void refine_times(m3_rows *rows, uint32_t wanted)
{
    uint32_t digits = wanted < M3_TIME_DIGITS ? wanted : M3_TIME_DIGITS;
    for (; digits > rows->time_digits; digits--) {
        int64_t latest = rows->latest;
        if (m3_time_scale(&latest, digits - rows->time_digits)) break;
    }
    const uint32_t more = digits > rows->time_digits ? digits - rows->time_digits : 0;
    if (more == 0) return;
    for (size_t i = 0; i < rows->count; i++) (void)m3_time_scale(&rows->events[i].time, more);
    for (uint32_t u = 0; u < rows->last_time_capacity; u++)
        if (rows->last_time[u] != NEVER) (void)m3_time_scale(&rows->last_time[u], more);
    (void)m3_time_scale(&rows->latest, more);
    rows->time_digits = digits;
    if (rows->slot_count == 0) return;
    memset(rows->slots, 0, rows->slot_count * sizeof *rows->slots);
    fill_slots(rows);
}

static m3_status make_room(m3_rows *rows, m3_error *err)
{
    if (rows->count >= UINT32_MAX / 4)
        return M3_FAIL(err, M3_ERR_RANGE, "interactions", "more than %u events", UINT32_MAX / 4);
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 256 : rows->capacity * 2;
        m3_event *events = m3_realloc(rows->events, capacity, sizeof *events);
        if (events == NULL) return M3_FAIL_MEMORY(err, "events", capacity * sizeof *events);
        rows->events = events;
        rows->capacity = capacity;
    }
    if (rows->count >= rows->slot_count / 2) {
        size_t slot_count = rows->slot_count == 0 ? 512 : rows->slot_count * 2;
        uint32_t *slots = m3_calloc(slot_count, sizeof *slots);
        if (slots == NULL) return M3_FAIL_MEMORY(err, "events", slot_count * sizeof *slots);
        m3_free(rows->slots);
        rows->slots = slots;
        rows->slot_count = slot_count;
        fill_slots(rows);
    }
    return M3_OK;
}

m3_status m3_rows_add(m3_rows *rows, const m3_event *event, uint32_t *earlier, m3_error *err)
{
    m3_status st = make_room(rows, err);
    if (st != M3_OK) return st;
    size_t slot = event_slot(rows, event);
    *earlier = rows->slots[slot] == 0 ? 0 : rows->events[rows->slots[slot] - 1].line;
    if (*earlier != 0) return M3_OK;
    rows->events[rows->count] = *event;
    rows->slots[slot] = (uint32_t)++rows->count;
    return M3_OK;
}

static m3_status add_event(struct reader *r, const m3_event *event, m3_error *err)
{
    const m3_rows *rows = r->rows;
    uint32_t earlier;
    m3_status st = m3_rows_add(r->rows, event, &earlier, err);
    if (st != M3_OK || earlier == 0) return st;
    if (earlier == event->line) return M3_OK; /* a derived behavior that the behavior column names too */
    char where[32] = "in the data set";
    if (earlier > rows->of_set) (void)snprintf(where, sizeof where, "in a file before it");
    if (earlier > rows->before) (void)snprintf(where, sizeof where, "at line %u", earlier - rows->before);
    return m3_drops_add(r->drops, M3_DROP_DUPLICATE_EVENT, m3_table_path(r->table), event->line - rows->before, err,
                        "the '%s' of user '%s' on item '%s' at %lld is already %s",
                        m3_names_at(&rows->behaviors, event->behavior), m3_names_at(&rows->users, event->user),
                        m3_names_at(&rows->items, event->item), (long long)event->time, where);
}

/* Rows may come in any order over users, so each user has an own clock. */
static m3_status note_order(struct reader *r, const m3_event *event, m3_error *err)
{
    m3_rows *rows = r->rows;
    if (event->user >= rows->last_time_capacity) {
        uint32_t capacity = rows->users.capacity;
        int64_t *last = m3_realloc(rows->last_time, capacity, sizeof *last);
        if (last == NULL) return M3_FAIL_MEMORY(err, "users", capacity * sizeof *last);
        for (uint32_t i = rows->last_time_capacity; i < capacity; i++) last[i] = NEVER;
        rows->last_time = last;
        rows->last_time_capacity = capacity;
    }
    if (event->time < rows->last_time[event->user]) {
        if (r->drops->report->out_of_order++ == 0)
            m3_drops_say(r->drops, M3_LOG_INFO,
                         "%s:%u: earlier than the row before of user '%s'; events are sorted by time, file order "
                         "breaks ties",
                         m3_table_path(r->table), event->line - rows->before, m3_names_at(&rows->users, event->user));
    }
    rows->last_time[event->user] = event->time;
    return M3_OK;
}

/* *good says whether the field can be an id; when not, the row has been dropped. */
static m3_status check_id(struct reader *r, m3_field field, uint32_t column, uint64_t line, bool *good, m3_error *err)
{
    const char *path = m3_table_path(r->table), *name = m3_table_column(r->table, column);
    *good = false;
    if (field.size == 0) return m3_drops_add(r->drops, M3_DROP_ID, path, line, err, "%s is empty", name);
    if (!m3_field_is_utf8(field))
        return m3_drops_add(r->drops, M3_DROP_ENCODING, path, line, err, "%s is not UTF-8", name);
    if (field.size > M3_ID_BYTES)
        return m3_drops_add(r->drops, M3_DROP_ID, path, line, err, "%s has %zu bytes, at most %d are allowed", name,
                            field.size, M3_ID_BYTES);
    if (m3_field_has_control(field))
        return m3_drops_add(r->drops, M3_DROP_ID, path, line, err, "%s has a control character", name);
    *good = true;
    return M3_OK;
}

/* The behaviors of a row as numbers; *good is false when there is none, and the row was dropped. A column that has no
 * number fails the rules that ask for it, and no others. */
static m3_status row_behaviors(struct reader *r, const m3_row *row, uint32_t *behaviors, uint32_t *count, bool *good,
                               m3_error *err)
{
    m3_status st;
    const struct rule *failed = NULL;
    *count = 0;
    *good = true;
    for (uint32_t i = 0; i < r->rule_count; i++) {
        const struct rule *rule = &r->rules[i];
        double value = 0;
        if (rule->column != NO_COLUMN && !m3_field_value(row->fields[rule->column], &value))
            failed = failed == NULL ? rule : failed;
        else if (holds(rule, value))
            behaviors[(*count)++] = rule->behavior;
    }
    if (failed != NULL &&
        (st = m3_drops_add(r->drops, M3_DROP_NUMBER, m3_table_path(r->table), row->line, err,
                           "%s is '%.*s', not a number, so it gives no '%s'", m3_table_column(r->table, failed->column),
                           M3_FIELD_ARGS(row->fields[failed->column]),
                           m3_names_at(&r->rows->behaviors, failed->behavior))) != M3_OK)
        return st;
    if (r->sole != NO_COLUMN) behaviors[(*count)++] = r->sole;
    if (r->behavior != NO_COLUMN) {
        if ((st = check_id(r, row->fields[r->behavior], r->behavior, row->line, good, err)) != M3_OK || !*good)
            return st;
        if ((st = find_behavior(r->rows, row->fields[r->behavior], &behaviors[*count], r->table, err)) != M3_OK)
            return st;
        (*count)++;
    }
    if (*count == 0) {
        *good = false;
        if (failed == NULL) m3_drops_count(r->drops, M3_DROP_BEHAVIOR);
    }
    return M3_OK;
}

/* *good is false when the field is no time, and the row was dropped. Digits after the point count: they order events,
 * and tell two of one second from a repeat. */
static m3_status take_time(struct reader *r, const m3_row *row, int64_t *time, bool *good, m3_error *err)
{
    m3_rows *rows = r->rows;
    if (r->time == NO_COLUMN) {
        *time = r->begin + (int64_t)r->drops->report->rows;
        *good = true;
        return M3_OK;
    }
    const m3_field field = row->fields[r->time];
    const char *path = m3_table_path(r->table), *name = m3_table_column(r->table, r->time);
    uint32_t needed = 0;
    bool fits = true;
    *good = false;
    if (!m3_clock_time(&r->clock, field, rows->time_digits, time, &needed, &fits))
        return m3_drops_add(r->drops, M3_DROP_NUMBER, path, row->line, err,
                            "%s is '%.*s', not a number and no date such as 2020-01-31T12:30:00Z", name,
                            M3_FIELD_ARGS(field));
    if (!fits || needed > rows->time_digits) {
        int64_t whole = 0;
        (void)m3_clock_time(&r->clock, field, 0, &whole, &needed, &fits);
        if (!fits)
            return m3_drops_add(r->drops, M3_DROP_NUMBER, path, row->line, err,
                                "%s is '%.*s', beyond the largest that can be kept, %lld", name, M3_FIELD_ARGS(field),
                                (long long)INT64_MAX - 1);
        int64_t latest = whole < 0 ? -(whole + 1) + 1 : whole + 1; /* up: its fraction counts as well */
        if (m3_time_scale(&latest, rows->time_digits) && latest > rows->latest) rows->latest = latest;
        if (needed > rows->time_digits) refine_times(rows, needed);
        (void)m3_clock_time(&r->clock, field, rows->time_digits, time, &needed, &fits);
    }
    if (!fits)
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "line %llu: %s is '%.*s', which does not fit beside times with %u digits after the point; "
                       "round those",
                       (unsigned long long)row->line, name, M3_FIELD_ARGS(field), rows->time_digits);
    if (needed > rows->time_digits) r->drops->report->fractional_times++;
    const int64_t size = *time < 0 ? -*time : *time;
    if (size > rows->latest) rows->latest = size;
    m3_clock_note(&r->clock, *time, rows->time_digits, row->line);
    *good = true;
    return M3_OK;
}

/* A word that is none of them is an error: what it means for training cannot be guessed. */
static m3_status take_part(const struct reader *r, const m3_row *row, uint16_t *part, m3_error *err)
{
    static const struct {
        const char *word;
        m3_split_part part;
    } words[] = {{"train", M3_SPLIT_TRAIN},      {"training", M3_SPLIT_TRAIN}, {"valid", M3_SPLIT_VALID},
                 {"validation", M3_SPLIT_VALID}, {"val", M3_SPLIT_VALID},      {"test", M3_SPLIT_TEST}};
    *part = (uint16_t)r->rows->part;
    if (r->split == NO_COLUMN) return M3_OK;
    const m3_field field = row->fields[r->split];
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (m3_field_is(field, words[i].word)) {
            *part = (uint16_t)words[i].part;
            return M3_OK;
        }
    return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(r->table),
                   "line %llu: %s is '%.*s'; it must be train, valid or test", (unsigned long long)row->line,
                   m3_table_column(r->table, r->split), M3_FIELD_ARGS(field));
}

static m3_status take_row(struct reader *r, const m3_row *row, uint32_t *behaviors, m3_error *err)
{
    m3_status st;
    m3_rows *rows = r->rows;
    const char *path = m3_table_path(r->table);
    r->drops->report->rows++;
    if (row->kind != M3_ROW_GOOD) return m3_drops_add_row(r->drops, r->table, row, err);
    if (row->literal && r->drops->strict)
        return m3_drops_add(r->drops, M3_DROP_FIELDS, path, row->line, err,
                            "the quotes do not pair up, or text follows a closing quote");
    r->literal += row->literal;
    bool good;
    m3_field user = row->fields[r->user], item = row->fields[r->item];
    if ((st = check_id(r, user, r->user, row->line, &good, err)) != M3_OK || !good) return st;
    if ((st = check_id(r, item, r->item, row->line, &good, err)) != M3_OK || !good) return st;
    const uint64_t line = row->line + rows->before;
    m3_event event = {.line = line > UINT32_MAX ? UINT32_MAX : (uint32_t)line};
    if (event.line > r->last) r->last = event.line;
    if ((st = take_part(r, row, &event.part, err)) != M3_OK) return st;
    if ((st = take_time(r, row, &event.time, &good, err)) != M3_OK || !good) return st;
    uint32_t count;
    if ((st = row_behaviors(r, row, behaviors, &count, &good, err)) != M3_OK || !good) return st;
    if ((st = m3_names_add(&rows->users, user.text, user.size, &event.user, NULL, err)) != M3_OK) return st;
    if ((st = m3_names_add(&rows->items, item.text, item.size, &event.item, NULL, err)) != M3_OK) return st;
    if ((st = note_order(r, &event, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < count; i++) {
        event.behavior = (uint16_t)behaviors[i];
        if ((st = add_event(r, &event, err)) != M3_OK) return st;
    }
    return M3_OK;
}

/* What was chosen for the whole file, and done to its rows. */
static void say_read(const struct reader *r)
{
    const m3_rows *rows = r->rows;
    const char *path = m3_table_path(r->table);
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->events[i].line <= rows->before) continue;
        if (rows->events[i].time < first) first = rows->events[i].time;
        if (rows->events[i].time > last) last = rows->events[i].time;
    }
    if (r->literal > 0)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: the quotes of %llu rows do not pair up; they stand for themselves",
                     path, (unsigned long long)r->literal);
    if (r->time != NO_COLUMN) m3_clock_say(&r->clock, r->drops, path, first, last, rows->time_digits);
    if (rows->time_digits > 0)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: timestamps are kept with %u digits after the point", path,
                     rows->time_digits);
    if (r->drops->report->fractional_times > 0)
        m3_drops_say(r->drops, M3_LOG_WARN,
                     "%s: %llu timestamps have more digits after the point than fit beside the largest; %u are kept",
                     path, (unsigned long long)r->drops->report->fractional_times, rows->time_digits);
}

m3_status m3_rows_read(m3_rows *rows, const char *path, const m3_reading *reading, const char *sole_behavior,
                       m3_drops *drops, m3_error *err)
{
    m3_status st;
    struct reader r = {.rows = rows, .drops = drops, .begin = rows->latest};
    uint32_t *behaviors = m3_calloc((size_t)reading->derive_count + 2, sizeof *behaviors);
    if (behaviors == NULL) {
        st = M3_FAIL_MEMORY(err, path, (reading->derive_count + 2) * sizeof *behaviors);
        goto done;
    }
    const m3_table_how how = {reading->separator, reading->columns, reading->column_count, "--columns"};
    if ((st = m3_table_open(path, &how, &r.table, err)) != M3_OK) goto done;
    m3_drops_say_separator(drops, r.table);
    if ((st = bind_columns(&r, reading, sole_behavior, err)) != M3_OK) goto done;
    if (r.time != NO_COLUMN) {
        st = m3_clock_find(&r.clock, path, &how, r.time, reading->time_unit, rows->time_unit, err);
        if (st != M3_OK) goto done;
        rows->time_unit = r.clock.kept;
    }
    for (;;) {
        m3_row row;
        if ((st = m3_table_next(r.table, &row, err)) != M3_OK || row.kind == M3_ROW_END) break;
        if ((st = take_row(&r, &row, behaviors, err)) != M3_OK) break;
        if ((st = m3_watch_row(&drops->watch, r.table, drops->report->rows, err)) != M3_OK) break;
    }
    if (st == M3_OK) {
        say_read(&r);
        if (r.last > rows->before) rows->before = r.last;
    }
done:
    m3_table_close(r.table);
    m3_free(r.rules);
    m3_free(behaviors);
    return st;
}

void m3_rows_fini(m3_rows *rows)
{
    m3_names_fini(&rows->users);
    m3_names_fini(&rows->items);
    m3_names_fini(&rows->behaviors);
    m3_free(rows->events);
    m3_free(rows->slots);
    m3_free(rows->last_time);
    *rows = (m3_rows){0};
}

int m3_event_by_time(const void *a, const void *b)
{
    const m3_event *x = a, *y = b;
    if (x->user != y->user) return x->user < y->user ? -1 : 1;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    return x->line == y->line ? 0 : x->line < y->line ? -1 : 1;
}
