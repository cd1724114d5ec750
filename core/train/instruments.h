/* instruments: what tells a part of the model that died, measured after an epoch at no cost in its steps. m3bsr(1) has
 * the form in the log, and the limits. */
#ifndef M3_CORE_TRAIN_INSTRUMENTS_H
#define M3_CORE_TRAIN_INSTRUMENTS_H

#include "core/train/trainer.h"

/* Gradients (gradients.c). */

enum { M3_PART_NAME = 64 + M3_EXPERT_NAME };

/** What a part of the model gets from the loss, by Adam's moments m and v, corrected for their start. */
typedef struct m3_part {
    char name[M3_PART_NAME]; /**< beginning of its parameters' names, such as "encoder.id"; a specific expert ends in
                                  its own, such as "experts.specific.view/id" */
    uint64_t count, zeros;   /**< elements; without the padding row of the item table */
    double rms;              /**< root of the mean of v */
    double zero;             /**< share of elements without a gradient */
} m3_part;

/** Called by all ranks where the item table is in shards: its part is then that of all rows.
 * @param parts  [*count], the caller's, m3_free().
 * An element has no gradient when |m| is at most 1e-6 of the median of the parts' rms that are not 0. For the item
 * table it is sqrt(v): its rows come in some batches alone, and m forgets within tens of steps. */
m3_status m3_parts_measure(m3_trainer *trainer, const m3_sequence_names *names, m3_part **parts, uint32_t *count,
                           m3_error *err);

/* All of it. */

/** Are there denoisers whose losses are measured? */
bool m3_instruments_denoise(const m3_trainer *trainer);
/** @param out  An object for the log, NULL when the key instruments is 0, and on other ranks than 0. These help where
 * the item table is in shards, and else need not call it. */
m3_status m3_instruments_measure(m3_trainer *trainer, json_t **out, m3_error *err);
/** Warn of the parts in the object's member "dead", once for each and each call of m3_train(). */
void m3_instruments_warn(m3_trainer *trainer, const json_t *measured);

#endif
