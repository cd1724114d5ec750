/* train: what m3_train promises: it learns, an interrupted run goes on bit for bit, accumulated batches make one step,
 * a diverged run keeps its last good checkpoint, and odd data works or says why not.   Labels: errors */
#include "core/base/alloc.h"
#include "tests/support/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static m3_engine *engine;
static m3_device *device;
static data_source source;

static m3_train_result train_with(const m3_settings *settings, const char *run, m3_train_options options,
                                  m3_status want, m3_error *err)
{
    return training_run(device, &source, settings, run, options, want, err);
}

static m3_train_result train(const m3_settings *settings, const char *run)
{
    m3_error err = {0};
    return train_with(settings, run, (m3_train_options){0}, M3_OK, &err);
}

/* Files of a run. */

static char *file_of(const char *run, const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", data_source_path(&source, run), name);
    return path;
}

static char *read_file(const char *run, const char *name, size_t *bytes)
{
    FILE *file = fopen(file_of(run, name), "rb");
    if (file == NULL) fail_msg("%s has no %s", run, name);
    char *text = calloc(1, 1 << 22);
    assert_non_null(text);
    size_t size = fread(text, 1, (1 << 22) - 1, file);
    (void)fclose(file);
    if (bytes != NULL) *bytes = size;
    return text;
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    size_t na, nb;
    char *x = read_file(a, name, &na), *y = read_file(b, name, &nb);
    if (na != nb || memcmp(x, y, na) != 0) fail_msg("%s/%s differs from %s/%s", a, name, b, name);
    free(x);
    free(y);
}

/* A text without the numbers after "seconds", "samples_per_s" and "time". */
static void drop_times(char *text)
{
    static const char *const names[] = {"\"seconds\":", "\"samples_per_s\":", "\"time\":"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (char *at = text; (at = strstr(at, names[i])) != NULL;) {
            at += strlen(names[i]);
            size_t length = strcspn(at, ",}");
            memmove(at, at + length, strlen(at + length) + 1);
        }
}

static void assert_same_log(const char *a, const char *b)
{
    char *x = read_file(a, "log.jsonl", NULL), *y = read_file(b, "log.jsonl", NULL);
    drop_times(x);
    drop_times(y);
    assert_string_equal(x, y);
    free(x);
    free(y);
}

/* Number `key` of the log's line for an epoch. */
static double logged(const char *run, int epoch, const char *key)
{
    char *text = read_file(run, "log.jsonl", NULL), line[64], name[64];
    (void)snprintf(line, sizeof line, "\"epoch\":%d,", epoch);
    (void)snprintf(name, sizeof name, "\"%s\":", key);
    char *at = strstr(text, line);
    if (at != NULL) at = strstr(at, name);
    if (at == NULL) fail_msg("%s: the log has no %s of epoch %d", run, key, epoch);
    double value = at != NULL ? strtod(at + strlen(name), NULL) : 0.0;
    free(text);
    return value;
}

/* Tests. */

static void learns(void **state)
{
    const char *const *extra = *state;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "epochs=6", extra[1], NULL);
    m3_train_result result = train(settings, extra[0]);
    assert_int_equal(result.epochs, 6);
    assert_true(result.best_epoch >= 1 && result.best_metric > 0.0);
    assert_true(logged(extra[0], 6, "loss_recommend") < logged(extra[0], 1, "loss_recommend") - 0.05);
    char *page = read_file(extra[0], "report.html", NULL), *metrics = read_file(extra[0], "metrics.json", NULL);
    assert_non_null(strstr(page, "<polyline"));
    assert_non_null(strstr(page, "infer_start"));
    assert_non_null(strstr(metrics, "\"ndcg@10\""));
    assert_int_equal(access(file_of(extra[0], "best.safetensors"), F_OK), 0);
    free(page);
    free(metrics);
    m3_settings_free(settings);
}

static uint64_t count_lines(const char *run, const char *what)
{
    char *text = read_file(run, "log.jsonl", NULL);
    uint64_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) count++;
    free(text);
    return count;
}

/* A loss so large that its gradients overflow until the scale has come down to them: those steps do not count, the log
 * has them, and an interrupted run skips the same. */
