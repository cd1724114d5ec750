/* truth: figures against planted truth, worked out again here: AUC pair by pair, clean encodings from a set that was
 * imported without noise, events matched by hand.   Labels: errors */
#include "core/serve/truth.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "core/data/history.h"

enum { USERS = 40, ITEMS = 60, WIDTH = 8, LENGTH = 6 };

static m3_engine *engine;
static m3_device *device;
static data_source source; /* src, clean and other: sources; noisy.set, clean.set; runs */

static m3_synth_options planted(void)
{
    static const char *const uses[] = {"useful", "only:buy"};
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    synth.users = USERS;
    synth.items = ITEMS;
    synth.clusters = 4;
    synth.width = 4;
    synth.events = 10;
    synth.modalities = synth.feature_count = 2;
    synth.features = uses;
    synth.accidental = synth.feature_noise = 0.4;
    synth.bursts = 0.5;
    return synth;
}

static void make(const char *folder, const char *set, const m3_synth_options *synth)
{
    m3_error err = {0};
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    training_check(m3_data_synth(synth, data_source_path(&source, folder), &err), &err);
    import.source = data_source_path(&source, folder);
    if (set != NULL) training_check(m3_data_import(&import, data_source_path(&source, set), NULL, &err), &err);
}

static void train(const char *run, const char *more, const char *other)
{
    m3_error err = {0};
    m3_settings *settings =
        training_settings(data_source_path(&source, "noisy.set"), "eval_batch=7", more, other, NULL);
    (void)training_run(device, &source, settings, run, (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_synth_options synth = planted();
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    data_source_make(&source);
    training_check(m3_engine_create(&config, &engine, &err), &err);
    training_check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    make("src", "noisy.set", &synth);
    synth.feature_noise = 0.0; /* the same but for the noise */
    make("clean", "clean.set", &synth);
    synth = planted();
    synth.seed = 2;
    make("other", NULL, &synth);
    train("whole", NULL, NULL);
    train("plain", "modality_denoise=false", "behavior_denoise=false");
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

static m3_served *serve(const char *run, const char *set)
{
    m3_error err = {0};
    m3_served *served = NULL;
    const m3_serve_options options = {.size = M3_STRUCT_SIZE(m3_serve_options, fallbacks),
                                      .data = data_source_path(&source, set)};
    training_check(m3_serve(device, data_source_path(&source, run), &options, &served, &err), &err);
    return served;
}

static m3_truth_report *report_of(m3_served *served, m3_split_part part)
{
    m3_error err = {0};
    m3_truth_report *report = NULL;
    training_check(m3_evaluate_truth(served, part, data_source_path(&source, "src/truth"), &report, &err), &err);
    return report;
}

static void is_about(double found, double wanted, const char *what)
{
    if (isnan(found) && isnan(wanted)) return;
    if (!(fabs(found - wanted) <= 1e-6 * (1.0 + fabs(wanted)))) fail_msg("%s is %.9g, not %.9g", what, found, wanted);
}

/* AUC and sums. */

static double auc_by_pairs(const m3_scored *scored, uint64_t count)
{
    double sum = 0, pairs = 0;
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t j = 0; j < count; j++) {
            if (!scored[i].noise || scored[j].noise) continue;
            sum += scored[i].score > scored[j].score ? 1.0 : scored[i].score == scored[j].score ? 0.5 : 0.0;
            pairs++;
        }
    return pairs > 0 ? sum / pairs : NAN;
}

static const struct auc_row {
    const char *name;
    uint32_t count;
    m3_scored scored[6];
    double wanted;
} auc_rows[] = {
    {"noise above all", 4, {{1, false}, {3, true}, {2, true}, {0, false}}, 1.0},
    {"noise below all", 4, {{5, false}, {3, true}, {2, true}, {9, false}}, 0.0},
    {"ties count half", 3, {{1, true}, {1, false}, {1, false}}, 0.5},
    {"one pair of six is wrong, one is tied", 5, {{1, false}, {2, true}, {2, false}, {3, true}, {0, false}}, 5.5 / 6},
    {"no noise has no AUC", 2, {{1, false}, {2, false}}, NAN},
    {"noise alone has none", 2, {{1, true}, {2, true}}, NAN},
    {"nothing has none", 0, {{0, false}}, NAN},
};

static void auc_is_a_share_of_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof auc_rows / sizeof auc_rows[0]; i++) {
        m3_scored scored[6];
        memcpy(scored, auc_rows[i].scored, sizeof scored);
        is_about(auc_by_pairs(scored, auc_rows[i].count), auc_rows[i].wanted, auc_rows[i].name);
        is_about(m3_auc(scored, auc_rows[i].count), auc_rows[i].wanted, auc_rows[i].name);
    }
}

