/* table: a row at a time. Where quotes are plain characters, fields are slices of the source's window; else libcsv
 * reads line by line, so that a row knows its line, and starts anew behind a row whose quotes are broken. */
#include "core/data/table.h"

#include <string.h>
#include <strings.h>

#include <csv.h>

#include "core/base/alloc.h"
#include "core/data/dialect.h"
#include "core/data/foreign.h"
#include "core/data/json_row.h"
#include "core/data/moment.h"
#include "core/data/names.h"

/* A quote that never closes would otherwise swallow the rest of the file, again for each row behind it. */
enum { LONGEST_QUOTED_ROW = 1 << 20, MAX_COLUMNS = 4096, SAMPLE = 1 << 16 };
/* Objects that show the columns, and bytes of them; and the longest line that is parsed as one. */
enum { JSON_ROWS = 1000, JSON_SAMPLE = 1 << 20, LONGEST_OBJECT = 1 << 24 };

struct m3_table {
    char *path;
    m3_source source;
    uint64_t at;   /* place in the source */
    uint64_t row;  /* place where the row at hand begins: from there on, the window stays */
    uint64_t line; /* of at, from 1 */
    bool view;     /* of another table, which owns path and columns; the source is a window alone */
    bool cut;      /* the window ends within the row at hand */
    m3_dialect dialect;
    const char *columns_option;
    char **columns;
    bool *needed; /* [column_count] columns that were asked for */
    uint32_t column_count;
    m3_field *fields; /* of the row at hand */
    uint32_t field_count, field_capacity;

    struct csv_parser parser;
    bool parser_open;
    char *bytes; /* unquoted fields of the row at hand; their text is set when the row is whole */
    size_t used, held;
    bool row_done, out_of_memory;

    bool by_objects; /* an object of JSON a line */
    m3_json_row object;
};

static bool add_field(m3_table *table, m3_field field)
{
    if (table->field_count == table->field_capacity) {
        uint32_t capacity = table->field_capacity == 0 ? 16 : table->field_capacity * 2;
        m3_field *fields = m3_realloc(table->fields, capacity, sizeof *fields);
        if (fields == NULL) return false;
        table->fields = fields;
        table->field_capacity = capacity;
    }
    table->fields[table->field_count++] = field;
    return true;
}

static const char *bytes_at(const m3_table *table, uint64_t place)
{
    return table->source.bytes + (place - table->source.from);
}

/* One line without its end; *found is false at the end of the file. */
static m3_status next_line(m3_table *table, m3_field *line, bool *found, m3_error *err)
{
    const m3_source *source = &table->source;
    const char *from, *end = NULL;
    size_t left, looked = 0;
    for (;;) {
        from = bytes_at(table, table->at);
        left = (size_t)(source->to - table->at);
        if (left > looked) end = memchr(from + looked, table->dialect.line_end, left - looked);
        if (end != NULL || source->ended) break;
        looked = left;
        if (table->view) {
            table->cut = true;
            *found = false;
            return M3_OK;
        }
        m3_status st = m3_source_more(&table->source, table->row, err);
        if (st != M3_OK) return st;
    }
    *found = left > 0;
    size_t size = end == NULL ? left : (size_t)(end - from);
    table->at += size + (end != NULL);
    table->line += *found;
    if (size > 0 && from[size - 1] == '\r') size--;
    *line = (m3_field){from, size};
    return M3_OK;
}