static void skips_what_overflows(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings =
        training_settings(data_source_path(&source, "set"), "precision=f16", "w_modality=10000", "clip=1", NULL);
    const m3_train_result whole = train(settings, "overflows");
    const uint64_t skipped = count_lines("overflows", "\"overflow\"");
    train_with(settings, "overflows-parts", (m3_train_options){.stop_after = 3}, M3_ERR_INTERRUPTED, &err);
    err = (m3_error){0};
    train_with(settings, "overflows-parts", (m3_train_options){.resume = true}, M3_OK, &err);
    training_same_tensors(&source, "overflows", "overflows-parts", "last.safetensors", 0.0);
    assert_same_log("overflows", "overflows-parts");
    training_check(m3_settings_set(settings, "precision=f32", &err), &err);
    const m3_train_result full = train(settings, "no-overflows");
    assert_true(skipped > 0);
    assert_int_equal(whole.steps + skipped, full.steps);
    m3_settings_free(settings);
}

/* Interrupted twice in mid-epoch, beside an old temporary file, with everything that is drawn switched on. */
static void resumes(void **state)
{
    const char *const *extra = *state;
    m3_error err = {0};
    char whole[32], parts[32];
    (void)snprintf(whole, sizeof whole, "whole-%s", extra[0]);
    (void)snprintf(parts, sizeof parts, "parts-%s", extra[0]);
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "dropout=0.2", "schedule=cosine",
                                              "warmup_steps=3", extra[1], NULL);
    train(settings, whole);
    m3_train_result first = train_with(settings, parts, (m3_train_options){.stop_after = 3}, M3_ERR_INTERRUPTED, &err);
    assert_int_equal(first.epochs, 0);
    assert_non_null(strstr(err.message, "--resume"));
    FILE *leftover = fopen(file_of(parts, "last.safetensors.tmp.1"), "wb");
    (void)fputs("half a file", leftover);
    (void)fclose(leftover);
    err = (m3_error){0};
    train_with(settings, parts, (m3_train_options){.resume = true, .stop_after = 2}, M3_ERR_INTERRUPTED, &err);
    err = (m3_error){0};
    m3_train_result result = train_with(settings, parts, (m3_train_options){.resume = true}, M3_OK, &err);
    assert_int_equal(result.epochs, 2);
    training_same_tensors(&source, whole, parts, "last.safetensors", 0.0);
    training_same_tensors(&source, whole, parts, "best.safetensors", 0.0);
    assert_same_log(whole, parts);
    assert_same_file(whole, parts, "metrics.json");
    m3_settings_free(settings);
}

static void stop_flag(void **state)
{
    (void)state;
    const int stop = 1;
    m3_error err = {0};
    m3_settings *settings = training_settings(data_source_path(&source, "set"), NULL);
    train_with(settings, "flag", (m3_train_options){.stop = &stop}, M3_ERR_INTERRUPTED, &err);
    assert_int_equal(access(file_of("flag", "last.safetensors"), F_OK), 0);
    m3_settings_free(settings);
}

/* Stops a training at a request for memory, where no step is under way. */
typedef struct stopper {
    uint64_t at, seen, before_steps;
    volatile int stop;
} stopper;

static void note_step(void *user, const m3_progress *progress)
{
    stopper *s = user;
    (void)progress;
    if (s->before_steps == 0) s->before_steps = s->seen;
}

static bool stop_at(void *user, size_t bytes)
{
    stopper *s = user;
    (void)bytes;
    if (s->seen++ == s->at) s->stop = 1;
    return true;
}

/* What an epoch's end begins to judge is judged anew: metrics, patience and the log are as if nothing had been. */
static void stops_in_an_epochs_end(void **state)
{
    (void)state;
    enum { STOPS = 24 };
    stopper s = {.at = UINT64_MAX};
    m3_error err = {0};
    uint32_t stopped = 0;
    m3_settings *settings =
        training_settings(data_source_path(&source, "set"), "eval_batch=7", "patience=2", "accumulate=2", NULL);
    m3_alloc_set_gate(stop_at, &s);
    train_with(settings, "judged", (m3_train_options){.progress = note_step, .user = &s}, M3_OK, &err);
    const uint64_t first = s.before_steps, requests = s.seen - first;
    m3_train_options options = {.stop = &s.stop};
    for (uint64_t i = 0; i < STOPS; i++) {
        s = (stopper){.at = first + requests * i / STOPS};
        char run[32];
        (void)snprintf(run, sizeof run, "judged%d", (int)i);
        m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, early)};
        options.size = M3_STRUCT_SIZE(m3_train_options, stop_after);
        err = (m3_error){0};
        if (m3_train(device, settings, data_source_path(&source, run), &options, &result, &err) == M3_OK) continue;
        assert_int_equal(err.code, M3_ERR_INTERRUPTED);
        stopped++;
        s = (stopper){.at = UINT64_MAX};
        err = (m3_error){0};
        train_with(settings, run, (m3_train_options){.resume = true}, M3_OK, &err);
        training_same_tensors(&source, "judged", run, "last.safetensors", 0.0);
        training_same_tensors(&source, "judged", run, "best.safetensors", 0.0);
        assert_same_log("judged", run);
    }
    m3_alloc_set_gate(NULL, NULL);
    assert_true(stopped > 2); /* others begin no batch afterwards */
    m3_settings_free(settings);
}