/* Two numbers a position; the clean encodings are (0, 0), (2, 2) and (4, 4): variance 8/3 around (2, 2). */
static void sums_become_shares_of_the_variance(void **state)
{
    (void)state;
    static const float clean[3][2] = {{0, 0}, {2, 2}, {4, 4}}, given[3][2] = {{0, 4}, {2, 2}, {4, 4}},
                       after[3][2] = {{0, 1}, {2, 3}, {4, 4}};
    double memory[8] = {0};
    m3_noise_sums sums = {0};
    m3_truth_features figures = {0};
    m3_moments of_clean = {.sum = memory, .square = memory + 2}, of_given = {.sum = memory + 4, .square = memory + 6};
    for (int i = 0; i < 3; i++) {
        is_about(m3_noise_add(&sums, i == 0, clean[i], given[i], after[i], 2), i == 0 ? 9 : i == 1 ? 1 : 0, "change");
        m3_moments_add(&of_clean, clean[i], 2);
        m3_moments_add(&of_given, given[i], 2);
    }
    sums.clean_spread = m3_moments_spread(&of_clean, 2);
    sums.encoded_spread = m3_moments_spread(&of_given, 2);
    m3_noise_finish(&sums, &figures);
    assert_int_equal(figures.noisy, 1);
    assert_int_equal(figures.clean, 2);
    is_about(figures.noisy_before, 8.0 / (8.0 / 3), "before"); /* (0 + 16) / 2 */
    is_about(figures.noisy_after, 0.5 / (8.0 / 3), "after");
    is_about(figures.removed, 15.0 / 16, "removed");
    is_about(figures.clean_before, 0.0, "clean before");
    is_about(figures.clean_after, 0.25 / (8.0 / 3), "clean after");
    is_about(figures.clean_change, 0.25 / ((8.0 + 8.0 / 3) / 6), "change on clean");
}

/* Events. */

static const char items_text[] = "item_id\na\nb\nq\n";
static const char events_text[] =
    "user_id\titem_id\tbehavior\ttimestamp\taccidental\tburst\n"
    "v\tb\tview\t5\t1\t0\n"
    "u\ta\tview\t1\t0\t0\n"
    "u\ta\tview\t2\t1\t3\n"
    "u\tb\tview\t2\t0\t0\n"
    "u\ta\tbuy\t2\t0\t0\n"
    "u\ta\tview\t7\t0\t0\n"
    "u\ta\tview\t7\t1\t0\n" /* a repeat, which the import drops */
    "w\ta\tview\t2\t0\t0\n" /* of a user, an item and a behavior that are not in the set */
    "u\tq\tview\t2\t0\t0\n"
    "u\ta\tlike\t2\t0\t0\n";

static m3_dataset *hand_made(const data_source *hand)
{
    m3_error err = {0};
    m3_dataset *set = NULL;
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    data_source_write(
        hand, "interactions.tsv",
        "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\ta\tview\t2\nu\tb\tview\t2\nu\ta\tbuy\t2\n"
        "u\ta\tview\t7\nu\ta\tview\t7\nv\tb\tview\t5\n",
        0);
    data_source_write(hand, "items.tsv", items_text, 0);
    import.source = hand->directory;
    training_check(m3_data_import(&import, data_source_path(hand, "set"), NULL, &err), &err);
    training_check(m3_dataset_open(data_source_path(hand, "set"), &set, &err), &err);
    return set;
}

