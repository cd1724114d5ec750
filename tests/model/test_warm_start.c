/* warm start: a training that starts from a run on a set that was added to: rows go by ids, rows of new items come from
 * what is known of them, and what the run was trained on can be left out. */
#include "core/base/alloc.h"
#include "core/base/safetensors.h"
#include "core/base/spill.h"
#include "core/data/neighbors.h"
#include "core/model/model.h"
#include "core/serve/warm_start.h"
#include "m3bsr/serve.h"
#include "tests/support/grown.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WIDTH = GROWN_WIDTH, OLD_ITEMS = GROWN_OLD };

static m3_engine *engine;
static m3_device *device;
static grown sets;

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    training_check(m3_engine_create(&config, &engine, &err), &err);
    training_check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    grown_make(&sets);
    m3_settings *settings = training_settings(data_source_path(&sets.old, "set"), "epochs=2", NULL);
    training_run(device, &sets.old, settings, "run", (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    grown_remove(&sets);
    return 0;
}

/* A model on the new set. */
typedef struct trial {
    m3_settings *settings;
    m3_dataset *set;
    m3_split *split;
    m3_warm_start start;
    m3_error err;
} trial;

static m3_status open_trial(trial *t)
{
    *t = (trial){.settings = training_settings(data_source_path(&sets.new, "set"), NULL)};
    m3_status st = m3_dataset_open(data_source_path(&sets.new, "set"), &t->set, &t->err);
    if (st == M3_OK) st = m3_dataset_split(t->set, 1, &t->split, &t->err);
    if (st == M3_OK)
        st = m3_warm_start_open(&t->start, data_source_path(&sets.old, "run"), NULL, t->settings, t->set, t->split,
                                &t->err);
    return st;
}

static void close_trial(trial *t)
{
    m3_warm_start_fini(&t->start);
    m3_split_free(t->split);
    m3_dataset_close(t->set);
    m3_settings_free(t->settings);
}

static uint32_t number(const m3_dataset *set, const char *id)
{
    uint32_t found = 0;
    assert_true(m3_dataset_find_item(set, id, &found));
    return found;
}

static double scattered(uint32_t i, uint32_t column)
{
    const uint32_t bits = (i * 2654435761U) ^ (column * 40503U * 65537U);
    return (double)((bits * 2246822519U) >> 16) / 65536.0 - 0.5;
}

/* A table of the run, which is in no file. */
typedef struct planting {
    const trial *t;
    double (*value)(uint32_t i, uint32_t column);
} planting;

static m3_status read_planted(void *user, uint64_t begin, uint64_t end, float *rows, m3_error *err)
{
    const planting *p = user;
    (void)err;
    for (uint64_t i = begin; i < end; i++)
        for (uint32_t d = 0; d < WIDTH; d++) *rows++ = (float)p->value(grown_meant(p->t->start.from, (uint32_t)i), d);
    return M3_OK;
}

/* Rows of the set, of which the new ones start with 77. */
static m3_status fill(trial *t, m3_new_items how, double (*value)(uint32_t i, uint32_t column), float *rows,
                      m3_new_report *report)
{
    m3_new_rows *made = NULL;
    planting p = {t, value};
    const m3_known_rows known = {WIDTH, read_planted, &p};
    m3_status st = m3_new_rows_create(&t->start, how, &known, &made, &t->err);
    if (st == M3_OK) *report = m3_new_rows_report(made);
    for (uint32_t i = 1; st == M3_OK && i <= m3_dataset_item_count(t->set); i++) {
        for (uint32_t d = 0; d < WIDTH; d++)
            rows[i * WIDTH + d] = t->start.row_of[i] != 0 ? (float)value(grown_meant(t->set, i), d) : 77.0F;
        if (t->start.row_of[i] == 0) st = m3_new_rows_make(made, i, rows + (size_t)i * WIDTH, &t->err);
    }
    m3_new_rows_free(made);
    return st;
}

static void features_say_what_new_rows_are(void **state)
{
    (void)state;
    trial t;
    m3_new_report report;
    training_check(open_trial(&t), &t.err);
    assert_int_equal(t.start.unknown, 6);
    static float rows[37 * WIDTH];
    training_check(fill(&t, M3_NEW_FEATURES, grown_planted, rows, &report), &t.err);
    assert_int_equal(report.features, 3);
    assert_int_equal(report.neighbors, 2);
    assert_true(report.explained > 0.99);
    for (uint32_t i = 30; i < 33; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "i%u", i);
        for (uint32_t d = 0; d < WIDTH; d++)
            assert_float_equal(rows[number(t.set, id) * WIDTH + d], grown_planted(i, d), 0.01);
    }
    for (uint32_t d = 0; d < WIDTH; d++) { /* nothing is known of it, and all is known of the other */
        assert_float_equal(rows[number(t.set, "i35") * WIDTH + d], 77.0, 0.0);
        assert_float_equal(rows[number(t.set, "i4") * WIDTH + d], grown_planted(4, d), 1e-6);
    }
    close_trial(&t);
}

