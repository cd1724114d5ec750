/* draw: the random configurations of layer model: some dozens of them have every key and every choice, each passes the
 * model's own check, and its settings as text are the same configuration again. */
#include "core/base/option.h"
#include "core/conformance/random.h"
#include "core/model/model.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

enum { CONFIGURATIONS = 30 };

static m3_engine *engine;

static int start(void **state)
{
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    m3_error err = {0};
    (void)state;
    if (m3_engine_create(&config, &engine, &err) == M3_OK) return 0;
    print_error("%s: %s\n", err.subject, err.message);
    return -1;
}

static int end(void **state)
{
    (void)state;
    m3_engine_free(engine);
    return 0;
}

static void draw(uint64_t seed, uint32_t index, m3_random_config *config)
{
    m3_error err = {0};
    *config = (m3_random_config){0};
    if (m3_random_draw(engine, seed, index, config, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
}

static void value_of(const m3_model_config *model, const char *key, char *text, size_t bytes)
{
    assert_int_equal(m3_model_get(model, key, text, bytes, NULL), M3_OK);
}

static bool occurs(const char *key, const char *value)
{
    char text[M3_OPTION_BYTES];
    m3_random_config config;
    for (uint32_t i = 0; i < CONFIGURATIONS; i++) {
        draw(1, i, &config);
        value_of(&config.model, key, text, sizeof text);
        if (strcmp(text, value) == 0) return true;
    }
    return false;
}

static void every_key_varies(void **state)
{
    const m3_span keys = m3_model_keys();
    (void)state;
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_option_desc *desc = m3_span_at(keys, i);
        char value[M3_CONFIG_TEXT];
        if (!m3_random_varies(desc->key)) fail_msg("no configuration has another %s than the default", desc->key);
        for (int64_t k = 0; desc->type == M3_OPTION_CHOICE; k++) {
            if (m3_option_choice_at(m3_option_choices(desc), k, value, sizeof value)[0] == 0) break;
            if (!occurs(desc->key, value)) fail_msg("no configuration has %s=%s", desc->key, value);
        }
    }
}

static void every_module_occurs(void **state)
{
    static const m3_plugin_kind kinds[] = {M3_PLUGIN_ENCODER, M3_PLUGIN_EXPERT};
    static const char *const keys[] = {"encoder", "expert"};
    const char *name = NULL;
    (void)state;
    for (uint32_t k = 0; k < 2; k++)
        for (uint32_t i = 0; m3_engine_module_at(engine, kinds[k], i, &name) != NULL; i++)
            if (!occurs(keys[k], name)) fail_msg("no configuration has %s=%s", keys[k], name);
}

static void sizes_occur(void **state)
{
    static const char *const pairs[][2] = {
        {"behaviors", "1"}, {"behaviors", "4"},     {"modalities", "[]"},   {"length", "1"},  {"length", "2"},
        {"batch", "1"},     {"expert_layers", "3"}, {"expert_layers", "1"}, {"dropout", "0"}, {"dropout", "0.5"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (!occurs(pairs[i][0], pairs[i][1])) fail_msg("no configuration has %s=%s", pairs[i][0], pairs[i][1]);
}

static void steps_of_several_batches_occur(void **state)
{
    uint32_t seen[M3_RANDOM_BATCHES + 1] = {0};
    m3_random_config config;
    (void)state;
    for (uint32_t i = 0; i < CONFIGURATIONS; i++) {
        draw(1, i, &config);
        assert_in_range(config.batches, 1, M3_RANDOM_BATCHES);
        assert_true((strstr(config.settings, "accumulate=") != NULL) == (config.batches > 1));
        seen[config.batches]++;
    }
    for (uint32_t n = 1; n <= M3_RANDOM_BATCHES; n++) assert_true(seen[n] >= 3);
}

/* The text sets the same model, as a person who pastes it does. */
static void settings_are_the_model(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CONFIGURATIONS; i++) {
        m3_random_config config;
        m3_model_config again;
        char settings[M3_RANDOM_SETTINGS], one[M3_OPTION_BYTES], other[M3_OPTION_BYTES];
        m3_error err = {0};
        draw(7, i, &config);
        m3_model_defaults(&again);
        (void)snprintf(settings, sizeof settings, "%s", config.settings);
        for (char *word = strtok(settings, " "); word != NULL; word = strtok(NULL, " ")) {
            char *value = strchr(word, '=');
            assert_non_null(value);
            *value++ = 0;
            if (strcmp(word, "accumulate") == 0) { /* a key of training, not of the model */
                assert_int_equal(strtoul(value, NULL, 10), config.batches);
                continue;
            }
            if (m3_model_find_key(word) != NULL)
                assert_int_equal(m3_model_set(&again, word, value, &err), M3_OK);
            else
                assert_int_equal(m3_model_set_option(&again, word, value, &err), M3_OK);
        }
        if (m3_model_check(engine, &again, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
        const m3_span keys = m3_model_keys();
        for (uint32_t k = 0; k < keys.count; k++) {
            const m3_option_desc *desc = m3_span_at(keys, k);
            value_of(&config.model, desc->key, one, sizeof one);
            value_of(&again, desc->key, other, sizeof other);
            assert_string_equal(one, other);
        }
    }
}

static void depends_on_seed_and_number(void **state)
{
    m3_random_config one, same, other, next;
    (void)state;
    draw(3, 17, &one);
    draw(3, 17, &same);
    draw(4, 17, &other);
    draw(3, 18, &next);
    assert_memory_equal(&one, &same, sizeof one);
    assert_string_not_equal(one.settings, other.settings);
    assert_string_not_equal(one.settings, next.settings);
    assert_int_not_equal(one.seed, next.seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_varies),
        cmocka_unit_test(every_module_occurs),
        cmocka_unit_test(sizes_occur),
        cmocka_unit_test(steps_of_several_batches_occur),
        cmocka_unit_test(settings_are_the_model),
        cmocka_unit_test(depends_on_seed_and_number),
    };
    return cmocka_run_group_tests(tests, start, end);
}