/* The next line with something in it; without quotes, blanks alone are nothing where blanks separate. */
static m3_status next_object(m3_table *table, m3_row *row, m3_error *err)
{
    m3_status st;
    m3_field line = {"", 0};
    bool good;
    for (bool found = true; line.size == 0;) {
        table->row = table->at;
        row->line = table->line;
        if ((st = next_line(table, &line, &found, err)) != M3_OK || !found) return st;
        while (line.size > 0 && (*line.text == ' ' || *line.text == '\t')) line.text++, line.size--;
    }
    row->kind = M3_ROW_OBJECT;
    if (line.size > LONGEST_OBJECT) line.size = LONGEST_OBJECT; /* which is an object no more */
    st = m3_json_row_read(&table->object, table->path, line, table->column_count, &good, err);
    if (st != M3_OK || !good) return st;
    row->kind = M3_ROW_GOOD;
    for (uint32_t i = 0; i < table->column_count; i++) {
        m3_field field;
        if (!m3_json_row_field(&table->object, table->columns[i], i, &field) && table->needed[i])
            row->kind = M3_ROW_OBJECT;
        if (!add_field(table, field)) return M3_FAIL_MEMORY(err, table->path, table->column_count * sizeof field);
        if (row->kind == M3_ROW_OBJECT) break;
    }
    return M3_OK;
}

static m3_status next_plain(m3_table *table, m3_row *row, m3_error *err)
{
    const bool by_blanks = table->dialect.width == 0;
    m3_field line = {"", 0};
    for (bool found = true; line.size == 0;) {
        table->row = table->at;
        row->line = table->line;
        m3_status st = next_line(table, &line, &found, err);
        if (st != M3_OK || !found) return st;
        while (by_blanks && line.size > 0 && (*line.text == ' ' || *line.text == '\t')) line.text++, line.size--;
    }
    row->kind = M3_ROW_GOOD;
    for (size_t at = 0; at <= line.size;) {
        if (!add_field(table, m3_dialect_next(&table->dialect, line, &at)))
            return M3_FAIL_MEMORY(err, table->path, line.size);
        if (table->field_count > MAX_COLUMNS) break; /* more than any header has: the count is wrong already */
    }
    return M3_OK;
}

static void csv_field(void *text, size_t size, void *user)
{
    m3_table *table = user;
    if (table->field_count > MAX_COLUMNS) return;
    if (table->held - table->used < size) {
        size_t held = (table->used + size) * 2;
        char *bytes = m3_realloc(table->bytes, held, 1);
        if (bytes == NULL) {
            table->out_of_memory = true;
            return;
        }
        table->bytes = bytes;
        table->held = held;
    }
    if (size > 0) memcpy(table->bytes + table->used, text, size);
    table->used += size;
    if (!add_field(table, (m3_field){NULL, size})) table->out_of_memory = true;
}

static void csv_row(int end, void *user)
{
    (void)end;
    ((m3_table *)user)->row_done = true;
}

static int csv_is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int csv_is_term(unsigned char c)
{
    return c == '\n';
}

static int csv_is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static int csv_is_old_mac_term(unsigned char c)
{
    return c == '\r';
}

static void *csv_memory(void *block, size_t size)
{
    return m3_realloc(block, size, 1);
}

static void restart_parser(m3_table *table, unsigned char options)
{
    if (table->parser_open) csv_free(&table->parser);
    (void)csv_init(&table->parser, options); /* fails only for NULL */
    table->parser_open = true;
    csv_set_realloc_func(&table->parser, csv_memory);
    csv_set_free_func(&table->parser, m3_free);
    csv_set_delim(&table->parser, (unsigned char)table->dialect.separator[0]);
    csv_set_space_func(&table->parser, table->dialect.line_end == '\n' ? csv_is_space : csv_is_blank);
    csv_set_term_func(&table->parser, table->dialect.line_end == '\n' ? csv_is_term : csv_is_old_mac_term);
}

/* A line with its end, which the last of a file may lack; false when its quotes are broken. */
static bool parse_line(m3_table *table, const char *bytes, size_t size)
{
    const char *end = &table->dialect.line_end;
    return csv_parse(&table->parser, bytes, size, csv_field, csv_row, table) == size &&
           (bytes[size - 1] == *end || csv_parse(&table->parser, end, 1, csv_field, csv_row, table) == 1);
}

/* A line whose quotes do not pair up, once more: quotes within a field stand for themselves, an inch mark or what
 * follows a backslash. It must be a row then, so that no quote swallows the lines behind it. */
