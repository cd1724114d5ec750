/* rows_chunk: one pass over a piece of an interactions file.
 *   row (user, item, behavior, time, numbers) -> one event for its behavior and each derived one that holds */
#include "core/data/rows_chunk.h"

#include <string.h>

#include "core/base/alloc.h"

/* How far ahead of the row at hand its ids are fetched into the processor's cache. */
enum { FAR_AHEAD = 24, AHEAD = 16, NEAR_AHEAD = 8 };
enum { FRESH = M3_MAX_SET_BEHAVIORS + 1 }; /* numbers from here on are those of a chunk's own behaviors */

static const uint32_t UNKNOWN = UINT32_MAX;
static const int64_t NEVER = INT64_MIN;

static bool holds(const m3_derive_rule *rule, double value)
{
    switch (rule->compare) {
    case M3_ALWAYS: return true;
    case M3_AT_LEAST: return value >= rule->number;
    case M3_ABOVE: return value > rule->number;
    case M3_AT_MOST: return value <= rule->number;
    case M3_BELOW: return value < rule->number;
    case M3_EQUAL: return value == rule->number;
    case M3_UNEQUAL: return value != rule->number;
    }
    return false;
}

/* *good says whether the field can be an id; when not, the row has been dropped. */
static m3_status check_id(m3_rows_chunk *c, m3_field field, uint32_t column, uint64_t line, bool *good, m3_error *err)
{
    const m3_table *table = c->reader->table;
    *good = field.size > 0 && field.size <= M3_ID_BYTES && m3_field_is_plain(field);
    if (*good) return M3_OK;
    const char *path = m3_table_path(table), *name = m3_table_column(table, column);
    if (field.size == 0) return m3_drops_add(&c->drops, M3_DROP_ID, path, line, err, "%s is empty", name);
    if (!m3_field_is_utf8(field))
        return m3_drops_add(&c->drops, M3_DROP_ENCODING, path, line, err, "%s is not UTF-8", name);
    if (field.size > M3_ID_BYTES)
        return m3_drops_add(&c->drops, M3_DROP_ID, path, line, err, "%s has %zu bytes, at most %d are allowed", name,
                            field.size, M3_ID_BYTES);
    if (m3_field_has_control(field))
        return m3_drops_add(&c->drops, M3_DROP_ID, path, line, err, "%s has a control character", name);
    *good = true;
    return M3_OK;
}

/* A behavior that no row before the pieces at hand had gets a number of the chunk's own. */
static m3_status find_behavior(m3_rows_chunk *c, m3_field name, uint32_t *number, m3_error *err)
{
    const m3_names *known = &c->reader->rows->behaviors;
    for (uint32_t b = 0; b < known->count && b < 4; b++) { /* the first are the most */
        const char *text = m3_names_at(known, b);
        if (strncmp(text, name.text, name.size) == 0 && text[name.size] == '\0') {
            *number = b;
            return M3_OK;
        }
    }
    if (m3_names_find(known, name.text, name.size, number)) return M3_OK;
    const m3_status st = m3_names_add(&c->fresh, name.text, name.size, number, NULL, err);
    *number += FRESH;
    return st;
}

/* The behaviors of a row as numbers; *good is false when there is none, and the row was dropped. A column that has no
 * number fails the rules that ask for it, and no others. */
static m3_status row_behaviors(m3_rows_chunk *c, const m3_row *row, uint32_t *count, bool *good, m3_error *err)
{
    m3_status st;
    const m3_rows_reader *r = c->reader;
    const m3_derive_rule *failed = NULL;
    *count = 0;
    *good = true;
    for (uint32_t i = 0; i < r->rule_count; i++) {
        const m3_derive_rule *rule = &r->rules[i];
        double value = 0;
        if (rule->column != M3_NO_COLUMN && !m3_field_value(row->fields[rule->column], &value))
            failed = failed == NULL ? rule : failed;
        else if (holds(rule, value))
            c->behaviors[(*count)++] = rule->behavior;
    }
    if (failed != NULL &&
        (st = m3_drops_add(&c->drops, M3_DROP_NUMBER, m3_table_path(r->table), row->line, err,
                           "%s is '%.*s', not a number, so it gives no '%s'", m3_table_column(r->table, failed->column),
                           M3_FIELD_ARGS(row->fields[failed->column]),
                           m3_names_at(&r->rows->behaviors, failed->behavior))) != M3_OK)
        return st;
    if (r->sole != M3_NO_COLUMN) c->behaviors[(*count)++] = r->sole;
    if (r->behavior != M3_NO_COLUMN) {
        if ((st = check_id(c, row->fields[r->behavior], r->behavior, row->line, good, err)) != M3_OK || !*good)
            return st;
        if ((st = find_behavior(c, row->fields[r->behavior], &c->behaviors[*count], err)) != M3_OK) return st;
        (*count)++;
    }
    if (*count == 0) {
        *good = false;
        if (failed == NULL) m3_drops_count(&c->drops, M3_DROP_BEHAVIOR);
    }
    return M3_OK;
}

