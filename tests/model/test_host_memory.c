/* host_memory: what ranks of shards ask for in memory, device and host together. It grows with the items by a rank's
 * part of the table alone: nothing else has an entry for each item, whatever is made of the set.
 * Labels: threads */
#include <stdatomic.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/train/host.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WIDTH = 8, FEATURES = 32, FEW = 2000, MANY = 8000, USED = 60, USERS = 24, EVENTS = 8 };

static training_ranks team;
static data_source source;
static char sets[2][300], starts[2][320]; /* starts: "from=RUN", of runs on a part of each */

/* What rank 0 said before its first step, and what all ranks had in files then. */
static char told[2048];
static uint64_t in_files;

/* Mappings whose file has no name any more: it was one of an outfile's. */
static uint64_t mapped(void)
{
    char line[1024];
    uint64_t bytes = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        char *end = NULL;
        const bool ours = strstr(line, ".tmp.") != NULL && strstr(line, "(deleted)") != NULL;
        const uint64_t from = strtoull(line, &end, 16);
        if (ours && *end == '-') bytes += strtoull(end + 1, NULL, 16) - from;
    }
    (void)fclose(maps);
    return bytes;
}

static void hear(void *user, const m3_progress *progress)
{
    (void)user;
    const size_t used = strlen(told);
    if (progress->step == 0 && progress->note != NULL)
        (void)snprintf(told + used, sizeof told - used, "%s\n", progress->note);
    if (progress->step == 1 && progress->note == NULL) in_files = mapped();
}

/* All that is asked for, by whatever thread, whether it is kept or not. */
static atomic_ullong asked;

static bool count_bytes(void *user, size_t bytes)
{
    (void)user;
    (void)atomic_fetch_add(&asked, bytes);
    return true;
}

/* A set of so many items, of which the first ones have events and features, the same in any. So there are few landmarks
 * (core/data/denoise_features.c), however many items. */
static void make_set(uint32_t items, char path[300])
{
    m3_error err = {0};
    char *events = NULL, *ids = NULL, *lines = NULL;
    size_t sizes[3];
    FILE *to_events = open_memstream(&events, &sizes[0]), *to_ids = open_memstream(&ids, &sizes[1]);
    FILE *to_lines = open_memstream(&lines, &sizes[2]);
    double *values = calloc((size_t)USED * FEATURES, sizeof *values);
    assert_true(to_events != NULL && to_ids != NULL && to_lines != NULL && values != NULL);
    (void)fprintf(to_events, "user_id\titem_id\tbehavior\ttimestamp\n");
    (void)fprintf(to_lines, "item_id\n");
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t i = 0; i < EVENTS; i++)
            (void)fprintf(to_events, "%u\t%u\t%s\t%u\n", u + 1, 1 + (u * 7 + i * 5) % USED, i % 2 ? "buy" : "view", i);
    for (uint32_t i = 1; i <= items; i++) {
        if (i <= USED) (void)fprintf(to_ids, "%u\n", i);
        (void)fprintf(to_lines, "%u\n", i);
    }
    for (size_t i = 0; i < (size_t)USED * FEATURES; i++) values[i] = (double)(i * 7919 % 101) / 50.0 - 1.0;
    assert_true(fclose(to_events) == 0 && fclose(to_ids) == 0 && fclose(to_lines) == 0);
    data_source_write(&source, "interactions.tsv", events, 0);
    data_source_write(&source, "items.tsv", lines, 0);
    data_source_write(&source, "image.ids.txt", ids, 0);
    data_source_write_npy(&source, "image.npy", "<f4", false, USED, FEATURES, values);
    free(events);
    free(ids);
    free(lines);
    free(values);
    training_check(data_source_import(&source, (m3_import_options){.keep_items = true}, NULL, &err), &err);
    (void)snprintf(path, 300, "%s-%u", data_source_path(&source, "set"), items);
    assert_int_equal(rename(data_source_path(&source, "set"), path), 0);
}

static m3_settings *make_settings(const char *set, const char *more)
{
    return training_settings(set, "loss=sampled", "negatives=3", "batch=4", "length=4", "eval_batch=8", "epochs=1",
                             "shard=rows", "denoise=neighbors", "fusion=scores", "trend=20", more, NULL);
}

