/* trend: how popular items have been of late, at any time (MODEL.md 10). */
#ifndef M3_CORE_DATA_TREND_H
#define M3_CORE_DATA_TREND_H

#include "m3bsr/data.h"

/** Recent popularity over training events: those before m3_split_until() of their user. So it is the same for both
 * held-out parts and sees neither. Not changed by reading. */
typedef struct m3_trend m3_trend;

/** @param set, split  For the call.
 * @param half_life   H > 0: events after which an event counts half.
 * @param out         Yours, m3_trend_free(); NULL on failure. */
m3_status m3_trend_create(const m3_dataset *set, const m3_split *split, double half_life, m3_trend **out,
                          m3_error *err);
/** For how many moments there is a row of N numbers, at most, by the training events. */
uint64_t m3_trend_rows(uint64_t events, uint64_t items);
void m3_trend_free(m3_trend *trend); /**< takes NULL */

/** z of all items at a time: [N], item j's at j - 1. It knows events strictly before the time alone; M3_TIME_END: all.
 * Borrowed from the trend. */
const float *m3_trend_at(const m3_trend *trend, int64_t time);

#endif
