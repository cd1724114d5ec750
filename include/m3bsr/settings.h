/* settings: the keys of a training with their values: the model's (model.h) and its own, from YAML.
 * Threads: settings are used by one thread at a time. */
#ifndef M3BSR_SETTINGS_H
#define M3BSR_SETTINGS_H

#include "m3bsr/data.h"
#include "m3bsr/model.h"
#include "m3bsr/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_settings m3_settings;

/* Metrics by name (MODEL.md 12). Every sample has one right item, at place r of its list:
 *   hr@k, recall@k   [r <= k]: the right items among the first k, over the one there is; with one they are equal
 *   precision@k      [r <= k] / k
 *   ndcg@k           [r <= k] / log2(r + 1)              Järvelin and Kekäläinen, TOIS 20(4), 2002
 *   mrr@k, map@k     [r <= k] / r: with one right item, the average precision is the reciprocal of its place
 * and of the lists of the first k items of all samples together, n items in all:
 *   coverage@k       items that are in a list, over n    Ge, Delgado-Battenfeld and Jannach, RecSys 2010
 *   gini@k           sum over j = 1..n of (2j - n - 1) p_j / (n - 1), where p_1 <= p_2 <= … are the items' shares of
 * all places in lists: 0, all items are shown alike; 1, one has all places Shani and Gunawardana, Recommender Systems
 * Handbook, 2011 */

typedef enum m3_measure {
    M3_MEASURE_HR = 0,
    M3_MEASURE_RECALL = 1,
    M3_MEASURE_PRECISION = 2,
    M3_MEASURE_NDCG = 3,
    M3_MEASURE_MRR = 4,
    M3_MEASURE_MAP = 5,
    M3_MEASURE_COVERAGE = 6,
    M3_MEASURE_GINI = 7
} m3_measure;
enum { M3_MEASURES = 8, M3_MOST_CUT = 1000000 };

typedef struct m3_metric {
    m3_measure measure;
    uint32_t k; /**< the cut-off, 1 to M3_MOST_CUT */
} m3_metric;

/** "ndcg" and so on; NULL for what is no measure. Static memory. */
M3_API const char *m3_measure_name(m3_measure measure);
/** The measure of a name. Returns M3_ERR_INVALID, whose message lists the names. */
M3_API m3_status m3_measure_find(const char *name, m3_measure *measure, m3_error *err);
/** "recall@50". Returns M3_ERR_INVALID: no such measure, or no cut-off from 1 to M3_MOST_CUT. */
M3_API m3_status m3_metric_parse(const char *text, m3_metric *metric, m3_error *err);
/** What a sample adds whose right item is at a place from 1; 0 for coverage and gini. */
M3_API double m3_metric_of_place(m3_metric metric, uint32_t place);

/** Training's own keys, as m3_option_desc in a fixed order: data, features, target, epochs, patience, metric, ks,
 * schedule, warmup_steps, lr_end, accumulate, eval_batch, checkpoint_steps, seed, empty_histories, instruments. Static
 * memory. */
M3_API m3_span m3_settings_keys(void);

/** All defaults. @param settings  Yours, m3_settings_free(). */
M3_API m3_status m3_settings_create(m3_settings **settings, m3_error *err);
/** Read a YAML mapping of keys over the defaults. Errors name file and line. A key that is neither the model's nor
 * training's may be an option of a plugin, which no engine has loaded yet: it is kept, and m3_settings_model() and all
 * that build a model refuse it, with file, line and the nearest known key, when no plugin declares it. A relative
 * `data` path is taken from the file's folder. Returns M3_ERR_INVALID, M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_settings_load(const char *path, m3_settings **settings, m3_error *err);
/** For a training that starts from a run, on another set: the run's own settings without what its set said (behaviors,
 * modalities, items) and without the keys that say what to start from; key `from` is the run.
 * @param run  The run's folder. Returns as m3_settings_load() does. */
M3_API m3_status m3_settings_from_run(const char *run, m3_settings **settings, m3_error *err);
/** For a run that goes on: the model's keys that were not given take the values of the run's own settings.yaml, so that
 * a default that has changed since then changes nothing. Nothing happens where that file is not there or cannot be
 * read.
 * @param run  The run's folder. */
M3_API m3_status m3_settings_take_from_run(m3_settings *settings, const char *run, m3_error *err);
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

#ifdef __cplusplus
}
#endif
#endif
