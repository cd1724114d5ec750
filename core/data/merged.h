/* merged: the events of all behaviors of a user in one sequence, for what is learned from which items stand together.
 */
#ifndef M3_CORE_DATA_MERGED_H
#define M3_CORE_DATA_MERGED_H

#include "m3bsr/data.h"

enum { M3_WINDOW = 20 }; /* places within which events stand together */

/** An item at one time is one event, of the deepest of its behaviors. */
typedef struct m3_merged_event {
    int64_t time;
    uint32_t item, behavior;
} m3_merged_event;

/** The sequences of all users of a set. Starts as {0}; m3_merged_fini() ends it. */
typedef struct m3_merged {
    const char *beside; /**< m3_split_beside() */
    uint32_t users;
    uint64_t *starts; /**< [users + 1] places in events */
    m3_merged_event *events;
    int64_t *until; /**< [users] m3_split_until(), before which training may look */
} m3_merged;

m3_status m3_merged_create(const m3_dataset *set, const m3_split *split, m3_merged *merged, m3_error *err);
void m3_merged_fini(m3_merged *merged);

/** One user's sequence. @param lists  Of the behaviors. @param to  Space for all their events. Returns their number. */
uint32_t m3_merge_events(const m3_events *lists, uint32_t behaviors, m3_merged_event *to);
/** How many of the events lie strictly before time. */
uint32_t m3_merged_before(const m3_merged_event *events, uint32_t count, int64_t time);

/** The place of an item's event, which must be there. */
uint32_t m3_merged_place(const m3_merged_event *events, uint32_t count, int64_t time, uint32_t item);

/** Weight of a behavior's events: 10^(b/(B-1)), 1 if B = 1. */
double m3_behavior_weight(uint32_t behavior, uint32_t behaviors);

#endif
