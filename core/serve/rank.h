/* rank: scores of samples, the place of a sample's item among them, and metrics over places (MODEL.md 12). */
#ifndef M3_CORE_SERVE_RANK_H
#define M3_CORE_SERVE_RANK_H

#include "core/serve/infer.h"
#include "core/settings/settings.h"

/** M3_ERR_INVALID when one of the first `rows` rows of scores has NaN or infinity, M3_ERR_INTERNAL when there
 * are no scores. */
m3_status m3_check_scores(const m3_infer_shape *shape, uint32_t rows, m3_error *err);

/** Called for each sample, by its index. @param scores  [N], item j's at j - 1; valid during the call. */
typedef void (*m3_scored_fn)(void *user, uint64_t index, const float *scores);

/** Run inference over samples, each on the history before it, in batches. */
m3_status m3_score_samples(m3_executable *infer, m3_infer_source source, const m3_sample *samples, uint64_t count,
                           m3_scored_fn scored, void *user, m3_error *err);

/** The place of `item` from 1: one more than the other items, without `had`, that do not score less. So ties count
 * against the model, and so does NaN, whichever item has it. */
uint32_t m3_rank_full(const float *scores, uint32_t item_count, uint32_t item, m3_items had);

/** ranks[i]: the place of sample i's item among all that its user has not had before.
 * @param infer  ids [B, n, L] -> scores [n, N]. */
m3_status m3_rank_samples(m3_executable *infer, m3_infer_source source, const m3_split *split, const m3_sample *samples,
                          uint64_t count, uint32_t *ranks, m3_error *err);

/** How many samples have their item at each place: all that metrics of single samples need. Starts as {0}. */
typedef struct m3_places {
    uint64_t samples;
    uint32_t most; /**< places up to here are counted; a metric's cut-off is at most this */
    uint64_t *at;  /**< [most + 1], by place from 1 */
} m3_places;

m3_status m3_places_init(m3_places *places, uint32_t most, m3_error *err);
void m3_places_fini(m3_places *places);
void m3_places_clear(m3_places *places);
void m3_places_add(m3_places *places, uint32_t place);
/** The mean of m3_metric_of_place() over the samples; 0 without samples. */
double m3_places_mean(const m3_places *places, m3_metric metric);

#endif
