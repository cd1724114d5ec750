/* keys: the model's configuration as a table of keys; text in, text out, and the range of every single value. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/model.h"

typedef struct key {
    m3_model_key public;
    size_t offset; /* of the member */
} key;

#define KEY(key_type, member, least, most, allowed, standard, line)                                                    \
    {                                                                                                                  \
        .public = {.size = M3_STRUCT_SIZE(m3_model_key, help),                                                         \
                   .name = #member,                                                                                    \
                   .type = (key_type),                                                                                 \
                   .min = (least),                                                                                     \
                   .max = (most),                                                                                      \
                   .choices = (allowed),                                                                               \
                   .fallback = (standard),                                                                             \
                   .help = (line)},                                                                                    \
        .offset = offsetof(m3_model_config, member)                                                                    \
    }
#define INT(member, least, most, standard, line)  KEY(M3_KEY_INT, member, least, most, NULL, standard, line)
#define REAL(member, least, most, standard, line) KEY(M3_KEY_FLOAT, member, least, most, NULL, standard, line)
#define BOOL(member, standard, line)              KEY(M3_KEY_BOOL, member, 0, 1, NULL, standard, line)
#define TEXT(member, allowed, standard, line)     KEY(M3_KEY_TEXT, member, 0, 0, allowed, standard, line)

static const key keys[] = {
    INT(behaviors, 1, M3_MAX_BEHAVIORS, "1", "B: behaviors, from the shallowest to the deepest"),
    KEY(M3_KEY_INTS, modalities, 1, 1 << 20, NULL, "[]", "D_k: dimensions of the features of every modality"),
    INT(length, 1, 4096, "20", "L: items of a history, per behavior"),
    INT(items, 1, INT32_MAX - 1, "1", "N: items, without the padding item"),
    INT(width, 2, 8192, "64", "d: width of the model; even"),
    INT(heads, 1, 1024, "2", "attention heads; a divisor of width"),
    TEXT(encoder, NULL, "linear", "plugin that encodes features"),
    TEXT(expert, NULL, "transformer", "plugin that turns a sequence into an interest"),
    INT(expert_layers, 1, 64, "2", "layers of an expert"),
    INT(ffn_mult, 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
    INT(diffusion_steps, 1, 100000, "100", "T: steps of the diffusion process"),
    REAL(beta_start, 1e-9, 0.999999, "0.0001", "noise variance of step 1"),
    REAL(beta_end, 1e-9, 0.999999, "0.02", "noise variance of step T"),
    TEXT(objective, "eps|x0", "eps", "what a denoiser predicts: the noise or the clean signal"),
    INT(infer_start, 0, 100000, "10", "step at which the observed features stand at inference; at most T"),
    INT(infer_steps, 1, 1000, "1", "denoising steps at inference"),
    BOOL(modality_denoise, "true", "denoise features under the condition of the item ids"),
    BOOL(behavior_denoise, "true", "denoise behaviors under the condition of the next deeper one"),
    TEXT(router, "softmax|sigmoid", "softmax", "how the interests are weighted"),
    REAL(temperature, 1e-4, 1e4, "0.1", "of the contrast between common and specific interests"),
    TEXT(loss, "full|sampled", "full", "cross-entropy over all items, or over the target and negatives"),
    INT(negatives, 0, 1 << 20, "99", "negatives a sample, for the sampled loss"),
    REAL(w_modality, 0, 1e6, "0.1", "weight of the modality denoising loss"),
    REAL(w_behavior, 0, 1e6, "0.1", "weight of the behavior denoising loss"),
    REAL(w_contrast, 0, 1e6, "0.01", "weight of the contrast loss"),
    REAL(dropout, 0, 0.95, "0.1", "dropout rate"),
    REAL(dropout_encoder, -1, 0.95, "-1", "dropout rate on encoder outputs; -1: that of dropout"),
    INT(batch, 1, 1 << 20, "256", "n: samples a batch"),
    REAL(lr, 0, 1e3, "0.001", "learning rate"),
    REAL(beta1, 0, 0.9999999, "0.9", "decay of AdamW's first moment"),
    REAL(beta2, 0, 0.9999999, "0.999", "decay of AdamW's second moment"),
    REAL(adam_eps, 1e-30, 1e3, "1e-08", "added to AdamW's denominator"),
    REAL(weight_decay, 0, 1e3, "0", "AdamW's decoupled weight decay"),
    REAL(clip, 0, 1e30, "1", "largest global norm of the gradients; 0: no clipping"),
    TEXT(lazy, "auto|on|off", "auto", "update only the rows of the item table that a batch used; auto: for sampled"),
};
enum { KEYS = sizeof keys / sizeof keys[0] };

m3_span m3_model_keys(void)
{
    return (m3_span){.count = KEYS, .stride = sizeof(key), .data = keys};
}

static const key *find(const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].public.name, name) == 0) return &keys[i];
    return NULL;
}

