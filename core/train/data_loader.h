/* data_loader: which training samples, in which order, with which negatives. */
#ifndef M3_CORE_TRAIN_DATA_LOADER_H
#define M3_CORE_TRAIN_DATA_LOADER_H

#include "core/data/history.h"
#include "core/data/trend.h"
#include "m3bsr/model.h"
#include "m3bsr/runtime.h"

/** Training samples and their order. Not changed by filling. */
typedef struct m3_data_loader m3_data_loader;

/** The batches of a step, for losses that are means over all its samples (m3_build_options.parts). */
typedef struct m3_step_samples {
    uint64_t first;                       /**< batch of the epoch */
    uint32_t batches;                     /**< at least 1 */
    uint64_t rows;                        /**< samples */
    uint64_t sequences, squares;          /**< that are not empty, of one modality; their squares, of each sample */
    uint64_t positions[M3_MAX_BEHAVIORS]; /**< valid ones */
} m3_step_samples;

/** Where a batch goes: inputs of an executable. A NULL is not filled. */
typedef struct m3_batch {
    int32_t *ids;       /**< [B, n, L] */
    int32_t *target;    /**< [n] */
    int32_t *negatives; /**< [n, negatives] */
    uint32_t *rng;      /**< [3], or of a part [5] */
    uint32_t parts;     /**< of a step at most; 0: rng is not of a part */
    float *trend;       /**< [n, N], for the sampled loss [n, 1 + negatives], whose ids must be filled, too */
    float *valid;       /**< [] */
    /* Of a part; what the step has is given. */
    int32_t *step_target; /**< [parts n] */
    int32_t *step_place;  /**< [] */
    float *step_counts;   /**< [2 + B] */
    const m3_step_samples *step;
} m3_batch;

/** The inputs of a training executable. */
m3_batch m3_batch_of(m3_executable *executable);

/** @param set, split, filter  Must outlive the loader. @param filter  Of events of histories; NULL: all stay.
 * @param wanted  One for each training sample of the split, borrowed for the call; NULL: all.
 * M3_ERR_INVALID: no training sample, or the sampled loss with a single item. */
m3_status m3_data_loader_create(const m3_dataset *set, const m3_split *split, const m3_event_filter *filter,
                                const m3_model_config *config, uint64_t seed, bool keep_empty, const bool *wanted,
                                m3_data_loader **loader, m3_error *err);
void m3_data_loader_free(m3_data_loader *loader);
uint64_t m3_data_loader_samples(const m3_data_loader *loader); /**< an epoch */
uint64_t m3_data_loader_skipped(const m3_data_loader *loader); /**< left out for their empty histories */
uint32_t
m3_data_loader_batch(const m3_data_loader *loader); /**< rows: the key's, or all samples where they are fewer */
uint64_t m3_data_loader_batches(const m3_data_loader *loader); /**< an epoch, the last may be smaller */
/** Recent popularity by the configuration's trend; NULL for 0. */
const m3_trend *m3_data_loader_trend(const m3_data_loader *loader);
/** Shuffle for an epoch, which keys its negatives, too: a pure function of (seed, epoch). */
void m3_data_loader_shuffle(m3_data_loader *loader, uint32_t epoch);
/** Sample number i of the epoch's order. */
const m3_sample *m3_data_loader_at(const m3_data_loader *loader, uint64_t i);
/** What the `batches` batches from `first` on have. @param counted  Of sequences and positions, too, which costs
 * looking at all histories. */
m3_step_samples m3_data_loader_step(const m3_data_loader *loader, uint64_t first, uint32_t batches, bool counted);
/** Fill batch `index` of the epoch. draw: the number of its step since training began, which keys the draws on the
 * device, for a part of it beside the part's place. Returns the rows that count; those from there on are zero. */
uint32_t m3_data_loader_fill(const m3_data_loader *loader, uint64_t index, uint32_t draw, const m3_batch *batch);

#endif
