/* history: the one rule by which events become a model's input. */
#ifndef M3_CORE_DATA_HISTORY_H
#define M3_CORE_DATA_HISTORY_H

#include "m3bsr/data.h"

/** How many events lie strictly before time. */
uint32_t m3_events_before(m3_events events, int64_t time);

/** The last `length` items of events strictly before time, oldest first, left-padded with 0 (MODEL.md 2). */
void m3_history_fill(m3_events events, int64_t time, uint32_t length, int32_t *ids);

#endif
