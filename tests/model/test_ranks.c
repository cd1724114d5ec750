/* ranks: what m3_train_ranks promises: n ranks that share out the batches of a step train as one that accumulates them
 * does, bit for bit where each has one; a run goes on with the same number of ranks bit for bit, with another within
 * rounding; devices that round differently train one model; who fails ends all.   Labels: threads */
#include <stdatomic.h>

#include <jansson.h>

#include "core/base/alloc.h"
#include "tests/support/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 4 };

static training_ranks team;
static m3_device *other; /* cpu; other is of engine 1, and rounds differently */
static data_source source;

static m3_status run_ranks(m3_device *const *with, uint32_t count, const m3_settings *settings, const char *run,
                           m3_train_options options, m3_train_result *result, m3_error *err)
{
    return training_ranks_train(&team, with, count, &source, settings, run, options, result, err);
}

static m3_train_result train(uint32_t count, const m3_settings *settings, const char *run, m3_train_options options,
                             m3_status want)
{
    m3_error err = {0};
    m3_train_result result = {0};
    const m3_status st = run_ranks(team.devices, count, settings, run, options, &result, &err);
    if (st != want) fail_msg("%s: status %d: %s: %s", run, (int)st, err.subject, err.message);
    return result;
}

static m3_train_result train_alone(const m3_settings *settings, const char *run, m3_train_options options,
                                   m3_status want)
{
    m3_error err = {0};
    return training_run(team.devices[0], &source, settings, run, options, want, &err);
}

/* With all that is drawn, and all that looks at other rows of a batch. */
static m3_settings *make_settings(const char *more)
{
    return training_settings(data_source_path(&source, "set"), "dropout=0.2", "contrast=users", "schedule=cosine",
                             "warmup_steps=3", "batch=13", more, NULL);
}

static void same(const char *a, const char *b, double bound)
{
    training_same_tensors(&source, a, b, "last.safetensors", bound);
    training_same_tensors(&source, a, b, "best.safetensors", bound);
}

static m3_settings *with(m3_settings *settings, const char *assignment)
{
    m3_error err = {0};
    training_check(m3_settings_set(settings, assignment, &err), &err);
    return settings;
}

/* An epoch's batches are odd in number and no multiple of 3: in its last step some ranks have none. */
static void adds_up(void **state)
{
    char key[32], alone[32], many[32];
    m3_settings *settings = make_settings(*state);
    (void)snprintf(alone, sizeof alone, "single-%.20s", (const char *)*state);
    const uint64_t batches = train_alone(settings, alone, (m3_train_options){0}, M3_OK).steps / 2;
    assert_true(batches % 2 != 0 && batches % 3 != 0);
    for (uint32_t ranks = 2; ranks <= 4; ranks++) {
        (void)snprintf(key, sizeof key, "accumulate=%u", ranks);
        (void)snprintf(alone, sizeof alone, "alone-%u-%.20s", ranks, (const char *)*state);
        (void)snprintf(many, sizeof many, "ranks-%u-%.20s", ranks, (const char *)*state);
        const m3_train_result shared = train(ranks, with(settings, "accumulate=1"), many, (m3_train_options){0}, M3_OK);
        const m3_train_result result = train_alone(with(settings, key), alone, (m3_train_options){0}, M3_OK);
        same(alone, many, 0.0);
        assert_int_equal(shared.steps, result.steps);
        assert_int_equal(shared.steps, 2 * ((batches + ranks - 1) / ranks));
        assert_true(shared.best_metric == result.best_metric);
    }
    m3_settings_free(settings);
}

/* Two batches a rank: their sums are added in another order. */
static void adds_up_shares(void **state)
{
    (void)state;
    m3_settings *settings = make_settings("accumulate=4");
    train_alone(settings, "shares-alone", (m3_train_options){0}, M3_OK);
    train(2, settings, "shares", (m3_train_options){0}, M3_OK);
    same("shares-alone", "shares", 1e-3);
    m3_settings_free(settings);
}

/* With all that is drawn on the device, every loss, and rows that look at others': n batches are one of n times the
 * size, in the uneven step that ends the epoch, too. Steps are as large as gradients: Adam's own would make whole steps
 * of what rounding leaves of a gradient that is 0. */