/* A run on a set that has three quarters of the items. */
static void make_run(uint32_t items, char start[320])
{
    m3_error err = {0};
    char set[300], run[32];
    make_set(items / 4 * 3, set);
    (void)snprintf(run, sizeof run, "before-%u", items);
    m3_settings *settings = make_settings(set, "seed=1");
    training_run(team.devices[0], &source, settings, run, (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    (void)snprintf(start, 320, "from=%s", data_source_path(&source, run));
}

static uint64_t bytes_of(const char *set, uint32_t ranks, const char *more)
{
    static int runs;
    m3_error err = {0};
    char run[32];
    m3_train_result result = {0};
    m3_settings *settings = make_settings(set, more);
    (void)snprintf(run, sizeof run, "run-%d", runs++);
    asked = in_files = 0;
    told[0] = '\0';
    m3_alloc_set_gate(count_bytes, NULL);
    const m3_status st = training_ranks_train(&team, team.devices, ranks, &source, settings, run,
                                              (m3_train_options){.progress = hear}, &result, &err);
    m3_alloc_set_gate(NULL, NULL);
    training_check(st, &err);
    m3_settings_free(settings);
    return asked;
}

/* Of a rank, for each item more: the mean over ranks. */
static double bytes_an_item(uint32_t ranks, const char *more)
{
    const bool from = strcmp(more, "from") == 0;
    const uint64_t few = bytes_of(sets[0], ranks, from ? starts[0] : more);
    const uint64_t many = bytes_of(sets[1], ranks, from ? starts[1] : more);
    return ((double)many - (double)few) / ((double)(MANY - FEW) * ranks);
}

/* A rank's part of the table and its moments, and pieces of them on their way to a checkpoint or to be measured, fall
 * with the ranks: a/R + c. What c is follows from two numbers of ranks. */
static void falls_with_the_ranks(void **state)
{
    const double row = WIDTH * sizeof(float), alone = bytes_an_item(1, *state);
    const double two = bytes_an_item(2, *state), four = bytes_an_item(4, *state);
    const double stays = 2.0 * four - two;
    if (!(fabs(stays) < 0.6 && two < 7.0 * row / 2.0 && four < 7.0 * row / 4.0 && two < alone / 2.0))
        fail_msg("for each item more, one rank asks for %g bytes, each of two for %g, of four for %g; %g are the same "
                 "for any number",
                 alone, two, four, stays);
    assert_true(two >= 3.0 * row / 2.0 && four >= 3.0 * row / 4.0); /* the table is counted */
}

/* What is said to lie in files does, in each rank: what pages add and what only the split tells are little. */
static void says_what_lies_in_files(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_dataset *set = NULL;
    const uint32_t ranks = 2;
    const m3_model_config config = {.items = MANY,
                                    .behaviors = 2,
                                    .modality_count = 1,
                                    .modalities = {FEATURES},
                                    .denoise = M3_DENOISE_NEIGHBORS,
                                    .modality_denoise = true,
                                    .behavior_denoise = true};
    training_check(m3_dataset_open(sets[1], &set, &err), &err);
    const m3_host_counts counts = m3_host_count(set, 1);
    m3_dataset_close(set);
    (void)bytes_of(sets[1], ranks, "trend=0");
    const m3_host_files files = m3_host_files_of(&config, &counts);
    const uint64_t all = files.items + files.events, pages = 24 * UINT64_C(4096), each = in_files / ranks;
    if (!(each <= all + pages && each >= all - all / 5))
        fail_msg("%llu bytes of a rank are in files, and %llu are said", (unsigned long long)each,
                 (unsigned long long)all);
    char words[64];
    (void)snprintf(words, sizeof words, "%.1f MiB, %.0f bytes an item", (double)all / 1048576.0,
                   (double)files.items / MANY);
    if (strstr(told, words) == NULL) fail_msg("'%s' is not in '%s'", words, told);
}

static void lies_in_a_file(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_status st = M3_OK;
    asked = 0;
    m3_alloc_set_gate(count_bytes, NULL);
    uint32_t *array = m3_spill_array(data_source_path(&source, "beside"), 1 << 20, sizeof *array, &st, &err);
    m3_alloc_set_gate(NULL, NULL);
    training_check(st, &err);
    assert_true(asked < 1 << 16); /* paths */
    for (uint32_t i = 0; i < 1 << 20; i++) {
        assert_int_equal(array[i], 0);
        array[i] = i;
    }
    m3_spill_rest(array);
    for (uint32_t i = 0; i < 1 << 20; i++) assert_int_equal(array[i], i);
    m3_spill_free(array);
    assert_int_not_equal(access(data_source_path(&source, "beside"), F_OK), 0);
    assert_false(data_source_has_temporary(&source));
}

static void lies_in_memory(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_status st = M3_OK;
    double *array = m3_spill_array(NULL, 100, sizeof *array, &st, &err);
    training_check(st, &err);
    m3_spill_rest(array);
    for (uint32_t i = 0; i < 100; i++) assert_true(array[i] == 0.0);
    m3_spill_free(array);
    m3_spill_free(NULL);
    m3_spill_rest(NULL);
    assert_null(m3_spill_array(NULL, UINT64_MAX / 2, 4, &st, &err));
    assert_int_equal(st, M3_ERR_MEMORY);
}

/* The first failure is told, and nothing is done behind it. */
static void says_what_failed(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_status st = M3_OK;
    assert_null(m3_spill_array(data_source_path(&source, "no/such"), 10, 4, &st, &err));
    assert_int_equal(st, M3_ERR_INVALID);
    assert_null(m3_spill_array(NULL, 10, 4, &st, &err));
    assert_int_equal(st, M3_ERR_INVALID);
    assert_non_null(strstr(err.subject, "no/such"));
    err = (m3_error){0};
    st = M3_OK;
    assert_null(m3_spill_array(data_source_path(&source, "huge"), UINT64_C(1) << 60, 4, &st, &err));
    assert_int_equal(st, M3_ERR_IO);
    assert_non_null(strstr(err.message, "more room"));
    assert_false(data_source_has_temporary(&source));
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    data_source_make(&source);
    make_set(FEW, sets[0]);
    make_set(MANY, sets[1]);
    if (training_ranks_open(&team, M3BSR_BUILD_PLUGIN_DIR, &err) != M3_OK) return -1;
    make_run(FEW, starts[0]);
    make_run(MANY, starts[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    training_ranks_close(&team);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"features are denoised", falls_with_the_ranks, NULL, NULL, (void *)"behavior_denoise=true"},
        {"features are centered", falls_with_the_ranks, NULL, NULL, (void *)"modality_denoise=false"},
        {"ranks start from another run", falls_with_the_ranks, NULL, NULL, (void *)"from"},
        {"files are as large as is said", says_what_lies_in_files, NULL, NULL, NULL},
        {"an array lies in a file", lies_in_a_file, NULL, NULL, NULL},
        {"an array lies in memory", lies_in_memory, NULL, NULL, NULL},
        {"an array says what failed", says_what_failed, NULL, NULL, NULL},
    };
    return cmocka_run_group_tests_name("host memory", tests, set_up, tear_down);
}