/* Without draws and with a number of samples that 32 divides into whole pairs, or a rest. */
static void accumulates(void **state)
{
    (void)state;
    static const char *const plain[] = {"modality_denoise=false", "behavior_denoise=false", "dropout=0"};
    m3_settings *two = training_settings(data_source_path(&source, "set"), plain[0], plain[1], plain[2], "w_contrast=0",
                                         "adam_eps=1e-4", "batch=16", "accumulate=2", "epochs=1", NULL);
    m3_settings *one = training_settings(data_source_path(&source, "set"), plain[0], plain[1], plain[2], "w_contrast=0",
                                         "adam_eps=1e-4", "batch=32", "epochs=1", NULL);
    m3_error err = {0};
    m3_train_options options = {.stop_after = 4};
    train_with(two, "two", options, M3_ERR_INTERRUPTED, &err);
    err = (m3_error){0};
    train_with(one, "one", options, M3_ERR_INTERRUPTED, &err);
    training_same_tensors(&source, "two", "one", "last.safetensors", 1e-4);
    m3_settings_free(two);
    m3_settings_free(one);
}

/* Ten users who go round eight items, so that each has history, validation and test; item h comes only to user 9. */
static void write_rounds(data_source *odd)
{
    char text[8192] = "user_id\titem_id\tbehavior\ttimestamp\n";
    data_source_make(odd);
    for (int u = 0; u < 10; u++)
        for (int i = 0; i < 7; i++) {
            size_t at = strlen(text);
            char item = (char)(u == 9 && i == 2 ? 'h' : 'a' + (u + i) % 7);
            (void)snprintf(text + at, sizeof text - at, "%d\t%c\tview\t%d\n%d\t%c\tbuy\t%d\n", u, item, i, u, item, i);
        }
    data_source_write(odd, "interactions.tsv", text, 0);
}

/* The features of one item overflow as soon as it is in a batch; until then all is well. */
static void diverges(void **state)
{
    (void)state;
    data_source odd;
    m3_error err = {0};
    size_t before = 0, after = 0;
    double features[8 * 4] = {0};
    for (int i = 0; i < 8 * 4; i++) features[i] = i < 7 * 4 ? 0.5 : 3e38;
    write_rounds(&odd);
    data_source_write_npy(&odd, "image.npy", "<f4", false, 8, 4, features);
    data_source_write(&odd, "image.ids.txt", "a\nb\nc\nd\ne\nf\ng\nh\n", 0);
    training_check(data_source_import(&odd, (m3_import_options){0}, NULL, &err), &err);
    m3_settings *settings = training_settings(data_source_path(&odd, "set"), "batch=2", "checkpoint_steps=1", NULL);
    m3_train_result result = train_with(settings, "diverges", (m3_train_options){0}, M3_ERR_INVALID, &err);
    assert_true(result.steps >= 1);
    char step[64];
    (void)snprintf(step, sizeof step, "at step %d, in epoch 1", (int)result.steps + 1);
    assert_non_null(strstr(err.message, step));
    assert_non_null(strstr(err.message, "the last good checkpoint is"));
    char *good = read_file("diverges", "last.safetensors", &before);
    err = (m3_error){0};
    train_with(settings, "diverges", (m3_train_options){.resume = true}, M3_ERR_INVALID, &err);
    char *kept = read_file("diverges", "last.safetensors", &after);
    assert_int_equal(before, after);
    assert_memory_equal(good, kept, before);
    free(good);
    free(kept);
    m3_settings_free(settings);
    data_source_remove(&odd);
}

