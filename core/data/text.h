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
/** Whether it is of ASCII without control characters, which most are and is soon seen. */
bool m3_field_is_plain(m3_field field);
/** A decimal number such as "-4.5e3"; false for anything else, also for "", "nan" and "inf". */
bool m3_field_number(m3_field field, double *number);
/** The same, or true, false, yes or no in any case as 1 and 0. */
bool m3_field_value(m3_field field, double *number);
/** A point in time, the number times 10^move, in units of 10^-digits, M3_TIME_DIGITS at most.
 * @param needed  How many digits after the point it has; those beyond `digits` are cut off (down).
 * @return  Whether it is a number; *fits says whether it lies strictly between INT64_MIN and INT64_MAX, else *time is
 *          the end that is nearer. */
bool m3_field_time(m3_field field, uint32_t digits, int move, int64_t *time, uint32_t *needed, bool *fits);
/** time * 10^digits; false, and the nearer end, when it does not fit. */
bool m3_time_scale(int64_t *time, uint32_t digits);
enum { M3_TIME_DIGITS = 18 };

/** For %.*s: a field as printf takes it, at most 80 bytes. */
#define M3_FIELD_ARGS(field) (int)((field).size < 80 ? (field).size : 80), (field).text

#endif