static bool read_literal(m3_table *table, const char *bytes, size_t size)
{
    table->used = table->field_count = 0;
    table->row_done = false;
    restart_parser(table, 0);
    bool whole = parse_line(table, bytes, size);
    restart_parser(table, CSV_STRICT);
    return whole && table->row_done;
}

static bool is_blank(const m3_dialect *dialect, char c)
{
    return (c == ' ' || c == '\t' || c == '\r') && c != dialect->separator[0];
}

/* Most rows of most tables have no quote: what libcsv makes of a line without one, without copying. *done is false
 * where that is for libcsv to say. */
static m3_status take_unquoted(m3_table *table, m3_field line, bool *done, m3_error *err)
{
    const m3_dialect *dialect = &table->dialect;
    *done = false;
    if (line.size >= LONGEST_QUOTED_ROW || memchr(line.text, '"', line.size) != NULL) return M3_OK;
    while (line.size > 0 && is_blank(dialect, *line.text)) line.text++, line.size--;
    if (line.size == 0) return M3_OK;
    *done = true;
    for (size_t at = 0; at <= line.size && table->field_count <= MAX_COLUMNS;) {
        m3_field field = m3_dialect_next(dialect, line, &at);
        while (field.size > 0 && is_blank(dialect, *field.text)) field.text++, field.size--;
        while (field.size > 0 && is_blank(dialect, field.text[field.size - 1])) field.size--;
        if (!add_field(table, field)) return M3_FAIL_MEMORY(err, table->path, line.size);
    }
    return M3_OK;
}

static m3_status next_quoted(m3_table *table, m3_row *row, m3_error *err)
{
    uint64_t behind_first_line = 0;
    bool broken = false;
    table->used = 0;
    table->row_done = false;
    while (!table->row_done && !broken && !table->out_of_memory) {
        const uint64_t from = table->at;
        m3_field line;
        bool found;
        if (behind_first_line == 0) {
            table->row = from;
            row->line = table->line;
        }
        m3_status st = next_line(table, &line, &found, err);
        if (st != M3_OK) return st;
        if (!found && (behind_first_line == 0 || table->cut)) return M3_OK;
        if (found && behind_first_line == 0 && line.size == 0) continue;
        if (behind_first_line == 0) {
            bool done;
            if ((st = take_unquoted(table, line, &done, err)) != M3_OK) return st;
            row->kind = done ? M3_ROW_GOOD : row->kind;
            if (done) return M3_OK;
            behind_first_line = table->at;
        }
        broken = !found || !parse_line(table, bytes_at(table, from), (size_t)(table->at - from)) ||
                 table->at - table->row > LONGEST_QUOTED_ROW;
        if (broken && csv_error(&table->parser) == CSV_ENOMEM) table->out_of_memory = true;
    }
    if (broken) {
        table->at = behind_first_line;
        table->line = row->line + 1;
        row->literal = read_literal(table, bytes_at(table, table->row), (size_t)(behind_first_line - table->row));
    }
    if (table->out_of_memory) return M3_FAIL_MEMORY(err, table->path, table->held);
    row->kind = broken && !row->literal ? M3_ROW_QUOTES : M3_ROW_GOOD;
    if (row->kind == M3_ROW_QUOTES) {
        table->field_count = 0; /* what was parsed up to there has no text */
        return M3_OK;
    }
    const char *text = table->bytes != NULL ? table->bytes : "";
    for (uint32_t i = 0; i < table->field_count; text += table->fields[i++].size) table->fields[i].text = text;
    return M3_OK;
}

/* Spreadsheets write more separators than there are columns. */
static void cut_empty(m3_table *table)
{
    while (table->field_count > table->column_count && table->field_count <= MAX_COLUMNS &&
           table->fields[table->field_count - 1].size == 0)
        table->field_count--;
}