static const struct odd_row {
    const char *name, *interactions;
    const char *const behaviors[2];
    const char *settings[4];
    m3_status want;
    const char *says;
    bool best; /* there is a best checkpoint */
} odd_rows[] = {
    {"a batch larger than the data", NULL, {0}, {"batch=4096"}, M3_OK, "", true},
    {"evaluation in batches of one", NULL, {0}, {"eval_batch=1"}, M3_OK, "", true},
    {"more negatives than items", NULL, {0}, {"loss=sampled", "negatives=50"}, M3_OK, "", true},
    {"another target", NULL, {0}, {"target=view"}, M3_OK, "", true},
    {"no such target", NULL, {0}, {"target=like"}, M3_ERR_INVALID, "no behavior of the set; it has", false},
    {"no such modality", NULL, {0}, {"features=image"}, M3_ERR_INVALID, "no modality of the set; it has none", false},
    {"the set knows its items", NULL, {0}, {"items=9"}, M3_ERR_INVALID, "is 9, but the set has items 8", false},
    {"an unknown key", NULL, {0}, {"learning_rte=1"}, M3_ERR_INVALID, "is no key", false},
    {"a behavior that nobody has",
     "user_id\titem_"
     "id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\tb\tview\t2\nu\tc\tview\t3\nv\ta\tview\t1\nv\tb\tview\t2\n",
     {"view", "buy"},
     {0},
     M3_OK,
     "",
     true},
    {"a target that nobody has",
     "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\tb\tview\t2\n",
     {"view", "buy"},
     {"target=buy"},
     M3_ERR_INVALID,
     "no training sample",
     false},
    {"nothing to validate: every epoch is trained",
     "user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\t2\nv\tb\t1\nv\ta\t2\n",
     {0},
     {"patience=1"},
     M3_OK,
     "",
     false},
    {"one user with one item and no history",
     "user_id\titem_id\ttimestamp\nu\ta\t1\n",
     {0},
     {0},
     M3_ERR_INVALID,
     "set empty_histories to keep",
     false},
    {"one user with one item, kept",
     "user_id\titem_id\ttimestamp\nu\ta\t1\n",
     {0},
     {"empty_histories=keep"},
     M3_OK,
     "",
     false},
    {"one item has no negatives",
     "user_id\titem_id\ttimestamp\nu\ta\t1\n",
     {0},
     {"empty_histories=keep", "loss=sampled"},
     M3_ERR_INVALID,
     "set loss to full",
     false},
};
enum { ODD_ROWS = sizeof odd_rows / sizeof odd_rows[0] };

static void trains_odd(void **state)
{
    const struct odd_row *row = *state;
    data_source odd;
    m3_error err = {0};
    static int number;
    char run[16];
    m3_import_options import = {.size = M3_STRUCT_SIZE(m3_import_options, reading)};
    (void)snprintf(run, sizeof run, "odd%d", number++);
    write_rounds(&odd);
    if (row->interactions != NULL) data_source_write(&odd, "interactions.tsv", row->interactions, 0);
    if (row->behaviors[0] != NULL) {
        import.behaviors = row->behaviors;
        import.behavior_count = 2;
        import.target = "view";
    }
    training_check(data_source_import(&odd, import, NULL, &err), &err);
    const char *const *set = row->settings;
    m3_settings *settings = training_settings(data_source_path(&odd, "set"), set[0], set[1], set[2], NULL);
    m3_train_result result = train_with(settings, run, (m3_train_options){0}, row->want, &err);
    if (strstr(err.message, row->says) == NULL) fail_msg("says: %s", err.message);
    if (row->want == M3_OK) {
        assert_int_equal(result.epochs, 2);
        assert_int_equal(access(file_of(run, "best.safetensors"), F_OK) == 0, row->best);
    }
    m3_settings_free(settings);
    data_source_remove(&odd);
}

static void ends_early(void **state)
{
    (void)state;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "lr=0", "epochs=9", "patience=2", NULL);
    m3_train_result result = train(settings, "early"); /* nothing changes, so epoch 1 stays the best */
    assert_true(result.early);
    assert_int_equal(result.epochs, 3);
    assert_int_equal(result.best_epoch, 1);
    m3_settings_free(settings);
}

static void refuses(void **state)
{
    (void)state;
    m3_error err = {0};
    const char *data = data_source_path(&source, "set");
    m3_settings *settings = training_settings(data, "epochs=1", NULL),
                *other = training_settings(data, "epochs=2", NULL);
    train_with(settings, "none", (m3_train_options){.resume = true}, M3_ERR_INVALID, &err);
    assert_non_null(strstr(err.message, "holds no run"));
    train(settings, "once");
    err = (m3_error){0};
    train_with(settings, "once", (m3_train_options){0}, M3_ERR_INVALID, &err);
    assert_non_null(strstr(err.message, "holds a run"));
    m3_train_result more = train_with(other, "once", (m3_train_options){.resume = true}, M3_OK, &err);
    assert_int_equal(more.epochs, 2); /* more epochs are the same training, longer */
    err = (m3_error){0};
    training_check(m3_settings_set(other, "lr=0.5", &err), &err);
    train_with(other, "once", (m3_train_options){.resume = true}, M3_ERR_INVALID, &err);
    assert_string_equal(err.subject, "lr");
    assert_non_null(strstr(err.message, "is '0.5' now and was '0.01'"));
    m3_settings_free(settings);
    m3_settings_free(other);
}