/* How many more digits times can have, up to those wanted, so that the largest still fits. */
static uint32_t more_digits(int64_t latest, uint32_t now, uint32_t wanted)
{
    uint32_t digits = wanted < M3_TIME_DIGITS ? wanted : M3_TIME_DIGITS;
    for (; digits > now; digits--) {
        int64_t largest = latest;
        if (m3_time_scale(&largest, digits - now)) break;
    }
    return digits > now ? digits - now : 0;
}

/* A time with more digits than are kept, or one that does not fit with them. */
static m3_status take_fine_time(m3_rows_chunk *c, const m3_row *row, uint32_t needed, int64_t *time, bool *fits,
                                bool *good, m3_error *err)
{
    m3_rows *rows = c->reader->rows;
    const m3_table *table = c->reader->table;
    const m3_field field = row->fields[c->reader->time];
    uint32_t unused;
    int64_t whole = 0;
    (void)m3_clock_time(&c->clock, field, 0, &whole, &unused, fits);
    *good = *fits;
    if (!*fits)
        return m3_drops_add(&c->drops, M3_DROP_NUMBER, m3_table_path(table), row->line, err,
                            "%s is '%.*s', beyond the largest that can be kept, %lld",
                            m3_table_column(table, c->reader->time), M3_FIELD_ARGS(field), (long long)INT64_MAX - 1);
    int64_t latest = whole < 0 ? -(whole + 1) + 1 : whole + 1; /* up: its fraction counts as well */
    if (m3_time_scale(&latest, rows->time_digits) && latest > c->latest) c->latest = latest;
    const uint32_t more = more_digits(c->latest, rows->time_digits, needed);
    c->refine = more > 0 && !c->alone;
    if (more > 0 && c->alone) {
        if (c->latest > rows->latest) rows->latest = c->latest;
        m3_rows_refine(rows, more);
        c->latest = rows->latest;
    }
    if (!c->refine) (void)m3_clock_time(&c->clock, field, rows->time_digits, time, &unused, fits);
    return M3_OK;
}

/* *good is false when the field is no time, and the row was dropped. Digits after the point count: they order events,
 * and tell two of one second from a repeat. */
static m3_status take_time(m3_rows_chunk *c, const m3_row *row, int64_t *time, bool *good, m3_error *err)
{
    m3_status st;
    const m3_rows_reader *r = c->reader;
    const m3_rows *rows = r->rows;
    *good = true;
    *time = (int64_t)c->report.rows;
    if (r->time == M3_NO_COLUMN) return M3_OK;
    const m3_field field = row->fields[r->time];
    const char *path = m3_table_path(r->table), *name = m3_table_column(r->table, r->time);
    uint32_t needed = 0;
    bool fits = true;
    *good = false;
    if (!m3_clock_time(&c->clock, field, rows->time_digits, time, &needed, &fits))
        return m3_drops_add(&c->drops, M3_DROP_NUMBER, path, row->line, err,
                            "%s is '%.*s', not a number and no date such as 2020-01-31T12:30:00Z", name,
                            M3_FIELD_ARGS(field));
    *good = true;
    if (!fits || needed > rows->time_digits) {
        st = take_fine_time(c, row, needed, time, &fits, good, err);
        if (st != M3_OK || !*good || c->refine) return st;
    }
    if (!fits)
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "line %llu: %s is '%.*s', which does not fit beside times with %u digits after the point; "
                       "round those",
                       (unsigned long long)row->line, name, M3_FIELD_ARGS(field), rows->time_digits);
    if (needed > rows->time_digits) c->report.fractional_times++;
    const int64_t size = *time < 0 ? -*time : *time;
    if (size > c->latest) c->latest = size;
    m3_clock_note(&c->clock, *time, rows->time_digits, row->line);
    return M3_OK;
}