/* The mean of its neighbors that the run knows, by their weights. */
static void assert_mean(const trial *t, const float *rows, const char *id, double (*value)(uint32_t i, uint32_t column))
{
    m3_error err = {0};
    m3_merged merged = {0};
    m3_neighbors near = {0};
    double mean[WIDTH] = {0}, sum = 0.0;
    const uint32_t item = number(t->set, id);
    training_check(m3_merged_create(t->set, t->split, &merged, &err), &err);
    training_check(m3_neighbors_create(&merged, m3_dataset_item_count(t->set), 2, &near, &err), &err);
    for (uint32_t q = item * M3_NEIGHBORS; q < (item + 1) * M3_NEIGHBORS; q++) {
        if (near.ids[q] == 0 || t->start.row_of[near.ids[q]] == 0) continue;
        sum += near.weights[q];
        for (uint32_t d = 0; d < WIDTH; d++) mean[d] += near.weights[q] * value(grown_meant(t->set, near.ids[q]), d);
    }
    assert_true(sum > 0.0);
    for (uint32_t d = 0; d < WIDTH; d++) assert_float_equal(rows[item * WIDTH + d], (float)(mean[d] / sum), 1e-5);
    m3_neighbors_fini(&near);
    m3_merged_fini(&merged);
}

static void features_that_say_nothing_are_left(void **state)
{
    (void)state;
    trial t;
    m3_new_report report;
    training_check(open_trial(&t), &t.err);
    static float rows[37 * WIDTH];
    training_check(fill(&t, M3_NEW_FEATURES, scattered, rows, &report), &t.err);
    assert_int_equal(report.features, 0);
    assert_int_equal(report.neighbors, 4); /* one has no event that training may look at */
    assert_mean(&t, rows, "i30", scattered);
    assert_mean(&t, rows, "i34", scattered);
    training_check(fill(&t, M3_NEW_NEIGHBORS, grown_planted, rows, &report), &t.err);
    assert_int_equal(report.neighbors, 4);
    assert_mean(&t, rows, "i30", grown_planted);
    training_check(fill(&t, M3_NEW_RANDOM, grown_planted, rows, &report), &t.err);
    assert_int_equal(report.neighbors + report.features, 0);
    close_trial(&t);
}

static float *read_table(const data_source *source, const char *run, const char *name, uint64_t *rows)
{
    m3_error err = {0};
    m3_safetensors *file = NULL;
    uint32_t index = 0;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", data_source_path(source, run), name);
    training_check(m3_safetensors_open(path, &file, &err), &err);
    assert_true(m3_safetensors_find(file, M3_ITEM_PARAMETER, &index));
    *rows = m3_safetensors_at(file, index)->shape.dim[0];
    float *values = calloc(*rows * WIDTH, sizeof *values);
    assert_non_null(values);
    training_check(m3_safetensors_read_f32(file, index, values, *rows * WIDTH, &err), &err);
    m3_safetensors_close(file);
    return values;
}

static m3_settings *from_run(const char *more, const char *and)
{
    char from[160];
    (void)snprintf(from, sizeof from, "from=%s", data_source_path(&sets.old, "run"));
    return training_settings(data_source_path(&sets.new, "set"), from, more, and, NULL);
}