static const m3_sequence_names no_features = {2, 1, {"view", "buy"}, {"id"}};

static void events_are_matched_by_user_item_behavior_and_time(void **state)
{
    (void)state;
    data_source hand;
    m3_error err = {0};
    m3_truth truth = {0};
    enum { GENUINE = M3_EVENT_KNOWN, ACCIDENT = GENUINE | M3_EVENT_ACCIDENTAL, BURST = ACCIDENT | M3_EVENT_BURST };
    static const uint8_t u_views[] = {GENUINE, BURST, GENUINE, GENUINE}, u_buys[] = {GENUINE}, v_views[] = {ACCIDENT};
    data_source_make(&hand);
    m3_dataset *set = hand_made(&hand);
    data_source_write(&hand, "interactions.tsv", events_text, 0); /* the folder is the truth's now */
    training_check(m3_truth_read(hand.directory, set, &no_features, &truth, &err), &err);
    assert_int_equal(m3_dataset_events(set, 0, 0).count, 4);
    assert_memory_equal(m3_truth_flags(&truth, set, 0, 0), u_views, 4);
    assert_memory_equal(m3_truth_flags(&truth, set, 0, 1), u_buys, 1);
    assert_memory_equal(m3_truth_flags(&truth, set, 1, 0), v_views, 1);
    assert_true(truth.has_bursts);
    assert_false(truth.has_weights);
    assert_true(truth.weights[0][0] == 1.0);
    m3_truth_fini(&truth);
    m3_dataset_close(set);
    data_source_remove(&hand);
}

static const struct wrong_row {
    const char *name, *items, *events, *weights, *says;
} wrong_rows[] = {
    {"an item of the set is missing", "item_id\na\nq\n", events_text, NULL, "does not have item 'b' of the set"},
    {"items without ids", "id\na\nb\n", events_text, NULL, "has no column 'item_id'"},
    {"an event of the set is missing", items_text,
     "user_id\titem_id\tbehavior\ttimestamp\taccidental\nu\ta\tview\t1\t0\n", NULL,
     "does not have the set's event u, a, view, 2"},
    {"an event that the set does not have", items_text,
     "user_id\titem_id\tbehavior\ttimestamp\taccidental\nu\ta\tview\t1\t0\nu\ta\tview\t3\t0\n", NULL,
     "line 3 is no event of the set"},
    {"no word on accidents", items_text, "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\n", NULL,
     "has no column 'accidental'"},
    {"a flag that is none", items_text, "user_id\titem_id\tbehavior\ttimestamp\taccidental\nu\ta\tview\t1\tx\n", NULL,
     "line 2 has 'x' where 0 or 1 is needed"},
    {"a row that is cut short", items_text, "user_id\titem_id\tbehavior\ttimestamp\taccidental\nu\ta\tview\n", NULL,
     "line 2 has 3 fields where the header has 5"},
    {"weights below zero", items_text, events_text, "behavior\tmodality\tweight\nview\tid\t-1\n",
     "line 2 has '-1' where a weight of 0 or more is needed"},
};

static void truth_of_other_data_is_refused(void **state)
{
    (void)state;
    data_source hand;
    data_source_make(&hand);
    m3_dataset *set = hand_made(&hand);
    for (size_t i = 0; i < sizeof wrong_rows / sizeof wrong_rows[0]; i++) {
        const struct wrong_row *row = &wrong_rows[i];
        m3_error err = {0};
        m3_truth truth = {0};
        data_source_write(&hand, "items.tsv", row->items, 0);
        data_source_write(&hand, "interactions.tsv", row->events, 0);
        if (row->weights != NULL) data_source_write(&hand, "weights.tsv", row->weights, 0);
        if (m3_truth_read(hand.directory, set, &no_features, &truth, &err) != M3_ERR_INVALID ||
            strstr(err.message, row->says) == NULL)
            fail_msg("%s: status %d: %s: %s", row->name, (int)err.code, err.subject, err.message);
        m3_truth_fini(&truth);
    }
    m3_dataset_close(set);
    data_source_remove(&hand);
}

