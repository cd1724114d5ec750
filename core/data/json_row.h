/* json_row: a line of JSON lines, an object, as fields by the names of its keys. */
#ifndef M3_CORE_DATA_JSON_ROW_H
#define M3_CORE_DATA_JSON_ROW_H

#include <jansson.h>

#include "core/data/text.h"
#include "m3bsr/base.h"

/** Starts as {0}; m3_json_row_fini() ends it. */
typedef struct m3_json_row {
    json_t *object;
    char *numbers; /**< texts of the row's numbers */
    uint32_t columns;
    char why[200]; /**< what is wrong with the last line or field */
} m3_json_row;

/** Parse a line. *good is false, and why set, when it is no object. @param columns  How many fields may be asked for.
 * Returns M3_OK, M3_ERR_MEMORY. */
m3_status m3_json_row_read(m3_json_row *row, const char *path, m3_field line, uint32_t columns, bool *good,
                           m3_error *err);
/** The value of a key as text: "" for null and for a key that is not there. Borrowed until the next line is read.
 * @param column  Below the columns of the row, another for each key.
 * Returns false, and sets why, when it is a list or an object. */
bool m3_json_row_field(m3_json_row *row, const char *key, uint32_t column, m3_field *field);
void m3_json_row_fini(m3_json_row *row);

#endif