static void a_training_starts_from_the_rows_of_the_run(void **state)
{
    (void)state;
    trial t;
    m3_error err = {0};
    uint64_t old_rows, new_rows;
    m3_settings *settings = from_run("lr=1e-12", "epochs=1");
    training_run(device, &sets.new, settings, "still", (m3_train_options){0}, M3_OK, &err);
    training_check(open_trial(&t), &t.err);
    float *was = read_table(&sets.old, "run", "best.safetensors", &old_rows),
          *now = read_table(&sets.new, "still", "last.safetensors", &new_rows);
    assert_int_equal(old_rows, OLD_ITEMS + 1);
    assert_int_equal(new_rows, 37);
    for (uint32_t i = 1; i < new_rows; i++)
        for (uint32_t d = 0; d < WIDTH && t.start.row_of[i] != 0; d++)
            assert_float_equal(now[i * WIDTH + d], was[t.start.row_of[i] * WIDTH + d], 1e-6);
    free(was);
    free(now);
    close_trial(&t);
    m3_settings_free(settings);
}

static void it_goes_on_bit_for_bit(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = from_run("train_on=new", "epochs=2");
    training_run(device, &sets.new, settings, "whole", (m3_train_options){0}, M3_OK, &err);
    training_run(device, &sets.new, settings, "parts", (m3_train_options){.stop_after = 1}, M3_ERR_INTERRUPTED, &err);
    err = (m3_error){0};
    training_run(device, &sets.new, settings, "parts", (m3_train_options){.resume = true}, M3_OK, &err);
    training_same_tensors(&sets.new, "whole", "parts", "last.safetensors", 0.0);
    m3_settings_free(settings);
}

/* Against a search through both sets. */
static void new_samples_are_those_that_the_run_had_not(void **state)
{
    (void)state;
    trial t;
    bool *is_new = NULL;
    m3_split *was = NULL;
    uint64_t count, old_count, found = 0;
    training_check(open_trial(&t), &t.err);
    training_check(m3_warm_start_new_samples(&t.start, &is_new, &t.err), &t.err);
    training_check(m3_dataset_split(t.start.from, 1, &was, &t.err), &t.err);
    const m3_sample *samples = m3_split_samples(t.split, M3_SPLIT_TRAIN, &count),
                    *trained = m3_split_samples(was, M3_SPLIT_TRAIN, &old_count);
    for (uint64_t i = 0; i < count; i++) {
        bool had = false;
        for (uint64_t k = 0; k < old_count && !had; k++)
            had = strcmp(m3_dataset_user_id(t.set, samples[i].user),
                         m3_dataset_user_id(t.start.from, trained[k].user)) == 0 &&
                  strcmp(m3_dataset_item_id(t.set, samples[i].item),
                         m3_dataset_item_id(t.start.from, trained[k].item)) == 0;
        assert_int_equal(is_new[i], !had);
        found += is_new[i];
    }
    assert_true(found > 0 && found < count);
    m3_spill_free(is_new);
    m3_split_free(was);
    close_trial(&t);
}

static void what_cannot_start_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *set[2];
        bool of_old;
        const char *says;
    } rows[] = {
        {{"train_on=new", "epochs=1"}, true, "was trained on all"},
        {{"from=/nowhere/run", "epochs=1"}, false, "cannot be opened"},
        {{"features=[]", "fusion=none"}, false, "other behaviors or modalities"},
        {{"width=16", "epochs=1"}, false, "use the settings that it was made with"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m3_error err = {0};
        char data[160];
        m3_settings *settings = from_run(rows[i].set[0], rows[i].set[1]);
        (void)snprintf(data, sizeof data, "data=%s", data_source_path(rows[i].of_old ? &sets.old : &sets.new, "set"));
        training_check(m3_settings_set(settings, data, &err), &err);
        training_run(device, &sets.new, settings, "refused", (m3_train_options){0}, M3_ERR_INVALID, &err);
        if (strstr(err.message, rows[i].says) == NULL) fail_msg("%s: %s", err.subject, err.message);
        assert_int_not_equal(access(data_source_path(&sets.new, "refused"), F_OK), 0);
        m3_settings_free(settings);
    }
    m3_error err = {0};
    m3_settings *alone = training_settings(data_source_path(&sets.new, "set"), "train_on=new", NULL);
    training_run(device, &sets.new, alone, "refused", (m3_train_options){0}, M3_ERR_INVALID, &err);
    assert_non_null(strstr(err.message, "set `from`"));
    m3_settings_free(alone);
}