m3_status m3_table_next(m3_table *table, m3_row *row, m3_error *err)
{
    *row = (m3_row){.kind = M3_ROW_END};
    table->field_count = 0;
    m3_status st = table->by_objects       ? next_object(table, row, err)
                   : table->dialect.quoted ? next_quoted(table, row, err)
                                           : next_plain(table, row, err);
    if (st != M3_OK) return st;
    row->place = table->row;
    if (table->cut) { /* it begins anew where there is more of it */
        table->at = table->row;
        table->line = row->line;
        if (table->parser_open) restart_parser(table, CSV_STRICT);
        return M3_OK;
    }
    if (row->kind == M3_ROW_GOOD && table->columns != NULL) cut_empty(table);
    row->fields = table->fields;
    row->count = table->field_count;
    if (row->kind == M3_ROW_GOOD && table->columns != NULL && row->count != table->column_count)
        row->kind = row->literal ? M3_ROW_QUOTES : M3_ROW_FIELDS;
    return M3_OK;
}

static bool ends_with(const char *text, size_t size, const char *ending)
{
    size_t ending_size = strlen(ending);
    return size > ending_size && strncasecmp(text + size - ending_size, ending, ending_size) == 0;
}

void m3_table_position(const m3_table *table, uint64_t *done, uint64_t *bytes)
{
    *done = m3_source_position(&table->source, table->at);
    *bytes = table->source.size;
}

m3_source *m3_table_source(m3_table *table)
{
    return &table->source;
}

uint64_t m3_table_at(const m3_table *table, uint64_t *line)
{
    *line = table->line;
    return table->at;
}

char m3_table_line_end(const m3_table *table)
{
    return table->dialect.line_end;
}

m3_status m3_table_view(const m3_table *table, m3_table **out, m3_error *err)
{
    m3_table *view = *out = m3_calloc(1, sizeof *view);
    if (view == NULL) return M3_FAIL_MEMORY(err, table->path, sizeof *view);
    view->view = true;
    view->path = table->path;
    view->dialect = table->dialect;
    view->columns = table->columns;
    view->needed = table->needed;
    view->column_count = table->column_count;
    view->by_objects = table->by_objects;
    if (!view->by_objects && view->dialect.quoted) restart_parser(view, CSV_STRICT);
    return M3_OK;
}

void m3_table_view_move(m3_table *view, const m3_text_piece *piece, uint64_t at, uint64_t line)
{
    view->source.bytes = piece->bytes;
    view->source.from = piece->place;
    view->source.to = piece->place + piece->size;
    view->source.ended = piece->ended;
    view->at = at;
    view->line = line;
    view->cut = false;
}

bool m3_table_is_cut(const m3_table *view)
{
    return view->cut;
}

void m3_table_defect(const m3_table *table, const m3_row *row, char *text, size_t size)
{
    if (row->kind == M3_ROW_FIELDS)
        (void)snprintf(text, size, "has %u fields where the header has %u", row->count, table->column_count);
    else
        (void)snprintf(text, size, "%s",
                       row->kind == M3_ROW_OBJECT ? table->object.why
                                                  : "the quotes do not pair up, or text follows a closing quote");
}

