/* history: the one rule by which events become a model's input. */
#ifndef M3_CORE_DATA_HISTORY_H
#define M3_CORE_DATA_HISTORY_H

#include "core/data/denoised.h"

/** How many events lie strictly before time. */
uint32_t m3_events_before(m3_events events, int64_t time);

/** The last `length` items of events strictly before time, oldest first, left-padded with 0 (MODEL.md 2). */
void m3_history_fill(m3_events events, int64_t time, uint32_t length, int32_t *ids);

/** The events of one behavior that m3_history_filtered() takes, as places in m3_dataset_events(), rising.
 * @param filter  NULL: all events stay.
 * @param places  [length]; the last ones are filled. Returns how many. */
uint32_t m3_history_places(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                           uint32_t behavior, uint32_t length, uint32_t *places);
/** How many they are. */
uint32_t m3_history_count(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                          uint32_t behavior, uint32_t length);
/** m3_dataset_history() without the events that the filter leaves out, in whose place older ones stand. A history in
 * which nothing would be left keeps all. */
void m3_history_filtered(const m3_event_filter *filter, const m3_dataset *set, uint32_t user, int64_t time,
                         uint32_t length, size_t stride, int32_t *ids);
/** The whole history of a user of a file, likewise. */
m3_status m3_histories_filtered(const m3_event_filter *filter, const m3_histories *histories, uint32_t user,
                                uint32_t length, size_t stride, int32_t *ids, m3_error *err);

#endif
