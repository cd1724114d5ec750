/* split and history: by the last ones of a user and by points in time, with and without repeats, and no event at the
 * target's own time in its history. */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A user's events in file order, as "a1 b2": item and time; the answers as "a-" train, "av" validation, "at" test. */
static const struct split_row {
    const char *name, *events, *want;
    m3_import_options options;
} split_rows[] = {
    {"three different items: one each", "a1 b2 c3", "a- bv ct", {0}},
    {"more items train", "a1 b2 c3 d4 e5", "a- b- c- dv et", {0}},
    {"two items all train", "a1 b2", "a- b-", {0}},
    {"one item trains", "a1", "a-", {0}},
    {"a repeated item counts once, at its first time", "a1 b2 a3", "a- b-", {0}},
    {"a repeat does not become the last", "a1 b2 c3 a9", "a- bv ct", {0}},
    {"time decides, not the file", "c3 a1 b2", "a- bv ct", {0}},
    {"the file decides ties of time", "b5 a5 c5", "b- av ct", {0}},
    {"the last two of five", "a1 b2 c3 d4 e5", "a- bv cv dt et", {.last = 2}},
    {"the last two of six", "a1 b2 c3 d4 e5 f6", "a- b- cv dv et ft", {.last = 2}},
    {"four are too few for the last two", "a1 b2 c3 d4", "a- b- c- d-", {.last = 2}},
    {"repeats that are kept are samples", "a1 b2 a3 a4 c5", "a- b- a- av ct", {.keep_repeats = true}},
    {"the last two with repeats", "a1 b2 a3 a4 c5", "a- bv av at ct", {.keep_repeats = true, .last = 2}},
    {"two points in time", "a1 b2 c3 d4 e5", "a- b- cv dt et", {.split_at = "3,4"}},
    {"an event at a point is behind it", "a1 b2 c2 d2 e2 f3", "a- bv cv dv ev ft", {.split_at = "2,3"}},
    {"one point in time", "a1 b2 c3 d4 e5", "a- b- ct dt et", {.split_at = "3"}},
    {"points with digits behind the point", "a1 b2.5 c3 d4", "a- bv ct dt", {.split_at = "2.5,2.6"}},
    {"what was had in training is no sample of test", "a1 b3 a4 c5", "a- bv ct", {.split_at = "3,4"}},
    {"unless repeats are kept", "a1 b3 a4 c5", "a- bv at ct", {.split_at = "3,4", .keep_repeats = true}},
};
enum { SPLIT_ROWS = sizeof split_rows / sizeof split_rows[0] };

