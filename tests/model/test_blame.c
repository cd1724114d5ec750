/* blame: what an encoder or expert does wrong is told as its own, with what was wanted and what came, wherever in the
 * model it would show.
 * Labels: errors */
#include "m3bsr/model.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static m3_engine *engine;

static const struct row {
    const char *name, *encoder, *expert, *key, *value, *says;
} rows[] = {
    {"an expert with an axis too many", "linear", "broken_expert", "fault", "too_long",
     "expert 'broken_expert' gave f32 [4, 3, 8, 1] for x [4, 3, 5, 8]; f32 [4, 3, 8] is wanted"},
    {"an expert that gives integers", "linear", "broken_expert", "fault", "integers",
     "expert 'broken_expert' gave i32 [4, 3, 8] for x [4, 3, 5, 8]; f32 [4, 3, 8] is wanted"},
    {"an expert that gives nothing", "linear", "broken_expert", "fault", "nothing",
     "expert 'broken_expert' gave nothing and no error for x [4, 3, 5, 8]; f32 [4, 3, 8] is wanted"},
    {"an expert that leaves a scope open", "linear", "broken_expert", "fault", "missing_pop",
     "expert 'broken_expert' began in scope 'experts.specific' and left the builder in 'experts.specific.body'"},
    {"an expert that closes a scope too many", "linear", "broken_expert", "fault", "extra_pop",
     "expert 'broken_expert' began in scope 'experts.specific' and left the builder in ''"},
    {"an expert that refuses", "linear", "broken_expert", "fault", "refuses",
     "depth must be below 4 (while expert 'broken_expert' was built)"},
    {"an encoder that is too wide, before an expert that reads its x at once", "broken_encoder", "broken_expert",
     "encoder_fault", "wrong_width",
     "encoder 'broken_encoder' gave f32 [2, 3, 5, 9] for x [2, 3, 5, 6]; f32 [2, 3, 5, 8] is wanted"},
    {"an encoder that drops an axis", "broken_encoder", "pool", "encoder_fault", "drops_axis",
     "encoder 'broken_encoder' gave f32 [2, 3, 8] for x [2, 3, 5, 6]"},
    {"an encoder that leaves a scope open", "broken_encoder", "pool", "encoder_fault", "missing_pop",
     "encoder 'broken_encoder' began in scope 'encoder.feature0' and left the builder in 'encoder.feature0.body'"},
    {"what is right builds", "broken_encoder", "broken_expert", "fault", "none", ""},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void is_blamed(void **state)
{
    static const char *const keys[][2] = {{"behaviors", "2"}, {"length", "5"},       {"items", "9"},
                                          {"width", "8"},     {"modalities", "[6]"}, {"batch", "3"}};
    const struct row *r = *state;
    m3_model_config config;
    m3_error err = {0};
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate)};
    m3_model_defaults(&config);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(m3_model_set(&config, keys[i][0], keys[i][1], &err), M3_OK);
    assert_int_equal(m3_model_set(&config, "encoder", r->encoder, &err), M3_OK);
    assert_int_equal(m3_model_set(&config, "expert", r->expert, &err), M3_OK);
    assert_int_equal(m3_model_set_option(&config, r->key, r->value, &err), M3_OK);
    m3_graph *graph = NULL;
    m3_status st = m3_model_build_train(engine, &config, &options, &graph, &err);
    m3_graph_free(graph);
    assert_int_equal(st == M3_OK, r->says[0] == 0);
    if (strstr(err.message, r->says) == NULL) fail_msg("\"%s\" instead of \"%s\"", err.message, r->says);
}

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

int main(void)
{
    struct CMUnitTest tests[ROWS];
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR ":" M3BSR_TEST_PLUGIN_DIR
                                                                           "/broken_expert.so:" M3BSR_TEST_PLUGIN_DIR
                                                                           "/broken_encoder.so",
                                     .threads = 1,
                                     .log = quiet,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &engine, &err) != M3_OK) {
        print_error("%s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, is_blamed, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    int failed = cmocka_run_group_tests_name("model/blame", tests, NULL, NULL);
    m3_engine_free(engine);
    return failed;
}
