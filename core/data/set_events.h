/* set_events: the sections of a set that hold its events, written side by side in one pass over them. */
#ifndef M3_CORE_DATA_SET_EVENTS_H
#define M3_CORE_DATA_SET_EVENTS_H

#include "core/base/outfile.h"
#include "core/data/event_log.h"

/** What is written. Everything is borrowed. */
typedef struct m3_set_events {
    m3_event_log *log;     /**< settled */
    uint32_t users, items; /**< of the set */
    uint32_t behaviors;
    const uint32_t *behavior_of;           /**< number in the set by behavior of an event */
    const uint32_t *item_of;               /**< likewise, of an item: 1..N */
    uint64_t counts[M3_MAX_SET_BEHAVIORS]; /**< events by behavior of the set */
    bool given;                            /**< the split is given: parts are written too */
} m3_set_events;

/** Where sections lie in the file. */
typedef struct m3_set_events_places {
    uint64_t starts, items, times, parts;
} m3_set_events_places;

/** @param places   [behaviors + 1] The last is that of the items a user touched, which has no times and parts.
 * @param touched  Set to the number of these items, over all users. */
m3_status m3_set_events_write(const m3_set_events *events, const m3_set_events_places *places, const m3_outfile *out,
                              uint64_t *touched, m3_error *err);

#endif