const m3_model_key *m3_model_find_key(const char *name)
{
    const key *k = find(name);
    return k == NULL ? NULL : &k->public;
}

static m3_status parse_number(const m3_model_key *k, const char *text, double *value, m3_error *err)
{
    char *end = NULL;
    errno = 0;
    *value = strtod(text, &end);
    end += strspn(end, " \t");
    bool whole = k->type == M3_KEY_FLOAT || *value == floor(*value);
    if (end == text || *end != 0 || !whole || isnan(*value))
        return M3_FAIL(err, M3_ERR_INVALID, k->name, "'%s' is no %s; give one from %.9g to %.9g", text,
                       k->type == M3_KEY_FLOAT ? "number" : "whole number", k->min, k->max);
    if (*value < k->min || *value > k->max)
        return M3_FAIL(err, M3_ERR_INVALID, k->name, "is %.9g; give %s from %.9g to %.9g", *value,
                       k->type == M3_KEY_FLOAT ? "a number" : "a whole number", k->min, k->max);
    return M3_OK;
}

/* "[7, 5]", "7, 5", "[]" or "". */
static m3_status parse_list(const m3_model_key *k, const char *text, m3_model_config *config, m3_error *err)
{
    int32_t count = 0, list[M3_MAX_MODALITIES] = {0};
    char entry[32];
    const char *at = text + strspn(text, " \t[");
    while (*at != 0 && *at != ']') {
        at += strspn(at, " \t");
        size_t length = strcspn(at, ",]");
        if (length >= sizeof entry || count == M3_MAX_MODALITIES)
            return M3_FAIL(err, M3_ERR_INVALID, k->name, "'%s' is no list of at most %d whole numbers, such as [7, 5]",
                           text, M3_MAX_MODALITIES);
        memcpy(entry, at, length);
        entry[length] = 0;
        double value = 0;
        m3_model_key one = *k;
        one.type = M3_KEY_INT;
        m3_status st = parse_number(&one, entry, &value, err);
        if (st != M3_OK) return st;
        list[count++] = (int32_t)value;
        at += length;
        if (*at == ',') at++;
    }
    config->modality_count = count;
    memcpy(config->modalities, list, sizeof list);
    return M3_OK;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; at != NULL; at = strchr(at, '|'), at = at == NULL ? NULL : at + 1)
        if (strcspn(at, "|") == length && strncmp(at, text, length) == 0) return true;
    return false;
}

static m3_status parse_text(const m3_model_key *k, const char *text, char *to, m3_error *err)
{
    if (k->choices != NULL && !is_choice(k->choices, text))
        return M3_FAIL(err, M3_ERR_INVALID, k->name, "is '%s'; give one of %s", text, k->choices);
    if (text[0] == 0 || strlen(text) >= M3_CONFIG_NAME)
        return M3_FAIL(err, M3_ERR_INVALID, k->name, "'%s' is no name; give 1 to %d characters", text,
                       M3_CONFIG_NAME - 1);
    (void)snprintf(to, M3_CONFIG_NAME, "%s", text);
    return M3_OK;
}

