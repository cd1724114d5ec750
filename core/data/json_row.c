/* json_row: jansson parses; strings stay its own, and numbers are written into a place for each column. */
#include "core/data/json_row.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/json.h"
#include "core/base/number.h"

enum { NUMBER = 32 }; /* bytes: 64 bits, or a double at its shortest */

m3_status m3_json_row_read(m3_json_row *row, const char *path, m3_field line, uint32_t columns, bool *good,
                           m3_error *err)
{
    json_error_t reason;
    if (columns > row->columns) {
        char *numbers = m3_realloc(row->numbers, columns, NUMBER);
        if (numbers == NULL) return M3_FAIL_MEMORY(err, path, (size_t)columns * NUMBER);
        row->numbers = numbers;
        row->columns = columns;
    }
    json_decref(row->object);
    row->object = NULL;
    const m3_status st = m3_json_parse(line.text, line.size, path, &row->object, &reason, err);
    *good = json_is_object(row->object);
    if (st == M3_OK && !*good)
        (void)snprintf(row->why, sizeof row->why, "is no JSON object: %.150s",
                       row->object == NULL ? reason.text : "another value");
    return st;
}

bool m3_json_row_field(m3_json_row *row, const char *key, uint32_t column, m3_field *field)
{
    const json_t *value = json_object_get(row->object, key);
    char *number = row->numbers + (size_t)column * NUMBER;
    *field = (m3_field){"", 0};
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_STRING: *field = (m3_field){json_string_value(value), json_string_length(value)}; return true;
    case JSON_INTEGER: (void)snprintf(number, NUMBER, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: m3_number_shortest(json_real_value(value), number, NUMBER); break;
    case JSON_TRUE: (void)snprintf(number, NUMBER, "true"); break;
    case JSON_FALSE: (void)snprintf(number, NUMBER, "false"); break;
    case JSON_NULL: return true;
    case JSON_OBJECT:
    case JSON_ARRAY:
        (void)snprintf(row->why, sizeof row->why, "%.100s is %s, not a text or a number", key,
                       json_is_array(value) ? "a list" : "an object");
        return false;
    }
    *field = (m3_field){number, strlen(number)};
    return true;
}

void m3_json_row_fini(m3_json_row *row)
{
    json_decref(row->object);
    m3_free(row->numbers);
    *row = (m3_json_row){0};
}
