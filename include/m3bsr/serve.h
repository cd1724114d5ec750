/* serve: from a run directory (train.h) to metrics, recommendations and intermediate values.
 * Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_SERVE_H
#define M3BSR_SERVE_H

#include "m3bsr/data.h"
#include "m3bsr/runtime.h"
#include "m3bsr/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A trained model. */

/** A trained model on a device, ready for histories. */
typedef struct m3_served m3_served;

typedef struct m3_serve_options {
    uint32_t size;
    const char *checkpoint; /**< file, NULL: best.safetensors of the run, else last.safetensors. One that another tool
                                 wrote is taken when names, types and shapes fit */
    const char *data;       /**< data set file, NULL: the settings' */
    const char *const *no_pass;
    bool strict;
    m3_span fallbacks;
    const char *precision; /**< f32, bf16 or f16; NULL: the run's. A checkpoint is f32 whatever its run computed in */
} m3_serve_options;

M3_API m3_status m3_serve(m3_device *device, const char *run, const m3_serve_options *options, m3_served **served,
                          m3_error *err);
M3_API void m3_served_free(m3_served *served);
M3_API const m3_dataset *m3_served_dataset(const m3_served *served);

/* Evaluation. */

enum { M3_METRIC_CUTS = 3 }; /* at 5, 10, 20 */

/** MODEL.md 12 over some samples; all zero when there are none. */
typedef struct m3_metrics {
    uint64_t samples;
    double hr[M3_METRIC_CUTS], ndcg[M3_METRIC_CUTS], mrr[M3_METRIC_CUTS];
} m3_metrics;

/** Metrics of one group of samples, by the number of events in the history over all behaviors. */
typedef struct m3_metrics_group {
    char name[32]; /**< "all", "0", "1-4", … */
    m3_metrics model, popularity;
} m3_metrics_group;

enum { M3_METRIC_GROUPS = 8 };

typedef struct m3_evaluation {
    uint32_t size;
    m3_split_part part;
    uint32_t group_count; /**< the first is "all" */
    m3_metrics_group full[M3_METRIC_GROUPS];
    m3_metrics_group uni99[M3_METRIC_GROUPS]; /**< against 99 items the user never touched, fixed seed */
    m3_metrics full_itemknn[M3_METRIC_GROUPS], uni99_itemknn[M3_METRIC_GROUPS]; /**< item-kNN, group by group */
    double itemknn_damping; /**< the exponent beta of MODEL.md 12 that validation chose */
    m3_metrics full_trend[M3_METRIC_GROUPS], uni99_trend[M3_METRIC_GROUPS]; /**< recent popularity alone */
    double trend_half_life;                                                 /**< in events, which validation chose */
    uint64_t uni99_short; /**< samples whose user left fewer than 99 items untouched: their ranks are among fewer */
    uint32_t uni99_least; /**< the fewest other items that a sample of uni99 was ranked among; 99 without samples */
} m3_evaluation;

/** Rank every sample of a part, by the model and by the baselines.
 * @param evaluation  The caller's, with `size` set; filled on success alone, as far as its size reaches.
 * Returns M3_OK, M3_ERR_RANGE (no such part), M3_ERR_INVALID (scores that are not finite), M3_ERR_MEMORY, or what the
 * device fails with. */
M3_API m3_status m3_evaluate(m3_served *served, m3_split_part part, m3_evaluation *evaluation, m3_error *err);

/** The same without a model: popularity, recent popularity and item-kNN (MODEL.md 12) need a set alone. The members
 * `model` are zero.
 * @param target      The behavior to predict, usually m3_dataset_target().
 * @param evaluation  As above.
 * Returns M3_OK, M3_ERR_RANGE (no such behavior or part), M3_ERR_MEMORY. */
M3_API m3_status m3_evaluate_baselines(const m3_dataset *set, uint32_t target, m3_split_part part,
                                       m3_evaluation *evaluation, m3_error *err);

/* Metrics by name, at any cut-off. */

/** What orders the items. */
typedef enum m3_ranker {
    M3_RANKER_MODEL = 0,
    M3_RANKER_POPULARITY = 1,
    M3_RANKER_TREND = 2,
    M3_RANKER_ITEMKNN = 3
} m3_ranker;
/** Which items are ranked: all that the user may still be shown, or the target among 99 that the user never touched. */
typedef enum m3_candidates { M3_CANDIDATES_FULL = 0, M3_CANDIDATES_UNI99 = 1 } m3_candidates;
enum { M3_RANKERS = 4, M3_CANDIDATES = 2 };