static void is_one_large_batch(void **state)
{
    static const char *const keys[] = {"loss=sampled", "contrast=targets", "w_contrast=1", "w_modality=1",
                                       "w_behavior=1", "adam_eps=1",       "lr=0.5",       "epochs=1"};
    char small[64], large[64], key[32];
    m3_settings *settings = make_settings(*state);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) with(settings, keys[i]);
    with(settings, *state);
    for (uint32_t n = 2; n <= 3; n++) {
        (void)snprintf(small, sizeof small, "%u-small-%.30s", n, (const char *)*state);
        (void)snprintf(large, sizeof large, "large-of-%u-%.30s", n, (const char *)*state);
        (void)snprintf(key, sizeof key, "batch=%u", n * 13);
        const m3_train_result parts = train(n, with(settings, "batch=13"), small, (m3_train_options){0}, M3_OK);
        const m3_train_result whole = train_alone(with(settings, key), large, (m3_train_options){0}, M3_OK);
        assert_int_equal(parts.steps, whole.steps);
        training_same_tensors(&source, large, small, "last.safetensors", 1e-5);
    }
    m3_settings_free(settings);
}

/* A model large enough that sums are sent in several buckets, while what comes after them is computed. */
static m3_settings *make_large(void)
{
    return training_settings(data_source_path(&source, "set"), "width=32", "expert=transformer", "dropout=0.2",
                             "batch=13", NULL);
}

static void adds_up_early(void **state)
{
    (void)state;
    static const char *const late[] = {"overlap", NULL};
    const m3_train_options few = {.stop_after = 3}, few_late = {.stop_after = 3, .no_pass = late};
    m3_settings *settings = make_large();
    train(2, settings, "early", few, M3_ERR_INTERRUPTED);
    train(2, settings, "late", few_late, M3_ERR_INTERRUPTED);
    training_same_tensors(&source, "late", "early", "last.safetensors", 0.0);
    train_alone(with(settings, "accumulate=2"), "early-alone", few, M3_ERR_INTERRUPTED);
    training_same_tensors(&source, "early-alone", "early", "last.safetensors", 0.0);
    m3_settings_free(settings);
}

typedef struct spans {
    uint32_t sums, bytes, waits, beside; /* beside: nodes that ran while a sum of their rank was on its way */
    bool named;
} spans;

static double number(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(event, key));
}

static bool is(const json_t *event, const char *key, const char *want)
{
    const char *value = json_string_value(json_object_get(event, key));
    return value != NULL && strcmp(value, want) == 0;
}

static uint32_t nodes_beside(const json_t *events, const json_t *sum)
{
    uint32_t count = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        count += is(e, "cat", "node") && number(e, "pid") == number(sum, "pid") &&
                 number(e, "ts") < number(sum, "ts") + number(sum, "dur") &&
                 number(sum, "ts") < number(e, "ts") + number(e, "dur");
    }
    return count;
}

/* The track of a rank. */
static spans look_at(const json_t *events, int rank)
{
    spans s = {0};
    char name[32];
    (void)snprintf(name, sizeof name, "rank %d: cpu:0", rank);
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i), *args = json_object_get(e, "args");
        if (number(e, "pid") != rank + 1) continue;
        s.named = s.named || (is(e, "name", "process_name") && is(args, "name", name));
        s.waits += is(e, "cat", "wait");
        if (!is(e, "cat", "exchange") || strncmp(json_string_value(json_object_get(e, "name")), "sum", 3) != 0)
            continue;
        s.sums++;
        s.bytes += (uint32_t)number(args, "bytes");
        s.beside += nodes_beside(events, e);
    }
    return s;
}

typedef struct heard {
    uint32_t calls, within; /* within: of them, those with waits no longer than the epoch so far */
} heard;

/* Another rank may begin its epoch before this one, and wait for it. */
static void hear_of_ranks(void *user, const m3_progress *p)
{
    heard *h = user;
    assert_true(p->size >= M3_STRUCT_SIZE(m3_progress, waited) && p->ranks == 2);
    assert_true(p->waited[0] >= 0.0 && p->waited[1] >= 0.0);
    h->calls++;
    h->within += p->waited[0] <= p->seconds && p->waited[1] <= p->seconds;
}

/* The tracks of both ranks, with three steps. */
static void trace(const char *const *no_pass, spans tracks[2], heard *h)
{
    json_error_t wrong;
    const char *path = data_source_path(&source, "trace.json");
    const m3_train_options options = {
        .profile = path, .stop_after = 5, .no_pass = no_pass, .progress = hear_of_ranks, .user = h};
    m3_settings *settings = make_large();
    char run[32];
    static int runs;
    (void)snprintf(run, sizeof run, "traced-%d", runs++);
    train(2, settings, run, options, M3_ERR_INTERRUPTED);
    json_t *all = json_load_file(data_source_path(&source, "trace.json"), 0, &wrong);
    if (all == NULL) fail_msg("line %d: %s", wrong.line, wrong.text);
    for (int rank = 0; rank < 2; rank++) tracks[rank] = look_at(json_object_get(all, "traceEvents"), rank);
    json_decref(all);
    m3_settings_free(settings);
}