static size_t without_type(m3_field name)
{
    static const char *const types[] = {":token", ":float", ":token_seq", ":float_seq"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (ends_with(name.text, name.size, types[i])) return name.size - strlen(types[i]);
    return name.size;
}

static m3_status make_columns(m3_table *table, uint32_t count, m3_error *err)
{
    table->columns = m3_calloc(count, sizeof *table->columns);
    table->needed = m3_calloc(count, sizeof *table->needed);
    if (table->columns == NULL || table->needed == NULL)
        return M3_FAIL_MEMORY(err, table->path, count * sizeof *table->columns);
    table->column_count = count;
    return M3_OK;
}

static m3_status add_keys(m3_table *table, m3_names *keys, m3_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(table->object.object, key, value)
    {
        uint32_t number;
        const m3_status st = m3_names_add(keys, key, strlen(key), &number, NULL, err);
        if (st != M3_OK) return st;
        if (keys->count > MAX_COLUMNS)
            return M3_FAIL(err, M3_ERR_INVALID, table->path, "more than %d columns", MAX_COLUMNS);
    }
    return M3_OK;
}

/* The columns are the keys of the first objects. The window keeps their lines, so that they are read again as rows. */
static m3_status find_keys(m3_table *table, m3_names *keys, m3_error *err)
{
    m3_status st = M3_OK;
    bool found = true;
    const uint64_t at = table->at;
    table->row = at;
    for (uint32_t i = 0; i < JSON_ROWS && table->at - at < JSON_SAMPLE; i++) {
        m3_field line;
        bool good = false;
        if ((st = next_line(table, &line, &found, err)) != M3_OK || !found) break;
        if (line.size == 0 || line.size > LONGEST_OBJECT) continue;
        if ((st = m3_json_row_read(&table->object, table->path, line, 0, &good, err)) != M3_OK) break;
        if (good && (st = add_keys(table, keys, err)) != M3_OK) break;
    }
    table->at = at;
    table->line = 1;
    return st;
}

static m3_status read_keys(m3_table *table, m3_error *err)
{
    m3_names keys = {0};
    m3_status st = find_keys(table, &keys, err);
    if (st == M3_OK && keys.count == 0)
        st = M3_FAIL(err, M3_ERR_INVALID, table->path, "has no keys in its first objects: line 1 %s",
                     table->object.why[0] != '\0' ? table->object.why : "is empty");
    if (st == M3_OK) st = make_columns(table, keys.count, err);
    for (uint32_t i = 0; st == M3_OK && i < keys.count; i++)
        if ((table->columns[i] = m3_strdup(m3_names_at(&keys, i))) == NULL) st = M3_FAIL_MEMORY(err, table->path, 1);
    m3_names_fini(&keys);
    return st;
}

static m3_status read_header(m3_table *table, m3_error *err)
{
    m3_row row;
    m3_status st = m3_table_next(table, &row, err);
    if (st != M3_OK) return st;
    if (row.kind == M3_ROW_END) return M3_FAIL(err, M3_ERR_INVALID, table->path, "is empty; it wants a header line");
    if (row.kind == M3_ROW_QUOTES)
        return M3_FAIL(err, M3_ERR_INVALID, table->path, "line %llu: the quotes of the header do not pair up",
                       (unsigned long long)row.line);
    if (row.count > MAX_COLUMNS) return M3_FAIL(err, M3_ERR_INVALID, table->path, "more than %d columns", MAX_COLUMNS);
    if ((st = make_columns(table, row.count, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < row.count; i++) {
        m3_field name = row.fields[i];
        if (!m3_field_is_utf8(name) || m3_field_has_control(name) || name.size > M3_ID_BYTES)
            return M3_FAIL(err, M3_ERR_INVALID, table->path,
                           "line %llu: column %u of the header is no name in UTF-8; is this a table?",
                           (unsigned long long)row.line, i + 1);
        table->columns[i] = m3_strfmt("%.*s", (int)without_type(name), name.text);
        if (table->columns[i] == NULL) return M3_FAIL_MEMORY(err, table->path, name.size);
    }
    return M3_OK;
}

static m3_status take_names(m3_table *table, const m3_table_how *how, m3_error *err)
{
    const m3_status st = make_columns(table, how->column_count, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < how->column_count; i++)
        if ((table->columns[i] = m3_strdup(how->columns[i])) == NULL) return M3_FAIL_MEMORY(err, table->path, 1);
    return M3_OK;
}

/* The file has no header: its first line must have as many fields as there are names, and is a row, unless it has
 * those very names. */
static m3_status check_first(m3_table *table, const m3_table_how *how, m3_error *err)
{
    m3_row row;
    m3_status st;
    if ((st = m3_table_next(table, &row, err)) != M3_OK) return st;
    if (row.kind == M3_ROW_END) return M3_FAIL(err, M3_ERR_INVALID, table->path, "is empty");
    bool names = row.kind == M3_ROW_GOOD && row.count == how->column_count;
    for (uint32_t i = 0; i < how->column_count && names; i++) names = m3_field_is(row.fields[i], how->columns[i]);
    if (row.kind == M3_ROW_GOOD && row.count != how->column_count)
        return M3_FAIL(err, M3_ERR_INVALID, table->path, "line %llu has %u fields where %s names %u",
                       (unsigned long long)row.line, row.count, how->columns_option, how->column_count);
    if (names) return M3_OK;
    table->at = table->row;
    table->line = row.line;
    return M3_OK;
}

static m3_status skip_mark(m3_table *table, m3_error *err)
{
    const m3_source *source = &table->source;
    if (source->to >= 3 && memcmp(source->bytes, "\xEF\xBB\xBF", 3) == 0) table->at = 3;
    if (source->to >= 2 && (memcmp(source->bytes, "\xFF\xFE", 2) == 0 || memcmp(source->bytes, "\xFE\xFF", 2) == 0))
        return M3_FAIL(err, M3_ERR_INVALID, table->path, "is UTF-16; save it as UTF-8");
    return m3_foreign_refuse(table->path, source->bytes, (size_t)source->to, err);
}

/* The first byte from *at on that is no blank and no line end; '\0' when there is none in the window. */
static char next_visible(const m3_table *table, uint64_t *at)
{
    for (; *at < table->source.to; ++*at) {
        const char c = *bytes_at(table, *at);
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c;
    }
    return '\0';
}

/* A header in braces is nothing that people have. */
static m3_status find_objects(m3_table *table, m3_error *err)
{
    uint64_t at = table->at;
    const char first = next_visible(table, &at);
    table->by_objects = first == '{';
    if (first != '[') return M3_OK;
    at++;
    if (next_visible(table, &at) != '{') return M3_OK;
    char *word = m3_shell_word(table->path);
    if (word == NULL) return M3_FAIL_MEMORY(err, table->path, strlen(table->path));
    const m3_status st =
        M3_FAIL(err, M3_ERR_INVALID, table->path,
                "is one list of JSON; make lines of its objects: jq -c '.[]' %s > interactions.jsonl", word);
    m3_free(word);
    return st;
}

/* Spreadsheets may name the separator in a line before the header, "sep=;", which is no row. */
static void take_named_separator(m3_table *table, char separator[2])
{
    const char *from = bytes_at(table, table->at);
    const size_t left = (size_t)(table->source.to - table->at);
    if (left < 6 || strncasecmp(from, "sep=", 4) != 0 || strchr("\"\r\n", from[4]) != NULL) return;
    const size_t end = from[5] == '\r' && left > 6 && from[6] == '\n' ? 7 : 6;
    if (from[5] != '\r' && from[5] != '\n') return;
    separator[0] = from[4];
    table->at += end;
    table->line++;
}

static m3_status begin(m3_table *table, const m3_table_how *how, m3_error *err)
{
    m3_status st;
    char named[2] = "";
    if ((st = m3_source_open(&table->source, table->path, err)) != M3_OK) return st;
    if ((st = skip_mark(table, err)) != M3_OK) return st;
    take_named_separator(table, named);
    const char *separator = how->separator == NULL && named[0] != '\0' ? named : how->separator;
    const size_t left = (size_t)(table->source.to - table->at);
    table->columns_option = how->columns_option;
    if (separator == NULL && (st = find_objects(table, err)) != M3_OK) return st;
    if (table->by_objects) {
        table->dialect.line_end = '\n';
        return how->column_count > 0 ? take_names(table, how, err) : read_keys(table, err);
    }
    const m3_field sample = {bytes_at(table, table->at), left < SAMPLE ? left : SAMPLE};
    st = m3_dialect_find(&table->dialect, table->path, separator, sample, how->column_count, err);
    if (st != M3_OK) return st;
    if (table->dialect.quoted) restart_parser(table, CSV_STRICT);
    if (how->column_count == 0) return read_header(table, err);
    if ((st = check_first(table, how, err)) != M3_OK) return st;
    return take_names(table, how, err);
}

m3_status m3_table_open(const char *path, const m3_table_how *how, m3_table **out, m3_error *err)
{
    static const m3_table_how found = {0};
    m3_status st;
    *out = NULL;
    m3_table *table = m3_calloc(1, sizeof *table);
    if (table == NULL) return M3_FAIL_MEMORY(err, path, sizeof *table);
    table->line = 1;
    if ((table->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path));
        goto done;
    }
    if ((st = begin(table, how != NULL ? how : &found, err)) != M3_OK) goto done;
    *out = table;
    table = NULL; /* the caller owns it now */
done:
    m3_table_close(table);
    return st;
}

void m3_table_close(m3_table *table)
{
    if (table == NULL) return;
    for (uint32_t i = 0; i < table->column_count && !table->view; i++) m3_free(table->columns[i]);
    if (!table->view) {
        m3_free(table->columns);
        m3_free(table->needed);
        m3_free(table->path);
        m3_source_close(&table->source);
    }
    m3_json_row_fini(&table->object);
    m3_free(table->fields);
    m3_free(table->bytes);
    if (table->parser_open) csv_free(&table->parser);
    m3_free(table);
}

const char *m3_table_path(const m3_table *table)
{
    return table->path;
}

bool m3_table_unusual(const m3_table *table, char *text, size_t size)
{
    if (!table->dialect.unusual) return false;
    m3_dialect_name(&table->dialect, text, size);
    return true;
}

uint32_t m3_table_column_count(const m3_table *table)
{
    return table->column_count;
}

const char *m3_table_column(const m3_table *table, uint32_t column)
{
    return table->columns[column];
}

bool m3_table_find(const m3_table *table, const char *name, uint32_t *column)
{
    for (uint32_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i], name) == 0) {
            *column = i;
            return true;
        }
    return false;
}

