/* random_config: configurations of the model from a seed. For each key there is a row of values. The place in the row
 * is a random permutation for every as many configurations as the row has values, so that a few dozen of them have
 * every value of every key, and all pairs come up in time. */
#include <string.h>

#include "core/base/option.h"
#include "core/base/philox.h"
#include "core/conformance/random.h"
#include "core/model/model.h"

enum { VALUES = 12, OPTION_VALUES = 4, DIVISORS = 16, ROW_STREAM = 100, OPTION_STREAM = 1000 };

/* Where a key chooses, all of its choices are taken. Sizes are small, and few of them are multiples of a tile. */
static const struct row {
    const char *key, *values[VALUES];
} rows[] = {
    {"behaviors", {"1", "2", "3", "4"}},
    {"length", {"1", "2", "3", "5", "7", "12"}},
    {"items", {"2", "7", "20", "77", "130"}},
    {"width", {"2", "6", "8", "10", "14", "18", "24", "34"}},
    {"expert_layers", {"1", "2", "3"}},
    {"ffn_mult", {"1", "2", "3", "4"}},
    {"diffusion_steps", {"1", "3", "20", "100"}},
    {"beta_start", {"0.0001", "0.001"}},
    {"beta_end", {"0.02", "0.2"}},
    {"objective", {NULL}},
    {"infer_start", {"0", "1", "3", "10"}},
    {"infer_steps", {"1", "2", "3"}},
    {"modality_denoise", {"true", "true", "false"}},
    {"behavior_denoise", {"true", "true", "false"}},
    {"denoise", {NULL}},
    {"denoise_scale", {"0", "0.3", "2"}},
    {"fusion", {NULL}},
    {"trend", {"0", "50"}},
    {"interests", {NULL}},
    {"router", {NULL}},
    {"router_floor", {"0", "0.5", "1"}},
    {"contrast", {NULL}},
    {"temperature", {"0.1", "0.5", "2"}},
    {"loss", {NULL}},
    {"negatives", {"1", "4", "19"}},
    {"w_modality", {"0.1", "1", "0"}},
    {"w_behavior", {"0.1", "1", "0"}},
    {"w_contrast", {"0.1", "1", "0"}},
    {"dropout", {"0", "0.1", "0", "0.5"}},
    {"dropout_encoder", {"-1", "0", "0.3"}},
    {"batch", {"1", "2", "3", "5", "8"}},
    {"lr", {"0.001", "0.01"}},
    {"beta1", {"0.9", "0.5", "0"}},
    {"beta2", {"0.999", "0.9"}},
    {"adam_eps", {"0.0001", "0.001"}}, /* with 1e-8 rounding alone would be whole steps where a gradient is 0 */
    {"weight_decay", {"0", "0.01", "0.1"}},
    {"clip", {"1", "0", "0.1", "100"}},
    {"lazy", {NULL}},
    {"precision", {"f32", "f32", "bf16", "f32", "f16"}},
    {"recompute", {"off", "on", "light"}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

typedef struct drawing {
    uint64_t seed;
    uint32_t index;
    m3_model_config *model;
} drawing;

static uint32_t draw(const drawing *d, uint32_t block, uint32_t stream, uint32_t k)
{
    const uint32_t counter[4] = {block, stream, k, 0}, key[2] = {(uint32_t)d->seed, (uint32_t)(d->seed >> 32)};
    uint32_t words[4];
    m3_philox4x32_10(counter, key, words);
    return words[0];
}

/* A place among `count`, which is 32 at most. */
static uint32_t pick(const drawing *d, uint32_t stream, uint32_t count)
{
    enum { MOST = 32 };
    uint32_t place[MOST] = {0};
    if (count > MOST) return draw(d, d->index, stream, 0) % count;
    if (count < 2) return 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t other = draw(d, d->index / count, stream, i) % (i + 1);
        place[i] = place[other];
        place[other] = i;
    }
    return place[d->index % count];
}

static uint32_t choice_count(const m3_option_desc *desc)
{
    char text[M3_CONFIG_TEXT];
    uint32_t count = 0;
    while (m3_option_choice_at(m3_option_choices(desc), count, text, sizeof text)[0] != 0) count++;
    return count;
}

bool m3_random_varies(const char *key)
{
    for (uint32_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0) return true;
    return strcmp(key, "heads") == 0 || strcmp(key, "modalities") == 0 || strcmp(key, "encoder") == 0 ||
           strcmp(key, "expert") == 0;
}

static m3_status set_row(const drawing *d, uint32_t i, m3_error *err)
{
    const m3_option_desc *desc = m3_model_find_key(rows[i].key);
    const char *value = NULL;
    char text[M3_CONFIG_TEXT];
    uint32_t count = 0;
    if (desc == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, rows[i].key, "is no key of the model");
    while (count < VALUES && rows[i].values[count] != NULL) count++;
    if (count > 0)
        value = rows[i].values[pick(d, ROW_STREAM + i, count)];
    else
        value = m3_option_choice_at(m3_option_choices(desc), pick(d, ROW_STREAM + i, choice_count(desc)), text,
                                    sizeof text);
    return m3_model_set(d->model, desc->key, value, err);
}

/* Keys whose values depend on others. */
static m3_status settle(const drawing *d, m3_error *err)
{
    m3_model_config *c = d->model;
    int32_t divisors[DIVISORS];
    uint32_t count = 0;
    for (int32_t h = 1; h <= c->width && count < DIVISORS; h++)
        if (c->width % h == 0) divisors[count++] = h;
    if (count > 0) c->heads = divisors[draw(d, d->index, 0, 0) % count];
    if (c->infer_start > c->diffusion_steps) c->infer_start = c->diffusion_steps;
    if (c->beta_end < c->beta_start) c->beta_end = c->beta_start;
    m3_status st = M3_OK;
    if (c->router == M3_ROUTER_SIGMOID) st = m3_model_set(c, "interests", "both", err);
    if (st == M3_OK && c->loss == M3_LOSS_FULL && c->lazy == M3_LAZY_ON) st = m3_model_set(c, "lazy", "auto", err);
    return st;
}

static m3_status set_modalities(const drawing *d, m3_error *err)
{
    static const int widths[] = {5, 1, 7, 3, 17, 33, 9};
    enum { WIDTHS = sizeof widths / sizeof widths[0], MOST = 3 };
    const uint32_t count = pick(d, 1, MOST + 1);
    char text[64] = "[";
    size_t at = 1;
    for (uint32_t k = 0; k < count; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", k != 0 ? "," : "", widths[pick(d, 2 + k, WIDTHS)]);
    (void)snprintf(text + at, sizeof text - at, "]");
    return m3_model_set(d->model, "modalities", text, err);
}

static m3_status set_module(const drawing *d, m3_engine *engine, m3_plugin_kind kind, const m3_module_api **api,
                            m3_error *err)
{
    const bool encodes = kind == M3_PLUGIN_ENCODER;
    const char *name = NULL, *key = encodes ? "encoder" : "expert";
    uint32_t count = 0;
    while (m3_engine_module_at(engine, kind, count, &name) != NULL) count++;
    if (count == 0) return M3_FAIL(err, M3_ERR_INVALID, key, "none is loaded; see `m3bsr plugins`");
    *api = m3_engine_module_at(engine, kind, pick(d, encodes ? 8 : 9, count), &name);
    return m3_model_set(d->model, key, name, err);
}

/* An option that is no key of the model: its default, an end of its range, something between, or a choice. */
static m3_status set_option(const drawing *d, const m3_option_desc *desc, uint32_t stream, m3_error *err)
{
    char text[M3_CONFIG_TEXT] = "";
    if (m3_model_find_key(desc->key) != NULL) return M3_OK;
    const double low = desc->min, high = desc->max < low + 3.0 ? desc->max : low + 3.0;
    const uint32_t place = pick(d, stream, OPTION_VALUES);
    if (desc->type == M3_OPTION_CHOICE)
        (void)m3_option_choice_at(m3_option_choices(desc), pick(d, stream, choice_count(desc)), text, sizeof text);
    else if (desc->type == M3_OPTION_BOOL)
        (void)snprintf(text, sizeof text, "%s", place % 2 == 0 ? "true" : "false");
    else if (desc->type == M3_OPTION_INT && place > 0)
        (void)snprintf(text, sizeof text, "%.0f", place == 1 ? low : place == 2 ? high : low + (double)(high > low));
    else if (desc->type == M3_OPTION_FLOAT && place == 1)
        (void)snprintf(text, sizeof text, "%.9g", low);
    return text[0] != 0 ? m3_model_set_option(d->model, desc->key, text, err) : M3_OK;
}

/* The plugins' own options, or their defaults where they do not like what was drawn. */
static m3_status set_options(const drawing *d, m3_engine *engine, const m3_module_api *const apis[2], m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t a = 0; a < 2; a++)
        for (uint32_t i = 0; st == M3_OK && i < apis[a]->options.count; i++)
            st = set_option(d, m3_span_at(apis[a]->options, i), OPTION_STREAM * (a + 1) + i, err);
    if (st == M3_OK && m3_model_check(engine, d->model, NULL) == M3_OK) return M3_OK;
    d->model->option_count = 0;
    return m3_model_check(engine, d->model, err);
}

static void write_setting(char *settings, const char *key, const char *value)
{
    size_t at = strlen(settings);
    const int length = snprintf(settings + at, M3_RANDOM_SETTINGS - at, "%s%s=", at > 0 ? " " : "", key);
    if (length > 0) at += (size_t)length;
    for (const char *v = value; *v != 0 && at + 1 < M3_RANDOM_SETTINGS; v++)
        if (*v != ' ') settings[at++] = *v; /* in lists */
    settings[at < M3_RANDOM_SETTINGS ? at : M3_RANDOM_SETTINGS - 1] = 0;
}

static void write_settings(m3_random_config *config)
{
    m3_model_config defaults;
    const m3_span keys = m3_model_keys();
    m3_model_defaults(&defaults);
    config->settings[0] = 0;
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_option_desc *desc = m3_span_at(keys, i);
        char value[M3_OPTION_BYTES] = "", usual[M3_OPTION_BYTES] = "";
        (void)m3_model_get(&config->model, desc->key, value, sizeof value, NULL);
        (void)m3_model_get(&defaults, desc->key, usual, sizeof usual, NULL);
        if (strcmp(value, usual) != 0) write_setting(config->settings, desc->key, value);
    }
    for (int32_t i = 0; i < config->model.option_count; i++)
        write_setting(config->settings, config->model.options[i].key, config->model.options[i].value);
    if (config->batches > 1) {
        char count[16];
        (void)snprintf(count, sizeof count, "%u", config->batches);
        write_setting(config->settings, "accumulate", count);
    }
}

