/* rows_read: an interactions file in batches, each cut into chunks at line ends, which all threads parse while one of
 * them reads the next batch. Then chunk after chunk is merged in the file's order. A line end may lie in a quoted
 * field: the chunk before says where it ended, and one that began elsewhere is parsed again. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/rows_chunk.h"

/* Bytes; a batch is BATCH_PART of the memory, and its rows take some ROWS_PART times as much. */
enum { LARGEST_CHUNK = 1 << 20, SMALLEST_BATCH = 1 << 16, BATCH_PART = 32, ROWS_PART = 5, CHUNKS_A_THREAD = 3 };

m3_status m3_rows_behavior(m3_rows_reader *r, m3_field name, uint32_t *number, m3_error *err)
{
    m3_rows *rows = r->rows;
    m3_status st = m3_names_add(&rows->behaviors, name.text, name.size, number, NULL, err);
    if (st == M3_OK && rows->behaviors.count > M3_MAX_SET_BEHAVIORS)
        return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(r->table),
                       "has more than %d behaviors, '%.*s' among them; name the right column with --behavior-column",
                       M3_MAX_SET_BEHAVIORS, M3_FIELD_ARGS(name));
    return st;
}

/* "NAME=COLUMN>=NUMBER" or "NAME=*" */
static m3_status parse_rule(m3_rows_reader *r, const char *text, m3_derive_rule *rule, m3_error *err)
{
    static const struct {
        const char *sign;
        m3_compare compare;
    } signs[] = {{">=", M3_AT_LEAST}, {"<=", M3_AT_MOST}, {"==", M3_EQUAL}, {"!=", M3_UNEQUAL},
                 {">", M3_ABOVE},     {"<", M3_BELOW},    {"=", M3_EQUAL}};
    m3_status st;
    const char *column = strchr(text, '=');
    m3_field name = {text, column != NULL ? (size_t)(column - text) : 0};
    if (name.size == 0 || name.size > M3_ID_BYTES || !m3_field_is_utf8(name) || m3_field_has_control(name)) goto bad;
    column++;
    if ((st = m3_rows_behavior(r, name, &rule->behavior, err)) != M3_OK) return st;
    rule->column = M3_NO_COLUMN;
    rule->compare = M3_ALWAYS;
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

static m3_status say_columns(const m3_rows_reader *r, const m3_reading *reading, m3_error *err)
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
    if (r->time == M3_NO_COLUMN)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: the order of its rows is the time, so none repeats another",
                     m3_table_path(r->table));
    if (r->sole != M3_NO_COLUMN && reading->behavior_column[0] != '\0')
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: no column '%s', so every row is one event of the behavior '%s'",
                     m3_table_path(r->table), reading->behavior_column, m3_names_at(&r->rows->behaviors, r->sole));
    return M3_OK;
}

static m3_status bind_columns(m3_rows_reader *r, const m3_reading *reading, const char *sole_behavior, m3_error *err)
{
    m3_status st;
    r->behavior = r->sole = r->time = r->split = M3_NO_COLUMN;
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
        if ((st = m3_rows_behavior(r, name, &r->sole, err)) != M3_OK) return st;
    }
    return say_columns(r, reading, err);
}

/* What was chosen for the whole file, and done to its rows. */
static void say_read(const m3_rows_reader *r)
{
    const m3_rows *rows = r->rows;
    const char *path = m3_table_path(r->table);
    if (r->early.line > 0)
        m3_drops_say(r->drops, M3_LOG_INFO,
                     "%s:%u: earlier than the row before of user '%s'; events are sorted by time, file order breaks "
                     "ties",
                     path, r->early.line - rows->before, m3_names_at(&rows->users, r->early.user));
    if (r->literal > 0)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: the quotes of %llu rows do not pair up; they stand for themselves",
                     path, (unsigned long long)r->literal);
    if (r->time != M3_NO_COLUMN) m3_clock_say(&r->clock, r->drops, path, rows->first, rows->last, rows->time_digits);
    if (rows->time_digits > 0)
        m3_drops_say(r->drops, M3_LOG_INFO, "%s: timestamps are kept with %u digits after the point", path,
                     rows->time_digits);
    if (r->drops->report->fractional_times > 0)
        m3_drops_say(r->drops, M3_LOG_WARN,
                     "%s: %llu timestamps have more digits after the point than fit beside the largest; %u are kept",
                     path, (unsigned long long)r->drops->report->fractional_times, rows->time_digits);
}

/* A piece of the file's text in memory with room before it. */
typedef struct batch {
    char *bytes;
    size_t capacity, from, to;
    bool ended;
} batch;

struct batches {
    m3_rows_reader *r;
    batch two[2], *now, *next;
    uint64_t place; /* of the first byte of now */
    uint64_t at;    /* of the next row, */
    uint64_t line;  /* and its line */
    size_t step;    /* bytes to read at once */
    m3_rows_chunk *chunks;
    uint32_t chunk_capacity, chunk_count;
    bool filled;  /* next */
    m3_status st; /* of filling it */
    m3_error err;
    m3_text_piece piece;
};

