/* devices: what holds for training and serving whatever computes: a lost device leaves a checkpoint that goes on, too
 * little memory says what would fit, a trace shows what ran, and a checkpoint moves to another device.
 * The argument names devices (tests/support/named.h).
 * Labels: whole
 * Parts: cpu opencl vulkan */
#include "m3bsr/bench.h"
#include "m3bsr/serve.h"
#include "tests/support/named.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static struct {
    named names;
    m3_engine *engine;
    m3_device *device, *other; /* the tested one, and one to move to */
    data_source source;
} with;

/* The tested device once more, with one more option. */
static m3_device *open_with(const char *key, uint64_t value)
{
    char text[32];
    m3_option options[NAMED_OPTIONS + 1];
    m3_device *device = NULL;
    m3_error err = {0};
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    memcpy(options, with.names.option, with.names.option_count * sizeof options[0]);
    options[with.names.option_count] = (m3_option){key, text};
    const m3_span span = {with.names.option_count + 1, sizeof options[0], options};
    training_check(m3_device_open(with.engine, with.names.backend, span, &device, &err), &err);
    return device;
}

static m3_train_result train(m3_device *device, const m3_settings *settings, const char *run, m3_train_options options,
                             m3_status want, m3_error *err)
{
    *err = (m3_error){0};
    return training_run(device, &with.source, settings, run, options, want, err);
}

static const char *set(void)
{
    return data_source_path(&with.source, "set");
}

static void same_last(const char *a, const char *b, double bound)
{
    training_same_tensors(&with.source, a, b, "last.safetensors", bound);
}

/* Going on. */

static void a_lost_device(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = training_settings(set(), "checkpoint_steps=1", "dropout=0.2", "loss=sampled", NULL);
    m3_device *failing = open_with("fail_after", 3);
    train(with.device, settings, "unhurt", (m3_train_options){0}, M3_OK, &err);
    m3_train_result lost = train(failing, settings, "lost", (m3_train_options){0}, M3_ERR_DEVICE_LOST, &err);
    assert_true(lost.steps >= 1 && lost.epochs == 0);
    if (strstr(err.message, m3_device_get_info(with.device)->name) == NULL &&
        strstr(err.subject, m3_device_get_info(with.device)->name) == NULL &&
        strncmp(err.subject, with.names.backend, strlen(with.names.backend)) != 0)
        fail_msg("does not name the device: %s: %s", err.subject, err.message);
    train(failing, settings, "lost", (m3_train_options){.resume = true}, M3_ERR_DEVICE_LOST, &err); /* it stays so */
    m3_device_close(failing);
    train(with.device, settings, "lost", (m3_train_options){.resume = true}, M3_OK, &err);
    same_last("unhurt", "lost", 0.0);
    m3_settings_free(settings);
}

static void an_interrupted_run(void **state)
{
    const char *const *extra = *state;
    m3_error err = {0};
    char whole[32], parts[32];
    (void)snprintf(whole, sizeof whole, "whole-%s", extra[0]);
    (void)snprintf(parts, sizeof parts, "parts-%s", extra[0]);
    m3_settings *settings = training_settings(set(), "dropout=0.2", "schedule=cosine", extra[1], extra[2], NULL);
    train(with.device, settings, whole, (m3_train_options){0}, M3_OK, &err);
    train(with.device, settings, parts, (m3_train_options){.stop_after = 3}, M3_ERR_INTERRUPTED, &err);
    train(with.device, settings, parts, (m3_train_options){.resume = true, .stop_after = 2}, M3_ERR_INTERRUPTED, &err);
    train(with.device, settings, parts, (m3_train_options){.resume = true}, M3_OK, &err);
    same_last(whole, parts, 0.0);
    m3_settings_free(settings);
}

/* Scores of some users by a run's checkpoint on a device; the caller frees them. */
static m3_recommendation *recommend(m3_device *device, const char *run)
{
    enum { USERS = 8, TOP = 5 };
    uint32_t users[USERS];
    m3_error err = {0};
    m3_served *served = NULL;
    m3_recommendation *items = calloc(USERS * TOP + 1, sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < USERS; i++) users[i] = i;
    training_check(m3_serve(device, data_source_path(&with.source, run), NULL, &served, &err), &err);
    training_check(m3_recommend(served, NULL, users, USERS, TOP, M3_EXCLUDE_TARGET, items, &err), &err);
    m3_served_free(served);
    return items;
}

