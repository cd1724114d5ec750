/* neighbors: training, serving and figures against planted truth with `denoise: neighbors`: the model sees the denoised
 * features and the histories without the events that are left out, everywhere by the same rule. */
#include "core/serve/truth.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 120, ITEMS = 60, LENGTH = 6 };

static m3_engine *engine;
static m3_device *device;
static data_source source;

static void train(const char *run, const char *more)
{
    m3_error err = {0};
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "eval_batch=7", "denoise=neighbors",
                                              "fusion=scores", more, NULL);
    (void)training_run(device, &source, settings, run, (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    synth.users = USERS;
    synth.items = ITEMS;
    synth.clusters = 4;
    synth.width = 12;
    synth.events = 14;
    synth.accidental = synth.feature_noise = 0.3;
    data_source_make(&source);
    training_check(m3_engine_create(&config, &engine, &err), &err);
    training_check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    training_check(m3_data_synth(&synth, data_source_path(&source, "src"), &err), &err);
    import.source = data_source_path(&source, "src");
    training_check(m3_data_import(&import, data_source_path(&source, "set"), NULL, &err), &err);
    train("both", "seed=1");
    train("features", "behavior_denoise=false");
    train("events", "modality_denoise=false");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

static m3_served *serve(const char *run)
{
    m3_error err = {0};
    m3_served *served = NULL;
    training_check(m3_serve(device, data_source_path(&source, run), NULL, &served, &err), &err);
    return served;
}

static m3_truth_report *report_of(m3_served *served)
{
    m3_error err = {0};
    m3_truth_report *report = NULL;
    training_check(m3_evaluate_truth(served, M3_SPLIT_TEST, data_source_path(&source, "src/truth"), &report, &err),
                   &err);
    return report;
}

/* What the model computes with are the denoised features of the set, or the set's, centered, where they stay. */
static void the_model_sees_denoised_features(void **state)
{
    (void)state;
    static const char *const runs[] = {"both", "events"};
    for (int i = 0; i < 2; i++) {
        m3_error err = {0};
        m3_split *split = NULL;
        m3_denoised made = {0};
        m3_served *served = serve(runs[i]);
        const uint32_t modality = 0;
        const m3_features given = m3_dataset_features(served->set, 0);
        const uint64_t bytes = (uint64_t)(ITEMS + 1) * given.width * sizeof(float);
        float *seen = malloc(bytes);
        training_check(m3_dataset_split(served->set, 1, &split, &err), &err);
        const m3_denoised_options options = {&modality, 1, i == 0, true, NULL};
        training_check(m3_denoise_set(served->set, split, &options, &made, &err), &err);
        training_check(m3_store_read(served->store, "features0", seen, bytes, &err), &err);
        assert_memory_equal(seen, made.features[0].rows, bytes);
        uint32_t stay = 0;
        for (size_t at = given.width; at < bytes / sizeof(float); at++)
            stay += fabsf(seen[at] + made.features[0].mean[at % given.width] - given.rows[at]) < 1e-5F;
        assert_int_equal(stay == ITEMS * given.width, i == 1);
        assert_true(stay > 0);
        m3_denoised_fini(&made);
        m3_split_free(split);
        free(seen);
        m3_served_free(served);
    }
}

/* Positions of the features' figures are those of the filtered histories, events are all that were judged. */
static void figures_against_the_truth(void **state)
{
    (void)state;
    uint64_t count;
    uint32_t positions[2] = {0}, events = 0, places[LENGTH];
    m3_served *served = serve("both");
    m3_truth_report *report = report_of(served);
    const m3_sample *samples = m3_split_samples(served->split, M3_SPLIT_TEST, &count);
    for (uint64_t i = 0; i < count; i++) {
        for (uint32_t b = 0; b < 2; b++)
            positions[b] += m3_history_places(served->denoised.filter, served->set, samples[i].user, samples[i].time, b,
                                              LENGTH, places);
        events += m3_history_places(NULL, served->set, samples[i].user, samples[i].time, 0, LENGTH, places);
    }
    for (uint32_t b = 0; b < 2; b++)
        assert_int_equal(report->features[b].noisy + report->features[b].clean, positions[b]);
    assert_true(positions[0] < events);
    assert_int_equal(report->events[0].genuine + report->events[0].accidental, events);
    const m3_truth_features *all = &report->features[report->feature_count - 1];
    assert_true(all->removed > 0.6);
    assert_true(all->clean_change < 0.05);
    assert_true(all->auc > 0.95);
    assert_true(report->events[0].all.accidental > 0.85);
    m3_truth_report_free(report);
    m3_served_free(served);
}

/* Without the events' part nothing is judged; without the features' part no noise goes. */
static void parts_alone(void **state)
{
    (void)state;
    m3_served *features = serve("features"), *events = serve("events");
    m3_truth_report *report = report_of(features), *other = report_of(events);
    assert_null(features->denoised.filter);
    assert_true(report->features[report->feature_count - 1].removed > 0.6);
    assert_true(report->events[0].all.accidental == 0.5);
    assert_true(other->features[other->feature_count - 1].removed == 0.0);
    assert_true(other->events[0].all.accidental > 0.5);
    m3_truth_report_free(report);
    m3_truth_report_free(other);
    m3_served_free(features);
    m3_served_free(events);
}

/* The log and the report say what was done to the set. */
static void the_report_says_so(void **state)
{
    (void)state;
    char text[1 << 16];
    FILE *page = fopen(data_source_path(&source, "both/report.html"), "rb");
    assert_non_null(page);
    text[fread(text, 1, sizeof text - 1, page)] = 0;
    (void)fclose(page);
    assert_non_null(strstr(text, "<td>denoised features image replaced</td><td>"));
    assert_non_null(strstr(text, "<td>denoised features image says_nothing</td><td>no</td>"));
    assert_non_null(strstr(text, "<td>denoised events view left_out</td><td>"));
    assert_null(strstr(text, "<td>denoised events view left_out</td><td>0<"));
}

/* Features that say nothing about which items stand together are left out. */
static void useless_features_are_left_out(void **state)
{
    (void)state;
    static const char *const uses[] = {"useless", "useful"};
    m3_error err = {0};
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    m3_dataset *set = NULL;
    m3_split *split = NULL;
    m3_denoised made = {0};
    const uint32_t modalities[] = {0, 1};
    synth.users = USERS;
    synth.items = ITEMS;
    synth.clusters = 4;
    synth.width = 12;
    synth.modalities = synth.feature_count = 2;
    synth.features = uses;
    training_check(m3_data_synth(&synth, data_source_path(&source, "mixed"), &err), &err);
    import.source = data_source_path(&source, "mixed");
    training_check(m3_data_import(&import, data_source_path(&source, "mixed.set"), NULL, &err), &err);
    training_check(m3_dataset_open(data_source_path(&source, "mixed.set"), &set, &err), &err);
    training_check(m3_dataset_split(set, 1, &split, &err), &err);
    const m3_denoised_options options = {modalities, 2, true, true, NULL};
    training_check(m3_denoise_set(set, split, &options, &made, &err), &err);
    assert_true(made.features[0].says_nothing);
    assert_false(made.features[1].says_nothing);
    for (uint32_t i = 2; i <= ITEMS; i++) /* all have the mean */
        assert_memory_equal(made.features[0].rows + (size_t)i * 12, made.features[0].rows + 12, 12 * sizeof(float));
    assert_true(made.features[0].belief == 0.0 && made.features[1].belief > 0.5);
    assert_non_null(made.filter);
    m3_denoised_fini(&made);
    m3_split_free(split);
    m3_dataset_close(set);
}

/* A user of a file who did what a user of the set did gets the same recommendations. */
static void users_of_files_are_filtered_too(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_histories *histories = NULL;
    m3_served *served = serve("both");
    m3_recommendation of_set[3 * USERS], of_file[3 * USERS];
    uint32_t users[USERS], in_file[USERS];
    training_check(
        m3_histories_read(served->set, data_source_path(&source, "src/interactions.tsv"), NULL, &histories, NULL, &err),
        &err);
    for (uint32_t u = 0; u < USERS; u++) {
        users[u] = u;
        assert_true(m3_histories_find_user(histories, m3_dataset_user_id(served->set, u), &in_file[u]));
    }
    training_check(m3_recommend(served, NULL, users, USERS, 3, M3_EXCLUDE_NONE, of_set, &err), &err);
    training_check(m3_recommend(served, histories, in_file, USERS, 3, M3_EXCLUDE_NONE, of_file, &err), &err);
    for (uint32_t i = 0; i < 3 * USERS; i++) assert_int_equal(of_set[i].item, of_file[i].item);
    m3_histories_free(histories);
    m3_served_free(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_sees_denoised_features),
        cmocka_unit_test(figures_against_the_truth),
        cmocka_unit_test(parts_alone),
        cmocka_unit_test(the_report_says_so),
        cmocka_unit_test(useless_features_are_left_out),
        cmocka_unit_test(users_of_files_are_filtered_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
