/* settings_model: what settings mean for an engine and a set: the model's configuration, the target, the features, and
 * whether two settings compute the same. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/runtime/engine.h"
#include "core/settings/settings.h"

/* Keys that are not known. */

/* The name of the first module that declares the option and that the configuration does not use; or NULL. */
static const char *look_through(m3_engine *engine, m3_plugin_kind kind, const char *chosen, const char *option,
                                bool *declared, m3_nearest *near)
{
    const char *name = NULL, *other = NULL;
    const m3_module_api *api;
    for (uint32_t i = 0; (api = m3_engine_module_at(engine, kind, i, &name)) != NULL; i++)
        for (uint32_t k = 0; k < api->options.count; k++) {
            const m3_option_desc *desc = m3_span_at(api->options, k);
            if (strcmp(desc->key, option) != 0) {
                if (strcmp(name, chosen) == 0) m3_nearest_try(near, desc->key);
            } else if (strcmp(name, chosen) == 0) {
                *declared = true;
            } else if (other == NULL) {
                other = name;
            }
        }
    return other;
}

static m3_status check_option(m3_engine *engine, const m3_settings *settings, const m3_setting *s, m3_error *err)
{
    bool declared = false;
    m3_nearest near = m3_nearest_to(s->name);
    const m3_model_config *c = &settings->config;
    for (uint32_t i = 0; i < settings->known; i++) m3_nearest_try(&near, settings->all[i].name);
    const char *encoder = look_through(engine, M3_PLUGIN_ENCODER, c->encoder, s->name, &declared, &near);
    const char *expert = look_through(engine, M3_PLUGIN_EXPERT, c->expert, s->name, &declared, &near);
    if (declared) return M3_OK;
    bool clean = err != NULL && err->code == M3_OK;
    m3_status st;
    if (encoder != NULL || expert != NULL)
        st = M3_FAIL(err, M3_ERR_INVALID, s->name, "is an option of %s '%s', but %s is '%s'; change one of them",
                     expert != NULL ? "expert" : "encoder", expert != NULL ? expert : encoder,
                     expert != NULL ? "expert" : "encoder", expert != NULL ? c->expert : c->encoder);
    else if (near.key != NULL)
        st = M3_FAIL(err, M3_ERR_INVALID, s->name, "is no key; did you mean '%s'?", near.key);
    else
        st = M3_FAIL(err, M3_ERR_INVALID, s->name,
                     "is no key and like none; the manual page m3bsr-config(5) describes all keys");
    if (clean) m3_setting_locate(s, err);
    return st;
}

m3_status m3_settings_config(m3_engine *engine, const m3_settings *settings, m3_model_config *config, m3_error *err)
{
    *config = settings->config;
    for (uint32_t i = settings->known; engine != NULL && i < settings->count; i++) {
        m3_status st = check_option(engine, settings, &settings->all[i], err);
        if (st != M3_OK) return st;
    }
    if (engine == NULL) return M3_OK;
    m3_error why = {0};
    m3_status st = m3_model_fill_options(engine, config, &why);
    if (st != M3_OK) m3_setting_locate(m3_setting_find(settings, why.subject), &why);
    if (st != M3_OK && err != NULL && err->code == M3_OK) *err = why;
    return st;
}

/* A set. */

m3_status m3_settings_target(const m3_settings *settings, const m3_dataset *set, uint32_t *target, m3_error *err)
{
    const m3_setting *s = m3_setting_find(settings, "target");
    *target = m3_dataset_target(set);
    if (s->text[0] == 0 || m3_dataset_find_behavior(set, s->text, target)) return M3_OK;
    char names[M3_ERROR_SUBJECT] = "";
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        size_t at = strlen(names);
        (void)snprintf(names + at, sizeof names - at, "%s%s", b != 0 ? ", " : "", m3_dataset_behavior_name(set, b));
    }
    m3_status st =
        M3_FAIL(err, M3_ERR_INVALID, "target", "is '%s', which is no behavior of the set; it has %s", s->text, names);
    m3_setting_locate(s, err);
    return st;
}