m3_status m3_model_set(m3_model_config *config, const char *name, const char *value, m3_error *err)
{
    const key *k = find(name);
    if (k == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, name, "is no key of the model; see `m3bsr train --help` for the keys");
    char *member = (char *)config + k->offset;
    double number = 0;
    m3_status st = M3_OK;
    switch (k->public.type) {
    case M3_KEY_INT:
        if ((st = parse_number(&k->public, value, &number, err)) == M3_OK) *(int32_t *)(void *)member = (int32_t)number;
        return st;
    case M3_KEY_FLOAT:
        if ((st = parse_number(&k->public, value, &number, err)) == M3_OK) *(double *)(void *)member = number;
        return st;
    case M3_KEY_BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return M3_FAIL(err, M3_ERR_INVALID, name, "is '%s'; give true or false", value);
        *(bool *)(void *)member = value[0] == 't';
        return M3_OK;
    case M3_KEY_TEXT: return parse_text(&k->public, value, member, err);
    case M3_KEY_INTS: return parse_list(&k->public, value, config, err);
    }
    return M3_FAIL(err, M3_ERR_INTERNAL, name, "has a type that is not known here");
}

void m3_model_defaults(m3_model_config *config)
{
    *config = (m3_model_config){.size = M3_STRUCT_SIZE(m3_model_config, options)};
    for (size_t i = 0; i < KEYS; i++)
        (void)m3_model_set(config, keys[i].public.name, keys[i].public.fallback, NULL); /* a test checks the defaults */
}

m3_status m3_model_set_option(m3_model_config *config, const char *name, const char *value, m3_error *err)
{
    if (strlen(name) >= M3_CONFIG_NAME || strlen(value) >= M3_CONFIG_TEXT)
        return M3_FAIL(err, M3_ERR_INVALID, name, "is too long; a key has at most %d and a value at most %d characters",
                       M3_CONFIG_NAME - 1, M3_CONFIG_TEXT - 1);
    int32_t at = 0;
    while (at < config->option_count && strcmp(config->options[at].key, name) != 0) at++;
    if (at == M3_MAX_MODEL_OPTIONS)
        return M3_FAIL(err, M3_ERR_INVALID, name, "would be option %d of encoder and expert; at most %d are kept",
                       at + 1, M3_MAX_MODEL_OPTIONS);
    if (at == config->option_count) config->option_count++;
    (void)snprintf(config->options[at].key, sizeof config->options[at].key, "%s", name);
    (void)snprintf(config->options[at].value, sizeof config->options[at].value, "%s", value);
    return M3_OK;
}

/* The shortest text that reads back to the same number. */
static void write_real(double value, char *text, size_t bytes)
{
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, bytes, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

static void write_list(const m3_model_config *config, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "[");
    for (int32_t i = 0; i < config->modality_count && at < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%d", i != 0 ? ", " : "", config->modalities[i]);
    if (at < bytes) (void)snprintf(text + at, bytes - at, "]");
}

m3_status m3_model_get(const m3_model_config *config, const char *name, char *text, size_t bytes, m3_error *err)
{
    const key *k = find(name);
    if (k == NULL) return M3_FAIL(err, M3_ERR_INVALID, name, "is no key of the model");
    const char *member = (const char *)config + k->offset;
    switch (k->public.type) {
    case M3_KEY_INT: (void)snprintf(text, bytes, "%d", *(const int32_t *)(const void *)member); break;
    case M3_KEY_FLOAT: write_real(*(const double *)(const void *)member, text, bytes); break;
    case M3_KEY_BOOL: (void)snprintf(text, bytes, "%s", *(const bool *)(const void *)member ? "true" : "false"); break;
    case M3_KEY_TEXT: (void)snprintf(text, bytes, "%s", member); break;
    case M3_KEY_INTS: write_list(config, text, bytes); break;
    }
    return M3_OK;
}

bool m3_model_is_lazy(const m3_model_config *config)
{
    return strcmp(config->lazy, "on") == 0 ||
           (strcmp(config->lazy, "auto") == 0 && strcmp(config->loss, "sampled") == 0);
}
