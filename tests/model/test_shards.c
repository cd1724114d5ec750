/* shards: ranks that share out the rows of the item table (`shard: rows`) train as ranks that have it whole do, within
 * rounding, whatever the formulas that read it; no rank has all of it; the same ranks give the same bits.
 * Labels: threads */
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/alloc.h"
#include "core/train/shards.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum { MOST = 3, STEPS = 4096, ITEMS = 700 };

static training_ranks team;
static m3_device *other;
static data_source source;

/* What a training said of itself, step by step. */
typedef struct told {
    uint32_t count;
    double loss[STEPS];
    uint32_t rows, tile; /* of a rank's shard; that are scored at a time */
} told;

static void hear(void *user, const m3_progress *progress)
{
    told *t = user;
    if (progress->note == NULL && t->count < STEPS) t->loss[t->count++] = progress->loss;
    const char *rows = progress->note != NULL ? strstr(progress->note, "each rank keeps ") : NULL;
    const char *tile = rows != NULL ? strstr(rows, " users and ") : NULL;
    if (tile == NULL) return;
    t->rows = (uint32_t)strtoul(rows + sizeof "each rank keeps", NULL, 10);
    t->tile = (uint32_t)strtoul(tile + sizeof " users and", NULL, 10);
}

static m3_status run(m3_device *const *with, uint32_t count, const m3_settings *settings, const char *folder,
                     m3_train_options options, told *t, m3_train_result *result, m3_error *err)
{
    if (t != NULL) *t = (told){0};
    if (t != NULL) options.progress = hear;
    options.user = t;
    return training_ranks_train(&team, with, count, &source, settings, folder, options, result, err);
}

static m3_train_result train(m3_device *const *with, uint32_t count, const m3_settings *settings, const char *folder,
                             told *t)
{
    m3_error err = {0};
    m3_train_result result = {0};
    const m3_status st = run(with, count, settings, folder, (m3_train_options){0}, t, &result, &err);
    if (st != M3_OK) fail_msg("%s: status %d: %s: %s", folder, (int)st, err.subject, err.message);
    return result;
}

static m3_settings *make_settings(const char *more, const char *shard)
{
    static const char *const all[] = {"loss=sampled",   "negatives=3",     "dropout=0.2",
                                      "contrast=users", "schedule=cosine", "batch=4",
                                      "eval_batch=16",  "length=4",        "metric=mrr@300"};
    m3_error err = {0};
    char one[64];
    m3_settings *settings = training_settings(data_source_path(&source, "set"), shard, NULL);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        training_check(m3_settings_set(settings, all[i], &err), &err);
    for (const char *at = more; *at != 0; at += strcspn(at, " ") + (at[strcspn(at, " ")] != 0)) {
        (void)snprintf(one, sizeof one, "%.*s", (int)strcspn(at, " "), at);
        training_check(m3_settings_set(settings, one, &err), &err);
    }
    return settings;
}

static void same_course(const told *a, const told *b, double bound)
{
    assert_true(a->count > 10);
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++)
        if (!(fabs(a->loss[i] - b->loss[i]) <= (i < 5 ? 1e-5 : bound) * fabs(a->loss[i])))
            fail_msg("loss after step %u: %.9g and %.9g", i + 1, a->loss[i], b->loss[i]);
}

/* What rank 0 named, as one file. */
static void join(const char *folder, const char *name)
{
    m3_error err = {0};
    char from[300], to[320];
    (void)snprintf(from, sizeof from, "%s/%s.safetensors", data_source_path(&source, folder), name);
    (void)snprintf(to, sizeof to, "%s/%s.joined", data_source_path(&source, folder), name);
    training_check(m3_checkpoint_join_file(from, to, NULL, &err), &err);
}

static void same_tensors(const char *a, const char *b, double bound)
{
    static const char *const names[] = {"last", "best"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char joined[32];
        join(a, names[i]);
        join(b, names[i]);
        (void)snprintf(joined, sizeof joined, "%s.joined", names[i]);
        training_same_tensors(&source, a, b, joined, bound);
    }
}