/* A word that is none of them is an error: what it means for training cannot be guessed. */
static m3_status take_part(const m3_rows_chunk *c, const m3_row *row, uint16_t *part, m3_error *err)
{
    static const struct {
        const char *word;
        m3_split_part part;
    } words[] = {{"train", M3_SPLIT_TRAIN},      {"training", M3_SPLIT_TRAIN}, {"valid", M3_SPLIT_VALID},
                 {"validation", M3_SPLIT_VALID}, {"val", M3_SPLIT_VALID},      {"test", M3_SPLIT_TEST}};
    const m3_rows_reader *r = c->reader;
    *part = (uint16_t)r->rows->part;
    if (r->split == M3_NO_COLUMN) return M3_OK;
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

/* Room for `more` in a list, which at least doubles. */
static bool reserve(void **list, uint32_t *capacity, uint32_t count, uint32_t more, size_t size)
{
    if (*capacity - count >= more) return true;
    const uint32_t wanted = 2 * *capacity > count + more ? 2 * *capacity : count + more + 64;
    void *block = m3_realloc(*list, wanted, size);
    if (block == NULL) return false;
    *list = block;
    *capacity = wanted;
    return true;
}

/* Text of the piece stays as long as the chunk; what a parser made of it is gone with the row. */
static bool take_key(m3_rows_chunk *c, const m3_text_piece *piece, m3_field field, m3_row_key *key)
{
    *key = (m3_row_key){.hash = m3_name_hash(field.text, field.size), .text = field.text, .size = (uint32_t)field.size};
    const uintptr_t at = (uintptr_t)field.text, from = (uintptr_t)piece->bytes;
    if (at >= from && at < from + piece->size) return true;
    if (c->held - c->used < field.size) {
        const size_t held = 2 * (c->used + field.size);
        char *bytes = held <= UINT32_MAX ? m3_realloc(c->bytes, held, 1) : NULL;
        if (bytes == NULL) return false;
        c->bytes = bytes;
        c->held = held;
    }
    key->text = NULL;
    key->place = (uint32_t)c->used;
    memcpy(c->bytes + c->used, field.text, field.size);
    c->used += field.size;
    return true;
}

static m3_status add_row(m3_rows_chunk *c, const m3_text_piece *piece, const m3_row *row, m3_event event,
                         uint32_t behaviors, m3_error *err)
{
    m3_chunk_row *to;
    void *events = c->events, *rows = c->rows;
    const bool fits = reserve(&events, &c->capacity, c->count, behaviors, sizeof *c->events) &&
                      reserve(&rows, &c->row_capacity, c->row_count, 1, sizeof *c->rows);
    c->events = events;
    c->rows = rows;
    if (!fits) return M3_FAIL_MEMORY(err, "events", (c->count + behaviors) * sizeof *c->events);
    to = &c->rows[c->row_count];
    to->event = c->count;
    if (!take_key(c, piece, row->fields[c->reader->user], &to->user) ||
        !take_key(c, piece, row->fields[c->reader->item], &to->item))
        return M3_FAIL_MEMORY(err, "ids", 2 * c->held);
    c->row_count++;
    for (uint32_t i = 0; i < behaviors; i++) {
        event.behavior = (uint16_t)c->behaviors[i];
        c->events[c->count++] = event;
    }
    return M3_OK;
}

static m3_status take_row(m3_rows_chunk *c, const m3_text_piece *piece, const m3_row *row, m3_error *err)
{
    m3_status st;
    const m3_rows_reader *r = c->reader;
    c->report.rows++;
    if (row->kind != M3_ROW_GOOD) return m3_drops_add_row(&c->drops, c->view, row, err);
    if (row->literal && c->drops.strict)
        return m3_drops_add(&c->drops, M3_DROP_FIELDS, m3_table_path(r->table), row->line, err,
                            "the quotes do not pair up, or text follows a closing quote");
    c->literal += row->literal;
    bool good;
    const m3_field user = row->fields[r->user], item = row->fields[r->item];
    if ((st = check_id(c, user, r->user, row->line, &good, err)) != M3_OK || !good) return st;
    if ((st = check_id(c, item, r->item, row->line, &good, err)) != M3_OK || !good) return st;
    const uint64_t line = row->line + r->rows->before;
    m3_event event = {.line = line > UINT32_MAX ? UINT32_MAX : (uint32_t)line};
    if (event.line > c->last) c->last = event.line;
    if ((st = take_part(c, row, &event.part, err)) != M3_OK) return st;
    if ((st = take_time(c, row, &event.time, &good, err)) != M3_OK || !good || c->refine) return st;
    uint32_t count;
    if ((st = row_behaviors(c, row, &count, &good, err)) != M3_OK || !good) return st;
    return add_row(c, piece, row, event, count, err);
}

static const char *text_of(const m3_rows_chunk *c, const m3_row_key *key)
{
    return key->text != NULL ? key->text : c->bytes + key->place;
}

static void set_numbers(m3_rows_chunk *c, uint32_t row, uint32_t user, uint32_t item)
{
    const uint32_t end = row + 1 < c->row_count ? c->rows[row + 1].event : c->count;
    for (uint32_t i = c->rows[row].event; i < end; i++) {
        c->events[i].user = user;
        c->events[i].item = item;
    }
}

static void fetch(const m3_rows_chunk *c, uint32_t row, int step)
{
    if (row >= c->row_count) return;
    m3_names_fetch(&c->reader->rows->users, c->rows[row].user.hash, step);
    m3_names_fetch(&c->reader->rows->items, c->rows[row].item.hash, step);
}

/* Numbers of the ids that rows before the pieces at hand had. */
static m3_status find_names(m3_rows_chunk *c, m3_error *err)
{
    const m3_rows *rows = c->reader->rows;
    void *unknown = c->unknown;
    for (uint32_t i = 0; i < c->row_count; i++) {
        const m3_chunk_row *row = &c->rows[i];
        uint32_t user = UNKNOWN, item = UNKNOWN;
        fetch(c, i + FAR_AHEAD, 0);
        fetch(c, i + AHEAD, 1);
        fetch(c, i + NEAR_AHEAD, 2);
        (void)m3_names_find_hashed(&rows->users, text_of(c, &row->user), row->user.size, row->user.hash, &user);
        (void)m3_names_find_hashed(&rows->items, text_of(c, &row->item), row->item.size, row->item.hash, &item);
        set_numbers(c, i, user, item);
        if (user != UNKNOWN && item != UNKNOWN) continue;
        const bool fits = reserve(&unknown, &c->unknown_capacity, c->unknown_count, 2, sizeof *c->unknown);
        c->unknown = unknown;
        if (!fits) return M3_FAIL_MEMORY(err, "ids", 2 * c->unknown_capacity * sizeof *c->unknown);
        if (user == UNKNOWN) c->unknown[c->unknown_count++] = 2 * i;
        if (item == UNKNOWN) c->unknown[c->unknown_count++] = 2 * i + 1;
    }
    return M3_OK;
}

static void begin(m3_rows_chunk *c)
{
    const m3_rows_reader *r = c->reader;
    c->end = c->begin;
    c->end_line = c->line;
    c->refine = false;
    c->st = M3_OK;
    c->err = (m3_error){0};
    c->count = c->row_count = c->unknown_count = 0;
    c->used = 0;
    m3_names_fini(&c->fresh);
    m3_held_drops_fini(&c->held_drops);
    c->report = (m3_import_report){0};
    c->drops = *r->drops;
    c->drops.report = &c->report;
    c->drops.held = &c->held_drops;
    c->clock = r->clock;
    c->clock.unzoned = c->clock.strange = 0;
    c->latest = r->rows->latest;
    c->literal = 0;
    c->last = 0;
}

void m3_rows_chunk_parse(m3_rows_chunk *c, const m3_text_piece *piece)
{
    begin(c);
    m3_table_view_move(c->view, piece, c->begin, c->line);
    while (c->st == M3_OK && c->end < c->stop && c->fresh.count <= M3_MAX_SET_BEHAVIORS) {
        m3_row row;
        if ((c->st = m3_table_next(c->view, &row, &c->err)) != M3_OK) break;
        c->end = m3_table_at(c->view, &c->end_line);
        if (row.kind == M3_ROW_END) break;
        if (row.place < c->stop) {
            const uint64_t rows = c->report.rows, literal = c->literal;
            c->st = take_row(c, piece, &row, &c->err);
            if (c->refine) c->report.rows = rows, c->literal = literal;
        }
        if (row.place >= c->stop || c->refine) { /* not the chunk's, or not now */
            c->end = row.place;
            c->end_line = row.line;
            break;
        }
        if (c->alone) break;
    }
    m3_error err = {0};
    const m3_status st = find_names(c, &err);
    if (st == M3_OK) return;
    c->count = c->row_count = c->unknown_count = 0; /* not all of them have numbers */
    if (c->st != M3_OK) return;
    c->st = st;
    c->err = err;
}

/* Merging. */

static m3_status number_names(m3_rows_chunk *c, m3_rows *rows, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < c->unknown_count; i++) {
        const uint32_t at = c->unknown[i] / 2;
        const bool is_item = c->unknown[i] % 2 != 0;
        const m3_row_key *key = is_item ? &c->rows[at].item : &c->rows[at].user;
        m3_event *event = &c->events[c->rows[at].event];
        st = m3_names_add(is_item ? &rows->items : &rows->users, text_of(c, key), key->size,
                          is_item ? &event->item : &event->user, NULL, err);
        set_numbers(c, at, event->user, event->item);
    }
    return st;
}

