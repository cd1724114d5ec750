/* memory: building a model's graphs and opening a vector file fail cleanly at every allocation, once only and from
 * there on.   Labels: errors */
#include "core/base/alloc.h"
#include "core/base/safetensors.h"
#include "m3bsr/model.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static m3_engine *engine;

/* Fails request number `at`, and with `onward` all after it. */
typedef struct gate {
    uint64_t at, seen;
    bool onward;
} gate;

static bool allow(void *user, size_t bytes)
{
    gate *g = user;
    (void)bytes;
    uint64_t now = g->seen++;
    return now < g->at || (now > g->at && !g->onward);
}

static m3_status build(bool training, m3_error *err)
{
    static const char *const keys[][2] = {{"behaviors", "2"},  {"modalities", "[2]"}, {"length", "2"},
                                          {"width", "4"},      {"expert", "pool"},    {"diffusion_steps", "2"},
                                          {"infer_start", "1"}};
    const m3_build_options options = {
        .size = M3_STRUCT_SIZE(m3_build_options, accumulate), .batch = 2, .publish = M3_PUBLISH_SCORES};
    m3_model_config config;
    m3_graph *graph = NULL;
    m3_model_defaults(&config);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(m3_model_set(&config, keys[i][0], keys[i][1], err), M3_OK);
    m3_status st = training ? m3_model_build_train(engine, &config, &options, &graph, err)
                            : m3_model_build_infer(engine, &config, &options, &graph, err);
    assert_true((graph != NULL) == (st == M3_OK));
    m3_graph_free(graph);
    return st;
}

static m3_status build_infer(m3_error *err)
{
    return build(false, err);
}

static m3_status build_train(m3_error *err)
{
    return build(true, err);
}

static m3_status open_vectors(m3_error *err)
{
    m3_safetensors *file = NULL;
    m3_status st = m3_safetensors_open(M3BSR_SOURCE_DIR "/tests/vectors/one.safetensors", &file, err);
    assert_true((file != NULL) == (st == M3_OK));
    m3_safetensors_close(file);
    return st;
}

typedef struct row {
    const char *name;
    m3_status (*call)(m3_error *err);
    bool onward;
} row;

static const row rows[] = {
    {"inference fails once", build_infer, false},
    {"inference fails from there on", build_infer, true},
    {"training fails once", build_train, false},
    {"opening a file fails once", open_vectors, false},
    {"opening a file fails from there on", open_vectors, true},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void fails_cleanly(void **state)
{
    const row *r = *state;
    m3_status st = M3_ERR_MEMORY;
    for (uint64_t at = 0; st != M3_OK; at++) {
        m3_error err = {0};
        gate g = {.at = at, .onward = r->onward};
        m3_alloc_set_gate(allow, &g);
        st = r->call(&err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY)
            fail_msg("request %llu: %s: %s", (unsigned long long)at, err.subject, err.message);
        if (st == M3_OK) assert_true(g.seen <= at); /* nothing was refused and overlooked */
        assert_true(at < 100000);
    }
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
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, fails_cleanly, NULL, NULL, (void *)&rows[i]};
    return cmocka_run_group_tests(tests, start, stop);
}
