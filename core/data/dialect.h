/* dialect: what separates the fields and the lines of a table, as the options say it or as its first lines show it. */
#ifndef M3_CORE_DATA_DIALECT_H
#define M3_CORE_DATA_DIALECT_H

#include "core/data/text.h"
#include "m3bsr/base.h"

enum { M3_SEPARATOR_BYTES = 8 };

typedef struct m3_dialect {
    char separator[M3_SEPARATOR_BYTES + 1]; /**< "": runs of blanks and tabs */
    size_t width;                           /**< its bytes */
    bool quoted;                            /**< double quotes quote; the separator is one byte then */
    bool unusual;                           /**< another separator than the file's name suggests */
    char line_end;                          /**< '\n', or '\r' where no '\n' is, as old Macs wrote */
} m3_dialect;

/** @param path     .csv has commas, every other name tabs, unless the lines show something else.
 * @param given     A separator, "tab" or "blank"; NULL: find it.
 * @param sample    The beginning of the file, up to its end or to some whole lines.
 * @param columns   How many fields a row must have; 0: not known.
 * Returns M3_OK, M3_ERR_INVALID (given is no separator). */
m3_status m3_dialect_find(m3_dialect *dialect, const char *path, const char *given, m3_field sample, uint32_t columns,
                          m3_error *err);
/** "a tab", "';'": for messages. */
void m3_dialect_name(const m3_dialect *dialect, char *text, size_t size);
/** The next field of a line without quotes, from *at on; *at is behind its separator then, or beyond the line's size.
 */
m3_field m3_dialect_next(const m3_dialect *dialect, m3_field line, size_t *at);

#endif
