/* event_log: all events of an import, in memory as far as they may be, else in a file without a name.
 *   add, add, …  ->  sort by user and time  ->  without repeats  ->  passes from beginning to end */
#ifndef M3_CORE_DATA_EVENT_LOG_H
#define M3_CORE_DATA_EVENT_LOG_H

#include "core/data/drops.h"
#include "core/data/event.h"

enum { M3_EVENT_LOG_MARKS = 32 };

/** Starts as {0} but for the first members; m3_event_log_fini() ends it. */
typedef struct m3_event_log {
    m3_pool *pool;      /**< borrowed */
    const char *beside; /**< borrowed: the file in whose folder events lie that do not fit; NULL: all fit */
    uint64_t room;      /**< bytes for events and their sorting; may change between calls */
    const m3_watch *watch;

    uint64_t count; /**< of all events */
    m3_event *events;
    size_t held, capacity; /**< of those in memory: all, or the last that are not in the file yet */
    bool in_file;
    int fd;
    uint64_t run; /**< events of each sorted run of the file but the last */
    struct {
        uint64_t before; /**< events so far */
        uint32_t digits; /**< whose times are to be multiplied by 10^digits */
    } marks[M3_EVENT_LOG_MARKS];
    uint32_t mark_count;
} m3_event_log;

/** Add events whose lines do not fall. Returns M3_OK, M3_ERR_MEMORY, M3_ERR_IO. */
m3_status m3_event_log_add(m3_event_log *log, const m3_event *events, size_t count, m3_error *err);
/** Multiply the times of all events so far by 10^digits, which must fit. */
void m3_event_log_scale(m3_event_log *log, uint32_t digits);

/** An event that repeats another of the same user, item, behavior and time: that with the lowest line stays. */
typedef void (*m3_repeat_fn)(void *arg, const m3_event *event, uint32_t earlier);

/** Replace each user by its rank, put the events into the order of m3_event_by_time(), and drop repeats, each of which
 * is told in that order. @param rank  [users] */
m3_status m3_event_log_settle(m3_event_log *log, const uint32_t *rank, uint32_t users, m3_repeat_fn repeat, void *arg,
                              m3_error *err);

/** Called with one block of neighbouring events after another. A failure ends the pass. */
typedef m3_status (*m3_events_fn)(void *arg, const m3_event *events, size_t count, m3_error *err);
m3_status m3_event_log_scan(m3_event_log *log, m3_events_fn fn, void *arg, m3_error *err);
/** The same, moving those that stay to the front of the block, in their order. @return  How many stay. */
typedef size_t (*m3_events_keep_fn)(void *arg, m3_event *events, size_t count);
m3_status m3_event_log_keep(m3_event_log *log, m3_events_keep_fn fn, void *arg, m3_error *err);

void m3_event_log_fini(m3_event_log *log);

#endif