static void refuse(m3_served *served, const char *truth, const char *subject, const char *says)
{
    m3_error err = {0};
    m3_truth_report *report = NULL;
    const m3_status st = m3_evaluate_truth(served, M3_SPLIT_TEST, data_source_path(&source, truth), &report, &err);
    if (st != M3_ERR_INVALID || strstr(err.subject, subject) == NULL || strstr(err.message, says) == NULL)
        fail_msg("%s: status %d: %s: %s", truth, (int)st, err.subject, err.message);
    assert_null(report);
}

static void features_of_other_data_are_refused(void **state)
{
    (void)state;
    m3_served *served = serve("whole", "noisy.set");
    m3_synth_options synth = planted();
    refuse(served, "other/truth", ".npy", "is not what the set has for item"); /* another seed */
    refuse(served, "src", "items.tsv", "has no column 'noise_image'");         /* the source, not its truth */
    refuse(served, "nowhere", "nowhere/items.tsv", "");
    make("longer", NULL, &synth);
    FILE *items = fopen(data_source_path(&source, "longer/truth/items.tsv"), "a");
    assert_non_null(items);
    assert_true(fputs("i61\t1\t1\t1\t0\t0\n", items) >= 0);
    assert_int_equal(fclose(items), 0);
    refuse(served, "longer/truth", "image.npy", "has 60 rows, and ");
    synth.width = 5;
    make("wider", NULL, &synth);
    refuse(served, "wider/truth", "image.npy", "has 5 columns, the set has 4 for 'image'");
    synth = planted();
    synth.modalities = synth.feature_count = 1;
    make("fewer", NULL, &synth);
    refuse(served, "fewer/truth", "items.tsv", "has no column 'noise_text'");
    m3_served_free(served);
}

/* Reports. */

/* Without denoisers nothing changes: no noise is removed, and a change finds nothing. */
static void a_model_without_denoising_removes_nothing(void **state)
{
    (void)state;
    m3_served *served = serve("plain", "noisy.set");
    m3_truth_report *report = report_of(served, M3_SPLIT_TEST);
    assert_int_equal(report->feature_count, 2 * 2 + 2 + 1);
    for (uint32_t i = 0; i < report->feature_count; i++) {
        const m3_truth_features *row = &report->features[i];
        assert_true(row->noisy > 0 && row->clean > 0);
        assert_true(row->noisy_before > 0.5);
        assert_true(row->removed == 0.0);
        assert_true(row->clean_before == 0.0 && row->clean_after == 0.0 && row->clean_change == 0.0);
        assert_true(row->auc == 0.5);
    }
    assert_int_equal(report->event_count, 1);
    assert_true(report->events[0].bursts > 0 && report->events[0].bursts < report->events[0].accidental);
    assert_true(report->events[0].all.accidental == 0.5 && report->events[0].all.bursts == 0.5);
    assert_true(report->events[0].ids.accidental == 0.5 && report->events[0].ids.alone == 0.5);
    m3_truth_report_free(report);
    m3_served_free(served);
}

/* What an inference publishes for one sample, [B, M, L, d] or [G+1]. */
typedef struct published {
    float *encoded, *after_modality, *after_behavior, *gate;
} published;

typedef struct taking {
    m3_executable *executable;
    uint32_t batch;
    published *to; /* by sample */
} taking;

static float *rows_of(const taking *t, const char *name, uint32_t row, uint32_t outer, uint32_t inner)
{
    const float *from = m3_executable_output(t->executable, name, NULL);
    float *to = calloc((size_t)outer * inner, sizeof *to);
    assert_non_null(from);
    for (uint32_t o = 0; o < outer; o++)
        memcpy(to + (size_t)o * inner, from + ((size_t)o * t->batch + row) * inner, inner * sizeof *to);
    return to;
}