/* Draws are the same everywhere; epsilon keeps the smallest gradients from deciding the sign of a whole step. */
static void a_moved_checkpoint(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = training_settings(set(), "dropout=0.2", "adam_eps=1e-3", NULL);
    const m3_train_options halfway = {.stop_after = 3}, on = {.resume = true};
    train(with.other, settings, "other", (m3_train_options){0}, M3_OK, &err);
    train(with.device, settings, "from", halfway, M3_ERR_INTERRUPTED, &err);
    train(with.other, settings, "from", on, M3_OK, &err);
    train(with.other, settings, "to", halfway, M3_ERR_INTERRUPTED, &err);
    train(with.device, settings, "to", on, M3_OK, &err);
    same_last("other", "from", 1e-3);
    same_last("other", "to", 1e-3);
    m3_recommendation *a = recommend(with.device, "from"), *b = recommend(with.other, "from");
    for (size_t i = 0; a[i].item != 0; i++)
        assert_true(fabs((double)a[i].score - (double)b[i].score) <= 1e-4 * (1.0 + fabs((double)b[i].score)));
    free(a);
    free(b);
    m3_settings_free(settings);
}

static double ranked(const char *run, const char *precision)
{
    m3_error err = {0};
    m3_served *served = NULL;
    m3_evaluation found = {.size = sizeof found};
    const m3_serve_options options = {.size = sizeof options, .precision = precision};
    training_check(m3_serve(with.device, data_source_path(&with.source, run), &options, &served, &err), &err);
    training_check(m3_evaluate(served, M3_SPLIT_VALID, &found, &err), &err);
    m3_served_free(served);
    return found.full[0].model.ndcg[2];
}

/* Parameters are f32 whatever computes with them; a step in another precision is another step. */
static void a_checkpoint_in_16_bits(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = training_settings(set(), "precision=bf16", "epochs=4", NULL);
    train(with.device, settings, "bf16", (m3_train_options){0}, M3_OK, &err);
    const double own = ranked("bf16", NULL), full = ranked("bf16", "f32"), half = ranked("bf16", "f16");
    assert_true(own == ranked("bf16", "bf16"));
    assert_true(own > 0.0 && fabs(full - own) < 0.1 * own && fabs(half - own) < 0.1 * own);
    training_check(m3_settings_set(settings, "precision=f32", &err), &err);
    train(with.device, settings, "bf16", (m3_train_options){.resume = true}, M3_ERR_INVALID, &err);
    if (strstr(err.message, "precision") == NULL && strcmp(err.subject, "precision") != 0)
        fail_msg("does not name the key: %s: %s", err.subject, err.message);
    m3_settings_free(settings);
}

/* Memory. */

