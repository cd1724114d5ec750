/* synth: the same seed gives the same bytes, its truth tells what was planted, and the planted structure is there. */
#include "tests/support/data_source.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_file(const data_source *source, const char *name, size_t *size)
{
    FILE *file = fopen(data_source_path(source, name), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(*size + 1, 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static m3_synth_options small(void)
{
    m3_synth_options options = M3_SYNTH_OPTIONS_INIT;
    options.users = 120;
    options.items = 200;
    options.clusters = 5;
    options.modalities = 2;
    options.width = 8;
    return options;
}

static bool same_file(const data_source *one, const data_source *two, const char *name)
{
    size_t size_one, size_two;
    char *first = read_file(one, name, &size_one), *second = read_file(two, name, &size_two);
    bool same = size_one == size_two && memcmp(first, second, size_one) == 0;
    free(first);
    free(second);
    return same;
}

static void the_seed_decides_the_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"interactions.tsv", "items.tsv",       "image.npy",     "text.npy",
                                        "truth/users.tsv",  "truth/items.tsv", "truth/text.npy"};
    data_source one, two, other;
    m3_error err = {0};
    m3_synth_options options = small();
    data_source_make(&one);
    data_source_make(&two);
    data_source_make(&other);
    assert_int_equal(m3_data_synth(&options, one.directory, &err), M3_OK);
    assert_int_equal(m3_data_synth(&options, two.directory, &err), M3_OK);
    options.seed = 2;
    assert_int_equal(m3_data_synth(&options, other.directory, &err), M3_OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        assert_true(same_file(&one, &two, files[i]));
        assert_false(same_file(&one, &other, files[i]));
    }
    data_source_remove(&one);
    data_source_remove(&two);
    data_source_remove(&other);
}

/* The truth's interactions are the source's with a last column; deep events are never accidental. */
static void the_truth_tells_accidents(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    size_t size;
    uint32_t views = 0, accidents = 0, buys = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    char *plain = read_file(&source, "interactions.tsv", &size),
         *truth = read_file(&source, "truth/interactions.tsv", &size);
    char *plain_at = strchr(plain, '\n') + 1, *truth_at = strchr(truth, '\n') + 1;
    while (*plain_at != '\0') {
        size_t length = strcspn(plain_at, "\n");
        assert_memory_equal(plain_at, truth_at, length);
        bool accidental = strncmp(truth_at + length, "\t1\n", 3) == 0;
        plain_at[length] = '\0';
        bool buy = strstr(plain_at, "\tbuy\t") != NULL;
        assert_false(accidental && buy);
        accidents += accidental;
        buys += buy;
        views += !buy;
        plain_at += length + 1;
        truth_at += length + 3;
    }
    assert_true(fabs((double)accidents / views - options.accidental) < 0.03);
    assert_true(fabs((double)buys / (views - accidents) - options.deepen) < 0.05);
    free(plain);
    free(truth);
    data_source_remove(&source);
}

/* Items that the truth calls noise differ from its clean features, the others do not. */
static void the_truth_tells_feature_noise(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    size_t size;
    uint32_t noisy = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    char *given = read_file(&source, "text.npy", &size), *clean = read_file(&source, "truth/text.npy", &size);
    char *items = read_file(&source, "truth/items.tsv", &size), *line = strchr(items, '\n') + 1;
    for (uint32_t i = 0; i < options.items; i++) {
        size_t row = options.width * sizeof(float), at = 128 + i * row;
        bool noise = line[strcspn(line, "\n") - 1] == '1'; /* text is the last modality */
        assert_int_equal(memcmp(given + at, clean + at, row) != 0, noise);
        noisy += noise;
        line = strchr(line, '\n') + 1;
    }
    assert_true(noisy > options.items / 10 && noisy < options.items / 3);
    free(given);
    free(clean);
    free(items);
    data_source_remove(&source);
}

/* Most steps of a user lead to an item of a cluster that the user was in before: popularity cannot know that. */
static void users_keep_to_their_interests(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    m3_dataset *set;
    uint32_t target, kept = 0, all = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
    assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
    assert_int_equal(m3_dataset_user_count(set), options.users);
    assert_true(m3_dataset_find_behavior(set, "buy", &target));
    assert_int_equal(m3_dataset_target(set), target);
    for (uint32_t u = 0; u < options.users; u++) {
        m3_events events = m3_dataset_events(set, u, target);
        for (uint32_t i = 1; i < events.count; i++) {
            const char *before = m3_dataset_item_category(set, events.items[i - 1]);
            kept += strcmp(before, m3_dataset_item_category(set, events.items[i])) == 0;
            all++;
        }
    }
    assert_true((double)kept / all > 0.8);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void any_number_of_behaviors_and_modalities_can_be_imported(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 8; n++) {
        data_source source;
        m3_error err = {0};
        m3_dataset *set;
        m3_synth_options options = small();
        options.behaviors = n;
        options.modalities = n - 1;
        options.deepen = 0.9;
        data_source_make(&source);
        assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
        assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
        assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
        assert_int_equal(m3_dataset_behavior_count(set), n);
        assert_int_equal(m3_dataset_modality_count(set), n - 1);
        assert_string_equal(m3_dataset_behavior_name(set, n - 1), "buy");
        m3_dataset_close(set);
        data_source_remove(&source);
    }
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    data_source source;
    data_source_make(&source);
    for (int i = 0; i < 6; i++) {
        static const char *const subjects[] = {"users", "clusters", "behaviors", "accidental", "deepen", "events"};
        m3_error err = {0};
        m3_synth_options options = small();
        if (i == 0) options.users = 0;
        if (i == 1) options.clusters = 101;
        if (i == 2) options.behaviors = 9;
        if (i == 3) options.accidental = 1.0;
        if (i == 4) options.deepen = NAN;
        if (i == 5) options.events = 3;
        assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_ERR_INVALID);
        assert_string_equal(err.subject, subjects[i]);
    }
    data_source_remove(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_decides_the_bytes),
        cmocka_unit_test(the_truth_tells_accidents),
        cmocka_unit_test(the_truth_tells_feature_noise),
        cmocka_unit_test(users_keep_to_their_interests),
        cmocka_unit_test(any_number_of_behaviors_and_modalities_can_be_imported),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