static m3_status take(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    const taking *t = user;
    (void)err;
    for (uint32_t i = 0; i < rows; i++)
        t->to[first + i] =
            (published){rows_of(t, "encoded", i, 6, LENGTH * WIDTH), rows_of(t, "after_modality", i, 6, LENGTH * WIDTH),
                        rows_of(t, "after_behavior", i, 6, LENGTH * WIDTH), rows_of(t, "gate", i, 1, 7)};
    return M3_OK;
}

static published *publish(m3_served *served, const m3_sample *samples, uint64_t count)
{
    m3_error err = {0};
    m3_infer_shape shape;
    taking t = {.to = calloc(count, sizeof *t.to)};
    training_check(
        m3_served_publish(served,
                          M3_PUBLISH_ENCODED | M3_PUBLISH_AFTER_MODALITY | M3_PUBLISH_AFTER_BEHAVIOR | M3_PUBLISH_GATE,
                          0, &t.executable, &err),
        &err);
    training_check(m3_infer_shape_of(t.executable, &shape, &err), &err);
    t.batch = shape.batch;
    training_check(m3_infer_samples(&shape, m3_served_source(served), samples, count, take, &t, &err), &err);
    m3_executable_free(t.executable);
    return t.to;
}

static void free_published(published *all, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        free(all[i].encoded);
        free(all[i].after_modality);
        free(all[i].after_behavior);
        free(all[i].gate);
    }
    free(all);
}

static double apart(const float *a, const float *b)
{
    double sum = 0;
    for (int j = 0; j < WIDTH; j++) sum += pow((double)a[j] - (double)b[j], 2);
    return sum;
}

/* Mean over numbers of the squared difference from their mean over positions. */
static double variance(float *const *rows, uint32_t count)
{
    double sum = 0;
    for (int j = 0; j < WIDTH; j++) {
        double mean = 0;
        for (uint32_t i = 0; i < count; i++) mean += (double)rows[i][j] / count;
        for (uint32_t i = 0; i < count; i++) sum += pow((double)rows[i][j] - mean, 2) / count;
    }
    return sum / WIDTH;
}

enum { MOST = USERS * LENGTH };

/* Of positions of one behavior and modality. */
typedef struct judged {
    uint32_t count, noisy;
    float *given[MOST], *clean[MOST];
    m3_scored changes[MOST];
    double before, after, clean_change;
} judged;

static bool in_truth(const m3_truth *truth, uint32_t modality, int32_t item)
{
    return truth->noisy[modality - 1][item] != 0;
}

static void judge_features(const m3_served *served, const m3_truth *truth, const published *given,
                           const published *clean, uint64_t count, const m3_truth_features *row, uint32_t b, uint32_t m)
{
    judged j = {0};
    uint64_t all = 0;
    const m3_sample *samples = m3_split_samples(served->split, M3_SPLIT_TEST, &all);
    for (uint64_t i = 0; i < count; i++) {
        int32_t ids[2 * LENGTH];
        m3_dataset_history(served->set, samples[i].user, samples[i].time, LENGTH, LENGTH, ids);
        for (uint32_t l = 0; l < LENGTH; l++) {
            const size_t at = ((size_t)(b * 3 + m) * LENGTH + l) * WIDTH;
            float *x = given[i].encoded + at, *y = given[i].after_modality + at, *r = clean[i].encoded + at;
            const int32_t item = ids[b * LENGTH + l];
            if (item == 0) continue;
            const bool noisy = in_truth(truth, m, item);
            j.given[j.count] = x;
            j.clean[j.count] = r;
            j.changes[j.count++] = (m3_scored){apart(x, y), noisy};
            j.noisy += noisy;
            if (!noisy) assert_true(apart(x, r) == 0.0);
            if (noisy) j.before += apart(x, r);
            if (noisy) j.after += apart(y, r);
            if (!noisy) j.clean_change += apart(x, y);
        }
    }
    const double of_r = variance(j.clean, j.count) * WIDTH, of_x = variance(j.given, j.count) * WIDTH;
    assert_int_equal(row->noisy, j.noisy);
    assert_int_equal(row->clean, j.count - j.noisy);
    is_about(row->noisy_before, j.before / j.noisy / of_r, "before");
    is_about(row->noisy_after, j.after / j.noisy / of_r, "after");
    is_about(row->removed, 1 - j.after / j.before, "removed");
    is_about(row->clean_change, j.clean_change / (j.count - j.noisy) / of_x, "change on clean");
    is_about(row->auc, auc_by_pairs(j.changes, j.count), "auc");
    assert_true(row->auc != 0.5 && row->removed != 0.0);
}