/** What was counted over the samples of a part. It never changes: any number of threads may read it. */
typedef struct m3_rankings m3_rankings;

typedef struct m3_ranking_options {
    uint32_t size;
    uint32_t k_count;   /**< of ks */
    const uint32_t *ks; /**< cut-offs, rising, from 1; above 20 at most the set's items. NULL: those of the run's key
                             "ks"; without a run 5, 10 and 20 */
    const char *lists;  /**< with a model: a file for the list of each sample, NULL: none. The ending says the form:
                             .csv or .tsv, with the header user, rank, item, score, target, sample; .jsonl, an object
                             of the same members a line. target: is it the item that the sample is about (1 or 0,
                             true or false); sample: numbers them from 1, as a user may have several */
    uint32_t top;       /**< items in a list of the file, fewer where there are fewer candidates; 0: the last of ks */
} m3_ranking_options;

/** Rank every sample of a part as m3_evaluate() does, by the model and by the baselines.
 * @param options   NULL: the defaults.
 * @param rankings  Yours, m3_rankings_free(); NULL on failure.
 * Returns what m3_evaluate() returns; M3_ERR_INVALID for options, M3_ERR_IO for the file. */
M3_API m3_status m3_rank_part(m3_served *served, m3_split_part part, const m3_ranking_options *options,
                              m3_rankings **rankings, m3_error *err);
/** The same without a model, as m3_evaluate_baselines(). */
M3_API m3_status m3_rank_part_baselines(const m3_dataset *set, uint32_t target, m3_split_part part,
                                        const m3_ranking_options *options, m3_rankings **rankings, m3_error *err);
M3_API void m3_rankings_free(m3_rankings *rankings); /**< takes NULL */
/** The cut-offs that were counted, borrowed. */
M3_API const uint32_t *m3_rankings_ks(const m3_rankings *rankings, uint32_t *count);
/** A metric over a group of samples (m3_evaluation.full[group].name).
 * NAN for what was not counted: the model where there is none; coverage and gini of uni99, of another group than the
 * first, and of a cut-off that is none of ks; any metric beyond the last of ks. 0 without samples. */
M3_API double m3_rankings_metric(const m3_rankings *rankings, m3_candidates candidates, m3_ranker ranker,
                                 uint32_t group, m3_metric metric);
/** How many samples have fewer than k candidates in full ranking; k is one of ks, else 0. */
M3_API uint64_t m3_rankings_short(const m3_rankings *rankings, uint32_t k);
/** @param evaluation  The caller's, with `size` set; filled as far as its size reaches. Metrics at 5, 10 and 20 are 0
 *                     where they are beyond the last of ks. */
M3_API void m3_rankings_evaluation(const m3_rankings *rankings, m3_evaluation *evaluation);

/* Against planted truth. */

/** What modality denoising did at positions of histories (model.h: encoded, after_modality), where r is the encoding of
 * the features without planted noise. NAN where there is nothing to measure. Variances are those over all positions
 * here, around the mean of each element. */
typedef struct m3_truth_features {
    const char *behavior, *modality;  /**< names; NULL: all together */
    uint64_t noisy, clean;            /**< positions whose item's features are planted noise, and others */
    double noisy_before;              /**< mean of (encoded - r)^2 over the variance of r, at noisy positions */
    double noisy_after;               /**< with after_modality instead of encoded */
    double removed;                   /**< 1 - after / before */
    double clean_before, clean_after; /**< the same at the other positions */
    double clean_change;              /**< mean of (after_modality - encoded)^2 over the variance of encoded, there */
    double auc; /**< chance that |after_modality - encoded|^2 is larger at a noisy position; ties count half */
} m3_truth_features;

/** How well the change finds accidental events among genuine ones. */
typedef struct m3_truth_auc {
    double accidental; /**< all accidental events */
    double bursts;     /**< those in bursts alone */
    double alone;      /**< those that are in no burst */
} m3_truth_auc;

/** What behavior denoising did to events of a behavior: |after_behavior - after_modality|^2. */
typedef struct m3_truth_events {
    const char *behavior;
    uint64_t genuine, accidental, bursts; /**< positions; bursts are accidental ones too */
    m3_truth_auc all;                     /**< of the sum over modalities, ids among them */
    m3_truth_auc ids;                     /**< of the ids alone */
} m3_truth_events;