/* What the first epoch's line of a log has of the parts of the model; json_decref() it. */
static json_t *instruments_of(const char *folder)
{
    char path[300], line[65536];
    json_t *found = NULL;
    (void)snprintf(path, sizeof path, "%s/log.jsonl", data_source_path(&source, folder));
    FILE *log = fopen(path, "rb");
    assert_non_null(log);
    while (found == NULL && fgets(line, sizeof line, log) != NULL) {
        json_t *event = json_loads(line, 0, NULL);
        found = json_incref(json_object_get(event, "instruments"));
        json_decref(event);
    }
    (void)fclose(log);
    assert_true(json_is_object(found));
    return found;
}

static void same_json(const char *name, const json_t *a, const json_t *b, double bound)
{
    const char *key;
    json_t *value;
    assert_int_equal(json_typeof(a), json_typeof(b));
    assert_int_equal(json_object_size(a), json_object_size(b));
    json_object_foreach((json_t *)a, key, value) same_json(key, value, json_object_get(b, key), bound);
    const double x = json_number_value(a), y = json_number_value(b);
    if (!(fabs(x - y) <= bound * fmax(fabs(x), 1e-3))) fail_msg("%s: %.9g and %.9g", name, x, y);
}

/* Losses of denoisers are means over draws, which are other ones where batches are as large as a window suffices for.
 */
static void same_instruments(const char *a, const char *b, double bound)
{
    const char *name;
    json_t *x = instruments_of(a), *y = instruments_of(b), *denoiser;
    json_object_foreach(json_object_get(x, "denoisers"), name, denoiser)
        same_json(name, denoiser, json_object_get(json_object_get(y, "denoisers"), name), 0.2);
    (void)json_object_del(x, "denoisers");
    (void)json_object_del(y, "denoisers");
    same_json("instruments", x, y, bound);
    assert_true(json_object_size(json_object_get(y, "encoders")) > 0);
    json_decref(y);
    json_decref(x);
}

static void adds_up(void **state)
{
    static told whole, parts;
    m3_settings *plain = make_settings(*state, "shard=none"), *sharded = make_settings(*state, "shard=rows");
    for (uint32_t ranks = 2; ranks <= 3; ranks++) {
        char a[100], b[100];
        (void)snprintf(a, sizeof a, "whole-%u-%.60s", ranks, (const char *)*state);
        (void)snprintf(b, sizeof b, "parts-%u-%.60s", ranks, (const char *)*state);
        const m3_train_result want = train(team.devices, ranks, plain, a, &whole);
        const m3_train_result got = train(team.devices, ranks, sharded, b, &parts);
        same_course(&whole, &parts, 1e-3);
        same_tensors(a, b, 5e-3);
        same_instruments(a, b, 1e-2);
        assert_int_equal(got.steps, want.steps);
        assert_true(want.best_metric > 0);
        if (!(fabs(got.best_metric - want.best_metric) <= 1e-3)) fail_msg("%g %g", got.best_metric, want.best_metric);
    }
    m3_settings_free(sharded);
    m3_settings_free(plain);
}

/* A process with one batch a step sees the table itself, and no window. Every loss counts, also in the uneven step that
 * ends the epoch, and steps are as large as gradients. */
static void is_one_without_a_window(void **state)
{
    m3_error err = {0};
    m3_train_result result = {0};
    const m3_train_options few = {0};
    char keys[200], windows[80], owners[80], table[80];
    (void)snprintf(windows, sizeof windows, "windows-%.60s", (const char *)*state);
    (void)snprintf(owners, sizeof owners, "owners-%.60s", (const char *)*state);
    (void)snprintf(table, sizeof table, "table-%.60s", (const char *)*state);
    (void)snprintf(keys, sizeof keys,
                   "contrast=targets w_contrast=1 w_modality=1 w_behavior=1 adam_eps=1 lr=0.5 epochs=1 %s",
                   (const char *)*state);
    m3_settings *plain = make_settings(keys, "shard=none"), *sharded = make_settings(keys, "shard=rows");
    assert_int_equal(run(team.devices, 2, plain, windows, few, NULL, &result, &err), M3_OK);
    assert_int_equal(run(team.devices, 2, sharded, owners, few, NULL, &result, &err), M3_OK);
    const unsigned long batches = strtoul(m3_settings_get(plain, "accumulate"), NULL, 10);
    (void)snprintf(keys, sizeof keys, "batch=%lu", 4 * (batches > 2 ? batches : 2)); /* a batch a rank at least */
    training_check(m3_settings_set(plain, keys, &err), &err);
    training_check(m3_settings_set(plain, "accumulate=1", &err), &err);
    training_run(team.devices[0], &source, plain, table, few, M3_OK, &err);
    join(owners, "last");
    join(windows, "last");
    join(table, "last");
    training_same_tensors(&source, table, windows, "last.joined", 1e-5);
    training_same_tensors(&source, table, owners, "last.joined", 1e-5);
    m3_settings_free(sharded);
    m3_settings_free(plain);
}

