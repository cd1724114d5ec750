/* executable_bench: an engine with one device, a store and an executable, for tests of what a run gives. */
#ifndef TESTS_UNIT_EXECUTABLE_BENCH_H
#define TESTS_UNIT_EXECUTABLE_BENCH_H

#include "core/runtime/executable.h"
#include "m3bsr/builder.h"
#include "m3bsr/runtime.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct bench {
    m3_engine *engine;
    m3_device *device;
    m3_store *store;
    m3_executable *executable;
    char log[4096];
} bench;

static inline void keep_line(void *user, m3_log_level level, const char *line)
{
    bench *b = user;
    const size_t at = strlen(b->log);
    if (level <= M3_LOG_WARN && strstr(line, "plugin") == NULL)
        (void)snprintf(b->log + at, sizeof b->log - at, "%s\n", line);
}

static inline m3_span options_of(const m3_option *options, uint32_t count)
{
    return (m3_span){count, sizeof *options, options};
}

static inline m3_device *open_with(m3_engine *engine, const char *name, const char *key, const char *value)
{
    const m3_option option = {key, value};
    m3_device *device = NULL;
    m3_error err = {0};
    m3_status st = m3_device_open(engine, name, options_of(&option, key != NULL), &device, &err);
    if (st != M3_OK) print_error("%s\n", err.message);
    assert_int_equal(st, M3_OK);
    return device;
}

static inline void start(bench *b, const char *device, const char *key, const char *value)
{
    memset(b, 0, sizeof *b);
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log = keep_line,
                                     .log_user = b,
                                     .log_level = M3_LOG_WARN,
                                     .cache_path = "/",
                                     .allow_writable_folder = true};
    assert_int_equal(m3_engine_create(&config, &b->engine, NULL), M3_OK);
    b->device = open_with(b->engine, device, key, value);
    assert_int_equal(m3_store_create(b->device, 7, &b->store, NULL), M3_OK);
}

static inline void stop(bench *b)
{
    m3_executable_free(b->executable);
    m3_store_free(b->store);
    m3_device_close(b->device);
    m3_engine_free(b->engine);
}

static inline void compile(bench *b, m3_graph *graph)
{
    m3_error err = {0};
    m3_status st = m3_builder_status(m3_graph_builder(graph), &err);
    if (st == M3_OK) st = m3_executable_create(b->device, b->store, graph, NULL, &b->executable, &err);
    if (st != M3_OK) print_error("%s: %s\n", err.subject, err.message);
    assert_int_equal(st, M3_OK);
    m3_graph_free(graph);
}

static inline void run(bench *b)
{
    m3_error err = {0};
    m3_status st = m3_executable_run(b->executable, &err);
    if (st != M3_OK) print_error("%s: %s\n", err.subject, err.message);
    assert_int_equal(st, M3_OK);
}

static inline m3_graph *new_graph(void)
{
    m3_graph *graph = NULL;
    assert_int_equal(m3_graph_create(NULL, &graph, NULL), M3_OK);
    return graph;
}

static inline void near(const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-5F * (1.0F + fabsf(want[i]))))
            fail_msg("element %zu is %g instead of %g", i, (double)got[i], (double)want[i]);
}

#endif
