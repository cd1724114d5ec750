/* train: from a data set file and a settings file to a run directory, and from a run directory to metrics and
 * recommendations. Everything that the command line does is here.
 *
 * A run directory holds: settings.yaml (resolved), log.jsonl (one JSON object a line), last.safetensors and
 * best.safetensors (parameters under PyTorch's names, optimiser states, counters in the metadata), metrics.json,
 * report.html. Files are written under a temporary name, synced and renamed: a crash leaves the old one whole.
 * Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_TRAIN_H
#define M3BSR_TRAIN_H

#include "m3bsr/data.h"
#include "m3bsr/model.h"
#include "m3bsr/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Settings: the model's keys (model.h) and training's, from YAML. */

typedef struct m3_settings m3_settings;

/** Training's own keys, as m3_model_key in a fixed order: data, features, target, epochs, patience, metric, schedule,
 * warmup_steps, lr_end, accumulate, eval_batch, checkpoint_steps, seed, empty_histories. Static memory. */
M3_API m3_span m3_settings_keys(void);

/** All defaults. @param settings  Yours, m3_settings_free(). */
M3_API m3_status m3_settings_create(m3_settings **settings, m3_error *err);
/** Read a YAML mapping of keys over the defaults. Errors name file and line. A key that is neither the model's nor
 * training's may be an option of a plugin, which no engine has loaded yet: it is kept, and m3_settings_model() and all
 * that build a model refuse it, with file, line and the nearest known key, when no plugin declares it. A relative
 * `data` path is taken from the file's folder. Returns M3_ERR_INVALID, M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_settings_load(const char *path, m3_settings **settings, m3_error *err);
/** Override one key: "lr=0.01". */
M3_API m3_status m3_settings_set(m3_settings *settings, const char *assignment, m3_error *err);
/** Value as text; NULL when there is no such key. Valid until the next set. */
M3_API const char *m3_settings_get(const m3_settings *settings, const char *key);
/** Write all keys as YAML that m3_settings_load reads to the same settings. */
M3_API m3_status m3_settings_save(const m3_settings *settings, const char *path, m3_error *err);
M3_API void m3_settings_free(m3_settings *settings);
/** The model's configuration for a set: behaviors, items, modalities and, unless set, length come from the set; a key
 * that says otherwise is an error with both values. Also the rest is checked (m3_model_check). */
M3_API m3_status m3_settings_model(m3_engine *engine, const m3_settings *settings, const m3_dataset *set,
                                   m3_model_config *config, m3_error *err);
/** The model's keys as they are written, without a set. Options are checked with the engine, when it is not NULL: one
 * that no encoder or expert declares is an error with its file and line and the nearest known key. */
M3_API m3_status m3_settings_config(m3_engine *engine, const m3_settings *settings, m3_model_config *config,
                                    m3_error *err);

/* Training. */

/** How far a training is, for a progress bar; handed out after each step. */
typedef struct m3_progress {
    uint32_t size;
    uint32_t epoch, epochs;     /**< from 1 */
    uint64_t step, epoch_steps; /**< of this epoch, from 1 */
    double loss;                /**< mean over the last steps */
    double samples_per_s;
    double seconds_left; /**< of the epoch */
    const char *note;    /**< a line worth printing, such as an epoch's validation, or NULL */
} m3_progress;

typedef struct m3_train_options {
    uint32_t size;
    bool resume;                /**< go on from last.safetensors, bit for bit on the same device */
    const char *const *no_pass; /**< ended by NULL; NULL: none */
    bool strict;                /**< no fallbacks */
    m3_span fallbacks;          /**< m3_device * */
    volatile const int *stop;   /**< when it becomes non-zero: save and return M3_ERR_INTERRUPTED; may be NULL */
    void (*progress)(void *user, const m3_progress *progress); /**< may be NULL */
    void *user;
    const char *profile; /**< write a Chrome trace of some steps to this file, or NULL */
    uint64_t stop_after; /**< stop as if interrupted after so many steps of this call; 0: do not */
} m3_train_options;