static m3_dataset *set_of(data_source *source, const char *behavior, const char *events, m3_import_options options)
{
    char text[1024] = "user_id\titem_id\tbehavior\ttimestamp\n";
    m3_error err = {0};
    m3_dataset *set;
    for (const char *at = events; *at != '\0'; at += strspn(at, " ")) {
        char line[64];
        char *end;
        double time = strtod(at + 1, &end);
        (void)snprintf(line, sizeof line, "u\t%c\t%s\t%g\n", *at, behavior, time);
        (void)strncat(text, line, sizeof text - strlen(text) - 1);
        at = end;
    }
    data_source_make(source);
    data_source_write(source, "interactions.tsv", text, 0);
    if (data_source_import(source, options, NULL, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(m3_dataset_open(data_source_path(source, "set"), &set, &err), M3_OK);
    return set;
}

static void splits(void **state)
{
    const struct split_row *row = *state;
    data_source source;
    m3_error err = {0};
    m3_split *split;
    m3_dataset *set = set_of(&source, "buy", row->events, row->options);
    assert_int_equal(m3_dataset_split(set, 0, &split, &err), M3_OK);
    char said[128] = "";
    uint32_t position = 0;
    for (int part = 0; part < M3_SPLIT_COUNT; part++) {
        uint64_t count;
        const m3_sample *samples = m3_split_samples(split, (m3_split_part)part, &count);
        for (uint64_t i = 0; i < count; i++) {
            char word[8];
            assert_int_equal(samples[i].part, part);
            assert_int_equal(samples[i].position, position++); /* one user: the parts follow each other */
            assert_int_equal(m3_split_had_before(split, &samples[i]).count,
                             row->options.keep_repeats ? 0 : samples[i].position);
            (void)snprintf(word, sizeof word, "%s%s%c", said[0] == '\0' ? "" : " ",
                           m3_dataset_item_id(set, samples[i].item), "-vt"[part]);
            (void)strncat(said, word, sizeof said - strlen(said) - 1);
        }
    }
    assert_string_equal(said, row->want);
    m3_split_free(split);
    m3_dataset_close(set);
    data_source_remove(&source);
}

/* history at a time; '.' is padding. */
static const struct history_row {
    const char *name, *events;
    int64_t time;
    uint32_t length;
    const char *want;
} history_rows[] = {
    {"oldest first, padded on the left", "a1 b2", 9, 4, "..ab"},
    {"the last L items", "a1 b2 c3 d4", 9, 2, "cd"},
    {"strictly before", "a1 b2 c3", 3, 3, ".ab"},
    {"no event of the same time, however many", "a1 b3 c3 d3", 3, 4, "...a"},
    {"nothing before the first", "a1 b2", 1, 2, ".."},
    {"repeats stay", "a1 a2 b3", 9, 3, "aab"},
    {"all of it at the end of time", "a1 b2", INT64_MAX, 2, "ab"},
    {"before time began", "a1 b2", INT64_MIN, 1, "."},
};
enum { HISTORY_ROWS = sizeof history_rows / sizeof history_rows[0] };

static void fills(void **state)
{
    const struct history_row *row = *state;
    data_source source;
    int32_t ids[8];
    char said[8] = "";
    m3_dataset *set = set_of(&source, "view", row->events, (m3_import_options){0});
    memset(ids, 0x7f, sizeof ids);
    m3_dataset_history(set, 0, row->time, row->length, row->length, ids);
    for (uint32_t i = 0; i < row->length; i++)
        said[i] = ids[i] == 0 ? '.' : m3_dataset_item_id(set, (uint32_t)ids[i])[0];
    assert_string_equal(said, row->want);
    assert_int_equal(ids[row->length], 0x7f7f7f7f);
    m3_dataset_history(set, 5, row->time, row->length, row->length, ids);
    for (uint32_t i = 0; i < row->length; i++) assert_int_equal(ids[i], 0); /* a user out of range has none */
    m3_dataset_close(set);
    data_source_remove(&source);
}

static m3_dataset *open_text(data_source *source, const char *text)
{
    m3_error err = {0};
    m3_dataset *set;
    data_source_make(source);
    data_source_write(source, "interactions.tsv", text, 0);
    if (data_source_import(source, (m3_import_options){0}, NULL, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(m3_dataset_open(data_source_path(source, "set"), &set, &err), M3_OK);
    return set;
}

/* Each buy grows from a view of the same item at the same time: the views must not give the answer away. */
static void the_shallow_twin_of_a_target_is_no_history(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_split *split;
    m3_dataset *set = open_text(&source, "user_id\titem_id\tbehavior\ttimestamp\n"
                                         "u\ta\tview\t1\nu\ta\tbuy\t1\nu\tx\tview\t2\nu\tb\tview\t3\nu\tb\tbuy\t3\n"
                                         "u\tc\tview\t4\nu\tc\tbuy\t4\n");
    assert_int_equal(m3_dataset_split(set, 1, &split, &err), M3_OK);
    uint64_t count;
    const m3_sample *test = m3_split_samples(split, M3_SPLIT_TEST, &count);
    assert_int_equal(count, 1);
    assert_string_equal(m3_dataset_item_id(set, test->item), "c");
    int32_t ids[10]; /* stride 5: one sample of a batch */
    m3_dataset_history(set, test->user, test->time, 4, 5, ids);
    assert_memory_equal(ids, ((int32_t[]){0, 1, 4, 2}), 16);
    assert_memory_equal(ids + 5, ((int32_t[]){0, 0, 1, 2}), 16);
    for (int i = 0; i < 4; i++) assert_int_not_equal(ids[i], (int32_t)test->item);
    m3_split_free(split);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void popularity_counts_training_events_with_repeats(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_split *split;
    m3_dataset *set =
        open_text(&source, "user_id\titem_id\tbehavior\ttimestamp\n"
                           "u\ta\tbuy\t1\nu\ta\tbuy\t2\nu\tb\tbuy\t3\nu\tc\tbuy\t4\nu\tc\tbuy\t5\nu\ta\tbuy\t6\n"
                           "v\tc\tbuy\t1\nv\tb\tbuy\t2\nv\tb\tbuy\t3\n");
    assert_int_equal(m3_dataset_split(set, 0, &split, &err), M3_OK);
    /* u holds out b and c and all that follows, v holds out nothing */
    assert_memory_equal(m3_split_item_counts(split), ((uint32_t[]){0, 2, 2, 1}), 16);
    m3_items had = m3_split_had(split, 0);
    assert_int_equal(had.count, 3);
    assert_memory_equal(had.items, ((uint32_t[]){1, 2, 3}), 12);
    assert_int_equal(m3_split_had(split, 2).count, 0);
    uint64_t count;
    (void)m3_split_samples(split, M3_SPLIT_TRAIN, &count);
    assert_int_equal(count, 3);
    assert_int_equal(m3_split_target(split), 0);
    m3_split_free(split);
    assert_int_equal(m3_dataset_split(set, 1, &split, &err), M3_ERR_RANGE);
    assert_null(split);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static const struct refused_row {
    const char *name;
    m3_import_options options;
    const char *says;
} refused_rows[] = {
    {"two ways at once", {.last = 2, .split_at = "3"}, "and split_at are two ways to split; give one of them"},
    {"no time", {.split_at = "yesterday"}, "'yesterday' is no time; give one or two as the timestamps are written"},
    {"nothing behind the comma", {.split_at = "3,"}, "'' is no time"},
    {"three points", {.split_at = "2,3,4"}, "'3,4' is no time"},
    {"the same twice", {.split_at = "3,3"}, "'3,3' has no validation"},
    {"falling points", {.split_at = "4,3"}, "'4,3' has no validation"},
    {"finer than the times",
     {.split_at = "2.5"},
     "'2.5' has more digits after the point than the timestamps, which have 0"},
    {"before all",
     {.split_at = "1,3"},
     "no 'view' is before 1, so there is nothing to train on; timestamps go from 1 to 5"},
    {"after all", {.split_at = "3,6"}, "no 'view' is at 6 or later, so there is nothing to test with"},
    {"nothing between",
     {.split_at = "3,4"},
     "no 'view' is at 3 or later and before 4, so there is nothing to validate with"},
};
enum { REFUSED_ROWS = sizeof refused_rows / sizeof refused_rows[0] };

/* Users u and v, and their parts. */
static const struct given_row {
    const char *name, *rows, *says;
} given_rows[] = {
    {"a later event of training",
     "u\ta\tview\t1\ttrain\nu\tb\tview\t2\ttest\nu\tc\tview\t3\ttrain\nv\ta\tview\t9\ttest\nv\tb\tview\t10\tvalid\n",
     "train has an event at 3, of a user who has one of test at 2 already, and so 2 times in all"},
    {"another word", "u\ta\tview\t1\ttrain\nu\tb\tview\t2\tTest\n",
     "line 3: split is 'Test'; it must be train, valid or test"},
    {"no word", "u\ta\tview\t1\t\n", "line 2: split is ''; it must be"},
    {"nothing to test with", "u\ta\tview\t1\ttrain\nu\tb\tview\t2\tvalid\n", "has no 'view' to test with"},
    {"nothing to train on", "u\ta\tview\t1\ttest\n", "has no 'view' to train on"},
    {"parts of one time are in order", "u\ta\tview\t1\ttest\nu\tb\tview\t1\tvalidation\nu\tc\tview\t1\ttraining\n",
     NULL},
};
enum { GIVEN_ROWS = sizeof given_rows / sizeof given_rows[0] };

static void takes_parts(void **state)
{
    const struct given_row *row = *state;
    char text[512];
    data_source source;
    m3_error err = {0};
    const m3_import_options options = {.reading.split_column = "split"};
    data_source_make(&source);
    (void)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\tsplit\n%s", row->rows);
    data_source_write(&source, "interactions.tsv", text, 0);
    const m3_status st = data_source_import(&source, options, NULL, &err);
    assert_int_equal(st, row->says != NULL ? M3_ERR_INVALID : M3_OK);
    if (row->says != NULL && strstr(err.message, row->says) == NULL) fail_msg("%s", err.message);
    data_source_remove(&source);
}

static void refuses(void **state)
{
    const struct refused_row *row = *state;
    data_source source;
    m3_error err = {0};
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv",
                      "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\tb\tview\t2\nu\tc\tview\t5\n", 0);
    assert_int_equal(data_source_import(&source, row->options, NULL, &err), M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) fail_msg("%s", err.message);
    data_source_remove(&source);
}

int main(void)
{
    struct CMUnitTest tests[SPLIT_ROWS + HISTORY_ROWS + REFUSED_ROWS + GIVEN_ROWS + 2];
    size_t count = 0;
    for (size_t i = 0; i < SPLIT_ROWS; i++)
        tests[count++] = (struct CMUnitTest){split_rows[i].name, splits, NULL, NULL, (void *)&split_rows[i]};
    for (size_t i = 0; i < HISTORY_ROWS; i++)
        tests[count++] = (struct CMUnitTest){history_rows[i].name, fills, NULL, NULL, (void *)&history_rows[i]};
    for (size_t i = 0; i < GIVEN_ROWS; i++)
        tests[count++] = (struct CMUnitTest){given_rows[i].name, takes_parts, NULL, NULL, (void *)&given_rows[i]};
    for (size_t i = 0; i < REFUSED_ROWS; i++)
        tests[count++] = (struct CMUnitTest){refused_rows[i].name, refuses, NULL, NULL, (void *)&refused_rows[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(the_shallow_twin_of_a_target_is_no_history);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(popularity_counts_training_events_with_repeats);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