static m3_status find_modality(const m3_setting *s, const m3_dataset *set, const char *name, uint32_t *found,
                               m3_error *err)
{
    char names[M3_ERROR_SUBJECT] = "";
    uint32_t count = m3_dataset_modality_count(set);
    for (uint32_t k = 0; k < count; k++) {
        size_t at = strlen(names);
        const char *has = m3_dataset_features(set, k).name;
        if (strcmp(has, name) == 0) {
            *found = k;
            return M3_OK;
        }
        (void)snprintf(names + at, sizeof names - at, "%s%s", k != 0 ? ", " : "", has);
    }
    m3_status st = M3_FAIL(err, M3_ERR_INVALID, "features", "names '%s', which is no modality of the set; it has %s",
                           name, count != 0 ? names : "none");
    m3_setting_locate(s, err);
    return st;
}

/* The modalities of key "features" in a set, in their order; modalities has space for M3_MAX_MODALITIES. */
static m3_status find_modalities(const m3_settings *settings, const m3_dataset *set, uint32_t *modalities,
                                 uint32_t *count, m3_error *err)
{
    const m3_setting *s = m3_setting_find(settings, "features");
    uint32_t all = m3_dataset_modality_count(set);
    bool take_all = strcmp(s->text, "all") == 0;
    char name[M3_ERROR_SUBJECT];
    *count = 0;
    for (uint32_t k = 0; take_all && k < all && k < M3_MAX_MODALITIES; k++) modalities[(*count)++] = k;
    if (take_all && all > M3_MAX_MODALITIES)
        return M3_FAIL(err, M3_ERR_INVALID, "features", "is all, and the set has %u; name at most %d of them", all,
                       M3_MAX_MODALITIES);
    if (take_all) return M3_OK;
    for (const char *at = s->text + 1; *at != 0 && *at != ']';) {
        uint32_t found = 0;
        at += strspn(at, " ");
        size_t length = strcspn(at, ",]");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        at += length;
        if (*at == ',') at++;
        m3_status st = find_modality(s, set, name, &found, err);
        if (st != M3_OK) return st;
        for (uint32_t i = 0; i < *count; i++)
            if (modalities[i] == found)
                return M3_FAIL(err, M3_ERR_INVALID, "features", "names '%s' twice; name it once", name);
        if (*count == M3_MAX_MODALITIES)
            return M3_FAIL(err, M3_ERR_INVALID, "features", "has more than %d entries; name fewer", M3_MAX_MODALITIES);
        modalities[(*count)++] = found;
    }
    return M3_OK;
}

/* Give a key the set's value, unless the settings say otherwise. */
static m3_status take_from_set(const m3_settings *settings, const char *name, const char *value, const char *what,
                               m3_model_config *config, m3_error *err)
{
    const m3_setting *s = m3_setting_find(settings, name);
    if (s->given && strcmp(s->text, value) != 0) {
        m3_status st = M3_FAIL(err, M3_ERR_INVALID, name,
                               "is %s, but the set has %s %s; remove the key, or give the set that it is for", s->text,
                               what, value);
        m3_setting_locate(s, err);
        return st;
    }
    return m3_model_set(config, name, value, err);
}

static m3_status take_number(const m3_settings *settings, const char *name, uint32_t value, const char *what,
                             m3_model_config *config, m3_error *err)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%" PRIu32, value);
    return take_from_set(settings, name, text, what, config, err);
}

