/* rows: the interactions of a file as events, with names numbered as they come. */
#ifndef M3_CORE_DATA_ROWS_H
#define M3_CORE_DATA_ROWS_H

#include "core/data/drops.h"
#include "core/data/names.h"

enum { M3_MAX_SET_BEHAVIORS = 64 };

typedef struct m3_event {
    int64_t time;
    uint32_t user, item;     /**< numbers in the names of the table */
    uint16_t behavior, part; /**< likewise; m3_split_part, as the source says it */
    uint32_t line;           /**< of the file; breaks ties of time */
} m3_event;

/** Starts as {0}; m3_rows_fini() ends it. */
typedef struct m3_rows {
    m3_names users, items, behaviors;
    m3_event *events;
    size_t count, capacity;
    uint32_t *slots; /**< hash table over events, number + 1 */
    size_t slot_count;
    int64_t *last_time; /**< [last_time_capacity] by user */
    uint32_t last_time_capacity;
    uint32_t time_digits;   /**< times are in units of 10^-time_digits of time_unit, */
    m3_time_unit time_unit; /**< which is the file's unless the caller sets another before it is read */
    int64_t latest;         /**< the largest size of a time */
    uint32_t of_set; /**< events with a line up to it come from a data set, in its order; the file's lines follow */
    uint32_t before; /**< an event's line is that of its file and this: all that was read before the file comes first */
    m3_split_part part; /**< of the next file's events, unless it has a column for that */
} m3_rows;

/** The reading with every NULL name replaced by its default. */
m3_reading m3_reading_resolve(const m3_reading *reading);

/** Read an interactions file. @param sole_behavior  The behavior of every row when the file has no behavior column
 * and nothing is derived; NULL: then the column is needed. */
m3_status m3_rows_read(m3_rows *rows, const char *path, const m3_reading *reading, const char *sole_behavior,
                       m3_drops *drops, m3_error *err);
/** Add an event unless there is one with its user, item, behavior and time.
 * @param earlier  Set to the line of the one that is there; 0: it was added. */
m3_status m3_rows_add(m3_rows *rows, const m3_event *event, uint32_t *earlier, m3_error *err);
void m3_rows_fini(m3_rows *rows);

/** By user, time, part, line: the order of a user's history. For qsort. */
int m3_event_by_time(const void *a, const void *b);

#endif
