/* truth: what `m3bsr data synth` planted, as it concerns a data set and a model, and the figures that compare a model
 * with it.
 *   truth_read.c      the folder of the truth against the set
 *   truth_figures.c   sums over positions of histories, AUC
 *   truth.c           inference with the given and with the clean features, and the report */
#ifndef M3_CORE_SERVE_TRUTH_H
#define M3_CORE_SERVE_TRUTH_H

#include "core/serve/serve.h"
#include "core/settings/settings.h"
#include "m3bsr/serve.h"

/* The truth. */

enum { M3_EVENT_KNOWN = 1, M3_EVENT_ACCIDENTAL = 2, M3_EVENT_BURST = 4 };

/** Starts as {0}; m3_truth_fini() ends it. */
typedef struct m3_truth {
    uint8_t *noisy[M3_MAX_MODALITIES]; /**< [N+1], 1 where the item's features are noise; by the model's features */
    float *clean[M3_MAX_MODALITIES];   /**< [N+1, D_k] */
    uint64_t *starts;                  /**< [users * behaviors] where the flags of a user's behavior begin */
    uint8_t *flags;                    /**< M3_EVENT bits of every event of the set, in its order */
    bool has_bursts, has_weights;
    double weights[M3_MAX_BEHAVIORS][M3_MAX_MODALITIES + 1]; /**< as planted, ids 1; NAN without weights.tsv */
} m3_truth;

/** Read the folder. Every item and event of the set must be in it, with the clean features that it names as such: else
 * it is the truth of other data, M3_ERR_INVALID.
 * @param names  Of the model's behaviors and modalities. */
m3_status m3_truth_read(const char *directory, const m3_dataset *set, const m3_sequence_names *names, m3_truth *truth,
                        m3_error *err);
void m3_truth_fini(m3_truth *truth);
/** The flags of a user's events of a behavior, in the order of m3_dataset_events(). */
const uint8_t *m3_truth_flags(const m3_truth *truth, const m3_dataset *set, uint32_t user, uint32_t behavior);

/* Figures. */

/** |a - b|^2 over `width` numbers. */
double m3_squared_distance(const float *a, const float *b, uint32_t width);

/** Something that changed, and whether noise was planted there. */
typedef struct m3_scored {
    double score;
    bool noise;
} m3_scored;

/** The chance that a noisy one scores higher than a clean one, ties counted half; NAN when one kind is missing. Sorts.
 * Scores must be finite. */
double m3_auc(m3_scored *scored, uint64_t count);

/** Sums over the positions of one behavior and modality. Starts as {0}. */
typedef struct m3_noise_sums {
    uint64_t noisy, clean;            /**< positions */
    double noisy_before, noisy_after; /**< squared distance to the clean encoding */
    double clean_before, clean_after;
    double clean_change;                 /**< squared distance from before to after */
    double clean_spread, encoded_spread; /**< sums of squares around the means: of the clean encoding and of the
                                              given one, over all positions: m3_moments_spread() */
} m3_noise_sums;

/** @param clean, encoded, after  [d] of one position. Returns the squared distance from encoded to after. */
double m3_noise_add(m3_noise_sums *sums, bool noisy, const float *clean, const float *encoded, const float *after,
                    uint32_t width);
void m3_noise_join(m3_noise_sums *sums, const m3_noise_sums *others);
/** Fill the figures of `to` from the sums; names, auc stay. */
void m3_noise_finish(const m3_noise_sums *sums, m3_truth_features *to);

/** Sums and squares of each of `width` numbers. */
typedef struct m3_moments {
    uint64_t count;
    double *sum, *square; /**< [width] */
} m3_moments;

void m3_moments_add(m3_moments *moments, const float *x, uint32_t width);
/** The sum over all of squared differences from the mean. */
double m3_moments_spread(const m3_moments *moments, uint32_t width);

#endif
