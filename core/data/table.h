/* table: rows of a text file, plain or compressed, whose first line names the columns unless the caller does; or JSON
 * lines, an object a row, whose keys name the columns. */
#ifndef M3_CORE_DATA_TABLE_H
#define M3_CORE_DATA_TABLE_H

#include "core/data/source.h"
#include "core/data/text.h"
#include "m3bsr/base.h"

typedef struct m3_table m3_table;

typedef enum m3_row_kind {
    M3_ROW_END,
    M3_ROW_GOOD,   /**< as many fields as the header */
    M3_ROW_FIELDS, /**< another number of fields */
    M3_ROW_QUOTES, /**< quotes that do not pair up, or text behind a closing quote */
    M3_ROW_OBJECT  /**< of JSON lines: no object, or a list or an object in a column that was asked for */
} m3_row_kind;

/** Borrowed until the next m3_table_next(). */
typedef struct m3_row {
    m3_row_kind kind;
    bool literal;   /**< good only when quotes that do not pair up stand for themselves */
    uint64_t line;  /**< where the row starts, from 1 */
    uint64_t place; /**< likewise, in bytes of the text */
    uint32_t count;
    const m3_field *fields;
} m3_row;

/** How a table is read; {0} finds out all of it. Texts are borrowed for the call, but for the option. */
typedef struct m3_table_how {
    const char *separator;      /**< as m3_dialect_find() takes it */
    const char *const *columns; /**< [column_count] of a file without header */
    uint32_t column_count;
    const char *columns_option; /**< the option that gives them, for messages; NULL: there is none */
} m3_table_how;

/** Open the file and read its header. A byte order mark is skipped; RecBole's ":token" and the like are cut off.
 * @param how    May be NULL.
 * @param table  Yours, m3_table_close(). */
m3_status m3_table_open(const char *path, const m3_table_how *how, m3_table **table, m3_error *err);
void m3_table_close(m3_table *table);
const char *m3_table_path(const m3_table *table);
/** How many bytes of the file have been read, and how many there are, compressed ones where they are. */
void m3_table_position(const m3_table *table, uint64_t *done, uint64_t *bytes);
/** What is wrong with a row that is not M3_ROW_GOOD, as a sentence's end. */
void m3_table_defect(const m3_table *table, const m3_row *row, char *text, size_t size);
/** Whether fields are separated by something else than the file's name suggests: then text says by what. */
bool m3_table_unusual(const m3_table *table, char *text, size_t size);
uint32_t m3_table_column_count(const m3_table *table);
const char *m3_table_column(const m3_table *table, uint32_t column);
/** "'a', 'b'": the columns that are not among used [count], cut to size; "" when there is none. */
void m3_table_list(const m3_table *table, const uint32_t *used, uint32_t count, char *text, size_t size);
/** M3_ERR_INVALID with the header's columns when there is no such column, and when two have the name; option: the
 * option that names another. */
m3_status m3_table_need(const m3_table *table, const char *name, const char *option, uint32_t *column, m3_error *err);
/** The first column of the name. */
bool m3_table_find(const m3_table *table, const char *name, uint32_t *column);
/** A column that may be missing: then *found is false. M3_ERR_INVALID when two have the name. */
m3_status m3_table_seek(const m3_table *table, const char *name, uint32_t *column, bool *found, m3_error *err);
/** The next row; blank lines are none, and empty fields beyond the header's are left out. Only memory and unreadable
 * files fail. */
m3_status m3_table_next(m3_table *table, m3_row *row, m3_error *err);

/* Views: readers of pieces of a table's text, for several threads. A row that begins at a row's beginning is the same
 * in a view and in the table. */

/** The bytes of a table's text from `place` on. */
typedef struct m3_text_piece {
    const char *bytes;
    size_t size;
    uint64_t place;
    bool ended; /**< nothing follows */
} m3_text_piece;

/** The text of the table, to be read piece by piece by others; m3_table_next() is at an end then. */
m3_source *m3_table_source(m3_table *table);
/** Where the next row begins, and its line. */
uint64_t m3_table_at(const m3_table *table, uint64_t *line);
char m3_table_line_end(const m3_table *table);
/** @param view  Yours, m3_table_close(); borrows from the table, and shares nothing that changes with other views. */
m3_status m3_table_view(const m3_table *table, m3_table **view, m3_error *err);
/** The next row is the one at the place `at`, which must be in the piece, and of that line. Text of rows is borrowed
 * from the piece where it is as it stands there. */
void m3_table_view_move(m3_table *view, const m3_text_piece *piece, uint64_t at, uint64_t line);
/** Whether m3_table_next() gave M3_ROW_END since the piece ends before the row does; m3_table_at() is its beginning. */
bool m3_table_is_cut(const m3_table *view);

#endif
