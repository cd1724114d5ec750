/* settings: what settings.c keeps of every key and settings_model.c reads. */
#ifndef M3_CORE_SETTINGS_SETTINGS_H
#define M3_CORE_SETTINGS_SETTINGS_H

#include "core/base/option.h"
#include "core/data/denoised.h"
#include "m3bsr/settings.h"

/** A key with its value as text. */
typedef struct m3_setting {
    char *name, *text;
    char *file; /**< where it was set, NULL when not in a file */
    uint32_t line;
    bool given; /**< else the default */
} m3_setting;

/** The model's keys, then training's, then options that a plugin may declare, in the order of their setting. */
struct m3_settings {
    m3_model_config config; /**< the model's keys and options again, as values */
    uint32_t count, known;  /**< settings from `known` on are options */
    m3_setting *all;
};

/** NULL when there is no such key. */
m3_setting *m3_setting_find(const m3_settings *settings, const char *name);
/** The key's value once the model's keys are those of `config`. @param text  Where it may be put. */
const char *m3_setting_text(const m3_setting *setting, const m3_model_config *config, char text[M3_OPTION_BYTES]);
/** Let an error name the place of a setting instead of the check that failed. */
void m3_setting_locate(const m3_setting *setting, m3_error *err);

/** @param copy  Yours, m3_settings_free(). */
m3_status m3_settings_copy(const m3_settings *settings, m3_settings **copy, m3_error *err);

/** As m3_settings_save(), with the model's keys and the options of `config` unless it is NULL. */
m3_status m3_settings_write(const m3_settings *settings, const m3_model_config *config, const char *path,
                            m3_error *err);

/** Values of keys that choose, in the order of the choices. */
typedef enum m3_decay { M3_DECAY_NONE = 0, M3_DECAY_LINEAR = 1, M3_DECAY_COSINE = 2 } m3_decay;
typedef enum m3_empty_histories { M3_EMPTY_SKIP = 0, M3_EMPTY_KEEP = 1 } m3_empty_histories;
typedef enum m3_train_on { M3_TRAIN_ON_ALL = 0, M3_TRAIN_ON_NEW = 1 } m3_train_on;
typedef enum m3_shard { M3_SHARD_NONE = 0, M3_SHARD_ROWS = 1 } m3_shard;
typedef enum m3_new_items { M3_NEW_FEATURES = 0, M3_NEW_NEIGHBORS = 1, M3_NEW_RANDOM = 2 } m3_new_items;
typedef enum m3_parts_wanted { M3_PARTS_AUTO = 0, M3_PARTS_ON = 1, M3_PARTS_OFF = 2 } m3_parts_wanted;

/** Cut-offs of metrics, rising. */
typedef struct m3_cuts {
    uint32_t count, at[M3_OPTION_ENTRIES + 3]; /**< key "ks" has up to M3_OPTION_ENTRIES */
} m3_cuts;

/** Training's own keys as values: a member a key, texts and whole numbers and reals. Texts are borrowed from the
 * settings until the next set. */
typedef struct m3_training {
    const char *data; /**< absolute path of the set, "" when it is not said */
    const char *from; /**< absolute path of a run, "" for none */
    m3_train_on train_on;
    m3_new_items new_items;
    const char *features; /**< "all" or "[a, b]": m3_settings_store_features() */
    const char *target;   /**< behavior, "": the set's; m3_settings_target() */
    uint64_t epochs;      /**< at least 1 */
    uint64_t patience;    /**< epochs without a better metric before training ends; 0: never */
    const char *metric;   /**< "ndcg@10": m3_settings_metric() */
    m3_cuts ks;
    m3_decay schedule;
    uint64_t warmup_steps;
    double lr_end;
    uint64_t accumulate; /**< batches a step, at least 1 */
    uint64_t eval_batch;
    uint64_t checkpoint_steps; /**< 0: only after epochs */
    m3_parts_wanted checkpoint_parts;
    uint64_t seed;
    m3_empty_histories empty_histories; /**< keep: train on samples whose history is empty too */
    uint64_t instruments;               /**< validation samples that they look at; 0: there are none */
    m3_shard shard;                     /**< rows: several ranks share out the rows of the item table */
} m3_training;

/** m3_settings_load() for the file that a run wrote: it has every key, so that one that is missing came later, and
 * stands at the value that means what was computed before it. */
