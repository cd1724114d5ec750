/* table: a row at a time from a mapped file. Tab-separated fields are slices of the mapping; libcsv reads .csv line
 * by line, so that a row knows its line, and starts anew behind a row whose quotes are broken. */
#include "core/data/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csv.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

/* A quote that never closes would otherwise swallow the rest of the file, again for each row behind it. */
enum { LONGEST_QUOTED_ROW = 1 << 20, MAX_COLUMNS = 4096 };

struct m3_table {
    char *path;
    m3_mapping_file file;
    size_t at;     /* in file */
    uint64_t line; /* of at, from 1 */
    char **columns;
    uint32_t column_count;
    m3_field *fields; /* of the row at hand */
    uint32_t field_count, field_capacity;

    bool csv;
    struct csv_parser parser;
    bool parser_open;
    char *bytes; /* unquoted fields of the row at hand; their text is set when the row is whole */
    size_t used, held;
    bool row_done, out_of_memory;
};

m3_status m3_file_map_held(const char *path, m3_mapping_file *file, int *held, m3_error *err)
{
    *file = (m3_mapping_file){.bytes = ""};
    m3_status st = M3_OK;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        st = M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "is no regular file");
        goto done;
    }
    if (info.st_size == 0) goto done;
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be mapped: %s", strerror(errno));
        goto done;
    }
    *file = (m3_mapping_file){bytes, (size_t)info.st_size};
done:
    if (fd >= 0 && st != M3_OK) (void)close(fd);
    *held = st == M3_OK ? fd : -1;
    return st;
}

m3_status m3_file_map(const char *path, m3_mapping_file *file, m3_error *err)
{
    int fd;
    m3_status st = m3_file_map_held(path, file, &fd, err);
    if (fd >= 0) (void)close(fd);
    return st;
}

void m3_file_unmap(m3_mapping_file *file)
{
    if (file->size > 0) (void)munmap((void *)(uintptr_t)file->bytes, file->size);
    *file = (m3_mapping_file){0};
}

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

/* One line without its end; false at the end of the file. */
static bool next_line(m3_table *table, m3_field *line)
{
    size_t left = table->file.size - table->at;
    if (left == 0) return false;
    const char *from = table->file.bytes + table->at;
    const char *end = memchr(from, '\n', left);
    size_t size = end == NULL ? left : (size_t)(end - from);
    table->at += size + (end != NULL);
    table->line++;
    if (size > 0 && from[size - 1] == '\r') size--;
    *line = (m3_field){from, size};
    return true;
}

