/* text: fields of a row as pointer and size, and the numbers and checks that rows need. Locale has no say. */
#ifndef M3_CORE_DATA_TEXT_H
#define M3_CORE_DATA_TEXT_H

#include "m3bsr/base.h"

typedef struct m3_field {
    const char *text; /**< no NUL at the end */
    size_t size;
} m3_field;

enum { M3_ID_BYTES = 1024 };

bool m3_field_is(m3_field field, const char *text);
bool m3_field_is_utf8(m3_field field);
bool m3_field_has_control(m3_field field);
/** A decimal number such as "-4.5e3"; false for anything else, also for "", "nan" and "inf". */
bool m3_field_number(m3_field field, double *number);
/** A whole number. "978300760.0" and "1e3" are whole; *cut is set when a fraction other than 0 was cut off (down). */
bool m3_field_time(m3_field field, int64_t *time, bool *cut);

/** For %.*s: a field as printf takes it, at most 80 bytes. */
#define M3_FIELD_ARGS(field) (int)((field).size < 80 ? (field).size : 80), (field).text

#endif