static void judge_events(const m3_served *served, const m3_truth *truth, const published *given, uint64_t count,
                         const m3_truth_events *row)
{
    uint32_t positions = 0, bursts = 0;
    uint64_t all = 0;
    m3_scored sums[MOST], ids[MOST], alone[MOST], of_bursts[MOST];
    uint32_t alone_count = 0, of_bursts_count = 0;
    const m3_sample *samples = m3_split_samples(served->split, M3_SPLIT_TEST, &all);
    for (uint64_t i = 0; i < count; i++) {
        const m3_events views = m3_dataset_events(served->set, samples[i].user, 0);
        const uint8_t *flags = m3_truth_flags(truth, served->set, samples[i].user, 0);
        uint32_t before = 0, l = LENGTH;
        while (before < views.count && views.times[before] < samples[i].time) before++;
        for (; before > 0 && l > 0; positions++) {
            const uint8_t is = flags[--before];
            double change[3];
            l--;
            for (int m = 0; m < 3; m++) {
                const size_t at = ((size_t)m * LENGTH + l) * WIDTH;
                change[m] = apart(given[i].after_behavior + at, given[i].after_modality + at);
            }
            sums[positions] = (m3_scored){change[0] + change[1] + change[2], (is & M3_EVENT_ACCIDENTAL) != 0};
            ids[positions] = (m3_scored){change[0], sums[positions].noise};
            if (!(is & M3_EVENT_BURST)) alone[alone_count++] = sums[positions];
            if ((is & M3_EVENT_BURST) || !sums[positions].noise) of_bursts[of_bursts_count++] = sums[positions];
            bursts += (is & M3_EVENT_BURST) != 0;
        }
    }
    assert_int_equal(row->genuine + row->accidental, positions);
    assert_int_equal(row->bursts, bursts);
    is_about(row->all.accidental, auc_by_pairs(sums, positions), "auc of events");
    is_about(row->ids.accidental, auc_by_pairs(ids, positions), "auc of ids");
    is_about(row->all.alone, auc_by_pairs(alone, alone_count), "auc without bursts");
    is_about(row->all.bursts, auc_by_pairs(of_bursts, of_bursts_count), "auc of bursts");
}

static void judge_weights(const m3_truth_report *report, const published *given, uint64_t count)
{
    static const double shares[6] = {0.5, 0.5, 0.0, 1.0 / 3, 1.0 / 3, 1.0 / 3}; /* useful, only:buy */
    static const char *const names[] = {"id", "image", "text"};
    double sums[7] = {0}, calibration = 0;
    for (uint64_t i = 0; i < count; i++)
        for (int e = 0; e < 7; e++) sums[e] += (double)given[i].gate[e];
    assert_int_equal(report->weight_count, 6);
    for (int e = 0; e < 6; e++) {
        const m3_truth_weight *row = &report->weights[e];
        const double *own = sums + 1 + e / 3 * 3;
        const double weight = sums[1 + e] / (own[0] + own[1] + own[2]);
        assert_string_equal(row->behavior, e < 3 ? "view" : "buy");
        assert_string_equal(row->modality, names[e % 3]);
        is_about(row->gate, sums[1 + e] / (double)count, "gate");
        is_about(row->weight, weight, "weight");
        is_about(row->planted, shares[e], "planted");
        calibration += fabs(weight - shares[e]) / 6;
    }
    is_about(report->calibration, calibration, "calibration");
}

