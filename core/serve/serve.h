/* serve: a trained model on a device with its set, as evaluation and recommendation use it. */
#ifndef M3_CORE_SERVE_SERVE_H
#define M3_CORE_SERVE_SERVE_H

#include "core/serve/rank.h"
#include "core/serve/warm_start.h"
#include "m3bsr/model.h"
#include "m3bsr/settings.h"

struct m3_served {
    char *run, *checkpoint, *data; /**< paths */
    m3_device *device;
    m3_model_config config;
    m3_settings *settings;
    m3_warm_start start; /**< zeros unless the set has other items than the run's */
    m3_dataset *set;
    m3_split *split;
    m3_denoised denoised; /**< of the set and its split */
    m3_store *store;
    m3_executable *infer;
    m3_infer_shape shape;
    m3_trend *trend;      /**< NULL where scores do not depend on recent popularity */
    uint32_t *popularity; /**< [N+1] places, of m3_popularity_places() */
    /* How executables are made. */
    char **no_pass; /**< ended by NULL; NULL: none */
    m3_device **fallbacks;
    uint32_t fallback_count;
    bool strict;
};

/** Whose histories the model sees, and how. */
m3_infer_source m3_served_source(const m3_served *served);

/** Make another inference over the run's parameters and features, which are those in served->store: features that are
 * written there ("features0", …) count from the next run on.
 * @param publish     M3_PUBLISH bits.
 * @param batch       n; 0: the run's eval_batch.
 * @param executable  The caller's, to be freed before the served model; m3_infer_shape_of() makes it ready for
 *                    m3_infer_samples() and m3_infer_users(). */
m3_status m3_served_publish(m3_served *served, uint32_t publish, uint32_t batch, m3_executable **executable,
                            m3_error *err);

/** The `top` best of scores [N], skipping items that are marked; places of popularity break ties and NaN comes last.
 * @param marked  [N+1], non-zero: skip; NULL: none.
 * @param best    [top], best first, then item 0. */
void m3_choose_top(const float *scores, uint32_t item_count, const uint8_t *marked, const uint32_t *popularity,
                   uint32_t top, m3_recommendation *best);

#endif
