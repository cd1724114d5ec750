/* modules: encoders and experts with their options, and the checks of a whole configuration. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/option.h"
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

/* The canonical text of a value, in M3_CONFIG_TEXT bytes. */
static m3_status write_value(const m3_option_desc *desc, const char *value, char *text, m3_error *err)
{
    char *canonical = NULL;
    m3_status st = m3_option_canonical(desc, value, &canonical, err);
    if (st == M3_OK && strlen(canonical) >= M3_CONFIG_TEXT)
        st = M3_FAIL(err, M3_ERR_INVALID, desc->key, "its value has %zu characters; at most %d are kept",
                     strlen(canonical), M3_CONFIG_TEXT - 1);
    if (st == M3_OK) (void)snprintf(text, M3_CONFIG_TEXT, "%s", canonical);
    m3_free(canonical);
    return st;
}

static m3_status fill_option(m3_module *module, uint32_t i, const m3_model_config *config, m3_error *err)
{
    const m3_option_desc *desc = m3_span_at(module->api->options, i);
    const char *value = option_value(config, desc->key);
    char text[M3_CONFIG_TEXT];
    if (m3_model_find_key(desc->key) != NULL) {
        m3_status st = m3_model_get(config, desc->key, text, sizeof text, err);
        if (st != M3_OK) return st;
        value = text;
    } else if (value == NULL) {
        value = desc->fallback;
    }
    module->options[i] = (m3_option){.key = desc->key, .value = module->values[i]};
    return write_value(desc, value, module->values[i], err);
}

m3_status m3_module_init(m3_module *module, m3_engine *engine, m3_plugin_kind kind, const m3_model_config *config,
                         m3_error *err)
{
    m3_status st;
    const char *name = kind == M3_PLUGIN_ENCODER ? config->encoder : config->expert;
    *module = (m3_module){0};
    if ((st = m3_engine_module(engine, kind, name, &module->api, err)) != M3_OK) return st;
    module->kind = kind;
    (void)snprintf(module->name, sizeof module->name, "%s", name);
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

static m3_shape wanted_shape(const m3_module *module, const m3_tensor *x)
{
    m3_shape shape = x->shape;
    if (module->kind == M3_PLUGIN_EXPERT) shape.rank--; /* one interest for all positions */
    shape.dim[shape.rank - 1] = module->args.width;
    return shape;
}

static void check_result(const m3_module *module, m3_builder *b, const m3_tensor *x, const m3_tensor *y)
{
    char text[M3_ERROR_MESSAGE];
    m3_shape want = wanted_shape(module, x);
    if (y != NULL && y->dtype == M3_F32 && m3_shape_equal(&y->shape, &want)) return;
    (void)snprintf(text, sizeof text, "%s '%s' gave %s%s%s for x %s; f32 %s is wanted: correct the plugin's build",
                   kind_name(module->kind), module->name, y != NULL ? m3_dtype_name(y->dtype) : "nothing",
                   y != NULL ? " " : " and no error", y != NULL ? M3_SHAPE_TEXT(&y->shape) : "",
                   M3_SHAPE_TEXT(&x->shape), M3_SHAPE_TEXT(&want));
    b->api->fail(b, M3_ERR_INVALID, text);
}

/* A scope that stays open would give all later parameters other names. */
static void check_scope(const m3_module *module, m3_builder *b, const char *before)
{
    char text[M3_ERROR_MESSAGE];
    const char *after = m3_builder_scope(b);
    if (strcmp(before, after) == 0) return;
    (void)snprintf(text, sizeof text,
                   "%s '%s' began in scope '%.300s' and left the builder in '%.300s'; end each m3_push with one m3_pop",
                   kind_name(module->kind), module->name, before, after);
    b->api->fail(b, M3_ERR_INVALID, text);
}

m3_tensor *m3_module_build(const m3_module *module, m3_builder *b, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    char before[M3_ERROR_MESSAGE], doing[M3_CONFIG_NAME + 32];
    if (m3_builder_status(b, NULL) != M3_OK || x == NULL || mask == NULL) return NULL;
    (void)snprintf(before, sizeof before, "%s", m3_builder_scope(b));
    m3_tensor *y = module->api->build(b, &module->args, x, mask, group);
    if (m3_builder_status(b, NULL) != M3_OK) {
        (void)snprintf(doing, sizeof doing, "while %s '%s' was built", kind_name(module->kind), module->name);
        m3_builder_blame(b, doing);
        return NULL;
    }
    check_scope(module, b, before);
    check_result(module, b, x, y);
    return m3_builder_status(b, NULL) == M3_OK ? y : NULL;
}

/* Take over the options of one module; other: what is looked at for another default, or NULL. */
static m3_status fill_from(const m3_module_api *api, const m3_module_api *other, const m3_model_config *from,
                           m3_model_config *to, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < api->options.count && st == M3_OK; i++) {
        const m3_option_desc *desc = m3_span_at(api->options, i);
        const m3_option_desc *twin = m3_option_find(other->options, desc->key);
        const char *value = option_value(from, desc->key);
        char text[M3_CONFIG_TEXT];
        if (m3_model_find_key(desc->key) != NULL || option_value(to, desc->key) != NULL) continue;
        if (value == NULL && twin != NULL && strcmp(twin->fallback, desc->fallback) != 0) continue;
        st = write_value(desc, value != NULL ? value : desc->fallback, text, err);
        if (st == M3_OK) st = m3_model_set_option(to, desc->key, text, err);
    }
    return st;
}

m3_status m3_model_fill_options(m3_engine *engine, m3_model_config *config, m3_error *err)
{
    m3_status st;
    const m3_module_api *encoder = NULL, *expert = NULL;
    m3_model_config filled = *config;
    filled.option_count = 0;
    if ((st = m3_engine_module(engine, M3_PLUGIN_ENCODER, config->encoder, &encoder, err)) != M3_OK) return st;
    if ((st = m3_engine_module(engine, M3_PLUGIN_EXPERT, config->expert, &expert, err)) != M3_OK) return st;
    if ((st = fill_from(encoder, expert, config, &filled, err)) != M3_OK) return st;
    if ((st = fill_from(expert, encoder, config, &filled, err)) != M3_OK) return st;
    for (int32_t i = 0; i < config->option_count && st == M3_OK; i++)
        if (option_value(&filled, config->options[i].key) == NULL)
            st = m3_model_set_option(&filled, config->options[i].key, config->options[i].value, err);
    if (st == M3_OK) *config = filled;
    return st;
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
        const m3_option_desc *desc = m3_span_at(keys, i);
        char text[M3_OPTION_BYTES];
        m3_status st;
        if ((st = m3_model_get(config, desc->key, text, sizeof text, err)) != M3_OK) return st;
        if ((st = m3_model_set(&copy, desc->key, text, err)) != M3_OK) return st;
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
    if (c->router == M3_ROUTER_SIGMOID && c->interests != M3_INTERESTS_BOTH)
        return M3_FAIL(err, M3_ERR_INVALID, "router",
                       "is sigmoid, which weighs the common interest against the specific ones, but interests leaves "
                       "one of them out; set interests to both or router to balanced");
    bool sampled = c->loss == M3_LOSS_SAMPLED;
    if (sampled && c->negatives < 1)
        return M3_FAIL(err, M3_ERR_INVALID, "negatives", "is %d; the sampled loss wants at least 1", c->negatives);
    if (!sampled && c->lazy == M3_LAZY_ON)
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
