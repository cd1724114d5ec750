/* modules: encoders and experts with their options, and the checks of a whole configuration. */
#include <math.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/model/model.h"

static const char *kind_name(m3_plugin_kind kind)
{
    return kind == M3_PLUGIN_ENCODER ? "encoder" : "expert";
}

static const char *option_value(const m3_model_config *config, const char *key)
{
    for (int32_t i = 0; i < config->option_count; i++)
        if (strcmp(config->options[i].key, key) == 0) return config->options[i].value;
    return NULL;
}

static m3_status check_value(const m3_option_desc *desc, const char *value, m3_error *err)
{
    char *end = NULL;
    double number = 0;
    switch (desc->type) {
    case M3_OPTION_TEXT: return M3_OK;
    case M3_OPTION_BOOL:
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) return M3_OK;
        return M3_FAIL(err, M3_ERR_INVALID, desc->key, "is '%s'; give true or false", value);
    case M3_OPTION_INT:
    case M3_OPTION_FLOAT:
        number = strtod(value, &end);
        if (end == value || *end != 0 || isnan(number) || (desc->type == M3_OPTION_INT && number != floor(number)))
            return M3_FAIL(err, M3_ERR_INVALID, desc->key, "'%s' is no %snumber; give one from %.9g to %.9g", value,
                           desc->type == M3_OPTION_INT ? "whole " : "", desc->min, desc->max);
        if (number < desc->min || number > desc->max)
            return M3_FAIL(err, M3_ERR_INVALID, desc->key, "is %.9g; give a number from %.9g to %.9g", number,
                           desc->min, desc->max);
        return M3_OK;
    }
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, desc->key, "has type %d, which this host does not know", (int)desc->type);
}

static m3_status fill_option(m3_module *module, uint32_t i, const m3_model_config *config, m3_error *err)
{
    const m3_option_desc *desc = m3_span_at(module->api->options, i);
    const char *value = option_value(config, desc->key);
    char *text = module->values[i];
    if (m3_model_find_key(desc->key) != NULL) {
        m3_status st = m3_model_get(config, desc->key, text, M3_CONFIG_TEXT, err);
        if (st != M3_OK) return st;
    } else {
        if (value == NULL) value = desc->fallback != NULL ? desc->fallback : "";
        if (strlen(value) >= M3_CONFIG_TEXT)
            return M3_FAIL(err, M3_ERR_INVALID, desc->key, "its value has %zu characters; at most %d are kept",
                           strlen(value), M3_CONFIG_TEXT - 1);
        (void)snprintf(text, M3_CONFIG_TEXT, "%s", value);
    }
    module->options[i] = (m3_option){.key = desc->key, .value = text};
    return check_value(desc, text, err);
}

m3_status m3_module_init(m3_module *module, m3_engine *engine, m3_plugin_kind kind, const m3_model_config *config,
                         m3_error *err)
{
    m3_status st;
    const char *name = kind == M3_PLUGIN_ENCODER ? config->encoder : config->expert;
    *module = (m3_module){0};
    if ((st = m3_engine_module(engine, kind, name, &module->api, err)) != M3_OK) return st;
    uint32_t count = module->api->options.count;
    module->options = m3_calloc(count, sizeof *module->options);
    module->values = m3_calloc(count, sizeof *module->values);
    if (module->options == NULL || module->values == NULL) {
        st = M3_FAIL_MEMORY(err, kind_name(kind), count * sizeof *module->values);
        goto done;
    }
    for (uint32_t i = 0; i < count; i++)
        if ((st = fill_option(module, i, config, err)) != M3_OK) goto done;
    module->args = (m3_module_args){.size = M3_STRUCT_SIZE(m3_module_args, modality),
                                    .width = (uint32_t)config->width,
                                    .options = {count, sizeof *module->options, module->options}};
done:
    if (st != M3_OK) m3_module_fini(module);
    return st;
}

void m3_module_fini(m3_module *module)
{
    m3_free(module->options);
    m3_free(module->values);
    *module = (m3_module){0};
}

static bool declares(const m3_module *module, const char *key)
{
    for (uint32_t i = 0; i < module->args.options.count; i++)
        if (strcmp(module->options[i].key, key) == 0) return true;
    return false;
}

m3_status m3_modules_check_options(const m3_model_config *config, const m3_module *encoder, const m3_module *expert,
                                   m3_error *err)
{
    for (int32_t i = 0; i < config->option_count; i++) {
        const char *key = config->options[i].key;
        if (!declares(encoder, key) && !declares(expert, key))
            return M3_FAIL(err, M3_ERR_INVALID, key,
                           "is neither a key of the model nor an option of encoder '%s' or expert '%s'; remove it",
                           config->encoder, config->expert);
    }
    return M3_OK;
}

static m3_status check_ranges(const m3_model_config *config, m3_error *err)
{
    m3_model_config copy = *config;
    m3_span keys = m3_model_keys();
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_model_key *key = m3_span_at(keys, i);
        char text[512];
        m3_status st;
        if ((st = m3_model_get(config, key->name, text, sizeof text, err)) != M3_OK) return st;
        if ((st = m3_model_set(&copy, key->name, text, err)) != M3_OK) return st;
    }
    return M3_OK;
}

static m3_status check_together(const m3_model_config *c, m3_error *err)
{
    if (c->width % 2 != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "width", "is %d; give an even width, half of it are sines", c->width);
    if (c->width % c->heads != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "heads", "is %d, which does not divide width %d; give a divisor", c->heads,
                       c->width);
    if (c->infer_start > c->diffusion_steps)
        return M3_FAIL(err, M3_ERR_INVALID, "infer_start", "is %d, beyond diffusion_steps %d; give at most that",
                       c->infer_start, c->diffusion_steps);
    bool sampled = strcmp(c->loss, "sampled") == 0;
    if (sampled && c->negatives < 1)
        return M3_FAIL(err, M3_ERR_INVALID, "negatives", "is %d; the sampled loss wants at least 1", c->negatives);
    if (!sampled && strcmp(c->lazy, "on") == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "lazy",
                       "is on, but loss full touches every item in every step; set lazy to auto or loss to sampled");
    return M3_OK;
}

m3_status m3_model_check(m3_engine *engine, const m3_model_config *config, m3_error *err)
{
    m3_status st;
    m3_module encoder = {0}, expert = {0};
    if (!M3_HAS(config, m3_model_config, options))
        return M3_FAIL(err, M3_ERR_INVALID, "config", "is %s; start it with m3_model_defaults()",
                       config == NULL ? "missing" : "from an older version");
    if ((st = check_ranges(config, err)) != M3_OK) goto done;
    if ((st = check_together(config, err)) != M3_OK) goto done;
    if ((st = m3_module_init(&encoder, engine, M3_PLUGIN_ENCODER, config, err)) != M3_OK) goto done;
    if ((st = m3_module_init(&expert, engine, M3_PLUGIN_EXPERT, config, err)) != M3_OK) goto done;
    st = m3_modules_check_options(config, &encoder, &expert, err);
done:
    m3_module_fini(&encoder);
    m3_module_fini(&expert);
    return st;
}
