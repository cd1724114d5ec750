/* warm shards: ranks that share out the rows of the item table (`shard: rows`) start from another run, in one file or
 * in parts, with the rows of one process that has all of them; no rank has the table. Labels: threads */
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/runtime/store.h"
#include "core/train/shards.h"
#include "tests/support/grown.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WIDTH = GROWN_WIDTH };

static training_ranks team;
static grown sets;

/* The item table of a checkpoint, in one file, becomes one that features explain. */
static void plant(const char *path)
{
    m3_error err = {0};
    m3_dataset *set = NULL;
    uint64_t length = 0, begin = 0;
    training_check(m3_dataset_open(data_source_path(&sets.old, "set"), &set, &err), &err);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(&length, sizeof length, 1, file), 1);
    char *header = calloc(1, length + 1);
    assert_non_null(header);
    assert_int_equal(fread(header, 1, length, file), length);
    const char *at = strstr(header, "\"" M3_ITEM_PARAMETER "\"");
    assert_non_null(at);
    at = strstr(at, "data_offsets");
    assert_non_null(at);
    begin = strtoull(strchr(at, '[') + 1, NULL, 10) + sizeof length + length + WIDTH * sizeof(float);
    assert_int_equal(fseek(file, (long)begin, SEEK_SET), 0);
    for (uint32_t i = 1; i <= GROWN_OLD; i++)
        for (uint32_t d = 0; d < WIDTH; d++) {
            const float value = (float)grown_planted(grown_meant(set, i), d);
            assert_int_equal(fwrite(&value, sizeof value, 1, file), 1);
        }
    assert_int_equal(fclose(file), 0);
    free(header);
    m3_dataset_close(set);
}

static m3_settings *start_settings(const data_source *set, const char *run, const char *shard, const char *more)
{
    char from[160], one[64];
    m3_error err = {0};
    (void)snprintf(from, sizeof from, "from=%s", data_source_path(&sets.old, run));
    m3_settings *settings = training_settings(data_source_path(set, "set"), from, shard, "loss=sampled", "negatives=3",
                                              "batch=4", "eval_batch=16", NULL);
    for (const char *at = more; *at != 0; at += strcspn(at, " ") + (at[strcspn(at, " ")] != 0)) {
        (void)snprintf(one, sizeof one, "%.*s", (int)strcspn(at, " "), at);
        training_check(m3_settings_set(settings, one, &err), &err);
    }
    return settings;
}

static m3_status train_ranks(uint32_t count, const data_source *source, const m3_settings *settings, const char *run,
                             m3_train_options options, m3_error *err)
{
    m3_train_result result = {0};
    return training_ranks_train(&team, team.devices, count, source, settings, run, options, &result, err);
}

/* Two runs on the old set to start from: "planted", in one file, and "parts", in those of three ranks, with its rows.
 */
