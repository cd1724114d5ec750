/* dialect: each separator that is common is tried on the first lines. The one that the file's name suggests wins unless
 * another makes more columns out of the first line, and as many out of each line behind it. */
#include "core/data/dialect.h"

#include <string.h>
#include <strings.h>

enum { LINES = 6 };

static const char *const common[] = {",", "\t", ";", "|", "::"};
enum { COMMON = sizeof common / sizeof common[0] };

/* Files with tabs come from programs that do not quote; a .csv with tabs comes from those that do. */
static m3_dialect make(const char *separator, bool csv)
{
    m3_dialect d = {.width = strlen(separator), .line_end = '\n'};
    (void)snprintf(d.separator, sizeof d.separator, "%s", separator);
    d.quoted = d.width == 1 && (csv || separator[0] != '\t');
    d.unusual = strcmp(separator, csv ? "," : "\t") != 0;
    return d;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

m3_field m3_dialect_next(const m3_dialect *dialect, m3_field line, size_t *at)
{
    const size_t from = *at, width = dialect->width, left = line.size - from;
    const char *text = line.text + from, *end = NULL;
    if (width == 1) {
        end = memchr(text, dialect->separator[0], left);
    } else if (width > 1) {
        for (size_t i = 0; end == NULL && i + width <= left; i++)
            if (memcmp(text + i, dialect->separator, width) == 0) end = text + i;
    } else {
        size_t size = 0;
        while (size < left && !is_blank(text[size])) size++;
        *at = from + size;
        while (*at < line.size && is_blank(line.text[*at])) ++*at;
        if (*at == line.size) ++*at; /* blanks at the end separate nothing */
        return (m3_field){text, size};
    }
    const size_t size = end == NULL ? left : (size_t)(end - text);
    *at = from + size + (end == NULL ? 1 : width);
    return (m3_field){text, size};
}

/* Without what stands between quotes. */
static uint32_t count_fields(const m3_dialect *d, m3_field line)
{
    uint32_t count = 0;
    if (!d->quoted) {
        for (size_t at = 0; at <= line.size; count++) (void)m3_dialect_next(d, line, &at);
        return count;
    }
    bool inside = false;
    for (size_t i = 0; i < line.size; i++) {
        inside = inside != (line.text[i] == '"');
        count += !inside && line.text[i] == d->separator[0];
    }
    return count + 1;
}

/* The first lines with something in them. A last one that the sample cuts is left out, if it is not the only one. */
static uint32_t take_lines(m3_field sample, char line_end, m3_field lines[LINES])
{
    uint32_t count = 0;
    for (size_t at = 0; at < sample.size && count < LINES;) {
        const char *from = sample.text + at, *end = memchr(from, line_end, sample.size - at);
        size_t size = end == NULL ? sample.size - at : (size_t)(end - from);
        at += size + 1;
        if (size > 0 && from[size - 1] == '\r') size--;
        while (size > 0 && is_blank(*from)) from++, size--; /* to blank runs no field */
        if (size > 0 && (end != NULL || count == 0)) lines[count++] = (m3_field){from, size};
    }
    return count;
}

static bool agree(const m3_dialect *d, const m3_field *lines, uint32_t count, uint32_t fields)
{
    for (uint32_t i = 1; i < count; i++)
        if (count_fields(d, lines[i]) != fields) return false;
    return true;
}

static m3_dialect find(const m3_field *lines, uint32_t count, bool csv, uint32_t columns)
{
    m3_dialect best = make(csv ? "," : "\t", csv);
    if (count == 0) return best;
    uint32_t most = count_fields(&best, lines[0]);
    if (columns > 0 && most == columns) return best;
    for (size_t i = 0; i < COMMON; i++) {
        const m3_dialect other = make(common[i], csv);
        const uint32_t fields = count_fields(&other, lines[0]);
        if (columns > 0 && fields == columns) return other;
        if (fields <= most || !agree(&other, lines, count, fields)) continue;
        best = other;
        most = fields;
    }
    const m3_dialect blanks = make("", csv);
    const uint32_t fields = count_fields(&blanks, lines[0]);
    if (columns > 0 ? fields == columns : most == 1 && fields > 1 && agree(&blanks, lines, count, fields))
        return blanks;
    return best;
}

m3_status m3_dialect_find(m3_dialect *dialect, const char *path, const char *given, m3_field sample, uint32_t columns,
                          m3_error *err)
{
    m3_field lines[LINES];
    const size_t size = strlen(path);
    const bool csv = size > 4 && strcasecmp(path + size - 4, ".csv") == 0;
    const bool old_mac =
        memchr(sample.text, '\n', sample.size) == NULL && memchr(sample.text, '\r', sample.size) != NULL;
    const char line_end = old_mac ? '\r' : '\n';
    if (given == NULL) {
        *dialect = find(lines, take_lines(sample, line_end, lines), csv, columns);
    } else {
        const char *separator = strcmp(given, "tab") == 0 || strcmp(given, "\\t") == 0 ? "\t" : given;
        if (strcmp(given, "blank") == 0) separator = "";
        if (given[0] == '\0' || strlen(separator) > M3_SEPARATOR_BYTES || strpbrk(separator, "\"\r\n") != NULL)
            return M3_FAIL(err, M3_ERR_INVALID, "separator",
                           "cannot be '%.40s'; give up to %d bytes without quotes and line ends, tab, or blank for "
                           "runs of blanks",
                           given, M3_SEPARATOR_BYTES);
        *dialect = make(separator, csv);
    }
    dialect->line_end = line_end;
    return M3_OK;
}

void m3_dialect_name(const m3_dialect *dialect, char *text, size_t size)
{
    if (dialect->separator[0] == '\0')
        (void)snprintf(text, size, "a run of blanks");
    else if (strcmp(dialect->separator, "\t") == 0)
        (void)snprintf(text, size, "a tab");
    else
        (void)snprintf(text, size, "'%s'", dialect->separator);
}