m3_status m3_settings_model(m3_engine *engine, const m3_settings *settings, const m3_dataset *set,
                            m3_model_config *config, m3_error *err)
{
    m3_status st;
    uint32_t modalities[M3_MAX_MODALITIES], count = 0;
    char widths[M3_MAX_MODALITIES * 12 + 8] = "[";
    if ((st = m3_settings_config(engine, settings, config, err)) != M3_OK) return st;
    if ((st = take_number(settings, "behaviors", m3_dataset_behavior_count(set), "behaviors", config, err)) != M3_OK)
        return st;
    if ((st = take_number(settings, "items", m3_dataset_item_count(set), "items", config, err)) != M3_OK) return st;
    if ((st = find_modalities(settings, set, modalities, &count, err)) != M3_OK) return st;
    for (uint32_t k = 0; k < count; k++) {
        size_t at = strlen(widths);
        (void)snprintf(widths + at, sizeof widths - at, "%s%" PRIu32, k != 0 ? ", " : "",
                       m3_dataset_features(set, modalities[k]).width);
    }
    (void)snprintf(widths + strlen(widths), sizeof widths - strlen(widths), "]");
    if ((st = take_from_set(settings, "modalities", widths, "features of", config, err)) != M3_OK) return st;
    if (!m3_setting_find(settings, "length")->given &&
        (st = take_number(settings, "length", m3_dataset_max_length(set), "length", config, err)) != M3_OK)
        return st;
    return m3_model_check(engine, config, err);
}

m3_status m3_settings_names(const m3_settings *settings, const m3_dataset *set, m3_sequence_names *names, m3_error *err)
{
    uint32_t modalities[M3_MAX_MODALITIES], count = 0;
    *names = (m3_sequence_names){.behavior_count = m3_dataset_behavior_count(set), .modalities = {"id"}};
    m3_status st = find_modalities(settings, set, modalities, &count, err);
    if (st != M3_OK) return st;
    names->modality_count = count + 1;
    for (uint32_t b = 0; b < names->behavior_count && b < M3_MAX_BEHAVIORS; b++)
        names->behaviors[b] = m3_dataset_behavior_name(set, b);
    for (uint32_t k = 0; k < count; k++) names->modalities[k + 1] = m3_dataset_features(set, modalities[k]).name;
    return M3_OK;
}

const char *m3_expert_name(const m3_sequence_names *names, uint32_t i, char text[M3_EXPERT_NAME])
{
    if (i == 0) return "common";
    (void)snprintf(text, M3_EXPERT_NAME, "%s/%s", names->behaviors[(i - 1) / names->modality_count],
                   names->modalities[(i - 1) % names->modality_count]);
    return text;
}

m3_status m3_settings_denoise(m3_engine *engine, const m3_settings *settings, const m3_model_config *config,
                              const m3_dataset *set, const m3_split *split, m3_denoised *denoised, m3_error *err)
{
    uint32_t modalities[M3_MAX_MODALITIES], count = 0;
    *denoised = (m3_denoised){0};
    if (config->denoise != M3_DENOISE_NEIGHBORS) return M3_OK;
    m3_status st = find_modalities(settings, set, modalities, &count, err);
    if (st != M3_OK) return st;
    const m3_denoised_options options = {modalities, count, config->modality_denoise, config->behavior_denoise,
                                         engine->pool};
    return m3_denoise_set(set, split, &options, denoised, err);
}

m3_status m3_settings_features(const m3_settings *settings, const m3_dataset *set, const m3_denoised *denoised,
                               m3_features features[M3_MAX_MODALITIES], uint32_t *count, m3_error *err)
{
    uint32_t modalities[M3_MAX_MODALITIES];
    const m3_status st = find_modalities(settings, set, modalities, count, err);
    for (uint32_t k = 0; st == M3_OK && k < *count; k++) {
        features[k] = m3_dataset_features(set, modalities[k]);
        const float *rows = denoised != NULL ? denoised->features[k].rows : NULL;
        if (rows != NULL) features[k].rows = rows;
    }
    return st;
}

m3_status m3_settings_store_features(const m3_settings *settings, const m3_dataset *set, const m3_denoised *denoised,
                                     m3_store *store, m3_error *err)
{
    char name[32];
    uint32_t count = 0;
    m3_features features[M3_MAX_MODALITIES];
    m3_status st = m3_settings_features(settings, set, denoised, features, &count, err);
    for (uint32_t k = 0; st == M3_OK && k < count; k++) {
        const m3_shape shape = {.rank = 2, .dim = {(uint64_t)m3_dataset_item_count(set) + 1, features[k].width}};
        (void)snprintf(name, sizeof name, "features%" PRIu32, k);
        st = m3_store_write(store, name, M3_F32, &shape, features[k].rows, err);
    }
    return st;
}