m3_status m3_settings_load_saved(const char *path, m3_settings **settings, m3_error *err);

void m3_settings_training(const m3_settings *settings, m3_training *training);

/** Can the text be key "metric"? */
m3_status m3_metric_key_check(const char *text, m3_error *err);
/** At least one cut-off, rising. @param who  Where they come from, for messages. */
m3_status m3_cuts_check(const uint32_t *ks, uint32_t count, const char *who, m3_error *err);
/** Is a cut-off within the candidates? Small ones are taken for any set, however few items it has, as the defaults are
 * among them. */
bool m3_cut_fits(uint32_t k, uint32_t items);
enum { M3_SMALL_CUT = 20 };
/** Key "metric" as a value. */
m3_metric m3_settings_metric(const m3_settings *settings);
/** Do keys "metric" and "ks" fit the items of a set? M3_ERR_INVALID names the key with its place. */
m3_status m3_settings_check_cuts(const m3_settings *settings, const m3_dataset *set, m3_error *err);

/** The behavior of key "target" in a set. */
m3_status m3_settings_target(const m3_settings *settings, const m3_dataset *set, uint32_t *target, m3_error *err);
/** Names of a model's behaviors and modalities, borrowed from its set. */
typedef struct m3_sequence_names {
    uint32_t behavior_count, modality_count; /**< B, M */
    const char *behaviors[M3_MAX_BEHAVIORS];
    const char *modalities[M3_MAX_MODALITIES + 1]; /**< "id", then those that key "features" names */
} m3_sequence_names;

m3_status m3_settings_names(const m3_settings *settings, const m3_dataset *set, m3_sequence_names *names,
                            m3_error *err);
enum { M3_EXPERT_NAME = 128, M3_MAX_EXPERTS = M3_MAX_BEHAVIORS * (M3_MAX_MODALITIES + 1) + 1 };
/** What column i of the router's weights is for: "common", then "BEHAVIOR/MODALITY" of g = i - 1 = b M + m. */
const char *m3_expert_name(const m3_sequence_names *names, uint32_t i, char text[M3_EXPERT_NAME]);
/** What key "denoise" does to the set before the model sees it: nothing, unless it is "neighbors".
 * @param config    Of m3_settings_model().
 * @param denoised  m3_denoised_fini() ends it, whatever comes; set and split must outlive it. */
m3_status m3_settings_denoise(m3_engine *engine, const m3_settings *settings, const m3_model_config *config,
                              const m3_dataset *set, const m3_split *split, m3_denoised *denoised, m3_error *err);
/** The modalities of a set that key "features" names, with the rows that a model sees.
 * @param denoised  NULL: as they are in the set. */
m3_status m3_settings_features(const m3_settings *settings, const m3_dataset *set, const m3_denoised *denoised,
                               m3_features features[M3_MAX_MODALITIES], uint32_t *count, m3_error *err);
/** Write these into a store as "features0", "features1", … */
m3_status m3_settings_store_features(const m3_settings *settings, const m3_dataset *set, const m3_denoised *denoised,
                                     m3_store *store, m3_error *err);

/** Sixteen hexadecimal digits over all values that change what a step computes: everything but data (its checksum
 * counts), from and new_items (a checkpoint has what came of them), patience, metric, ks, eval_batch,
 * checkpoint_steps, instruments, shard, and epochs unless the schedule depends on it. */
void m3_settings_hash(const m3_settings *settings, const m3_model_config *config, char text[17]);
/** The hash that a version before this one wrote for these settings, whose texts are as that version wrote them: only
 * the options that were given counted, in the text that was typed. */
void m3_settings_hash_as_written(const m3_settings *settings, char text[17]);
/** The first key that m3_settings_hash() covers and that differs, or NULL.
 * @param a_config, b_config  Of m3_settings_model() or m3_settings_config(). */
const char *m3_settings_difference(const m3_settings *a, const m3_model_config *a_config, const m3_settings *b,
                                   const m3_model_config *b_config);
/** The value of any key in settings whose configuration is `config`, or NULL. @param text  Where it may be put. */
const char *m3_settings_value(const m3_settings *settings, const m3_model_config *config, const char *key,
                              char text[M3_OPTION_BYTES]);

#endif
