/* prefetch: rows of a table in shards (shards.h) are on their way before the step that sees them, as which samples come
 * when is known ahead. At step t
 *   before its batches   rows of its window that step t - 1 has changed come from their owners; the others are there
 *   beside its batches   rows of step t + 1 that no rank's step t touches come, which the owners have read before; and
 *                        the ids of step t + 2 go to the owners, who say which of them step t + 1 does not touch
 * Where the update changes every row (key lazy off), ids alone go ahead. So a step sees the same bits as one that waits
 * for its rows. Nothing goes beyond the end of an epoch, as a ranking comes there: its first step waits for all of its
 * rows. What was fetched for another step than the one that comes is dropped, by all ranks alike. */
#ifndef M3_CORE_TRAIN_PREFETCH_H
#define M3_CORE_TRAIN_PREFETCH_H

#include "core/train/shards.h"

/** A trainer's. @param prefetch  NULL where there is nothing to gain, or --no-pass overlap. Its window and its shards
 * are there. */
m3_status m3_prefetch_create(m3_trainer *trainer, m3_prefetch **prefetch, m3_error *err);
void m3_prefetch_free(m3_prefetch *prefetch); /**< takes NULL; nothing is posted */
/** What a step posts to the thread beside it (sums.h), at most. Shards NULL: 0. */
uint32_t m3_prefetch_posts(const m3_shards *shards);

/** m3_window_open() of the step at hand: its rows, and what goes on beside it. */
m3_status m3_prefetch_open(m3_trainer *trainer, m3_error *err);

#endif
