/* baselines: what ranks items without a model (MODEL.md 12). */
#ifndef M3_CORE_SERVE_BASELINES_H
#define M3_CORE_SERVE_BASELINES_H

#include "core/data/trend.h"
#include "m3bsr/data.h"

/** An item's place by training events of the target behavior, from 1; ties go to the lower number.
 * @param places  Yours, m3_free(): [N+1]. */
m3_status m3_popularity_places(const m3_dataset *set, const m3_split *split, uint32_t **places, m3_error *err);

/** Who had which item in training: users' items and items' users, and what a scoring needs. Memory: O(events). */
typedef struct m3_itemknn m3_itemknn;

/** @param set, split  Must outlive it.
 * @param places  Of m3_popularity_places(), for the call: damping is chosen on validation samples.
 * @param out     Yours, m3_itemknn_free(); NULL on failure. */
m3_status m3_itemknn_create(const m3_dataset *set, const m3_split *split, const uint32_t *places, m3_itemknn **out,
                            m3_error *err);
void m3_itemknn_free(m3_itemknn *knn); /**< takes NULL */
double m3_itemknn_damping(const m3_itemknn *knn);
/** The scores of all items after the history before a sample: [N], item j's at j - 1, borrowed until the next call.
 * Threads: one at a time. */
const double *m3_itemknn_score(m3_itemknn *knn, const m3_sample *sample);

/** Recent popularity alone (trend.h). Memory: that of a trend and O(N). */
typedef struct m3_trending m3_trending;

/** As m3_itemknn_create(): the half-life is chosen on validation samples.
 * @param out  Yours, m3_trending_free(); NULL on failure. */
m3_status m3_trending_create(const m3_dataset *set, const m3_split *split, const uint32_t *places, m3_trending **out,
                             m3_error *err);
void m3_trending_free(m3_trending *trending); /**< takes NULL */
double m3_trending_half_life(const m3_trending *trending);
/** Scores of all items at the time of a sample: [N], item j's at j - 1, borrowed until the next call. */
const double *m3_trending_score(m3_trending *trending, const m3_sample *sample);

/** Whether item a comes before item b: by score, then by popularity, whose places have no ties. */
bool m3_baseline_before(const double *scores, const uint32_t *places, uint32_t a, uint32_t b);
/** The place of `item` from 1 among all items without `had`. */
uint32_t m3_baseline_rank(const double *scores, const uint32_t *places, uint32_t item_count, uint32_t item,
                          m3_items had);

#endif
