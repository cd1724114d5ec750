/* table: rows of a text file with a header line. .csv has commas and quotes, every other name tabs and no quotes. */
#ifndef M3_CORE_DATA_TABLE_H
#define M3_CORE_DATA_TABLE_H

#include "core/data/text.h"
#include "m3bsr/base.h"

typedef struct m3_table m3_table;

typedef enum m3_row_kind {
    M3_ROW_END,
    M3_ROW_GOOD,   /**< as many fields as the header */
    M3_ROW_FIELDS, /**< another number of fields */
    M3_ROW_QUOTES  /**< quotes that do not pair up, or text behind a closing quote */
} m3_row_kind;

/** Borrowed until the next m3_table_next(). */
typedef struct m3_row {
    m3_row_kind kind;
    bool literal;  /**< good only when quotes that do not pair up stand for themselves */
    uint64_t line; /**< where the row starts, from 1 */
    uint32_t count;
    const m3_field *fields;
} m3_row;

/** Map the file and read its header. A byte order mark is skipped; RecBole's ":token" and the like are cut off.
 * @param table  Yours, m3_table_close(). */
m3_status m3_table_open(const char *path, m3_table **table, m3_error *err);
void m3_table_close(m3_table *table);
const char *m3_table_path(const m3_table *table);
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

/** A whole file as bytes. */
typedef struct m3_mapping_file {
    const char *bytes;
    size_t size;
} m3_mapping_file;

/** Map a regular file read-only; an empty one has bytes "" and size 0. */
m3_status m3_file_map(const char *path, m3_mapping_file *file, m3_error *err);
/** The same, and *held is a descriptor of the mapped file, which another may have taken the name of since: close(). */
m3_status m3_file_map_held(const char *path, m3_mapping_file *file, int *held, m3_error *err);
void m3_file_unmap(m3_mapping_file *file);

#endif
