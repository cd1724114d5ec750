/* rows: the interactions of files as events, with names numbered as they come. */
#ifndef M3_CORE_DATA_ROWS_H
#define M3_CORE_DATA_ROWS_H

#include "core/data/drops.h"
#include "core/data/event_log.h"
#include "core/data/names.h"

/** Starts as {0} but for what m3_rows_begin() takes; m3_rows_fini() ends it. */
typedef struct m3_rows {
    m3_names users, items, behaviors;
    m3_event_log log;
    uint64_t memory;                       /**< bytes for all of this and for what is made of it */
    uint64_t counts[M3_MAX_SET_BEHAVIORS]; /**< events by behavior */
    int64_t *last_time;                    /**< [last_time_capacity] by user */
    uint32_t last_time_capacity;
    uint32_t time_digits;   /**< times are in units of 10^-time_digits of time_unit, */
    m3_time_unit time_unit; /**< which is the file's unless the caller sets another before it is read */
    int64_t latest;         /**< the largest size of a time */
    int64_t first, last;    /**< times of the file that is read */
    uint32_t of_set; /**< events with a line up to it come from a data set, in its order; the file's lines follow */
    uint32_t before; /**< an event's line is that of its file and this: all that was read before the file comes first */
    m3_split_part part; /**< of the next file's events, unless it has a column for that */
    struct m3_rows_file {
        const char *path; /**< borrowed */
        uint32_t before;
    } files[M3_SPLIT_COUNT]; /**< that were read */
    uint32_t file_count;
} m3_rows;

/** The reading with every NULL name replaced by its default. */
m3_reading m3_reading_resolve(const m3_reading *reading);

/** @param pool    Borrowed, for reading and sorting.
 * @param beside  Borrowed: the file in whose folder lies what does not fit into memory; NULL: all fits.
 * @param memory  Bytes, or 0: no bound. */
void m3_rows_begin(m3_rows *rows, m3_pool *pool, const char *beside, uint64_t memory, const m3_watch *watch);
/** Read an interactions file, M3_SPLIT_COUNT at most. @param path  Must outlive the rows.
 * @param sole_behavior  The behavior of every row when the file has no behavior column and nothing is derived; NULL:
 * then the column is needed. In strict mode an error of a repeat that comes first is left to m3_rows_settle(). */
m3_status m3_rows_read(m3_rows *rows, const char *path, const m3_reading *reading, const char *sole_behavior,
                       m3_drops *drops, m3_error *err);
/** Add events in the order of their lines. */
m3_status m3_rows_add(m3_rows *rows, const m3_event *events, size_t count, m3_error *err);
/** Smaller units of time, `digits` more after the point; all times fit. */
void m3_rows_refine(m3_rows *rows, uint32_t digits);
/** How much memory events may take beside names and `other` bytes. Returns M3_ERR_MEMORY when that is too little. */
m3_status m3_rows_make_room(m3_rows *rows, uint64_t other, m3_error *err);
/** When all is read: put the events into the order of m3_event_by_time(), with users numbered by rising id, and drop
 * those that repeat an earlier one. @param order  [users.count] The users in that order. */
m3_status m3_rows_settle(m3_rows *rows, const uint32_t *order, m3_drops *drops, m3_error *err);
void m3_rows_fini(m3_rows *rows);

#endif