/* The clean encodings come from a set that was made and imported without noise, in an inference of its own. */
static void figures_are_those_of_their_definitions(void **state)
{
    (void)state;
    m3_error err = {0};
    uint64_t count = 0;
    m3_truth truth = {0};
    m3_sequence_names names;
    m3_served *served = serve("whole", "noisy.set"), *without = serve("whole", "clean.set");
    m3_truth_report *report = report_of(served, M3_SPLIT_TEST);
    const m3_sample *samples = m3_split_samples(served->split, M3_SPLIT_TEST, &count);
    published *given = publish(served, samples, count), *clean = publish(without, samples, count);
    training_check(m3_settings_names(served->settings, served->set, &names, &err), &err);
    training_check(m3_truth_read(data_source_path(&source, "src/truth"), served->set, &names, &truth, &err), &err);
    assert_true(count > USERS / 2);
    assert_int_equal(report->samples, count);
    for (uint32_t b = 0; b < 2; b++)
        for (uint32_t m = 1; m <= 2; m++) {
            const m3_truth_features *row = &report->features[b * 2 + m - 1];
            assert_string_equal(row->behavior, names.behaviors[b]);
            assert_string_equal(row->modality, names.modalities[m]);
            judge_features(served, &truth, given, clean, count, row, b, m);
        }
    const m3_truth_features *last = &report->features[6], *image = &report->features[4];
    assert_null(last->behavior);
    assert_null(last->modality);
    assert_null(image->behavior);
    assert_string_equal(image->modality, "image");
    assert_int_equal(image->noisy, report->features[0].noisy + report->features[2].noisy);
    assert_int_equal(last->noisy, image->noisy + report->features[5].noisy);
    assert_int_equal(report->event_count, 1);
    assert_string_equal(report->events[0].behavior, "view");
    judge_events(served, &truth, given, count, &report->events[0]);
    judge_weights(report, given, count);
    free_published(given, count);
    free_published(clean, count);
    m3_truth_fini(&truth);
    m3_truth_report_free(report);
    m3_served_free(without);
    m3_served_free(served);
}

/* A folder of a version before has no weights and no bursts. */
static void an_older_truth_gives_all_but_weights(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_truth_report *report = NULL;
    m3_served *served = serve("whole", "noisy.set");
    assert_int_equal(rename(data_source_path(&source, "src/truth/weights.tsv"), data_source_path(&source, "w")), 0);
    training_check(m3_evaluate_truth(served, M3_SPLIT_VALID, data_source_path(&source, "src/truth"), &report, &err),
                   &err);
    assert_int_equal(rename(data_source_path(&source, "w"), data_source_path(&source, "src/truth/weights.tsv")), 0);
    assert_true(isnan(report->calibration) && isnan(report->weights[1].planted) && report->weights[1].weight >= 0.0);
    assert_true(report->features[0].noisy > 0);
    m3_truth_report_free(report);
    m3_served_free(served);
}

/* Whichever request for memory fails, the call says so and leaks nothing. */
static void a_lack_of_memory_is_reported(void **state)
{
    (void)state;
    m3_status st = M3_ERR_MEMORY;
    m3_served *served = serve("plain", "noisy.set");
    for (alloc_failure failure = {0}; st != M3_OK; failure.at += failure.at < 60 ? 1 : 37) {
        m3_error err = {0};
        m3_truth_report *report = NULL;
        const char *truth = data_source_path(&source, "src/truth");
        failure.seen = 0;
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_evaluate_truth(served, M3_SPLIT_TEST, truth, &report, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY)
            fail_msg("%s: %s [%s:%d]", err.subject, err.message, err.file, err.line);
        assert_int_equal(report == NULL, st != M3_OK);
        m3_truth_report_free(report);
    }
    m3_served_free(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_is_a_share_of_pairs),
        cmocka_unit_test(sums_become_shares_of_the_variance),
        cmocka_unit_test(events_are_matched_by_user_item_behavior_and_time),
        cmocka_unit_test(truth_of_other_data_is_refused),
        cmocka_unit_test(a_model_without_denoising_removes_nothing),
        cmocka_unit_test(figures_are_those_of_their_definitions),
        cmocka_unit_test(an_older_truth_gives_all_but_weights),
        cmocka_unit_test(a_lack_of_memory_is_reported),
        cmocka_unit_test(features_of_other_data_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