/* One batch has all samples, so that a step that adds up two has one, and touches what a whole step does. */
static void touches_the_same(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = make_settings("batch=500 lr=0.003 epochs=12 weight_decay=0.1 lazy=on", "shard=none");
    training_run(team.devices[0], &source, settings, "one", (m3_train_options){0}, M3_OK, &err);
    training_check(m3_settings_set(settings, "accumulate=2", &err), &err);
    training_run(team.devices[0], &source, settings, "halves", (m3_train_options){0}, M3_OK, &err);
    train(team.devices, 2, settings, "halves-of-two", NULL);
    same_tensors("one", "halves", 1e-4);
    same_tensors("halves", "halves-of-two", 0.0);
    m3_settings_free(settings);
}

static void goes_on(void **state)
{
    m3_error err = {0};
    m3_train_result result = {0};
    char keys[80];
    (void)snprintf(keys, sizeof keys, "checkpoint_steps=2 %.50s", (const char *)*state);
    m3_settings *settings = make_settings(keys, "shard=none");
    const m3_train_options first = {.stop_after = 3}, next = {.resume = true, .stop_after = 4}, rest = {.resume = true};
    char whole[80], again[80], parts[80];
    (void)snprintf(whole, sizeof whole, "once-%.50s", (const char *)*state);
    (void)snprintf(again, sizeof again, "again-%.50s", (const char *)*state);
    (void)snprintf(parts, sizeof parts, "on-%.50s", (const char *)*state);
    train(team.devices, 3, settings, whole, NULL);
    train(team.devices, 3, settings, again, NULL);
    same_tensors(whole, again, 0.0);
    assert_int_equal(run(team.devices, 3, settings, parts, first, NULL, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(run(team.devices, 3, settings, parts, next, NULL, &result, &err), M3_ERR_INTERRUPTED);
    training_check(run(team.devices, 3, settings, parts, rest, NULL, &result, &err), &err);
    same_tensors(whole, parts, 0.0);
    m3_settings_free(settings);
}

/* Rows that come early are those that come in time. Steps of an epoch's end have other batches than those before. */
static void fetches_ahead(void **state)
{
    static told ahead, waiting;
    static const char *const late[] = {"overlap", NULL};
    m3_error err = {0};
    m3_train_result result = {0};
    const m3_train_options few = {.stop_after = 5}, on = {.resume = true}, wait = {.no_pass = late};
    m3_settings *settings = make_settings(*state, "shard=rows");
    for (uint32_t ranks = 2; ranks <= 3; ranks++) {
        char a[100], b[100];
        (void)snprintf(a, sizeof a, "ahead-%u-%.60s", ranks, (const char *)*state);
        (void)snprintf(b, sizeof b, "waiting-%u-%.60s", ranks, (const char *)*state);
        training_check(run(team.devices, ranks, settings, b, wait, &waiting, &result, &err), &err);
        train(team.devices, ranks, settings, a, &ahead);
        same_course(&waiting, &ahead, 0.0);
        for (uint32_t i = 0; i < ahead.count; i++) assert_true(ahead.loss[i] == waiting.loss[i]);
        same_tensors(a, b, 0.0);
        (void)snprintf(a, sizeof a, "cut-%u-%.60s", ranks, (const char *)*state);
        assert_int_equal(run(team.devices, ranks, settings, a, few, NULL, &result, &err), M3_ERR_INTERRUPTED);
        training_check(run(team.devices, ranks, settings, a, on, NULL, &result, &err), &err);
        same_tensors(a, b, 0.0);
    }
    m3_settings_free(settings);
}

/* What a rank's track has of an exchange. */
typedef struct exchanges {
    uint32_t count, beside; /* beside: of them, while a node of the rank ran */
    double bytes;
} exchanges;

static double number(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(event, key));
}

static bool is(const json_t *event, const char *key, const char *want)
{
    const char *value = json_string_value(json_object_get(event, key));
    return value != NULL && strcmp(value, want) == 0;
}

static bool has_node_beside(const json_t *events, const json_t *one)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        if (is(e, "cat", "node") && number(e, "pid") == number(one, "pid") &&
            number(e, "ts") < number(one, "ts") + number(one, "dur") &&
            number(one, "ts") < number(e, "ts") + number(e, "dur"))
            return true;
    }
    return false;
}

