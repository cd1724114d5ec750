/* split and history: leave-one-out by time, and no event at the target's own time in its history. */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A user's events in file order, as "a1 b2": item and time; the answers as "a-" train, "av" validation, "at" test. */
static const struct split_row {
    const char *name, *events, *want;
} split_rows[] = {
    {"three different items: one each", "a1 b2 c3", "a- bv ct"},
    {"more items train", "a1 b2 c3 d4 e5", "a- b- c- dv et"},
    {"two items all train", "a1 b2", "a- b-"},
    {"one item trains", "a1", "a-"},
    {"a repeated item counts once, at its first time", "a1 b2 a3", "a- b-"},
    {"a repeat does not become the last", "a1 b2 c3 a9", "a- bv ct"},
    {"time decides, not the file", "c3 a1 b2", "a- bv ct"},
    {"the file decides ties of time", "b5 a5 c5", "b- av ct"},
};
enum { SPLIT_ROWS = sizeof split_rows / sizeof split_rows[0] };

static m3_dataset *set_of(data_source *source, const char *behavior, const char *events)
{
    char text[1024] = "user_id\titem_id\tbehavior\ttimestamp\n";
    m3_error err = {0};
    m3_dataset *set;
    for (const char *at = events; *at != '\0'; at += strspn(at, " ")) {
        char line[64];
        char *end;
        long time = strtol(at + 1, &end, 10);
        (void)snprintf(line, sizeof line, "u\t%c\t%s\t%ld\n", *at, behavior, time);
        (void)strncat(text, line, sizeof text - strlen(text) - 1);
        at = end;
    }
    data_source_make(source);
    data_source_write(source, "interactions.tsv", text, 0);
    if (data_source_import(source, (m3_import_options){0}, NULL, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(m3_dataset_open(data_source_path(source, "set"), &set, &err), M3_OK);
    return set;
}

static void splits(void **state)
{
    const struct split_row *row = *state;
    data_source source;
    m3_error err = {0};
    m3_split *split;
    m3_dataset *set = set_of(&source, "buy", row->events);
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
            assert_int_equal(m3_split_had_before(split, &samples[i]).count, samples[i].position);
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
    m3_dataset *set = set_of(&source, "view", row->events);
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
    m3_dataset *set = open_text(&source, "user_id\titem_id\tbehavior\ttimestamp\n"
                                         "u\ta\tbuy\t1\nu\ta\tbuy\t2\nu\tb\tbuy\t3\nu\tc\tbuy\t4\nu\tc\tbuy\t5\n"
                                         "v\tc\tbuy\t1\nv\tb\tbuy\t2\nv\tb\tbuy\t3\n");
    assert_int_equal(m3_dataset_split(set, 0, &split, &err), M3_OK);
    /* u holds out b and c with all their repeats, v holds out nothing */
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

int main(void)
{
    struct CMUnitTest tests[SPLIT_ROWS + HISTORY_ROWS + 2];
    size_t count = 0;
    for (size_t i = 0; i < SPLIT_ROWS; i++)
        tests[count++] = (struct CMUnitTest){split_rows[i].name, splits, NULL, NULL, (void *)&split_rows[i]};
    for (size_t i = 0; i < HISTORY_ROWS; i++)
        tests[count++] = (struct CMUnitTest){history_rows[i].name, fills, NULL, NULL, (void *)&history_rows[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(the_shallow_twin_of_a_target_is_no_history);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(popularity_counts_training_events_with_repeats);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
