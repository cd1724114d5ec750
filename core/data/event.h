/* event: what a user did with an item, and the order of a user's history. */
#ifndef M3_CORE_DATA_EVENT_H
#define M3_CORE_DATA_EVENT_H

#include "core/base/threads.h"
#include "m3bsr/base.h"

enum { M3_MAX_SET_BEHAVIORS = 64 };

typedef struct m3_event {
    int64_t time;
    uint32_t user, item;     /**< numbers in the names of the table; a user by rank once the events are in order */
    uint16_t behavior, part; /**< likewise a number; m3_split_part, as the source says it */
    uint32_t line;           /**< of the file; breaks ties of time */
} m3_event;

/** By user, time, part, line: the order of a user's history. For qsort. */
int m3_event_by_time(const void *a, const void *b);

/** Put events whose lines never fall into the order of m3_event_by_time(): a stable sort by the others.
 * @param spare  [count] Room for as many.
 * @param users  More than every user's number.
 * Returns M3_OK, M3_ERR_MEMORY. */
m3_status m3_events_sort(m3_event *events, m3_event *spare, size_t count, uint32_t users, m3_pool *pool, m3_error *err);

#endif