static exchanges look_at(const json_t *events, int rank, const char *what)
{
    exchanges all = {0};
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        if (!is(e, "cat", "exchange") || !is(e, "name", what) || number(e, "pid") != rank + 1) continue;
        all.count++;
        all.beside += has_node_beside(events, e);
        all.bytes += number(json_object_get(e, "args"), "bytes");
    }
    return all;
}

static json_t *trace(const m3_settings *settings, m3_train_options options)
{
    static int runs;
    m3_error err = {0};
    m3_train_result result = {0};
    json_error_t wrong;
    char folder[64];
    (void)snprintf(folder, sizeof folder, "traced-%d", runs++);
    const char *path = data_source_path(&source, "trace.json");
    options.profile = path;
    options.stop_after = 5;
    assert_int_equal(run(team.devices, 2, settings, folder, options, NULL, &result, &err), M3_ERR_INTERRUPTED);
    json_t *all = json_load_file(data_source_path(&source, "trace.json"), 0, &wrong);
    if (all == NULL) fail_msg("line %d: %s", wrong.line, wrong.text);
    return all;
}

/* Steps 2, 3 and 4: rows of the next one come beside nodes of each, as do ids. On a machine that is busy the thread may
 * come late, but not every time, nor need both ranks' be in time at once. */
static void shows_rows_on_their_way(void **state)
{
    (void)state;
    static const char *const late[] = {"overlap", NULL};
    m3_settings *settings = make_settings("lazy=on expert=transformer width=32", "shard=rows");
    uint32_t beside[2] = {0};
    for (int tries = 0; tries < 40 && (beside[0] == 0 || beside[1] == 0); tries++) {
        json_t *file = trace(settings, (m3_train_options){0}), *events = json_object_get(file, "traceEvents");
        for (int rank = 0; rank < 2; rank++) {
            const exchanges early = look_at(events, rank, "rows early"), rest = look_at(events, rank, "rows late");
            const exchanges ids = look_at(events, rank, "ids"), back = look_at(events, rank, "gradients of rows");
            assert_true(early.count == 3 && rest.count == 3 && ids.count == 3 && back.count == 3);
            assert_true(early.bytes > 0 && rest.bytes > 0 && ids.bytes > 0 && back.bytes > 0);
            assert_true(rest.beside == 0 && back.beside == 0);
            beside[rank] += early.beside;
        }
        json_decref(file);
    }
    assert_true(beside[0] > 0 && beside[1] > 0);
    json_t *file = trace(settings, (m3_train_options){.no_pass = late});
    for (int rank = 0; rank < 2; rank++) {
        const json_t *events = json_object_get(file, "traceEvents");
        assert_int_equal(look_at(events, rank, "rows early").count, 0);
        assert_int_equal(look_at(events, rank, "rows late").count, 3);
        assert_int_equal(look_at(events, rank, "ids").beside, 0);
    }
    json_decref(file);
    m3_settings_free(settings);
}

