/* settings: what settings.c keeps of every key and settings_model.c reads. */
#ifndef M3_CORE_SETTINGS_SETTINGS_H
#define M3_CORE_SETTINGS_SETTINGS_H

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
/** The key's value once the model's keys are those of `config`. @param room  For the text, 512 bytes. */
const char *m3_setting_text(const m3_setting *setting, const m3_model_config *config, char room[512]);
/** Let an error name the place of a setting instead of the check that failed. */
void m3_setting_blame(const m3_setting *setting, m3_error *err);

/** As m3_settings_save(), with the model's keys of `config` unless it is NULL. */
m3_status m3_settings_write(const m3_settings *settings, const m3_model_config *config, const char *path,
                            m3_error *err);

/** Training's own keys as values: a member a key, texts and whole numbers and reals. Texts are borrowed from the
 * settings until the next set. */
typedef struct m3_training {
    const char *data;     /**< absolute path of the set, "" when it is not said */
    const char *features; /**< "all" or "[a, b]": m3_settings_features() */
    const char *target;   /**< behavior, "": the set's; m3_settings_target() */
    uint64_t epochs;      /**< at least 1 */
    uint64_t patience;    /**< epochs without a better metric before training ends; 0: never */
    const char *metric;   /**< "ndcg@10" */
    const char *schedule;
    uint64_t warmup_steps;
    double lr_end;
    uint64_t accumulate; /**< batches a step, at least 1 */
    uint64_t eval_batch;
    uint64_t checkpoint_steps; /**< 0: only after epochs */
    uint64_t seed;
    const char *empty_histories; /**< "skip", "keep": train on samples whose history is empty too */
} m3_training;

void m3_settings_training(const m3_settings *settings, m3_training *training);

/** The behavior of key "target" in a set. */
m3_status m3_settings_target(const m3_settings *settings, const m3_dataset *set, uint32_t *target, m3_error *err);
/** The modalities of key "features" in a set, in their order.
 * @param modalities  Room for M3_MAX_MODALITIES. */
m3_status m3_settings_features(const m3_settings *settings, const m3_dataset *set, uint32_t *modalities,
                               uint32_t *count, m3_error *err);

/** Sixteen hexadecimal digits over all values that change what a step computes: everything but data (its checksum
 * counts), patience, metric, eval_batch, checkpoint_steps, and epochs unless the schedule depends on it. */
void m3_settings_hash(const m3_settings *settings, const m3_model_config *config, char text[17]);
/** The first key that m3_settings_hash() covers and that differs, or NULL; config: of m3_settings_model() for a. */
const char *m3_settings_difference(const m3_settings *a, const m3_model_config *config, const m3_settings *b);

/** Write the chosen modalities of a set into a store as "features0", "features1", … */
m3_status m3_features_store(m3_store *store, const m3_dataset *set, const uint32_t *modalities, uint32_t count,
                            m3_error *err);

#endif
