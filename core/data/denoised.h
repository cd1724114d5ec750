/* denoised: the closed form of denoising (`denoise: neighbors`, MODEL.md 5.5): features of items corrected by those of
 * the items that stand near them in training sequences, and events that nothing else of a user supports left out of
 * histories. A function of the set, its split and constants: no seed, no parameter, nothing that a checkpoint keeps.
 *   denoise_features.c   belief and consensus
 *   event_filter.c       support of events
 *   history.c            histories under the filter */
#ifndef M3_CORE_DATA_DENOISED_H
#define M3_CORE_DATA_DENOISED_H

#include "core/base/threads.h"
#include "core/data/merged.h"
#include "core/data/neighbors.h"
#include "m3bsr/model.h"

/** Features in the place of a set's. */
typedef struct m3_denoised_features {
    uint32_t width;    /**< D */
    float *rows;       /**< [N+1, D], centered; zero for row 0 and items without features */
    float *mean;       /**< [D] of the set's features over items that have them */
    double variance;   /**< of an entry of the set's features around it, over all entries */
    bool says_nothing; /**< neighbors are no more alike than others: the mean is in the place of all rows */
    double belief;     /**< mean over items that have features: 1 if they stay as they are, 0 if all are replaced */
    uint32_t replaced; /**< items whose belief is below one half */
} m3_denoised_features;

typedef struct m3_event_filter m3_event_filter;

typedef struct m3_denoised {
    uint32_t modality_count;
    m3_denoised_features features[M3_MAX_MODALITIES]; /**< in the order of the modalities asked for */
    m3_event_filter *filter;                          /**< NULL: all events stay */
} m3_denoised;

enum { M3_TASK_OF = 64 }; /* items or users that a thread takes at a time */

typedef struct m3_denoised_options {
    const uint32_t *modalities; /**< of the set */
    uint32_t modality_count;
    bool features, events; /**< what is denoised. Features are centered anyway; events want at least one modality and
                            * two behaviors: else all stay */
    m3_pool *pool;         /**< NULL: the caller's thread alone. The result does not depend on it */
} m3_denoised_options;

/** @param set, split  Must outlive what is made, which lies where m3_split_beside() says.
 * @param out  Starts as {0}; m3_denoised_fini() ends it, whatever comes. */
m3_status m3_denoise_set(const m3_dataset *set, const m3_split *split, const m3_denoised_options *options,
                         m3_denoised *out, m3_error *err);
void m3_denoised_fini(m3_denoised *denoised);

/** One modality: fills all members. */
/** @param beside  Of core/base/spill.h: where the rows lie, and all else that has an entry for each item. */
m3_status m3_denoise_features(const m3_features *given, const m3_neighbors *neighbors, const char *beside,
                              m3_pool *pool, m3_denoised_features *out, m3_error *err);
/** The same without denoising: features are centered, and none replaced. */
m3_status m3_center_features(const m3_features *given, uint32_t items, const char *beside, m3_denoised_features *out,
                             m3_error *err);

/* The filter. */

/** What the filter measured on the events that training may look at. */
typedef struct m3_event_filter_summary {
    uint64_t judged, left_out; /**< events of the shallowest behavior that went no deeper */
    double threshold;          /**< support at or below which they are left out; -1: none are */
} m3_event_filter_summary;

/** @param merged    Of the set; the filter owns it afterwards, and it is empty.
 * @param options   pool must not be NULL.
 * @param features  [modality_count]; must outlive the filter, as the set must. */
m3_status m3_event_filter_create(const m3_dataset *set, m3_merged *merged, const m3_denoised_options *options,
                                 const m3_denoised_features *features, m3_event_filter **filter, m3_error *err);
void m3_event_filter_free(m3_event_filter *filter); /**< takes NULL */
m3_event_filter_summary m3_event_filter_summarize(const m3_event_filter *filter);

/** Support of event `index` of the user's shallowest behavior in a history that ends before `time`: 0 to 1, 1 if it
 * went deeper or if nothing is there to judge it by. */
double m3_event_filter_support(const m3_event_filter *filter, uint32_t user, uint32_t index, int64_t time);
/** Does it stay? */
bool m3_event_filter_keeps(const m3_event_filter *filter, uint32_t user, uint32_t index, int64_t time);
/** The same for all events of the shallowest behavior of somebody who is not in the set.
 * @param lists  Of all behaviors. @param keeps  [lists[0].count] filled. */
m3_status m3_event_filter_judge(const m3_event_filter *filter, const m3_events *lists, uint8_t *keeps, m3_error *err);

#endif
