/* rows_chunk: the rows of a piece of an interactions file as events. Pieces are read side by side: what depends on
 * rows before the piece is left to m3_rows_chunk_merge(), a chunk after the other. */
#ifndef M3_CORE_DATA_ROWS_CHUNK_H
#define M3_CORE_DATA_ROWS_CHUNK_H

#include "core/data/clock.h"
#include "core/data/rows.h"
#include "core/data/table.h"

#define M3_NO_COLUMN UINT32_MAX

typedef enum m3_compare { M3_ALWAYS, M3_AT_LEAST, M3_ABOVE, M3_AT_MOST, M3_BELOW, M3_EQUAL, M3_UNEQUAL } m3_compare;

/** A behavior that a column's number gives. */
typedef struct m3_derive_rule {
    uint32_t behavior, column;
    m3_compare compare;
    double number;
} m3_derive_rule;

/** What a file is read by; chunks look at it and change nothing. */
typedef struct m3_rows_reader {
    m3_rows *rows;
    m3_drops *drops;
    m3_table *table;
    uint32_t user, item, behavior, time; /**< columns; time: M3_NO_COLUMN where the order of the rows is the time */
    uint32_t split;                      /**< or M3_NO_COLUMN */
    uint32_t last;                       /**< the highest line of an event */
    m3_clock clock;
    m3_event early; /**< the first event before the one before of its user; its line is 0 when there is none */
    int64_t begin;  /**< the time before the first row, where their order is the time */
    m3_derive_rule *rules;
    uint32_t rule_count;
    uint32_t sole;    /**< behavior of every row, or M3_NO_COLUMN */
    uint64_t literal; /**< rows */
} m3_rows_reader;

/** Adds the name to the rows' behaviors. */
m3_status m3_rows_behavior(m3_rows_reader *r, m3_field name, uint32_t *number, m3_error *err);

/** An id of a row, until it is numbered. */
typedef struct m3_row_key {
    uint64_t hash;
    const char *text; /**< in the piece; NULL: at `place` of the chunk's own bytes */
    uint32_t place;
    uint32_t size;
} m3_row_key;

/** A row that gave events. */
typedef struct m3_chunk_row {
    m3_row_key user, item;
    uint32_t event; /**< the first of it */
} m3_chunk_row;

/** Starts as {0} but for reader, view and behaviors. */
typedef struct m3_rows_chunk {
    const m3_rows_reader *reader;
    m3_table *view;
    uint64_t begin, stop; /**< places: of the first row, and behind those whose rows are the chunk's */
    uint64_t line;        /**< of the first row */
    bool alone;           /**< no other chunk is at work: one row, which may change the units of time */

    uint64_t end, end_line; /**< where it came to */
    bool refine;            /**< the row there must be read alone */
    m3_status st;           /**< of the row before */
    m3_error err;
    m3_event *events; /**< [count] a behavior beyond FRESH is a number of fresh */
    uint32_t count, capacity;
    m3_chunk_row *rows; /**< [row_count] */
    uint32_t row_count, row_capacity;
    uint32_t *unknown; /**< [unknown_count] rows times 2, + 1 for the item: not among the names yet */
    uint32_t unknown_count, unknown_capacity;
    char *bytes; /**< texts that are not as they stand in the piece */
    size_t used, held;
    m3_names fresh;      /**< behaviors */
    uint32_t *behaviors; /**< [rules + 2] of the row at hand */
    m3_drops drops;
    m3_held_drops held_drops;
    m3_import_report report;
    m3_clock clock;
    int64_t latest;
    uint64_t literal;
    uint32_t last;
} m3_rows_chunk;

m3_status m3_rows_chunk_init(m3_rows_chunk *chunk, const m3_rows_reader *reader, m3_error *err);
void m3_rows_chunk_fini(m3_rows_chunk *chunk);
/** Read the rows that begin from `begin` on and before `stop`. */
void m3_rows_chunk_parse(m3_rows_chunk *chunk, const m3_text_piece *piece);
/** Add what was found to the rows and to what is said of them. Returns the chunk's error too. */
m3_status m3_rows_chunk_merge(m3_rows_chunk *chunk, m3_rows_reader *r, m3_error *err);

#endif