m3_status m3_random_draw(m3_engine *engine, uint64_t seed, uint32_t index, m3_random_config *config, m3_error *err)
{
    const m3_module_api *apis[2] = {NULL, NULL};
    const drawing d = {.seed = seed, .index = index, .model = &config->model};
    m3_status st = M3_OK;
    m3_model_defaults(&config->model);
    for (uint32_t i = 0; st == M3_OK && i < ROWS; i++) st = set_row(&d, i, err);
    if (st == M3_OK) st = set_modalities(&d, err);
    if (st == M3_OK) st = settle(&d, err);
    if (st == M3_OK) st = set_module(&d, engine, M3_PLUGIN_ENCODER, &apis[0], err);
    if (st == M3_OK) st = set_module(&d, engine, M3_PLUGIN_EXPERT, &apis[1], err);
    if (st == M3_OK) st = set_options(&d, engine, apis, err);
    if (st != M3_OK) return st;
    config->seed = draw(&d, index, 10, 0);
    config->rows = (uint32_t)config->model.batch - (pick(&d, 11, 3) == 0 && config->model.batch > 1);
    config->watched = pick(&d, 12, 2) == 0;
    config->spread = pick(&d, 13, 3) != 0;
    config->batches = (const uint32_t[]){1, 2, 1, M3_RANDOM_BATCHES}[pick(&d, 14, 4)];
    write_settings(config);
    return M3_OK;
}