/* Each rank's sums go in several buckets, all but the last beside nodes of the backward pass. On a machine that is busy
 * the thread that sends them may come late, but not every time, nor need both ranks' be in time at once. */
static void shows_what_goes_on_at_once(void **state)
{
    (void)state;
    static const char *const late[] = {"overlap", NULL};
    spans with[2] = {{0}}, without[2] = {{0}};
    uint32_t beside[2] = {0};
    heard h = {0};
    for (int tries = 0; tries < 40 && (beside[0] == 0 || beside[1] == 0); tries++) {
        trace(NULL, with, &h);
        for (int rank = 0; rank < 2; rank++) beside[rank] += with[rank].beside;
    }
    trace(late, without, &h);
    assert_true(h.calls > 0 && h.within > 0);
    for (int rank = 0; rank < 2; rank++) {
        assert_true(with[rank].named && beside[rank] > 0);
        assert_true(with[rank].sums >= 3 * 2 && with[rank].sums <= 3 * 4);
        assert_int_equal(without[rank].sums, 3);
        assert_int_equal(without[rank].beside, 0);
        assert_int_equal(without[rank].bytes, with[rank].bytes);
        assert_int_equal(with[rank].bytes, with[0].bytes);
        assert_true(with[rank].waits >= 3 && without[rank].waits >= 3);
    }
}

static void goes_on(void **state)
{
    (void)state;
    m3_settings *settings = make_settings("checkpoint_steps=2");
    train(3, settings, "whole", (m3_train_options){0}, M3_OK);
    train(3, settings, "parts", (m3_train_options){.stop_after = 2}, M3_ERR_INTERRUPTED);
    train(3, settings, "parts", (m3_train_options){.resume = true, .stop_after = 2}, M3_ERR_INTERRUPTED);
    train(3, settings, "parts", (m3_train_options){.resume = true}, M3_OK);
    same("whole", "parts", 0.0);
    m3_settings_free(settings);
}

/* The settings may still say what they said to the ranks that began. */
static void goes_on_with_others(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = make_settings("accumulate=4");
    train(4, with(settings, "accumulate=3"), "fewer", (m3_train_options){.stop_after = 2}, M3_ERR_INTERRUPTED);
    train(2, settings, "fewer", (m3_train_options){.resume = true, .stop_after = 1}, M3_ERR_INTERRUPTED);
    train(3, settings, "fewer", (m3_train_options){.resume = true, .stop_after = 1}, M3_ERR_INTERRUPTED);
    train_alone(settings, "fewer", (m3_train_options){.resume = true}, M3_OK);
    train_alone(with(settings, "accumulate=4"), "fewer-alone", (m3_train_options){0}, M3_OK);
    same("fewer-alone", "fewer", 1e-3);
    m3_train_result result = {0};
    assert_int_equal(run_ranks(team.devices, 2, with(settings, "accumulate=6"), "fewer",
                               (m3_train_options){.resume = true}, &result, &err),
                     M3_ERR_INVALID);
    assert_string_equal(err.subject, "accumulate");
    m3_settings_free(settings);
}

static void refuses_one_batch(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_train_result result = {0};
    m3_settings *settings = make_settings("epochs=1");
    train_alone(settings, "single", (m3_train_options){0}, M3_OK);
    assert_int_equal(run_ranks(team.devices, 2, settings, "single", (m3_train_options){0}, &result, &err),
                     M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "--resume"));
    err = (m3_error){0};
    const m3_train_options resume = {.resume = true};
    assert_int_equal(run_ranks(team.devices, 2, settings, "single", resume, &result, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "2 ranks cannot share"));
    m3_settings_free(settings);
}

/* The ranks' parameters are one model's: else the norms of later steps, and the run, would be another's. */
static void mixes(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_train_result result = {0};
    m3_device *const two[] = {team.devices[0], other};
    m3_settings *settings = make_settings("epochs=1");
    if (run_ranks(two, 2, settings, "mixed", (m3_train_options){0}, &result, &err) != M3_OK)
        fail_msg("%s: %s", err.subject, err.message);
    train(2, settings, "unmixed", (m3_train_options){0}, M3_OK);
    same("unmixed", "mixed", 1e-3);
    m3_settings_free(settings);
}

