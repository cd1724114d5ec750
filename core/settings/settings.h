/* settings: what settings.c keeps of every key and settings_model.c reads. */
#ifndef M3_CORE_TRAIN_SETTINGS_H
#define M3_CORE_TRAIN_SETTINGS_H

#include "core/train/internal.h"

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

#endif
