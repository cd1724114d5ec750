/* parts: a training whose ranks write their rows of the item table into files of their own is the training that writes
 * one file, however often it is stopped and whoever goes on.   Labels: threads */
#include "tests/support/training.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/run/checkpoint.h"

enum { MOST = 3 };

static training_ranks team;
static data_source source;

static m3_status run_ranks(uint32_t count, const m3_settings *settings, const char *run, m3_train_options options,
                           m3_error *err)
{
    m3_train_result result = {0};
    return training_ranks_train(&team, team.devices, count, &source, settings, run, options, &result, err);
}

static void train(uint32_t count, const m3_settings *settings, const char *run, m3_train_options options,
                  m3_status want)
{
    m3_error err = {0};
    const m3_status st = run_ranks(count, settings, run, options, &err);
    if (st != want) fail_msg("%s: status %d: %s: %s", run, (int)st, err.subject, err.message);
}

/* `accumulate`: any number of ranks up to 3 trains the same within rounding, and the same number the same bits. */
static m3_settings *make_settings(const char *parts)
{
    return training_settings(data_source_path(&source, "set"), "dropout=0.2", "batch=8", "accumulate=6",
                             "checkpoint_steps=3", parts, NULL);
}

static const char *file_in(const char *run, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", run, name);
    return data_source_path(&source, path);
}

static uint32_t parts_of(const char *run, const char *name)
{
    m3_error err = {0};
    m3_parts *parts = NULL;
    training_check(m3_parts_open(file_in(run, name), &parts, &err), &err);
    const uint32_t count = m3_parts_files(parts) - 1;
    m3_parts_close(parts);
    return count;
}

static uint32_t count_parts(const char *run)
{
    uint32_t count = 0;
    DIR *folder = opendir(data_source_path(&source, run));
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) count += strstr(entry->d_name, "-of-") != NULL;
    (void)closedir(folder);
    return count;
}

/* The tensors of both checkpoints, whichever form they have. */
static void same(const char *a, const char *b, double bound)
{
    static const char *const names[] = {"last.safetensors", "best.safetensors"};
    for (int i = 0; i < 2; i++) {
        m3_error err = {0};
        char one[64], two[64];
        (void)snprintf(one, sizeof one, "%s/joined", a);
        (void)snprintf(two, sizeof two, "%s/joined", b);
        training_check(m3_checkpoint_join_file(file_in(a, names[i]), data_source_path(&source, one), NULL, &err), &err);
        training_check(m3_checkpoint_join_file(file_in(b, names[i]), data_source_path(&source, two), NULL, &err), &err);
        training_same_tensors(&source, a, b, "joined", bound);
    }
}

static void writes_the_same(void **state)
{
    (void)state;
    m3_settings *whole = make_settings("checkpoint_parts=auto"), *parts = make_settings("checkpoint_parts=on");
    for (uint32_t ranks = 2; ranks <= MOST; ranks++) {
        char one[32], many[32];
        (void)snprintf(one, sizeof one, "one-%u", ranks);
        (void)snprintf(many, sizeof many, "many-%u", ranks);
        train(ranks, whole, one, (m3_train_options){0}, M3_OK);
        train(ranks, parts, many, (m3_train_options){0}, M3_OK);
        assert_int_equal(parts_of(one, "last.safetensors"), 0);
        assert_int_equal(parts_of(many, "last.safetensors"), ranks);
        assert_int_equal(parts_of(many, "best.safetensors"), ranks);
        assert_int_equal(count_parts(many), 2 * ranks); /* those of earlier saves are gone */
        same(one, many, 0.0);
    }
    m3_settings_free(whole);
    m3_settings_free(parts);
}

static void goes_on(void **state)
{
    (void)state;
    m3_settings *parts = make_settings("checkpoint_parts=on");
    for (uint32_t ranks = 2; ranks <= MOST; ranks++) {
        char many[32], stopped[32];
        (void)snprintf(many, sizeof many, "many-%u", ranks);
        (void)snprintf(stopped, sizeof stopped, "stopped-%u", ranks);
        train(ranks, parts, stopped, (m3_train_options){.stop_after = 3}, M3_ERR_INTERRUPTED);
        train(ranks, parts, stopped, (m3_train_options){.resume = true, .stop_after = 2}, M3_ERR_INTERRUPTED);
        train(ranks, parts, stopped, (m3_train_options){.resume = true}, M3_OK);
        same(many, stopped, 0.0);
    }
    m3_settings_free(parts);
}

/* What a rank writes when it is killed: some parts of a save that nobody commits. */
static void leave_a_save(const char *run)
{
    m3_error err = {0};
    const m3_checkpoint_part part = {0xabcdef, 0, 3};
    training_check(m3_checkpoint_write_part(file_in(run, "last.safetensors"), &part, NULL, 0, &err), &err);
}

/* By others, in the other form and back, and bit for bit as long as the same number of ranks trains. */
static void changes_hands(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *whole = make_settings("checkpoint_parts=off"), *parts = make_settings("checkpoint_parts=on");
    const m3_train_options first = {.stop_after = 2}, next = {.resume = true, .stop_after = 1}, last = {.resume = true};
    train(2, parts, "form", first, M3_ERR_INTERRUPTED);
    leave_a_save("form");
    train(2, whole, "form", next, M3_ERR_INTERRUPTED);
    assert_int_equal(parts_of("form", "last.safetensors"), 0);
    assert_int_equal(count_parts("form"), 0);
    train(2, parts, "form", last, M3_OK);
    same("many-2", "form", 0.0);

    train(3, parts, "ranks", first, M3_ERR_INTERRUPTED);
    train(2, parts, "ranks", next, M3_ERR_INTERRUPTED);
    assert_int_equal(count_parts("ranks"), 2);
    const m3_train_options alone = {.size = M3_STRUCT_SIZE(m3_train_options, stop_after), .resume = true};
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, told)};
    training_check(m3_train(team.devices[0], parts, data_source_path(&source, "ranks"), &alone, &result, &err), &err);
    assert_int_equal(count_parts("ranks"), 0); /* one process writes one file */
    same("many-3", "ranks", 1e-3);
    m3_settings_free(whole);
    m3_settings_free(parts);
}

static void a_lost_part_is_named(void **state)
{
    (void)state;
    m3_error err = {0};
    char part[256] = "";
    m3_parts *open = NULL;
    m3_settings *parts = make_settings("checkpoint_parts=on");
    train(3, parts, "lost", (m3_train_options){.stop_after = 2}, M3_ERR_INTERRUPTED);
    training_check(m3_parts_open(file_in("lost", "last.safetensors"), &open, &err), &err);
    (void)snprintf(part, sizeof part, "%s", m3_parts_file(open, 2));
    m3_parts_close(open);
    assert_int_equal(unlink(part), 0);
    assert_int_equal(run_ranks(3, parts, "lost", (m3_train_options){.resume = true}, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "is missing: it has the rows of part 2 of 3"));
    m3_settings_free(parts);
}

static int start(void **state)
{
    (void)state;
    m3_error err = {0};
    if (training_data(&source, &err) != M3_OK) return -1;
    if (training_ranks_open(&team, M3BSR_BUILD_PLUGIN_DIR, &err) != M3_OK) return -1;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    training_ranks_close(&team);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_same),
        cmocka_unit_test(goes_on),
        cmocka_unit_test(changes_hands),
        cmocka_unit_test(a_lost_part_is_named),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