typedef struct m3_train_result {
    uint32_t size;
    uint32_t epochs, best_epoch;
    uint64_t steps;
    double best_metric;
    double seconds;
    bool early; /**< patience ran out */
} m3_train_result;

/** Train and validate by full ranking after each epoch. NaN or infinity in a loss stops with the step, the term and the
 * last good checkpoint.
 * @param run  The directory; made when missing. One that holds a run is refused without resume.
 * @param result  Filled as far as the training came.
 * Returns M3_OK, M3_ERR_INTERRUPTED (saved; the message says how to go on), or what failed. */
M3_API m3_status m3_train(m3_device *device, const m3_settings *settings, const char *run,
                          const m3_train_options *options, m3_train_result *result, m3_error *err);

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
    m3_part part;
    uint32_t group_count; /**< the first is "all" */
    m3_metrics_group full[M3_METRIC_GROUPS];
    m3_metrics_group uni99[M3_METRIC_GROUPS]; /**< against 99 items the user never touched, fixed seed */
} m3_evaluation;

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
} m3_serve_options;

M3_API m3_status m3_serve(m3_device *device, const char *run, const m3_serve_options *options, m3_served **served,
                          m3_error *err);
M3_API void m3_served_free(m3_served *served);
M3_API const m3_dataset *m3_served_dataset(const m3_served *served);

/** Rank every sample of a part. */
M3_API m3_status m3_evaluate(m3_served *served, m3_part part, m3_evaluation *evaluation, m3_error *err);

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

/* Benchmarks. */

typedef struct m3_bench_options {
    uint32_t size;
    bool infer;       /**< inference and top 10; else a training step */
    uint32_t batch;   /**< 0: the settings' */
    uint32_t repeats; /**< 0: as many as fit about 10 s, at least 5 */
    bool per_op;
    const char *const *no_pass;
    bool strict;
    m3_span fallbacks;
} m3_bench_options;

typedef struct m3_bench_op {
    const char *name; /**< op */
    uint32_t nodes;
    double seconds; /**< of the median run */
    double gflops, gigabytes_per_s;
} m3_bench_op;

typedef struct m3_bench_result {
    uint32_t size;
    uint32_t runs;
    double median_s, lowest_s, highest_s;
    double samples_per_s, gflops; /**< of executed operations */
    double peak_gflops;           /**< of this machine, measured in the same run; 0 when the backend cannot */
    double peak_share;
    double host_share;               /**< of a run's time, outside of its nodes; NaN when the backend keeps no times */
    uint64_t arena_bytes, rss_bytes; /**< device memory used; peak of the process */
    uint64_t flops;                  /**< a run */
    uint32_t op_count;
    m3_bench_op ops[64]; /**< by falling time, with per_op */
} m3_bench_result;

/** Time the model of `settings` (its behaviors, items, modalities … as written) on random full histories. */
M3_API m3_status m3_bench(m3_device *device, const m3_settings *settings, const m3_bench_options *options,
                          m3_bench_result *result, m3_error *err);

/* Tuning. */

typedef struct m3_tune_options {
    uint32_t size;
    uint32_t batch;             /**< of the step and of inference; 0: the settings' batch and eval_batch */
    const char *const *no_pass; /**< names of passes to leave out, ended by NULL, borrowed; NULL: none */
    bool strict;                /**< an operation that the device does not run is an error */
    m3_span fallbacks;          /**< of m3_device *, borrowed: where such operations run instead */
} m3_tune_options;

/** Let a device that was opened with the option tune=yes measure what the training step and the inference of
 * `settings` (their behaviors, items, modalities … as written) leave open. A device that was opened without the option
 * only says what it knows: tuning->measured stays 0.
 * @param options  NULL: none.
 * @param tuning   The caller sets its size; what is known afterwards.
 * Returns M3_ERR_UNSUPPORTED: the device's backend measures nothing. M3_ERR_MEMORY says what would fit. The device is
 * used by one thread at a time. */
M3_API m3_status m3_tune(m3_device *device, const m3_settings *settings, const m3_tune_options *options,
                         m3_tuning *tuning, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