void m3_table_list(const m3_table *table, const uint32_t *used, uint32_t count, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t c = 0; c < table->column_count && at < size; c++) {
        bool listed = table->columns[c][0] != '\0';
        for (uint32_t i = 0; i < count; i++) listed = listed && used[i] != c;
        if (listed) at += (size_t)snprintf(text + at, size - at, "%s'%s'", at == 0 ? "" : ", ", table->columns[c]);
    }
}

m3_status m3_table_seek(const m3_table *table, const char *name, uint32_t *column, bool *found, m3_error *err)
{
    *found = m3_table_find(table, name, column);
    if (*found) table->needed[*column] = true;
    for (uint32_t i = *column + 1; *found && i < table->column_count; i++)
        if (strcmp(table->columns[i], name) == 0)
            return M3_FAIL(err, M3_ERR_INVALID, table->path, "two columns are named '%s'; give one another name", name);
    return M3_OK;
}

/* A name of a column is hardly ever a number or a date. */
static bool has_data(const m3_table *table)
{
    double number;
    char text[M3_MOMENT_TEXT];
    bool zoned;
    for (uint32_t i = 0; i < table->column_count; i++) {
        const m3_field name = {table->columns[i], strlen(table->columns[i])};
        if (m3_field_number(name, &number) || m3_moment_number(name, text, &zoned)) return true;
    }
    return false;
}

m3_status m3_table_need(const m3_table *table, const char *name, const char *option, uint32_t *column, m3_error *err)
{
    bool found = false;
    char list[512];
    const m3_status st = m3_table_seek(table, name, column, &found, err);
    if (st != M3_OK || found) return st;
    m3_table_list(table, NULL, 0, list, sizeof list);
    if (table->columns_option != NULL && has_data(table))
        return M3_FAIL(err, M3_ERR_INVALID, table->path,
                       "has no column '%s'; its first line looks like data and not like a header: %s. Name the "
                       "columns with %s A,B,...",
                       name, list, table->columns_option);
    return M3_FAIL(err, M3_ERR_INVALID, table->path,
                   "has no column '%s'; its columns are %s. Name the right one with %s", name, list, option);
}