/* With fewer ranks, with the whole table, and alone. */
static void goes_on_with_others(void **state)
{
    char keys[80], once[80], others[80];
    (void)snprintf(keys, sizeof keys, "accumulate=6 %.50s", (const char *)*state);
    (void)snprintf(once, sizeof once, "three-%.50s", (const char *)*state);
    (void)snprintf(others, sizeof others, "others-%.50s", (const char *)*state);
    m3_error err = {0};
    m3_train_result result = {0};
    m3_settings *sharded = make_settings(keys, "shard=rows"), *plain = make_settings(keys, "shard=none");
    const m3_train_options first = {.stop_after = 2}, next = {.resume = true, .stop_after = 2}, rest = {.resume = true};
    train(team.devices, 3, sharded, once, NULL);
    assert_int_equal(run(team.devices, 3, sharded, others, first, NULL, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(run(team.devices, 2, sharded, others, next, NULL, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(run(team.devices, 2, plain, others, next, NULL, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(run(team.devices, 3, sharded, others, next, NULL, &result, &err), M3_ERR_INTERRUPTED);
    training_run(team.devices[0], &source, sharded, others, rest, M3_OK, &err);
    same_tensors(once, others, 5e-3);
    m3_settings_free(plain);
    m3_settings_free(sharded);
}

static void mixes(void **state)
{
    (void)state;
    m3_device *const two[] = {team.devices[0], other};
    m3_settings *settings = make_settings("epochs=1", "shard=rows");
    train(two, 2, settings, "mixed", NULL);
    train(team.devices, 2, settings, "unmixed", NULL);
    same_tensors("unmixed", "mixed", 5e-3);
    m3_settings_free(settings);
}

static void refuses(void **state)
{
    static const char *const rows[][2] = {{"checkpoint_parts=off", "no rank has the whole table to write"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m3_error err = {0};
        m3_train_result result = {0};
        m3_settings *settings = make_settings(rows[i][0], "shard=rows");
        const m3_status st = run(team.devices, 2, settings, "refused", (m3_train_options){0}, NULL, &result, &err);
        assert_int_equal(st, M3_ERR_INVALID);
        assert_string_equal(err.subject, "checkpoint_parts");
        assert_non_null(strstr(err.message, rows[i][1]));
        m3_settings_free(settings);
    }
}

/* A rank that has got ready for its first step. */
typedef struct ready {
    m3_trainer tr;
    const char *folder;
    m3_status status;
    m3_error error;
    uint64_t rows, used; /* of the largest table in its store; bytes of its device */
} ready;

static void *get_ready(void *arg)
{
    ready *r = arg;
    r->tr.engine = m3_device_engine(r->tr.device);
    m3_settings_training(r->tr.settings, &r->tr.keys);
    const uint64_t before = m3_device_memory_used(r->tr.device);
    r->status = m3_trainer_init(&r->tr, r->folder, &r->error);
    if (r->status != M3_OK) m3_member_fail(r->tr.shared.member, &r->error);
    r->used = m3_device_memory_used(r->tr.device) - before;
    for (uint32_t i = 0; r->status == M3_OK && i < m3_store_count(r->tr.store); i++) {
        m3_store_entry entry;
        m3_store_at(r->tr.store, i, &entry);
        const bool table = strstr(entry.name, "item.weight") != NULL || strstr(entry.name, "features") != NULL;
        if (table && entry.shape.dim[0] > r->rows) r->rows = entry.shape.dim[0];
    }
    m3_trainer_fini(&r->tr);
    return NULL;
}

/* The most that one of the ranks keeps. */
static void measure(const char *shard, const char *folder, uint64_t *rows, uint64_t *used)
{
    enum { RANKS = 3 };
    static ready ranks[RANKS];
    pthread_t threads[RANKS];
    m3_error err = {0};
    m3_group *group = NULL;
    char path[256];
    m3_settings *settings = make_settings("width=64", shard);
    (void)snprintf(path, sizeof path, "%s", data_source_path(&source, folder));
    training_check(m3_group_open(team.groups, "local", RANKS, 60.0, (m3_span){0}, &group, &err), &err);
    for (uint32_t i = 0; i < RANKS; i++) {
        m3_member *member = m3_group_member(group, i);
        ranks[i] = (ready){.tr = {.device = team.devices[i], .settings = settings}, .folder = path};
        ranks[i].tr.shared = (m3_shared){.member = member, .rank = i, .count = RANKS};
        assert_int_equal(pthread_create(&threads[i], NULL, get_ready, &ranks[i]), 0);
    }
    *rows = *used = 0;
    for (uint32_t i = 0; i < RANKS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        training_check(ranks[i].status, &ranks[i].error);
        if (ranks[i].rows > *rows) *rows = ranks[i].rows;
        if (ranks[i].used > *used) *used = ranks[i].used;
    }
    m3_group_close(group);
    m3_settings_free(settings);
}

/* Devices with memory for the largest shard, and not for the table. */
static void fits(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_train_result result = {0};
    m3_device *small[MOST] = {NULL};
    uint64_t rows = 0, parts = 0, whole = 0;
    char bytes[32];
    measure("shard=none", "measured-whole", &rows, &whole);
    const uint64_t all = rows;
    measure("shard=rows", "measured-parts", &rows, &parts);
    assert_true(rows < all / 2);
    assert_true(parts < whole);
    (void)snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)(parts + (whole - parts) / 2));
    const m3_option memory = {"memory", bytes};
    for (int i = 0; i < MOST; i++)
        training_check(m3_device_open(team.engines[i], "cpu", (m3_span){1, sizeof memory, &memory}, &small[i], &err),
                       &err);
    m3_settings *plain = make_settings("width=64", "shard=none"), *sharded = make_settings("width=64", "shard=rows");
    assert_int_equal(run(small, MOST, plain, "large", (m3_train_options){0}, NULL, &result, &err), M3_ERR_MEMORY);
    train(small, MOST, sharded, "small", NULL);
    for (int i = 0; i < MOST; i++) m3_device_close(small[i]);
    m3_settings_free(sharded);
    m3_settings_free(plain);
}

/* One rank lacks memory, somewhere: all of them end, and nothing is left behind. */
static void runs_out_of_memory(void **state)
{
    enum { POINTS = 10 };
    training_failing f = {.at = UINT64_MAX};
    m3_error err = {0};
    m3_train_result result = {0};
    char keys[80], counted[64];
    (void)snprintf(keys, sizeof keys, "epochs=1 %.50s", (const char *)*state);
    (void)snprintf(counted, sizeof counted, "counted-%.30s", (const char *)*state);
    m3_settings *settings = make_settings(keys, "shard=rows");
    m3_alloc_set_gate(training_fails, &f);
    (void)run(team.devices, 2, settings, counted, (m3_train_options){0}, NULL, &result, &err);
    const uint64_t all = atomic_load(&f.seen);
    for (uint64_t i = 1; i <= POINTS; i++) {
        char folder[64];
        err = (m3_error){0};
        f.at = all * i / (POINTS + 1);
        atomic_store(&f.seen, 0);
        (void)snprintf(folder, sizeof folder, "memory-%d-%.30s", (int)i, (const char *)*state);
        const m3_status st = run(team.devices, 2, settings, folder, (m3_train_options){0}, NULL, &result, &err);
        if (st == M3_OK || st == M3_ERR_MEMORY) continue;
        m3_alloc_set_gate(NULL, NULL);
        fail_msg("request %d: %s: %s", (int)f.at, err.subject, err.message);
    }
    m3_alloc_set_gate(NULL, NULL);
    m3_settings_free(settings);
}

static void make_source(uint32_t users, uint32_t items, uint32_t width)
{
    m3_error err = {0};
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    data_source_make(&source);
    synth.users = users;
    synth.items = items;
    synth.clusters = 4;
    synth.width = width;
    synth.events = 8;
    training_check(m3_data_synth(&synth, source.directory, &err), &err);
    training_check(data_source_import(&source, (m3_import_options){0}, NULL, &err), &err);
}

/* Features so wide that a tile of scores is less than a shard, and one with a batch of all samples. */
static void scores_in_tiles(void **state)
{
    enum { WIDE = 4096 };
    m3_error err = {0};
    const data_source narrow = source;
    static told whole, parts;
    (void)state;
    make_source(150, 2 * ITEMS, WIDE);
    m3_settings *plain = make_settings("loss=full fusion=scores epochs=1 batch=60 w_modality=0", "shard=none");
    m3_settings *sharded = make_settings("loss=full fusion=scores epochs=1 batch=60 w_modality=0", "shard=rows");
    const m3_train_options options = {.stop_after = 2};
    m3_train_result result = {0};
    assert_int_equal(run(team.devices, 2, plain, "plain", options, &whole, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(run(team.devices, 2, sharded, "tiles", options, &parts, &result, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(parts.count, 2);
    if (!(parts.tile < parts.rows)) fail_msg("%u rows at a time, of %u", parts.tile, parts.rows);
    for (uint32_t i = 0; i < 2; i++)
        if (!(fabs(whole.loss[i] - parts.loss[i]) <= 1e-5 * whole.loss[i]))
            fail_msg("%.9g and %.9g", whole.loss[i], parts.loss[i]);
    join("plain", "last");
    join("tiles", "last");
    training_same_tensors(&source, "plain", "tiles", "last.joined", 5e-3);
    m3_settings_free(sharded);
    m3_settings_free(plain);
    data_source_remove(&source);
    source = narrow;
}

static int start(void **state)
{
    (void)state;
    m3_error err = {0};
    make_source(50, ITEMS, 4);
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
        {"shards add up to the table, lazy off", adds_up, NULL, NULL, (void *)"lazy=off"},
        {"shards add up to the table, lazy", adds_up, NULL, NULL, (void *)"lazy=on weight_decay=0.1"},
        {"shards add up to the table, fusion table", adds_up, NULL, NULL, (void *)"fusion=table contrast=targets"},
        {"shards add up to the table, fusion scores", adds_up, NULL, NULL, (void *)"fusion=scores trend=100"},
        {"shards add up to the table, two batches a rank", adds_up, NULL, NULL,
         (void *)"accumulate=6 denoise=neighbors"},
        {"shards add up to the table, full loss", adds_up, NULL, NULL, (void *)"loss=full"},
        {"shards add up to the table, full loss, fusion table", adds_up, NULL, NULL,
         (void *)"loss=full fusion=table contrast=targets accumulate=6"},
        {"shards add up to the table, full loss, fusion scores", adds_up, NULL, NULL,
         (void *)"loss=full fusion=scores trend=100 accumulate=4"},
        {"ranks train as one that sees the table", is_one_without_a_window, NULL, NULL, (void *)"lazy=on"},
        {"ranks train as one that sees the table, with a trend", is_one_without_a_window, NULL, NULL,
         (void *)"fusion=scores trend=100"},
        {"ranks train as one that sees the table, full loss", is_one_without_a_window, NULL, NULL,
         (void *)"loss=full fusion=scores trend=100"},
        {"ranks train as one that sees the table, with networks", is_one_without_a_window, NULL, NULL,
         (void *)"denoise=gated accumulate=4"},
        {"a shard is scored in tiles", scores_in_tiles, NULL, NULL, NULL},
        {"lazy halves of a step update what the whole does", touches_the_same, NULL, NULL, NULL},
        {"sharded runs repeat, and go on bit for bit", goes_on, NULL, NULL, (void *)"shard=rows"},
        {"sharded runs with the full loss, too", goes_on, NULL, NULL, (void *)"shard=rows loss=full epochs=1"},
        {"lazy runs of several ranks repeat, and go on bit for bit", goes_on, NULL, NULL, (void *)"shard=none"},
        {"rows that come early have the same bits, lazy", fetches_ahead, NULL, NULL,
         (void *)"lazy=on weight_decay=0.1 epochs=2"},
        {"rows that come early have the same bits, lazy off", fetches_ahead, NULL, NULL,
         (void *)"lazy=off epochs=2 accumulate=6 trend=100 fusion=scores"},
        {"a trace has rows on their way beside nodes", shows_rows_on_their_way, NULL, NULL, NULL},
        {"a sharded run goes on with others", goes_on_with_others, NULL, NULL, (void *)"lazy=auto"},
        {"so does one with the full loss", goes_on_with_others, NULL, NULL, (void *)"loss=full"},
        {"devices that round differently share out a table", mixes, NULL, NULL, NULL},
        {"what needs the whole table is refused", refuses, NULL, NULL, NULL},
        {"a table fits by its shards alone", fits, NULL, NULL, NULL},
        {"no memory at many points", runs_out_of_memory, NULL, NULL, (void *)"lazy=auto"},
        {"no memory at many points, full loss", runs_out_of_memory, NULL, NULL, (void *)"loss=full"},
    };
    return cmocka_run_group_tests(tests, start, stop);
}