static m3_status next_tabbed(m3_table *table, m3_row *row, m3_error *err)
{
    m3_field line;
    do {
        row->line = table->line;
        if (!next_line(table, &line)) return M3_OK;
    } while (line.size == 0);
    row->kind = M3_ROW_GOOD;
    for (size_t from = 0; from <= line.size;) {
        const char *tab = memchr(line.text + from, '\t', line.size - from);
        size_t to = tab == NULL ? line.size : (size_t)(tab - line.text);
        if (!add_field(table, (m3_field){line.text + from, to - from}))
            return M3_FAIL_MEMORY(err, table->path, line.size);
        from = to + 1;
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
    csv_set_space_func(&table->parser, csv_is_space);
    csv_set_term_func(&table->parser, csv_is_term);
}

/* A line whose quotes do not pair up, once more: quotes within a field stand for themselves, an inch mark or what
 * follows a backslash. It must be a row then, so that no quote swallows the lines behind it. */
static bool read_literal(m3_table *table, const char *bytes, size_t size)
{
    table->used = table->field_count = 0;
    table->row_done = false;
    restart_parser(table, 0);
    bool whole = csv_parse(&table->parser, bytes, size, csv_field, csv_row, table) == size;
    if (whole && bytes[size - 1] != '\n') whole = csv_parse(&table->parser, "\n", 1, csv_field, csv_row, table) == 1;
    restart_parser(table, CSV_STRICT);
    return whole && table->row_done;
}

static m3_status next_quoted(m3_table *table, m3_row *row, m3_error *err)
{
    size_t from = table->at, behind_first_line = 0;
    bool broken = false;
    table->used = 0;
    table->row_done = false;
    row->line = table->line;
    while (!table->row_done && !broken && !table->out_of_memory) {
        const char *bytes = table->file.bytes + table->at;
        m3_field line;
        if (!next_line(table, &line)) {
            if (behind_first_line == 0) return M3_OK;
            broken = true;
            break;
        }
        if (behind_first_line == 0) {
            if (line.size == 0) {
                row->line = table->line;
                continue;
            }
            from = (size_t)(bytes - table->file.bytes);
            behind_first_line = table->at;
        }
        size_t size = (size_t)(table->file.bytes + table->at - bytes);
        bool ended = bytes[size - 1] == '\n';
        broken = csv_parse(&table->parser, bytes, size, csv_field, csv_row, table) != size ||
                 (!ended && csv_parse(&table->parser, "\n", 1, csv_field, csv_row, table) != 1) ||
                 table->at - from > LONGEST_QUOTED_ROW;
        if (broken && csv_error(&table->parser) == CSV_ENOMEM) table->out_of_memory = true;
    }
    if (broken) {
        table->at = behind_first_line;
        table->line = row->line + 1;
        row->literal = read_literal(table, table->file.bytes + from, behind_first_line - from);
    }
    if (table->out_of_memory) return M3_FAIL_MEMORY(err, table->path, table->held);
    row->kind = broken && !row->literal ? M3_ROW_QUOTES : M3_ROW_GOOD;
    if (row->kind == M3_ROW_QUOTES) return M3_OK;
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
    m3_status st = table->csv ? next_quoted(table, row, err) : next_tabbed(table, row, err);
    if (st != M3_OK) return st;
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

static size_t without_type(m3_field name)
{
    static const char *const types[] = {":token", ":float", ":token_seq", ":float_seq"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (ends_with(name.text, name.size, types[i])) return name.size - strlen(types[i]);
    return name.size;
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
    table->columns = m3_calloc(row.count, sizeof *table->columns);
    if (table->columns == NULL) return M3_FAIL_MEMORY(err, table->path, row.count * sizeof *table->columns);
    table->column_count = row.count;
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

static m3_status skip_mark(m3_table *table, m3_error *err)
{
    const m3_mapping_file *file = &table->file;
    if (file->size >= 3 && memcmp(file->bytes, "\xEF\xBB\xBF", 3) == 0) table->at = 3;
    if (file->size >= 2 && (memcmp(file->bytes, "\xFF\xFE", 2) == 0 || memcmp(file->bytes, "\xFE\xFF", 2) == 0))
        return M3_FAIL(err, M3_ERR_INVALID, table->path, "is UTF-16; save it as UTF-8");
    return M3_OK;
}

m3_status m3_table_open(const char *path, m3_table **out, m3_error *err)
{
    m3_status st = M3_OK;
    *out = NULL;
    m3_table *table = m3_calloc(1, sizeof *table);
    if (table == NULL) return M3_FAIL_MEMORY(err, path, sizeof *table);
    table->line = 1;
    if ((table->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path));
        goto done;
    }
    if ((st = m3_file_map(path, &table->file, err)) != M3_OK) goto done;
    table->csv = ends_with(path, strlen(path), ".csv");
    if (table->csv) restart_parser(table, CSV_STRICT);
    if ((st = skip_mark(table, err)) != M3_OK) goto done;
    if ((st = read_header(table, err)) != M3_OK) goto done;
    *out = table;
    table = NULL; /* the caller owns it now */
done:
    m3_table_close(table);
    return st;
}

void m3_table_close(m3_table *table)
{
    if (table == NULL) return;
    for (uint32_t i = 0; i < table->column_count; i++) m3_free(table->columns[i]);
    m3_free(table->columns);
    m3_free(table->fields);
    m3_free(table->bytes);
    if (table->parser_open) csv_free(&table->parser);
    m3_file_unmap(&table->file);
    m3_free(table->path);
    m3_free(table);
}

const char *m3_table_path(const m3_table *table)
{
    return table->path;
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
    for (uint32_t i = *column + 1; *found && i < table->column_count; i++)
        if (strcmp(table->columns[i], name) == 0)
            return M3_FAIL(err, M3_ERR_INVALID, table->path, "two columns are named '%s'; give one another name", name);
    return M3_OK;
}

m3_status m3_table_need(const m3_table *table, const char *name, const char *option, uint32_t *column, m3_error *err)
{
    bool found = false;
    char list[512];
    const m3_status st = m3_table_seek(table, name, column, &found, err);
    if (st != M3_OK || found) return st;
    m3_table_list(table, NULL, 0, list, sizeof list);
    return M3_FAIL(err, M3_ERR_INVALID, table->path,
                   "has no column '%s'; its columns are %s. Name the right one with %s", name, list, option);
}