static m3_status grow_last_times(m3_rows *rows, m3_error *err)
{
    if (rows->users.count <= rows->last_time_capacity) return M3_OK;
    const uint32_t capacity = rows->users.capacity;
    int64_t *last = m3_realloc(rows->last_time, capacity, sizeof *last);
    if (last == NULL) return M3_FAIL_MEMORY(err, "users", capacity * sizeof *last);
    for (uint32_t i = rows->last_time_capacity; i < capacity; i++) last[i] = NEVER;
    rows->last_time = last;
    rows->last_time_capacity = capacity;
    return M3_OK;
}

/* Rows may come in any order over users, so each user has an own clock. */
static void note_order(m3_rows_reader *r, const m3_event *event)
{
    m3_rows *rows = r->rows;
    if (event->time < rows->last_time[event->user] && r->drops->report->out_of_order++ == 0) r->early = *event;
    rows->last_time[event->user] = event->time;
}

static void finish_events(m3_rows_chunk *c, m3_rows_reader *r, const uint32_t *fresh)
{
    m3_rows *rows = r->rows;
    const int64_t base = r->time == M3_NO_COLUMN ? r->begin + (int64_t)r->drops->report->rows : 0;
    for (uint32_t i = 0; i < c->count; i++) {
        m3_event *event = &c->events[i];
        if (i + NEAR_AHEAD < c->count) __builtin_prefetch(&rows->last_time[c->events[i + NEAR_AHEAD].user], 1);
        if (event->behavior >= FRESH) event->behavior = (uint16_t)fresh[event->behavior - FRESH];
        event->time += base;
        if (event->time < rows->first) rows->first = event->time;
        if (event->time > rows->last) rows->last = event->time;
        note_order(r, event);
    }
}