static void new_items_are_recommended_without_training(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_served *served = NULL;
    const m3_serve_options options = {.size = M3_STRUCT_SIZE(m3_serve_options, precision),
                                      .data = data_source_path(&sets.new, "set")};
    training_check(m3_serve(device, data_source_path(&sets.old, "run"), &options, &served, &err), &err);
    const m3_dataset *set = m3_served_dataset(served);
    assert_int_equal(m3_dataset_item_count(set), 36);
    /* A row of zeros has the score 0: the item of which nothing is known, and the one without an event that training
     * may look at, where features say nothing of the rows. The other four have something. */
    m3_recommendation items[36];
    const uint32_t user = 0;
    uint32_t zeros = 0;
    training_check(m3_recommend(served, NULL, &user, 1, 36, M3_EXCLUDE_NONE, items, &err), &err);
    for (uint32_t i = 0; i < 36; i++) {
        zeros += items[i].score == 0.0F;
        if (grown_meant(set, items[i].item) < OLD_ITEMS) assert_true(items[i].score != 0.0F);
    }
    assert_in_range(zeros, 1, 2);
    m3_served_free(served);
}

/* Without features, which another model would be for: the settings of a run leave open what its set said. */
static void settings_of_a_run_leave_its_set_open(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *settings = NULL;
    char data[160];
    training_check(m3_settings_from_run(data_source_path(&sets.old, "run"), &settings, &err), &err);
    assert_string_equal(m3_settings_get(settings, "from"), data_source_path(&sets.old, "run"));
    assert_string_equal(m3_settings_get(settings, "width"), "8");
    (void)snprintf(data, sizeof data, "data=%s", data_source_path(&sets.new, "set"));
    training_check(m3_settings_set(settings, data, &err), &err);
    training_check(m3_settings_set(settings, "epochs=1", &err), &err);
    training_run(device, &sets.new, settings, "again", (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    assert_int_equal(m3_settings_from_run("/nowhere", &settings, &err), M3_ERR_INVALID);
    assert_null(settings);
}

/* Whichever allocation fails, the call says so and leaks nothing. */
static void survives_without_memory(void **state)
{
    (void)state;
    uint64_t at = 0;
    for (m3_status st = M3_ERR_MEMORY; st != M3_OK; at++) {
        trial t;
        m3_new_report report;
        bool *is_new = NULL;
        alloc_failure failure = {.at = at};
        t = (trial){.settings = training_settings(data_source_path(&sets.new, "set"), NULL)};
        training_check(m3_dataset_open(data_source_path(&sets.new, "set"), &t.set, &t.err), &t.err);
        training_check(m3_dataset_split(t.set, 1, &t.split, &t.err), &t.err);
        static float rows[37 * WIDTH];
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_warm_start_open(&t.start, data_source_path(&sets.old, "run"), NULL, t.settings, t.set, t.split, &t.err);
        if (st == M3_OK) st = m3_warm_start_new_samples(&t.start, &is_new, &t.err);
        if (st == M3_OK) st = fill(&t, M3_NEW_FEATURES, grown_planted, rows, &report);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("allocation %llu: %s", (unsigned long long)at, t.err.message);
        m3_spill_free(is_new);
        close_trial(&t);
    }
    assert_true(at > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_say_what_new_rows_are),
        cmocka_unit_test(features_that_say_nothing_are_left),
        cmocka_unit_test(a_training_starts_from_the_rows_of_the_run),
        cmocka_unit_test(it_goes_on_bit_for_bit),
        cmocka_unit_test(new_samples_are_those_that_the_run_had_not),
        cmocka_unit_test(what_cannot_start_is_told),
        cmocka_unit_test(new_items_are_recommended_without_training),
        cmocka_unit_test(settings_of_a_run_leave_its_set_open),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