/* The number behind `key=` in a message. */
static uint32_t proposed(const m3_error *err, const char *key)
{
    char name[32];
    (void)snprintf(name, sizeof name, " %s=", key);
    const char *at = strstr(err->message, name);
    if (at == NULL || strstr(err->message, "would fit") == NULL) fail_msg("proposes no %s: %s", key, err->message);
    return at != NULL ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

static m3_status bench(m3_device *device, const m3_settings *settings, bool infer, uint32_t batch, uint64_t *bytes,
                       m3_error *err)
{
    m3_bench_result result = {.size = M3_STRUCT_SIZE(m3_bench_result, ops)};
    const m3_bench_options options = {
        .size = M3_STRUCT_SIZE(m3_bench_options, fallbacks), .infer = infer, .batch = batch, .repeats = 1};
    *err = (m3_error){0};
    m3_status st = m3_bench(device, settings, &options, &result, err);
    if (bytes != NULL) *bytes = result.arena_bytes;
    return st;
}

static void a_batch_that_is_too_large(void **state)
{
    const bool *infer = *state;
    m3_error err = {0};
    uint64_t bytes = 0;
    m3_settings *settings = training_settings("none", "items=60", "behaviors=2", "batch=256", NULL);
    training_check(bench(with.device, settings, *infer, 0, &bytes, &err), &err);
    m3_device *small = open_with("memory", bytes / 2);
    assert_int_equal(bench(small, settings, *infer, 0, NULL, &err), M3_ERR_MEMORY);
    const uint32_t batch = proposed(&err, "batch");
    if (batch < 32 || batch >= 256) fail_msg("batch=%u would fit? %s", batch, err.message);
    training_check(bench(small, settings, *infer, batch, NULL, &err), &err);
    assert_int_equal(bench(small, settings, *infer, batch + batch / 2, NULL, &err), M3_ERR_MEMORY);
    m3_device_close(small);
    m3_settings_free(settings);
}

static void a_training_that_is_too_large(void **state)
{
    (void)state;
    m3_error err = {0};
    uint64_t bytes = 0;
    char text[32];
    m3_settings *alone = training_settings("none", "items=50", "behaviors=2", "modalities=[4]", "batch=128", NULL);
    m3_settings *settings = training_settings(set(), "batch=128", NULL);
    training_check(bench(with.device, alone, false, 0, &bytes, &err), &err);
    m3_device *small = open_with("memory", bytes * 3 / 4);
    train(small, settings, "large", (m3_train_options){0}, M3_ERR_MEMORY, &err);
    const uint32_t batch = proposed(&err, "batch"), accumulate = proposed(&err, "accumulate");
    if (batch < 16 || batch * accumulate < 128 || batch * accumulate > 136) fail_msg("%s", err.message);
    (void)snprintf(text, sizeof text, "batch=%u", batch);
    training_check(m3_settings_set(settings, text, &err), &err);
    (void)snprintf(text, sizeof text, "accumulate=%u", accumulate);
    training_check(m3_settings_set(settings, text, &err), &err);
    train(small, settings, "large", (m3_train_options){0}, M3_OK, &err);
    m3_device_close(small);
    m3_settings_free(settings);
    m3_settings_free(alone);
}

static void a_ranking_that_is_too_large(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_served *served = NULL;
    char text[32], file[256];
    m3_settings *resolved = NULL, *settings = training_settings(set(), "eval_batch=512", NULL);
    train(with.device, settings, "ranking", (m3_train_options){0}, M3_OK, &err);
    const uint64_t before = m3_device_memory_used(with.device);
    training_check(m3_serve(with.device, data_source_path(&with.source, "ranking"), NULL, &served, &err), &err);
    m3_device *small = open_with("memory", (m3_device_memory_used(with.device) - before) / 2);
    m3_served_free(served);
    assert_int_equal(m3_serve(small, data_source_path(&with.source, "ranking"), NULL, &served, &err), M3_ERR_MEMORY);
    (void)snprintf(text, sizeof text, "eval_batch=%u", proposed(&err, "eval_batch"));
    (void)snprintf(file, sizeof file, "%s/settings.yaml", data_source_path(&with.source, "ranking"));
    err = (m3_error){0};
    training_check(m3_settings_load(file, &resolved, &err), &err);
    training_check(m3_settings_set(resolved, text, &err), &err);
    training_check(m3_settings_save(resolved, file, &err), &err);
    training_check(m3_serve(small, data_source_path(&with.source, "ranking"), NULL, &served, &err), &err);
    m3_served_free(served);
    m3_device_close(small);
    m3_settings_free(resolved);
    m3_settings_free(settings);
}

static void a_model_that_is_too_large(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = training_settings("none", "items=5000", "behaviors=2", "batch=64", NULL);
    m3_device *small = open_with("memory", 400000);
    assert_int_equal(bench(small, settings, false, 0, NULL, &err), M3_ERR_MEMORY);
    if (strstr(err.message, "does not fit either") == NULL) fail_msg("%s", err.message);
    m3_device_close(small);
    m3_settings_free(settings);
}

/* Traces. */

typedef struct seen {
    size_t runs, nodes;
    double run_us, node_us, end_us;
} seen;

/* A complete event of the trace format, in its place after the ones before it. */
static void read_event(const json_t *event, seen *s)
{
    const char *phase = json_string_value(json_object_get(event, "ph"));
    const char *name = json_string_value(json_object_get(event, "name"));
    const char *kind = json_string_value(json_object_get(event, "cat"));
    const double at = json_number_value(json_object_get(event, "ts")),
                 us = json_number_value(json_object_get(event, "dur"));
    if (phase != NULL && strcmp(phase, "M") == 0) return; /* the name of a track or a row */
    assert_true(phase != NULL && name != NULL && kind != NULL && strcmp(phase, "X") == 0);
    assert_true(json_is_integer(json_object_get(event, "pid")) && json_is_integer(json_object_get(event, "tid")));
    assert_true(at >= 0.0 && us >= 0.0);
    if (strcmp(kind, "node") == 0) {
        const char *device = json_string_value(json_object_get(json_object_get(event, "args"), "device"));
        assert_non_null(strstr(device != NULL ? device : "", with.names.backend));
        assert_true(at + 1e-3 >= s->end_us); /* microseconds with decimals: they may round */
        s->end_us = at + us;
        s->node_us += us;
        s->nodes++;
    } else {
        assert_true(strcmp(name, "accumulate") == 0 || strcmp(name, "apply") == 0);
        s->run_us += us;
        s->runs++;
    }
}

static void a_trace(void **state)
{
    (void)state;
    m3_error err = {0};
    json_error_t wrong;
    seen s = {0};
    m3_settings *settings = training_settings(set(), "epochs=1", "accumulate=2", "batch=4", NULL);
    const m3_train_options options = {.profile = data_source_path(&with.source, "trace.json"), .stop_after = 5};
    train(with.device, settings, "traced", options, M3_ERR_INTERRUPTED, &err);
    json_t *trace = json_load_file(data_source_path(&with.source, "trace.json"), 0, &wrong);
    if (trace == NULL) fail_msg("line %d: %s", wrong.line, wrong.text);
    const json_t *events = json_object_get(trace, "traceEvents");
    for (size_t i = 0; i < json_array_size(events); i++) read_event(json_array_get(events, i), &s);
    assert_int_equal(s.runs, 2 * 3); /* both halves of three steps */
    assert_true(s.nodes > 50);
    assert_true(s.node_us > 0.0 && fabs(s.run_us - s.node_us) < 1e-3 * s.run_us);
    json_decref(trace);
    m3_settings_free(settings);
}

static void open_all(const char *argument)
{
    m3_error err = {0};
    m3_device *devices[NAMED_DEVICES] = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    named_read(&with.names, argument);
    m3_status st = m3_engine_create(&config, &with.engine, &err);
    const uint32_t count = st == M3_OK ? named_open(&with.names, with.engine, devices) : 0;
    for (uint32_t i = 1; i < count; i++) m3_device_close(devices[i]);
    with.device = devices[0];
    const char *other = strcmp(with.names.backend, "cpu") == 0 ? "reference" : "cpu";
    if (st == M3_OK) st = m3_device_open(with.engine, other, (m3_span){0}, &with.other, &err);
    if (st == M3_OK) st = training_data(&with.source, &err);
    if (st == M3_OK) return;
    print_error("%s: %s\n", err.subject, err.message);
    exit(EXIT_FAILURE);
}

static void close_all(void)
{
    data_source_remove(&with.source);
    m3_device_close(with.other);
    m3_device_close(with.device);
    m3_engine_free(with.engine);
}

int main(int argc, char **argv)
{
    static bool step = false, infer = true;
    static const char *const full[] = {"full", "loss=full", NULL}, *const sampled[] = {"sampled", "loss=sampled", NULL},
                             *const accumulated[] = {"accumulated", "accumulate=2", NULL},
                             *const bf16[] = {"bf16", "precision=bf16", "expert=transformer"},
                             *const f16[] = {"f16", "precision=f16", "expert=transformer"};
    const struct CMUnitTest tests[] = {
        {"an interrupted run goes on bit for bit, loss full", an_interrupted_run, NULL, NULL, (void *)full},
        {"an interrupted run goes on bit for bit, loss sampled", an_interrupted_run, NULL, NULL, (void *)sampled},
        {"an interrupted run goes on bit for bit, accumulating", an_interrupted_run, NULL, NULL, (void *)accumulated},
        {"an interrupted run goes on bit for bit, in bf16", an_interrupted_run, NULL, NULL, (void *)bf16},
        {"an interrupted run goes on bit for bit, in f16", an_interrupted_run, NULL, NULL, (void *)f16},
        {"a checkpoint moves between precisions", a_checkpoint_in_16_bits, NULL, NULL, NULL},
        {"a run whose device was lost goes on bit for bit", a_lost_device, NULL, NULL, NULL},
        {"a checkpoint moves between devices", a_moved_checkpoint, NULL, NULL, NULL},
        {"the step that is proposed for the memory runs", a_batch_that_is_too_large, NULL, NULL, &step},
        {"the inference that is proposed for the memory runs", a_batch_that_is_too_large, NULL, NULL, &infer},
        {"the training that is proposed for the memory runs", a_training_that_is_too_large, NULL, NULL, NULL},
        {"the ranking that is proposed for the memory runs", a_ranking_that_is_too_large, NULL, NULL, NULL},
        {"a model that fits in no batch is told so", a_model_that_is_too_large, NULL, NULL, NULL},
        {"a trace shows each node of some steps", a_trace, NULL, NULL, NULL},
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    open_all(argv[1]);
    const int failed = cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
    close_all();
    return failed;
}