static void stops(void **state)
{
    (void)state;
    const int stop = 1;
    m3_settings *settings = make_settings("epochs=1");
    train(2, settings, "whole-1", (m3_train_options){0}, M3_OK);
    train(2, settings, "stopped", (m3_train_options){.stop = &stop}, M3_ERR_INTERRUPTED);
    train(2, settings, "stopped", (m3_train_options){.resume = true}, M3_OK);
    same("whole-1", "stopped", 0.0);
    m3_settings_free(settings);
}

/* Every rank has the same error, and the checkpoint is the one from before it. */
static void diverges(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_train_result result = {0};
    m3_settings *settings = make_settings("weight_decay=1000"); /* parameters grow a thousandfold each step */
    with(with(settings, "lr=1000"), "checkpoint_steps=1");
    assert_int_equal(run_ranks(team.devices, 2, settings, "diverged", (m3_train_options){0}, &result, &err),
                     M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "the last good checkpoint is"));
    assert_true(result.steps > 0);
    m3_settings_free(settings);
}

/* One rank lacks memory, somewhere: all of them end, and nothing is left behind. */
static void runs_out_of_memory(void **state)
{
    enum { POINTS = 12 };
    (void)state;
    training_failing f = {.at = UINT64_MAX};
    m3_error err = {0};
    m3_train_result result = {0};
    m3_settings *settings = make_settings("epochs=1");
    m3_alloc_set_gate(training_fails, &f);
    (void)run_ranks(team.devices, 2, settings, "counted", (m3_train_options){0}, &result, &err);
    const uint64_t all = atomic_load(&f.seen);
    for (uint64_t i = 1; i <= POINTS; i++) {
        char run[32];
        err = (m3_error){0};
        f.at = all * i / (POINTS + 1);
        atomic_store(&f.seen, 0);
        (void)snprintf(run, sizeof run, "memory-%d", (int)i);
        const m3_status st = run_ranks(team.devices, 2, settings, run, (m3_train_options){0}, &result, &err);
        if (st != M3_OK && st != M3_ERR_MEMORY) {
            m3_alloc_set_gate(NULL, NULL);
            fail_msg("request %d: %s: %s", (int)f.at, err.subject, err.message);
        }
    }
    m3_alloc_set_gate(NULL, NULL);
    m3_settings_free(settings);
}

static int start(void **state)
{
    (void)state;
    m3_error err = {0};
    if (training_data(&source, &err) != M3_OK) return -1;
    if (training_ranks_open(&team, M3BSR_BUILD_PLUGIN_DIR, &err) != M3_OK) return -1;
    return m3_device_open(team.engines[1], "reference", (m3_span){0}, &other, &err) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_device_close(other);
    training_ranks_close(&team);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"ranks with a batch each are one that accumulates, loss full", adds_up, NULL, NULL, (void *)"loss=full"},
        {"ranks with a batch each are one that accumulates, loss sampled", adds_up, NULL, NULL, (void *)"loss=sampled"},
        {"ranks with a batch each are one that accumulates, bf16", adds_up, NULL, NULL, (void *)"precision=bf16"},
        {"ranks with several batches are so within rounding", adds_up_shares, NULL, NULL, NULL},
        {"ranks with small batches are one with a large one", is_one_large_batch, NULL, NULL,
         (void *)"denoise=neighbors"},
        {"so they are with noise", is_one_large_batch, NULL, NULL, (void *)"denoise=replace"},
        {"so they are with noise and a gate", is_one_large_batch, NULL, NULL, (void *)"denoise=gated"},
        {"so they are with layers of experts", is_one_large_batch, NULL, NULL, (void *)"expert=transformer"},
        {"so they are with interests told apart", is_one_large_batch, NULL, NULL, (void *)"contrast=interests"},
        {"so they are with the full loss", is_one_large_batch, NULL, NULL, (void *)"loss=full"},
        {"sums that are sent while others are computed are the same", adds_up_early, NULL, NULL, NULL},
        {"a trace has both ranks, and sums beside nodes", shows_what_goes_on_at_once, NULL, NULL, NULL},
        {"a run goes on with the same ranks bit for bit", goes_on, NULL, NULL, NULL},
        {"a run goes on with other ranks within rounding", goes_on_with_others, NULL, NULL, NULL},
        {"a run whose steps have one batch is not shared", refuses_one_batch, NULL, NULL, NULL},
        {"devices that round differently train one model", mixes, NULL, NULL, NULL},
        {"all stop together, and save", stops, NULL, NULL, NULL},
        {"a diverged training ends all ranks", diverges, NULL, NULL, NULL},
        {"no memory at many points", runs_out_of_memory, NULL, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, start, stop);
}
