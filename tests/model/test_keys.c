/* keys: the configuration as text, and what a whole configuration must fulfil.   Labels: errors */
#include "m3bsr/model.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static m3_engine *engine;

static void every_default_is_legal_and_reads_back(void **state)
{
    (void)state;
    m3_span keys = m3_model_keys();
    m3_model_config config;
    m3_model_defaults(&config);
    assert_true(keys.count > 30);
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_option_desc *key = m3_span_at(keys, i);
        char text[512], again[512];
        m3_error err = {0};
        if (m3_model_set(&config, key->key, key->fallback, &err) != M3_OK) fail_msg("%s: %s", key->key, err.message);
        assert_int_equal(m3_model_get(&config, key->key, text, sizeof text, &err), M3_OK);
        assert_int_equal(m3_model_set(&config, key->key, text, &err), M3_OK);
        assert_int_equal(m3_model_get(&config, key->key, again, sizeof again, &err), M3_OK);
        assert_string_equal(text, again);
        assert_true(key->help[0] != 0);
        assert_ptr_equal(m3_model_find_key(key->key), key);
    }
}

/* "key=value" settings over the defaults; says "" is accepted. */
static const struct row {
    const char *name, *key, *value, *says;
} set_rows[] = {
    {"a list of dimensions", "modalities", "[512, 7]", ""},
    {"an empty list", "modalities", "[]", ""},
    {"a list without brackets", "modalities", "3,4", ""},
    {"a float in exponent form", "lr", "1e-3", ""},
    {"an unknown key", "witdh", "8", "is no key of the model"},
    {"a word for a number", "width", "eight", "'eight' is no whole number; give one from 2 to 8192"},
    {"a fraction for a whole number", "length", "2.5", "'2.5' is no whole number"},
    {"a number with a tail", "lr", "0.1x", "'0.1x' is no number"},
    {"not a number", "lr", "nan", "is no number"},
    {"a number above the range", "dropout", "1", "is 1; give a number from 0 to 0.95"},
    {"a number below the range", "items", "0", "is 0; give a whole number from 1"},
    {"a choice that is none", "objective", "noise", "is 'noise'; give one of eps|x0"},
    {"a part of a choice", "objective", "x", "is 'x'; give one of eps|x0"},
    {"yes for true", "modality_denoise", "yes", ""},
    {"no truth value", "modality_denoise", "maybe", "is 'maybe'; give true (yes, on) or false (no, off)"},
    {"a hexadecimal number", "width", "0x40", "'0x40' is no whole number"},
    {"infinity", "clip", "inf", "is no number"},
    {"a number that would become 0", "lr", "1e-400", "too near to 0"},
    {"a list with a word", "modalities", "[3, many]", "'many'"},
    {"a list that is too long", "modalities", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "at most 16"},
    {"a name that is too long", "expert", "a-name-that-nobody-would-ever-give-to-a-plugin-at-all", "is no name"},
};

static void sets(void **state)
{
    const struct row *row = *state;
    m3_model_config config;
    m3_error err = {0};
    m3_model_defaults(&config);
    m3_status st = m3_model_set(&config, row->key, row->value, &err);
    assert_int_equal(st, row->says[0] == 0 ? M3_OK : M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, row->says);
    if (st != M3_OK) assert_string_equal(err.subject, row->key);
}

static const struct check_row {
    const char *name, *keys[8], *subject, *says;
} check_rows[] = {
    {"the defaults fit together", {NULL}, "", ""},
    {"an odd width", {"width", "9", "heads", "1"}, "width", "is 9; give an even width"},
    {"heads that do not divide", {"width", "8", "heads", "3"}, "heads", "is 3, which does not divide width 8"},
    {"inference beyond T", {"infer_start", "200"}, "infer_start", "is 200, beyond diffusion_steps 100"},
    {"sampled without negatives", {"loss", "sampled", "negatives", "0"}, "negatives", "at least 1"},
    {"lazy rows with the full loss", {"lazy", "on"}, "lazy", "touches every item"},
    {"an encoder that is not there",
     {"encoder", "conv"},
     "conv",
     "there is no encoder 'conv'; loaded are: linear, mlp"},
    {"an option that no module declares",
     {"decay", "0.5"},
     "decay",
     "neither a key of the model nor an option of encoder 'linear' or expert 'transformer'"},
};

static void checks(void **state)
{
    const struct check_row *row = *state;
    m3_model_config config;
    m3_error err = {0};
    m3_model_defaults(&config);
    for (int i = 0; i < 8 && row->keys[i] != NULL; i += 2) {
        m3_status st = m3_model_find_key(row->keys[i]) != NULL
                           ? m3_model_set(&config, row->keys[i], row->keys[i + 1], &err)
                           : m3_model_set_option(&config, row->keys[i], row->keys[i + 1], &err);
        assert_int_equal(st, M3_OK);
    }
    assert_int_equal(m3_model_check(engine, &config, &err), row->says[0] == 0 ? M3_OK : M3_ERR_INVALID);
    assert_string_equal(err.subject, row->subject);
    if (strstr(err.message, row->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, row->says);
}

static void lazy_follows_the_loss(void **state)
{
    (void)state;
    m3_model_config config;
    m3_model_defaults(&config);
    assert_false(m3_model_is_lazy(&config));
    assert_int_equal(m3_model_set(&config, "loss", "sampled", NULL), M3_OK);
    assert_true(m3_model_is_lazy(&config));
    assert_int_equal(m3_model_set(&config, "lazy", "off", NULL), M3_OK);
    assert_false(m3_model_is_lazy(&config));
}

static void a_graph_that_publishes_nothing_is_refused(void **state)
{
    (void)state;
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate), .batch = 2};
    m3_model_config config;
    m3_graph *graph = NULL;
    m3_error err = {0};
    m3_model_defaults(&config);
    assert_int_equal(m3_model_build_infer(engine, &config, &options, &graph, &err), M3_ERR_INVALID);
    assert_null(graph);
    assert_string_equal(err.subject, "publish");
}

static int start(void **state)
{
    (void)state;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    return m3_engine_create(&config, &engine, NULL) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_engine_free(engine);
    return 0;
}

int main(void)
{
    enum { SETS = sizeof set_rows / sizeof set_rows[0], CHECKS = sizeof check_rows / sizeof check_rows[0] };
    struct CMUnitTest tests[SETS + CHECKS + 3];
    size_t count = 0;
    for (size_t i = 0; i < SETS; i++)
        tests[count++] = (struct CMUnitTest){set_rows[i].name, sets, NULL, NULL, (void *)&set_rows[i]};
    for (size_t i = 0; i < CHECKS; i++)
        tests[count++] = (struct CMUnitTest){check_rows[i].name, checks, NULL, NULL, (void *)&check_rows[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_default_is_legal_and_reads_back);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(lazy_follows_the_loss);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_graph_that_publishes_nothing_is_refused);
    return cmocka_run_group_tests(tests, start, stop);
}