static void add_report(m3_import_report *to, const m3_import_report *from)
{
    to->rows += from->rows;
    to->fractional_times += from->fractional_times;
    for (uint32_t i = 0; i < M3_DROP_REASONS; i++) to->dropped[i] += from->dropped[i];
}

m3_status m3_rows_chunk_merge(m3_rows_chunk *c, m3_rows_reader *r, m3_error *err)
{
    m3_status st = M3_OK;
    m3_rows *rows = r->rows;
    uint32_t fresh[M3_MAX_SET_BEHAVIORS + 1];
    m3_drops_say_held(r->drops, &c->held_drops, m3_table_path(r->table));
    for (uint32_t i = 0; st == M3_OK && i < c->fresh.count; i++) {
        const char *name = m3_names_at(&c->fresh, i);
        st = m3_rows_behavior(r, (m3_field){name, strlen(name)}, &fresh[i], err);
    }
    if (st != M3_OK || (st = number_names(c, rows, err)) != M3_OK || (st = grow_last_times(rows, err)) != M3_OK)
        return st;
    if (c->latest > rows->latest) rows->latest = c->latest;
    finish_events(c, r, fresh);
    add_report(r->drops->report, &c->report);
    m3_clock_add(&r->clock, &c->clock);
    r->literal += c->literal;
    if (c->last > r->last) r->last = c->last;
    if ((st = m3_rows_add(rows, c->events, c->count, err)) != M3_OK) return st;
    if (c->st != M3_OK && err != NULL) *err = c->err;
    return c->st;
}

m3_status m3_rows_chunk_init(m3_rows_chunk *chunk, const m3_rows_reader *reader, m3_error *err)
{
    *chunk = (m3_rows_chunk){.reader = reader};
    chunk->behaviors = m3_calloc((size_t)reader->rule_count + 2, sizeof *chunk->behaviors);
    if (chunk->behaviors == NULL)
        return M3_FAIL_MEMORY(err, "derive", (reader->rule_count + 2) * sizeof *chunk->behaviors);
    return m3_table_view(reader->table, &chunk->view, err);
}

void m3_rows_chunk_fini(m3_rows_chunk *chunk)
{
    m3_table_close(chunk->view);
    m3_free(chunk->events);
    m3_free(chunk->rows);
    m3_free(chunk->unknown);
    m3_free(chunk->bytes);
    m3_free(chunk->behaviors);
    m3_names_fini(&chunk->fresh);
    m3_held_drops_fini(&chunk->held_drops);
    *chunk = (m3_rows_chunk){0};
}