/* The same computation. */

static bool is_computed(const m3_settings *settings, const char *key)
{
    static const char *const others[] = {
        "data",      "from",       "new_items",        "patience",         "metric",
        "ks",        "eval_batch", "checkpoint_steps", "checkpoint_parts", "instruments",
        "recompute", "shard"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(key, others[i]) == 0) return false;
    return strcmp(key, "epochs") != 0 || strcmp(m3_settings_get(settings, "schedule"), "constant") != 0;
}

/* A key that came later does not count at the value that older runs stand for, so that they can go on. */
static bool stands_for_older(const char *key, const char *value)
{
    return m3_model_key_is_before(key, value) || (strcmp(key, "train_on") == 0 && strcmp(value, "all") == 0);
}

static XXH64_hash_t hash_pair(const char *name, const char *value, XXH64_hash_t before)
{
    return XXH64(value, strlen(value), XXH64(name, strlen(name), before));
}

static XXH64_hash_t hash_keys(const m3_settings *settings, const m3_model_config *config)
{
    XXH64_hash_t hash = 0;
    char text[M3_OPTION_BYTES];
    for (uint32_t i = 0; i < settings->known; i++) {
        const char *name = settings->all[i].name, *value = m3_setting_text(&settings->all[i], config, text);
        if (is_computed(settings, name) && !stands_for_older(name, value)) hash = hash_pair(name, value, hash);
    }
    return hash;
}

/* Options count in any order. */

void m3_settings_hash(const m3_settings *settings, const m3_model_config *config, char text[17])
{
    XXH64_hash_t options = 0;
    for (int32_t i = 0; i < config->option_count; i++)
        options += hash_pair(config->options[i].key, config->options[i].value, 0);
    (void)snprintf(text, 17, "%016" PRIx64, (uint64_t)(hash_keys(settings, config) ^ options));
}

void m3_settings_hash_as_written(const m3_settings *settings, char text[17])
{
    XXH64_hash_t options = 0;
    for (uint32_t i = settings->known; i < settings->count; i++)
        options += hash_pair(settings->all[i].name, settings->all[i].text, 0);
    (void)snprintf(text, 17, "%016" PRIx64, (uint64_t)(hash_keys(settings, NULL) ^ options));
}

const char *m3_settings_value(const m3_settings *settings, const m3_model_config *config, const char *key,
                              char text[M3_OPTION_BYTES])
{
    const m3_setting *s = m3_setting_find(settings, key);
    for (int32_t i = 0; config != NULL && i < config->option_count; i++)
        if (strcmp(config->options[i].key, key) == 0) return config->options[i].value;
    return s != NULL ? m3_setting_text(s, config, text) : NULL;
}

const char *m3_settings_difference(const m3_settings *a, const m3_model_config *a_config, const m3_settings *b,
                                   const m3_model_config *b_config)
{
    char a_text[M3_OPTION_BYTES], b_text[M3_OPTION_BYTES];
    for (uint32_t i = 0; i < a->known; i++) {
        const m3_setting *s = &a->all[i], *other = m3_setting_find(b, s->name);
        const char *value = m3_setting_text(s, a_config, a_text);
        if (!is_computed(a, s->name)) continue;
        if (other == NULL || strcmp(value, m3_setting_text(other, b_config, b_text)) != 0) return s->name;
    }
    const m3_model_config *sides[2] = {a_config, b_config};
    for (int side = 0; side < 2; side++)
        for (int32_t i = 0; i < sides[side]->option_count; i++) {
            const char *key = sides[side]->options[i].key;
            const char *value = m3_settings_value(a, a_config, key, a_text);
            const char *other = m3_settings_value(b, b_config, key, b_text);
            if (value == NULL || other == NULL || strcmp(value, other) != 0) return key;
        }
    return NULL;
}