static void make_runs(void)
{
    m3_error err = {0};
    m3_settings *settings = training_settings(data_source_path(&sets.old, "set"), "epochs=2", NULL);
    training_run(team.devices[0], &sets.old, settings, "planted", (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    plant(data_source_path(&sets.old, "planted/best.safetensors"));
    settings = start_settings(&sets.old, "planted", "shard=rows", "lr=1e-12");
    const m3_train_options one = {.stop_after = 1};
    assert_int_equal(train_ranks(3, &sets.old, settings, "parts", one, &err), M3_ERR_INTERRUPTED);
    m3_settings_free(settings);
    m3_parts *file = NULL;
    err = (m3_error){0};
    training_check(m3_parts_open(data_source_path(&sets.old, "parts/last.safetensors"), &file, &err), &err);
    assert_int_equal(m3_parts_files(file), 4);
    m3_parts_close(file);
}

/* A rank that has got ready for its first step. */
typedef struct ready {
    m3_trainer tr;
    const char *folder;
    float *rows; /* of the whole table; it writes its own */
    m3_status status;
    bool heard; /* its error is another rank's */
    m3_error error;
    uint64_t largest; /* rows of a table in its store */
} ready;

static void *get_ready(void *arg)
{
    ready *r = arg;
    r->tr.engine = m3_device_engine(r->tr.device);
    m3_settings_training(r->tr.settings, &r->tr.keys);
    r->status = m3_trainer_init(&r->tr, r->folder, &r->error);
    if (r->status != M3_OK && !r->tr.shared.heard) m3_member_fail(r->tr.shared.member, &r->error);
    for (uint32_t i = 0; r->status == M3_OK && i < m3_store_count(r->tr.store); i++) {
        m3_store_entry entry;
        m3_store_at(r->tr.store, i, &entry);
        const bool table = strstr(entry.name, "item.weight") != NULL || strstr(entry.name, "features") != NULL;
        if (table && entry.shape.dim[0] > r->largest) r->largest = entry.shape.dim[0];
        if (strcmp(entry.name, M3_ITEM_PARAMETER) != 0) continue;
        const uint64_t first = r->tr.shards != NULL ? r->tr.shards->begin : 0;
        r->status = m3_store_read(r->tr.store, entry.name, r->rows + first * WIDTH,
                                  m3_shape_count(&entry.shape) * sizeof(float), &r->error);
    }
    r->heard = r->tr.shared.heard;
    m3_trainer_fini(&r->tr);
    return NULL;
}

/* The table with which ranks begin, each with settings of its own. */
static m3_status start(uint32_t count, m3_settings *const *settings, float *rows, uint64_t *largest, m3_error *err)
{
    static ready ranks[TRAINING_RANKS];
    static int starts; /* a folder each */
    pthread_t threads[TRAINING_RANKS];
    m3_group *group = NULL;
    m3_status st = M3_OK;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/start-%d", sets.new.directory, starts++);
    if (count > 1) training_check(m3_group_open(team.groups, "local", count, 60.0, (m3_span){0}, &group, err), err);
    for (uint32_t i = 0; i < count; i++) {
        ranks[i] = (ready){.tr = {.device = team.devices[i], .settings = settings[i]}, .folder = path, .rows = rows};
        ranks[i].tr.shared = (m3_shared){.member = group != NULL ? m3_group_member(group, i) : NULL, i, count};
        assert_int_equal(pthread_create(&threads[i], NULL, get_ready, &ranks[i]), 0);
    }
    *largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (ranks[i].largest > *largest) *largest = ranks[i].largest;
        if (ranks[i].status == M3_OK || (st != M3_OK && ranks[i].heard)) continue;
        st = ranks[i].status; /* another's is heard by all */
        *err = ranks[i].error;
    }
    m3_group_close(group);
    return st;
}

static void same_bits(const float *a, const float *b, uint32_t ranks, uint64_t count)
{
    for (uint64_t i = 0; i < count * WIDTH; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%u ranks have %.9g in column %d of row %d, and one has %.9g", ranks, (double)b[i],
                     (int)(i % WIDTH), (int)(i / WIDTH), (double)a[i]);
}

/* Rows of items that the run knows. Returns how many others are what features say of them. */
static uint32_t check_planted(const m3_dataset *set, const float *rows)
{
    uint32_t said = 0;
    for (uint32_t i = 1; i <= m3_dataset_item_count(set); i++) {
        double most = 0.0;
        for (uint32_t d = 0; d < WIDTH; d++)
            most = fmax(most, fabs((double)rows[i * WIDTH + d] - grown_planted(grown_meant(set, i), d)));
        if (grown_meant(set, i) < GROWN_OLD && most > 1e-6)
            fail_msg("row of i%u is off by %g", grown_meant(set, i), most);
        said += grown_meant(set, i) >= GROWN_OLD && most < 0.01;
    }
    return said;
}

/* From one file and from parts, whether items came or went, and however new rows are made. */
static void ranks_start_with_the_rows_of_one(void **state)
{
    static const char *const runs[] = {"planted", "parts"}, *const ways[] = {"features", "neighbors", "random"};
    const data_source *const later[] = {&sets.new, &sets.less};
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        static float one[(GROWN_ITEMS + 2) * WIDTH], all[(GROWN_ITEMS + 2) * WIDTH], last[(GROWN_ITEMS + 2) * WIDTH];
        char how[80];
        m3_error err = {0};
        m3_dataset *set = NULL;
        uint64_t largest = 0;
        (void)snprintf(how, sizeof how, "batch=1 negatives=1 new_items=%s", ways[i % 3]);
        training_check(m3_dataset_open(data_source_path(later[i / 6], "set"), &set, &err), &err);
        const uint64_t total = m3_dataset_item_count(set) + UINT64_C(1);
        assert_int_equal(total, i < 6 ? GROWN_ITEMS + 2 : GROWN_ITEMS - GROWN_GONE + 1);
        m3_settings *plain = start_settings(later[i / 6], runs[i / 3 % 2], "shard=none", how);
        m3_settings *sharded = start_settings(later[i / 6], runs[i / 3 % 2], "shard=rows", how);
        m3_settings *const of_all[] = {sharded, sharded, sharded};
        training_check(start(1, &plain, one, &largest, &err), &err);
        assert_int_equal(largest, total);
        assert_int_equal(check_planted(set, one), i % 3 == 0 ? 3 : 0);
        if (i % 3 != 0) assert_memory_not_equal(one, last, sizeof one); /* each way has rows of its own */
        memcpy(last, one, sizeof one);
        for (uint32_t ranks = 2; ranks <= 3; ranks++) {
            memset(all, 0xff, sizeof all);
            training_check(start(ranks, of_all, all, &largest, &err), &err);
            same_bits(one, all, ranks, total);
            if (largest >= total) fail_msg("a rank has %d rows of %d", (int)largest, (int)total);
        }
        m3_settings_free(sharded);
        m3_settings_free(plain);
        m3_dataset_close(set);
    }
}

