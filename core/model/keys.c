/* keys: the model's configuration as a table of keys; text in, text out, and the range of every single value. */
#include <string.h>

#include "core/base/option.h"
#include "m3bsr/model.h"

typedef struct key {
    m3_option_desc desc;
    size_t offset;      /* of the member */
    const char *before; /* for keys that came later: the value that files from before the key stand for */
} key;

#define KEY(member, ...)                                                                                               \
    {                                                                                                                  \
        __VA_ARGS__, offsetof(m3_model_config, member), NULL                                                           \
    }
#define LATER(member, before, ...)                                                                                     \
    {                                                                                                                  \
        __VA_ARGS__, offsetof(m3_model_config, member), before                                                         \
    }
#define INT(member, min, max, fallback, line) KEY(member, M3_DESCRIBE_INT(#member, min, max, fallback, line))
#define INTS(member, min, max, fallback, line)                                                                         \
    KEY(member, M3_DESCRIBE(#member, M3_OPTION_INTS, fallback, min, max, NULL, line))
#define FLOAT(member, min, max, fallback, line) KEY(member, M3_DESCRIBE_FLOAT(#member, min, max, fallback, line))
#define BOOL(member, fallback, line)            KEY(member, M3_DESCRIBE_BOOL(#member, fallback, line))
#define TEXT(member, fallback, line)            KEY(member, M3_DESCRIBE_TEXT(#member, fallback, line))
#define CHOICE(member, choices, fallback, line) KEY(member, M3_DESCRIBE_CHOICE(#member, choices, fallback, line))
#define LATER_CHOICE(member, before, choices, fallback, line)                                                          \
    LATER(member, before, M3_DESCRIBE_CHOICE(#member, choices, fallback, line))
#define LATER_INT(member, before, min, max, fallback, line)                                                            \
    LATER(member, before, M3_DESCRIBE_INT(#member, min, max, fallback, line))
#define LATER_FLOAT(member, before, min, max, fallback, line)                                                          \
    LATER(member, before, M3_DESCRIBE_FLOAT(#member, min, max, fallback, line))

static const key keys[] = {
    INT(behaviors, 1, M3_MAX_BEHAVIORS, "1", "B: behaviors, from the shallowest to the deepest"),
    INTS(modalities, 1, 1 << 20, "[]", "D_k: dimensions of the features of every modality"),
    INT(length, 1, 4096, "20", "L: items of a history, per behavior"),
    INT(items, 1, INT32_MAX - 1, "1", "N: items, without the padding item"),
    INT(width, 2, 8192, "64", "d: width of the model; even"),
    INT(heads, 1, 1024, "2", "attention heads; a divisor of width"),
    TEXT(encoder, "linear", "plugin that encodes features"),
    TEXT(expert, "transformer", "plugin that turns a sequence into an interest"),
    INT(expert_layers, 1, 64, "2", "layers of an expert"),
    INT(ffn_mult, 1, 64, "4", "hidden width of a feed-forward, in multiples of width"),
    INT(diffusion_steps, 1, 100000, "100", "T: steps of the diffusion process"),
    FLOAT(beta_start, 1e-9, 0.999999, "0.0001", "noise variance of step 1"),
    FLOAT(beta_end, 1e-9, 0.999999, "0.02", "noise variance of step T"),
    CHOICE(objective, "eps|x0", "eps", "what a denoiser predicts: the noise or the clean signal"),
    INT(infer_start, 0, 100000, "10", "step at which the observed features stand at inference; at most T"),
    INT(infer_steps, 1, 1000, "1", "denoising steps at inference"),
    BOOL(modality_denoise, "true", "denoise features under the condition of the item ids"),
    BOOL(behavior_denoise, "true", "denoise behaviors under the condition of the next deeper one"),
    LATER_CHOICE(
        denoise, "replace", "replace|gated|neighbors", "neighbors",
        "how noise goes: a network replaces all, or what it cannot explain; or, before training, what neighbors "
        "do not support"),
    LATER_FLOAT(denoise_scale, "0.3", 0, 1e6, "0.3",
                "scale of errors beyond which the gated denoisers' loss flattens; 0: squares"),
    LATER_CHOICE(
        fusion, "none", "none|table|scores", "scores",
        "features beyond their own sequences: added to the items' vectors, or matched by interests of their own"),
    LATER_INT(trend, "0", 0, 1 << 30, "0",
              "recent popularity in the scores: training events after which an event counts half; 0: none"),
    LATER_CHOICE(interests, "both", "both|specific|common", "both", "interests that make the user's vector"),
    CHOICE(router, "softmax|sigmoid|balanced|normed|modality", "normed", "how the interests are weighted"),
    LATER_FLOAT(router_floor, "0.5", 0, 1, "0.5", "balanced router: part of the weight that all interests share alike"),
    LATER_CHOICE(
        contrast, "interests", "interests|users|targets", "targets",
        "common interests are told from specific ones, or from those of other users; or all find the user's target"),
    FLOAT(temperature, 1e-4, 1e4, "0.1", "of the contrast"),
    CHOICE(loss, "full|sampled", "full", "cross-entropy over all items, or over the target and negatives"),
    INT(negatives, 0, 1 << 20, "99", "negatives a sample, for the sampled loss"),
    FLOAT(w_modality, 0, 1e6, "0.1", "weight of the modality denoising loss"),
    FLOAT(w_behavior, 0, 1e6, "0.1", "weight of the behavior denoising loss"),
    FLOAT(w_contrast, 0, 1e6, "0.1", "weight of the contrast loss"),
    FLOAT(dropout, 0, 0.95, "0.1", "dropout rate"),
    FLOAT(dropout_encoder, -1, 0.95, "-1", "dropout rate on encoder outputs; -1: that of dropout"),
    INT(batch, 1, 1 << 20, "256", "n: samples a batch"),
    FLOAT(lr, 0, 1e3, "0.001", "learning rate"),
    FLOAT(beta1, 0, 0.9999999, "0.9", "decay of AdamW's first moment"),
    FLOAT(beta2, 0, 0.9999999, "0.999", "decay of AdamW's second moment"),
    FLOAT(adam_eps, 1e-30, 1e3, "1e-08", "added to AdamW's denominator"),
    FLOAT(weight_decay, 0, 1e3, "0", "AdamW's decoupled weight decay"),
    FLOAT(clip, 0, 1e30, "1", "largest global norm of the gradients; 0: no clipping"),
    CHOICE(lazy, "auto|on|off", "auto", "update only the rows of the item table that a batch used; auto: for sampled"),
    LATER_CHOICE(precision, "f32", "f32|bf16|f16", "f32",
                 "type of activations and of what layers read; sums, parameters and losses are f32 whatever it is"),
    LATER_CHOICE(recompute, "off", "off|light|on", "off",
                 "for less memory compute again, in the backward pass, what is cheap to make"),
};
enum { KEYS = sizeof keys / sizeof keys[0] };
_Static_assert(sizeof(m3_lazy) == sizeof(int32_t), "members that choose are set as whole numbers");
_Static_assert((int)M3_OPTION_ENTRIES >= (int)M3_MAX_MODALITIES, "the list of dimensions fits");

m3_dtype m3_model_precision(const m3_model_config *config)
{
    switch (config->precision) {
    case M3_PRECISION_BF16: return M3_BF16;
    case M3_PRECISION_F16: return M3_F16;
    case M3_PRECISION_F32: break;
    }
    return M3_F32;
}

uint32_t m3_model_recompute(const m3_model_config *config)
{
    switch (config->recompute) {
    case M3_RECOMPUTE_LIGHT: return 32;
    case M3_RECOMPUTE_ON: return 4;
    case M3_RECOMPUTE_OFF: break;
    }
    return 0;
}

m3_span m3_model_keys(void)
{
    return (m3_span){.count = KEYS, .stride = sizeof(key), .data = keys};
}

static const key *find(const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].desc.key, name) == 0) return &keys[i];
    return NULL;
}

const m3_option_desc *m3_model_find_key(const char *name)
{
    const key *k = find(name);
    return k == NULL ? NULL : &k->desc;
}

bool m3_model_key_is_before(const char *name, const char *value)
{
    const key *k = find(name);
    return k != NULL && k->before != NULL && strcmp(k->before, value) == 0;
}

void m3_model_before(m3_model_config *config)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].before != NULL) (void)m3_model_set(config, keys[i].desc.key, keys[i].before, NULL);
}

/* A plugin's name. */
static m3_status set_name(const m3_option_desc *desc, const char *text, char *to, m3_error *err)
{
    if (text[0] == 0 || strlen(text) >= M3_CONFIG_NAME)
        return M3_FAIL(err, M3_ERR_INVALID, desc->key, "'%s' is no name; give 1 to %d characters", text,
                       M3_CONFIG_NAME - 1);
    (void)snprintf(to, M3_CONFIG_NAME, "%s", text);
    return M3_OK;
}

m3_status m3_model_set(m3_model_config *config, const char *name, const char *value, m3_error *err)
{
    const key *k = find(name);
    m3_option_value v;
    if (k == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, name,
                       "is no key of the model; the manual page m3bsr-config(5) describes all keys");
    m3_status st = m3_option_parse(&k->desc, value, &v, err);
    if (st != M3_OK) return st;
    void *member = (char *)config + k->offset;
    switch (k->desc.type) {
    case M3_OPTION_INT:
    case M3_OPTION_CHOICE: *(int32_t *)member = (int32_t)v.whole; return M3_OK; /* an enum is as wide */
    case M3_OPTION_FLOAT: *(double *)member = v.number; return M3_OK;
    case M3_OPTION_BOOL: *(bool *)member = v.whole != 0; return M3_OK;
    case M3_OPTION_TEXT: return set_name(&k->desc, value, member, err);
    case M3_OPTION_INTS:
        config->modality_count = (int32_t)v.whole;
        for (int i = 0; i < M3_MAX_MODALITIES; i++) config->modalities[i] = (int32_t)v.entries[i];
        return M3_OK;
    case M3_OPTION_TEXTS: break;
    }
    return M3_FAIL(err, M3_ERR_INTERNAL, name, "has a type that no key of the model has");
}

void m3_model_defaults(m3_model_config *config)
{
    *config = (m3_model_config){.size = M3_STRUCT_SIZE(m3_model_config, options)};
    for (size_t i = 0; i < KEYS; i++)
        (void)m3_model_set(config, keys[i].desc.key, keys[i].desc.fallback, NULL); /* a test checks the defaults */
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

m3_status m3_model_get(const m3_model_config *config, const char *name, char *text, size_t bytes, m3_error *err)
{
    const key *k = find(name);
    m3_option_value v = {0};
    if (k == NULL) return M3_FAIL(err, M3_ERR_INVALID, name, "is no key of the model");
    const void *member = (const char *)config + k->offset;
    switch (k->desc.type) {
    case M3_OPTION_INT:
    case M3_OPTION_CHOICE: v.whole = *(const int32_t *)member; break;
    case M3_OPTION_FLOAT: v.number = *(const double *)member; break;
    case M3_OPTION_BOOL: v.whole = *(const bool *)member; break;
    case M3_OPTION_INTS:
        v.whole = config->modality_count;
        for (int i = 0; i < M3_MAX_MODALITIES; i++) v.entries[i] = config->modalities[i];
        break;
    case M3_OPTION_TEXT:
    case M3_OPTION_TEXTS: (void)snprintf(text, bytes, "%s", (const char *)member); return M3_OK;
    }
    m3_option_print(&k->desc, &v, text, bytes);
    return M3_OK;
}

bool m3_model_is_lazy(const m3_model_config *config)
{
    return config->lazy == M3_LAZY_ON || (config->lazy == M3_LAZY_AUTO && config->loss == M3_LOSS_SAMPLED);
}

bool m3_model_denoises_modalities(const m3_model_config *config)
{
    return config->modality_denoise && config->modality_count > 0 && config->denoise != M3_DENOISE_NEIGHBORS;
}

bool m3_model_denoises_behaviors(const m3_model_config *config)
{
    return config->behavior_denoise && config->behaviors > 1 && config->denoise != M3_DENOISE_NEIGHBORS;
}