static void traces(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings =
        training_settings(data_source_path(&source, "set"), "epochs=1", "accumulate=2", "batch=4", NULL);
    const m3_train_options options = {.profile = data_source_path(&source, "trace.json"), .stop_after = 5};
    train_with(settings, "traced", options, M3_ERR_INTERRUPTED, &err);
    json_error_t wrong;
    json_t *trace = json_load_file(data_source_path(&source, "trace.json"), 0, &wrong);
    if (trace == NULL) fail_msg("line %d: %s", wrong.line, wrong.text);
    assert_true(json_array_size(json_object_get(trace, "traceEvents")) > 50);
    json_decref(trace);
    m3_settings_free(settings);
}

/* Every request would take minutes, so the steps between those that fail grow. */
static void runs_out_of_memory(void **state)
{
    (void)state;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "epochs=1", "batch=64", NULL);
    m3_status st = M3_ERR_MEMORY;
    for (uint64_t at = 0; st != M3_OK; at += 1 + at / 6) {
        char run[32];
        m3_error err = {0};
        alloc_failure failure = {.at = at, .on = at % 2 == 0};
        (void)snprintf(run, sizeof run, "memory%d", (int)at);
        const char *path = data_source_path(&source, run);
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_train(device, settings, path, NULL, NULL, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("request %d: %s: %s", (int)at, err.subject, err.message);
        assert_true(st != M3_OK || failure.seen <= at); /* nothing was refused and overlooked */
    }
    m3_settings_free(settings);
}

static int start(void **state)
{
    (void)state;
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    if (training_data(&source, &err) != M3_OK) return -1;
    if (m3_engine_create(&config, &engine, &err) != M3_OK) return -1;
    return m3_device_open(engine, "cpu", (m3_span){0}, &device, &err) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    static const char
        *const full[] = {"full", "loss=full"},
               *const sampled[] = {"sampled", "loss=sampled"}, *const accumulated[] = {"accumulated", "accumulate=2"},
               *const neighbors[] = {"neighbors", "denoise=neighbors"}, *const f32[] = {"learns", "precision=f32"},
               *const bf16[] = {"learns-bf16", "precision=bf16"}, *const f16[] = {"learns-f16", "precision=f16"};
    const struct CMUnitTest tests[] = {
        {"the loss falls, and a report says so", learns, NULL, NULL, (void *)f32},
        {"the loss falls in bf16", learns, NULL, NULL, (void *)bf16},
        {"the loss falls in f16", learns, NULL, NULL, (void *)f16},
        {"an interrupted run goes on bit for bit, loss full", resumes, NULL, NULL, (void *)full},
        {"an interrupted run goes on bit for bit, loss sampled", resumes, NULL, NULL, (void *)sampled},
        {"an interrupted run goes on bit for bit, accumulating", resumes, NULL, NULL, (void *)accumulated},
        {"an interrupted run goes on bit for bit, denoised before", resumes, NULL, NULL, (void *)neighbors},
        {"steps that overflow in f16 are skipped and logged", skips_what_overflows, NULL, NULL, NULL},
        {"the stop flag saves before the first step too", stop_flag, NULL, NULL, NULL},
        {"stopped while an epoch is judged, it is judged anew", stops_in_an_epochs_end, NULL, NULL, NULL},
        {"two accumulated batches are one of twice the size", accumulates, NULL, NULL, NULL},
        {"a diverged training keeps its last good checkpoint", diverges, NULL, NULL, NULL},
        {"patience ends a training", ends_early, NULL, NULL, NULL},
        {"a run is neither overwritten nor continued with other settings", refuses, NULL, NULL, NULL},
        {"some steps are traced", traces, NULL, NULL, NULL},
        {"no memory at many points", runs_out_of_memory, NULL, NULL, NULL},
    };
    struct CMUnitTest odd[ODD_ROWS];
    for (size_t i = 0; i < ODD_ROWS; i++)
        odd[i] = (struct CMUnitTest){odd_rows[i].name, trains_odd, NULL, NULL, (void *)&odd_rows[i]};
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(odd, start, stop);
}