static m3_status make_space(const struct batches *b, batch *of, size_t capacity, m3_error *err)
{
    if (capacity <= of->capacity) return M3_OK;
    char *bytes = m3_realloc(of->bytes, capacity, 1);
    if (bytes == NULL) return M3_FAIL_MEMORY(err, m3_table_path(b->r->table), capacity);
    of->bytes = bytes;
    of->capacity = capacity;
    return M3_OK;
}

/* Room for what is left of the batch before is as much as is read. */
static void fill_next(struct batches *b)
{
    batch *next = b->next;
    size_t got = 0;
    m3_source *source = m3_table_source(b->r->table);
    next->from = next->to = b->step;
    b->st = make_space(b, next, 2 * b->step, &b->err);
    if (b->st == M3_OK) b->st = m3_source_read(source, next->bytes + next->from, b->step, &got, &b->err);
    next->to += got;
    next->ended = source->ended;
    b->filled = true;
}

static m3_status begin_batches(struct batches *b, m3_error *err)
{
    const m3_rows *rows = b->r->rows;
    m3_source *source = m3_table_source(b->r->table);
    const uint32_t most = CHUNKS_A_THREAD * m3_pool_threads(rows->log.pool);
    const uint64_t part = rows->memory / BATCH_PART;
    b->now = &b->two[0];
    b->next = &b->two[1];
    b->step = (size_t)most * LARGEST_CHUNK;
    if (part < b->step) b->step = part > SMALLEST_BATCH ? (size_t)part : SMALLEST_BATCH;
    b->chunk_capacity = most;
    b->at = b->place = m3_table_at(b->r->table, &b->line);
    const size_t left = (size_t)(source->to - b->at);
    m3_status st = make_space(b, b->now, left + 1, err);
    if (st != M3_OK) return st;
    memcpy(b->now->bytes, source->bytes + (b->at - source->from), left);
    b->now->to = left;
    b->now->ended = source->ended;
    if ((b->chunks = m3_calloc(most, sizeof *b->chunks)) == NULL)
        return M3_FAIL_MEMORY(err, m3_table_path(b->r->table), most * sizeof *b->chunks);
    for (; st == M3_OK && b->chunk_count < most; b->chunk_count++)
        st = m3_rows_chunk_init(&b->chunks[b->chunk_count], b->r, err);
    return st;
}

static void end_batches(struct batches *b)
{
    for (uint32_t i = 0; i < b->chunk_count; i++) m3_rows_chunk_fini(&b->chunks[i]);
    m3_free(b->chunks);
    m3_free(b->two[0].bytes);
    m3_free(b->two[1].bytes);
}

/* Behind the first line end, and blank lines, from `from` on. */
static uint64_t next_border(const struct batches *b, uint64_t from)
{
    const m3_text_piece *p = &b->piece;
    const char end = m3_table_line_end(b->r->table), *last = p->bytes + p->size;
    const char *at = memchr(p->bytes + (from - p->place), end, (size_t)(p->place + p->size - from));
    if (at == NULL) return p->place + p->size;
    while (at < last && (*at == '\r' || *at == '\n')) at++;
    return p->place + (uint64_t)(at - p->bytes);
}

/* Cut what is left of the piece. */
static uint32_t cut_chunks(struct batches *b)
{
    const uint64_t end = b->piece.place + b->piece.size;
    const size_t size = (size_t)(end - b->at) / b->chunk_capacity + 1;
    uint32_t count = 0;
    for (uint64_t at = b->at; at < end && count < b->chunk_capacity; count++) {
        m3_rows_chunk *chunk = &b->chunks[count];
        chunk->begin = at;
        at = count + 1 == b->chunk_capacity || end - at <= size ? end : next_border(b, at + size);
        chunk->stop = at;
        chunk->alone = false;
    }
    return count;
}

static void count_lines(void *arg, uint32_t task, uint32_t worker)
{
    const struct batches *b = arg;
    (void)worker;
    m3_rows_chunk *chunk = &b->chunks[task];
    const char end = m3_table_line_end(b->r->table);
    const char *at = b->piece.bytes + (chunk->begin - b->piece.place),
               *stop = b->piece.bytes + (chunk->stop - b->piece.place);
    chunk->line = 0;
    while ((at = memchr(at, end, (size_t)(stop - at))) != NULL) at++, chunk->line++;
}

/* The first task reads on, unless that is done; the others are chunks. */
static void parse_chunk(void *arg, uint32_t task, uint32_t worker)
{
    struct batches *b = arg;
    (void)worker;
    if (task > 0)
        m3_rows_chunk_parse(&b->chunks[task - 1], &b->piece);
    else if (!b->filled && !b->now->ended)
        fill_next(b);
}

static m3_status take_chunk(struct batches *b, m3_rows_chunk *chunk, m3_error *err)
{
    if (chunk->begin != b->at) { /* a row of the chunk before goes on in this one */
        chunk->begin = b->at;
        chunk->line = b->line;
        m3_rows_chunk_parse(chunk, &b->piece);
    }
    const m3_status st = m3_rows_chunk_merge(chunk, b->r, err);
    b->at = chunk->end;
    b->line = chunk->end_line;
    return st;
}