/* Losses of the first steps. */
enum { STEPS = 8 };

typedef struct told {
    uint32_t count;
    double loss[STEPS];
} told;

static void hear(void *user, const m3_progress *progress)
{
    told *t = user;
    if (progress->note == NULL && t->count < STEPS) t->loss[t->count++] = progress->loss;
}

static void join(const char *run)
{
    m3_error err = {0};
    char name[80];
    (void)snprintf(name, sizeof name, "%.40s/last.safetensors", run);
    const char *from = data_source_path(&sets.new, name);
    (void)snprintf(name, sizeof name, "%.40s/joined", run);
    training_check(m3_checkpoint_join_file(from, data_source_path(&sets.new, name), NULL, &err), &err);
}

/* And go on bit for bit. */
static void ranks_train_as_one(void **state)
{
    static const char *const runs[] = {"planted", "parts"};
    for (size_t i = 0; i < 2; i++) {
        m3_error err = {0};
        char keys[120], name[40], cut[40];
        told alone = {0};
        (void)snprintf(keys, sizeof keys, "accumulate=6 epochs=1 %s", (const char *)*state);
        m3_settings *plain = start_settings(&sets.new, runs[i], "shard=none", keys);
        m3_settings *sharded = start_settings(&sets.new, runs[i], "shard=rows", keys);
        (void)snprintf(name, sizeof name, "%s-%.20s-one", runs[i], (const char *)*state);
        training_run(team.devices[0], &sets.new, plain, name, (m3_train_options){.progress = hear, .user = &alone},
                     M3_OK, &err);
        assert_true(alone.count > 3);
        for (uint32_t ranks = 2; ranks <= 3; ranks++) {
            told all = {0};
            const m3_train_options some = {.stop_after = 2}, rest = {.resume = true};
            (void)snprintf(name, sizeof name, "%s-%.20s-%u", runs[i], (const char *)*state, ranks);
            (void)snprintf(cut, sizeof cut, "%s-%.20s-%u-cut", runs[i], (const char *)*state, ranks);
            training_check(
                train_ranks(ranks, &sets.new, sharded, name, (m3_train_options){.progress = hear, .user = &all}, &err),
                &err);
            assert_int_equal(all.count, alone.count);
            for (uint32_t k = 0; k < all.count; k++)
                if (!(fabs(all.loss[k] - alone.loss[k]) <= (k < 3 ? 1e-5 : 1e-3) * fabs(alone.loss[k])))
                    fail_msg("loss after step %u: %.9g and %.9g", k + 1, alone.loss[k], all.loss[k]);
            assert_int_equal(train_ranks(ranks, &sets.new, sharded, cut, some, &err), M3_ERR_INTERRUPTED);
            training_check(train_ranks(ranks, &sets.new, sharded, cut, rest, &err), &err);
            join(name);
            join(cut);
            training_same_tensors(&sets.new, name, cut, "joined", 0.0);
        }
        m3_settings_free(sharded);
        m3_settings_free(plain);
    }
}