/** What the router gives a modality in a behavior. */
typedef struct m3_truth_weight {
    const char *behavior, *modality; /**< "id" first */
    double gate;                     /**< mean over samples */
    double weight, planted;          /**< as shares of their behavior; planted is NAN when the truth has none */
} m3_truth_weight;

typedef struct m3_truth_report {
    uint32_t size;
    m3_split_part part;
    uint64_t samples;
    uint32_t feature_count, event_count, weight_count;
    const m3_truth_features *features; /**< by behavior, then modality; then each modality over all behaviors, when
                                          there are several; all together last. None when the model has no features */
    const m3_truth_events *events;     /**< of every behavior but the deepest, which is not denoised */
    const m3_truth_weight *weights;    /**< by behavior, then modality */
    double calibration; /**< mean of |weight - planted| over weights; NAN when the truth has no weights */
} m3_truth_report;

/** Compare a model with what m3_data_synth() planted, over the histories of a part's samples.
 * @param truth   The folder truth/ of the source that the set was imported from. The import may have left out items,
 *                users or events.
 * @param report  Yours, m3_truth_report_free(); names are borrowed from the served set. NULL on failure.
 * Holds the parameters twice, as the clean features are encoded beside the given ones.
 * Returns M3_OK, M3_ERR_INVALID (the truth is not there, or that of other data; values that are not finite), M3_ERR_IO,
 * M3_ERR_RANGE (part), M3_ERR_MEMORY, and what a device returns. */
M3_API m3_status m3_evaluate_truth(m3_served *served, m3_split_part part, const char *truth, m3_truth_report **report,
                                   m3_error *err);
M3_API void m3_truth_report_free(m3_truth_report *report); /**< takes NULL */

/* Recommendation. */

typedef enum m3_exclude {
    M3_EXCLUDE_TARGET = 0,  /**< items that the user had in the target behavior */
    M3_EXCLUDE_TOUCHED = 1, /**< items that the user had in any behavior */
    M3_EXCLUDE_NONE = 2
} m3_exclude;

typedef struct m3_recommendation {
    uint32_t item; /**< 1..N */
    float score;
} m3_recommendation;

/** The best items for users of the set (histories NULL) or of a file, after their whole history.
 * @param users  Numbers in the set or in the histories.
 * @param top    Wanted a user; fewer come when fewer items are left.
 * @param items  [count * top], the caller's; user i's begin at i * top, best first, then item 0.
 * A user without history gets zero scores from the model: then the order is popularity, scores 0. */
M3_API m3_status m3_recommend(m3_served *served, const m3_histories *histories, const uint32_t *users, uint32_t count,
                              uint32_t top, m3_exclude exclude, m3_recommendation *items, m3_error *err);

/* Intermediate values. */

/** Names of what m3_trace_users() can write, in the order of the model, ended by NULL: "ids", "encoded",
 * "after_modality", "after_behavior", "specific", "common", "gate", "user", "scores". Static memory. */
M3_API const char *const *m3_trace_tensors(void);

/** Run inference for users, after their whole history, and write intermediate values of the model to a safetensors
 * file, under the names of vector files (MODEL.md 13): "input.ids" i32 [B, n, L], and f32 tensors such as
 * "infer.encoded", whose layouts are those of M3_PUBLISH_ENCODED and so on (model.h); n is count. Its metadata has
 * "format" m3bsr-trace, "version" 1, the paths "run" and "checkpoint", and as JSON: "users" (ids, as along n),
 * "behaviors" and "modalities" (names, as along B and M; modality 0 is "id"), "experts" (names, as along the columns of
 * the gate), "items" (an object from numbers to ids: of items that these users had; with scores, of all).
 * @param histories  NULL: they are users of the set.
 * @param users      Numbers in the set or in the histories, at least one.
 * @param tensors    Names of m3_trace_tensors(), ended by NULL; NULL: all that the configuration has but
 *                   scores. All of it is held in memory.
 * @param path       The file; an old one is replaced only when all went well.
 * Returns M3_OK, M3_ERR_RANGE (users), M3_ERR_INVALID (no such tensor; values that are not finite are written as they
 * are), M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_trace_users(m3_served *served, const m3_histories *histories, const uint32_t *users, uint32_t count,
                                const char *const *tensors, const char *path, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