/* The row that chunks leave to be read when no other is. */
static m3_status take_alone(struct batches *b, m3_error *err)
{
    m3_rows_chunk *chunk = &b->chunks[0];
    chunk->begin = b->at;
    chunk->line = b->line;
    chunk->stop = b->at + 1;
    chunk->alone = true;
    m3_rows_chunk_parse(chunk, &b->piece);
    return take_chunk(b, chunk, err);
}

/* All rows that end in the batch. */
static m3_status take_batch(struct batches *b, m3_error *err)
{
    m3_status st = M3_OK;
    const batch *now = b->now;
    m3_pool *pool = b->r->rows->log.pool;
    bool cut = false;
    b->piece = (m3_text_piece){now->bytes + now->from, now->to - now->from, b->place, now->ended};
    b->filled = false;
    do {
        const uint32_t count = cut_chunks(b);
        bool refine = false;
        uint64_t line = b->line;
        m3_pool_run(pool, count, count_lines, b);
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t lines = b->chunks[i].line;
            b->chunks[i].line = line;
            line += lines;
        }
        m3_pool_run(pool, count + 1, parse_chunk, b);
        for (uint32_t i = 0; st == M3_OK && i < count && !refine && !cut; i++) {
            m3_rows_chunk *chunk = &b->chunks[i];
            if (b->at >= chunk->stop) continue;
            st = take_chunk(b, chunk, err);
            refine = chunk->refine;
            cut = m3_table_is_cut(chunk->view);
        }
        if (st == M3_OK && refine) st = take_alone(b, err);
        if (st == M3_OK && refine) cut = m3_table_is_cut(b->chunks[0].view);
    } while (st == M3_OK && !cut && b->at < b->piece.place + b->piece.size);
    return st;
}

/* Put what is left before what was read meanwhile. */
static m3_status go_on(struct batches *b, m3_error *err)
{
    batch *now = b->now, *next = b->next;
    const size_t left = (size_t)(b->place + (now->to - now->from) - b->at);
    if (b->st != M3_OK) {
        if (err != NULL) *err = b->err;
        return b->st;
    }
    if (left > M3_SOURCE_LONGEST)
        return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(b->r->table), "has a line of more than %d MiB",
                       M3_SOURCE_LONGEST >> 20);
    if (left > next->from) {
        const size_t got = next->to - next->from;
        const m3_status st = make_space(b, next, left + got, err);
        if (st != M3_OK) return st;
        memmove(next->bytes + left, next->bytes + next->from, got);
        next->from = left;
        next->to = left + got;
    }
    next->from -= left;
    if (left > 0) memcpy(next->bytes + next->from, now->bytes + now->to - left, left);
    b->place = b->at;
    b->now = next;
    b->next = now;
    return M3_OK;
}

static m3_status tell(const struct batches *b, m3_error *err)
{
    const m3_source *source = m3_table_source(b->r->table);
    const m3_import_progress progress = {.path = m3_table_path(b->r->table),
                                         .rows = b->r->drops->report->rows,
                                         .done = m3_source_position(source, b->at),
                                         .bytes = source->size};
    return m3_watch_tell(&b->r->drops->watch, &progress, err);
}

static m3_status read_rows(m3_rows_reader *r, m3_error *err)
{
    struct batches b = {.r = r};
    m3_status st = begin_batches(&b, err);
    if (st == M3_OK) st = tell(&b, err);
    while (st == M3_OK) {
        if ((st = m3_rows_make_room(r->rows, (2 + ROWS_PART) * b.step, err)) != M3_OK) break;
        if ((st = take_batch(&b, err)) != M3_OK || (st = tell(&b, err)) != M3_OK || b.now->ended) break;
        st = go_on(&b, err);
    }
    end_batches(&b);
    return st;
}

m3_status m3_rows_read(m3_rows *rows, const char *path, const m3_reading *reading, const char *sole_behavior,
                       m3_drops *drops, m3_error *err)
{
    m3_status st;
    m3_rows_reader r = {.rows = rows, .drops = drops, .begin = rows->latest};
    const m3_table_how how = {reading->separator, reading->columns, reading->column_count, "--columns"};
    rows->first = INT64_MAX;
    rows->last = INT64_MIN;
    rows->files[rows->file_count].path = path;
    rows->files[rows->file_count++].before = rows->before;
    if ((st = m3_table_open(path, &how, &r.table, err)) != M3_OK) goto done;
    m3_drops_say_separator(drops, r.table);
    if ((st = bind_columns(&r, reading, sole_behavior, err)) != M3_OK) goto done;
    if (r.time != M3_NO_COLUMN) {
        st = m3_clock_find(&r.clock, path, &how, r.time, reading->time_unit, rows->time_unit, err);
        if (st != M3_OK) goto done;
        rows->time_unit = r.clock.kept;
    }
    if ((st = read_rows(&r, err)) != M3_OK) goto done;
    say_read(&r);
    if (r.last > rows->before) rows->before = r.last;
done:
    m3_table_close(r.table);
    m3_free(r.rules);
    return st;
}