/* As where the run is trained on while ranks start from it, or its copies on several machines are not the same. */
static void ranks_start_from_one_checkpoint(void **state)
{
    (void)state;
    static float rows[(GROWN_ITEMS + 2) * WIDTH];
    m3_error err = {0};
    uint64_t largest = 0;
    m3_settings *settings[] = {start_settings(&sets.new, "planted", "shard=rows", ""),
                               start_settings(&sets.new, "parts", "shard=rows", "")};
    assert_int_equal(start(2, settings, rows, &largest, &err), M3_ERR_INVALID);
    if (strstr(err.message, "the checkpoint that they start from") == NULL)
        fail_msg("%s: %s", err.subject, err.message);
    m3_settings_free(settings[1]);
    m3_settings_free(settings[0]);
}

static void what_cannot_start_is_told(void **state)
{
    static const char *const rows[][2] = {
        {"from=/nowhere/run", "cannot be opened"},
        {"features=[] fusion=none", "other behaviors or modalities"},
        {"width=16", "use the settings that it was made with"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m3_error err = {0};
        m3_settings *settings = start_settings(&sets.new, "parts", "shard=rows", rows[i][0]);
        assert_int_equal(train_ranks(2, &sets.new, settings, "refused", (m3_train_options){0}, &err), M3_ERR_INVALID);
        if (strstr(err.message, rows[i][1]) == NULL) fail_msg("%s: %s", err.subject, err.message);
        assert_int_not_equal(access(data_source_path(&sets.new, "refused"), F_OK), 0);
        m3_settings_free(settings);
    }
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    char part[400] = "", away[420];
    m3_error err = {0};
    m3_parts *file = NULL;
    training_check(m3_parts_open(data_source_path(&sets.old, "parts/last.safetensors"), &file, &err), &err);
    (void)snprintf(part, sizeof part, "%s", m3_parts_file(file, 2));
    m3_parts_close(file);
    (void)snprintf(away, sizeof away, "%s.away", part);
    assert_int_equal(rename(part, away), 0);
    m3_settings *settings = start_settings(&sets.new, "parts", "shard=rows", "");
    assert_int_equal(train_ranks(2, &sets.new, settings, "lacks", (m3_train_options){0}, &err), M3_ERR_INVALID);
    assert_string_equal(err.subject, part);
    assert_non_null(strstr(err.message, "is missing: it has the rows of part 2 of 3"));
    assert_int_equal(rename(away, part), 0);
    m3_settings_free(settings);
}

/* One rank lacks memory, somewhere: all of them end, and nothing is left behind. */
static void ranks_survive_without_memory(void **state)
{
    enum { POINTS = 40 };
    (void)state;
    static float rows[(GROWN_ITEMS + 2) * WIDTH];
    training_failing f = {.at = UINT64_MAX};
    m3_error err = {0};
    uint64_t largest = 0;
    m3_settings *settings = start_settings(&sets.new, "parts", "shard=rows", "train_on=new");
    m3_settings *const both[] = {settings, settings};
    m3_alloc_set_gate(training_fails, &f);
    const m3_status whole = start(2, both, rows, &largest, &err);
    const uint64_t all = atomic_load(&f.seen);
    m3_status st = whole;
    for (uint64_t i = 1; i <= POINTS && (st == M3_OK || st == M3_ERR_MEMORY); i++) {
        err = (m3_error){0};
        f.at = all * i / (POINTS + 1);
        atomic_store(&f.seen, 0);
        st = start(2, both, rows, &largest, &err);
    }
    m3_alloc_set_gate(NULL, NULL);
    m3_settings_free(settings);
    assert_int_equal(whole, M3_OK);
    if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("request %d: %s: %s", (int)f.at, err.subject, err.message);
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    grown_make(&sets);
    training_check(training_ranks_open(&team, M3BSR_BUILD_PLUGIN_DIR, &err), &err);
    make_runs();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    training_ranks_close(&team);
    grown_remove(&sets);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_start_with_the_rows_of_one),
        {"ranks train as one, on all", ranks_train_as_one, NULL, NULL, (void *)"train_on=all"},
        {"ranks train as one, on what is new", ranks_train_as_one, NULL, NULL, (void *)"train_on=new"},
        {"ranks train as one, full loss", ranks_train_as_one, NULL, NULL, (void *)"loss=full"},
        cmocka_unit_test(ranks_start_from_one_checkpoint),
        cmocka_unit_test(what_cannot_start_is_told),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(ranks_survive_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
