/* append: a set that was added to is the set that both sources make at once; what the new files say replaces what the
 * set knew, all else of the set stays, and what does not fit is told. */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "user_id\titem_id\tbehavior\ttimestamp\n"
#define OLD  "u9\ta\tview\t1\nu9\ta\tbuy\t2\nu10\tb\tview\t3.5\nu10\tc\tview\t4\nu10\tc\tbuy\t4\n"
/* New users and items on both sides of the old in the order of ids, and one event that lies before the old ones. */
#define NEW "u10\ta\tview\t5\nu2\tb\tbuy\t6\nu11\tB\tview\t7.25\nu9\tzz\tbuy\t8\nu9\tb\tview\t0\n"

static const double old_rows[] = {1, 2, 3, 4}, new_rows[] = {5, 6, 7, 8, 9, 10}, wide_rows[] = {1, 2, 3, 4, 5, 6};
static const char *const behaviors[] = {"view", "buy"};

typedef struct trial {
    data_source old, new;
    m3_dataset *set;
    m3_error err;
} trial;

static m3_status import(data_source *source)
{
    m3_error err = {0};
    return data_source_import(source, (m3_import_options){.behaviors = behaviors, .behavior_count = 2, .max_length = 7},
                              NULL, &err);
}

static int start(void **state)
{
    trial *t = calloc(1, sizeof *t);
    assert_non_null(t);
    data_source_make(&t->old);
    data_source_make(&t->new);
    data_source_write(&t->old, "interactions.tsv", HEAD OLD, 0);
    data_source_write(&t->old, "items.tsv", "item_id\ttitle\tcategory\na\tA\tx\nb\tB\ty\n", 0);
    data_source_write(&t->old, "image.ids.txt", "a\nb\n", 0);
    data_source_write_npy(&t->old, "image.npy", "<f4", false, 2, 2, old_rows);
    data_source_write(&t->new, "interactions.tsv", HEAD NEW, 0);
    assert_int_equal(import(&t->old), M3_OK);
    *state = t;
    return 0;
}

static int end(void **state)
{
    trial *t = *state;
    m3_dataset_close(t->set);
    data_source_remove(&t->old);
    data_source_remove(&t->new);
    free(t);
    return 0;
}

static m3_status append(trial *t, bool drop_gone, m3_import_options options, m3_import_report *report)
{
    char set[128];
    options.size = sizeof options;
    options.source = t->new.directory;
    options.reading.log = data_source_log;
    options.reading.log_user = &t->new;
    (void)snprintf(set, sizeof set, "%s", data_source_path(&t->old, "set"));
    m3_status st = m3_data_append(set, drop_gone, &options, data_source_path(&t->new, "set"), report, &t->err);
    if (st == M3_OK) st = m3_dataset_open(data_source_path(&t->new, "set"), &t->set, &t->err);
    return st;
}

static uint32_t item(const trial *t, const char *id)
{
    uint32_t found = 0;
    assert_true(m3_dataset_find_item(t->set, id, &found));
    return found;
}

static void assert_features(const trial *t, const char *id, float first, float second)
{
    const m3_features features = m3_dataset_features(t->set, 0);
    const uint32_t i = item(t, id);
    assert_int_equal(features.present[i], first != 0.0f);
    assert_float_equal(features.rows[2 * i], first, 0);
    assert_float_equal(features.rows[2 * i + 1], second, 0);
}

static void is_what_both_sources_make_at_once(void **state)
{
    trial *t = *state;
    m3_import_report report;
    m3_dataset *whole;
    data_source_write(&t->new, "items.tsv", "item_id\ttitle\nb\tB2\nzz\tZ\n", 0);
    data_source_write(&t->new, "image.ids.txt", "zz\nb\nnone\n", 0);
    data_source_write_npy(&t->new, "image.npy", "<f4", false, 3, 2, new_rows);
    assert_int_equal(append(t, false, (m3_import_options){0}, &report), M3_OK);
    assert_int_equal(report.rows, 5);
    assert_int_equal(report.events, 10);
    assert_int_equal(m3_dataset_import_report(t->set)->rows, 10);
    assert_non_null(strstr(t->new.log, ": 5 events, 2 users, 2 items"));
    data_source_write(&t->old, "interactions.tsv", HEAD OLD NEW, 0);
    data_source_write(&t->old, "items.tsv", "item_id\ttitle\tcategory\na\tA\tx\nb\tB2\ty\nzz\tZ\t\n", 0);
    data_source_write(&t->old, "image.ids.txt", "zz\nb\na\n", 0);
    data_source_write_npy(&t->old, "image.npy", "<f4", false, 3, 2, (const double[]){5, 6, 7, 8, 1, 2});
    assert_int_equal(import(&t->old), M3_OK);
    assert_int_equal(m3_dataset_open(data_source_path(&t->old, "set"), &whole, &t->err), M3_OK);
    assert_int_equal(m3_dataset_content_checksum(t->set), m3_dataset_content_checksum(whole));
    assert_int_equal(m3_dataset_item_checksum(t->set), m3_dataset_item_checksum(whole));
    assert_int_equal(m3_dataset_max_length(t->set), 7);
    for (uint32_t i = 1; i <= m3_dataset_item_count(whole); i++) {
        assert_string_equal(m3_dataset_item_title(t->set, i), m3_dataset_item_title(whole, i));
        assert_string_equal(m3_dataset_item_category(t->set, i), m3_dataset_item_category(whole, i));
    }
    m3_dataset_close(whole);
}

/* The new times are finer, so the points are told in other units. */
static void the_split_stays(void **state)
{
    trial *t = *state;
    assert_int_equal(
        data_source_import(
            &t->old,
            (m3_import_options){.behaviors = behaviors, .behavior_count = 2, .split_at = "3.5", .keep_repeats = true},
            NULL, &t->err),
        M3_OK);
    data_source_write(&t->new, "interactions.tsv", HEAD "u10\tc\tbuy\t5.125\n", 0);
    assert_int_equal(append(t, false, (m3_import_options){0}, NULL), M3_OK);
    const m3_split_rule rule = m3_dataset_split_rule(t->set);
    assert_int_equal(m3_dataset_time_digits(t->set), 3);
    assert_true(rule.kind == M3_SPLIT_AT && rule.repeats && rule.valid_from == 3500 && rule.test_from == 3500);
}

static void repeats_are_dropped_and_the_rest_stays(void **state)
{
    trial *t = *state;
    m3_import_report report;
    data_source_write(&t->new, "interactions.tsv",
                      HEAD "u10\tc\tbuy\t4\nu10\tb\tview\t3.50\nu10\tb\tlike\t9\nu10\tb\tbuy\t9\n", 0);
    assert_int_equal(append(t, false, (m3_import_options){.max_length = 3}, &report), M3_OK);
    assert_int_equal(report.dropped[M3_DROP_DUPLICATE_EVENT], 2);
    assert_int_equal(report.dropped[M3_DROP_BEHAVIOR], 1);
    assert_non_null(
        strstr(t->new.log, "interactions.tsv:2: the 'buy' of user 'u10' on item 'c' at 40 is already in the data set"));
    assert_int_equal(m3_dataset_event_count(t->set), 6);
    assert_int_equal(m3_dataset_max_length(t->set), 3);
    assert_string_equal(m3_dataset_behavior_name(t->set, m3_dataset_target(t->set)), "buy");
    assert_features(t, "a", 1, 2);
    assert_features(t, "b", 3, 4);
    assert_features(t, "c", 0, 0);
    assert_string_equal(m3_dataset_item_title(t->set, item(t, "b")), "B");
}

static void items_without_events_stay_or_are_kept_on_demand(void **state)
{
    trial *t = *state;
    data_source_write(&t->new, "items.tsv", "item_id\ttitle\nd\tD\n", 0);
    assert_int_equal(append(t, false, (m3_import_options){.keep_items = true}, NULL), M3_OK);
    assert_string_equal(m3_dataset_item_title(t->set, item(t, "d")), "D");
    m3_dataset_close(t->set);
    t->set = NULL;
    data_source_remove(&t->old);
    data_source_make(&t->old);
    data_source_write(&t->new, "set", "", 0);
    data_source_write(&t->old, "interactions.tsv", HEAD OLD, 0);
    data_source_write(&t->old, "items.tsv", "item_id\ttitle\nd\tD\n", 0);
    assert_int_equal(data_source_import(
                         &t->old, (m3_import_options){.behaviors = behaviors, .behavior_count = 2, .keep_items = true},
                         NULL, &t->err),
                     M3_OK);
    data_source_write(&t->new, "items.tsv", "item_id\ttitle\nzz\tZ\n", 0);
    assert_int_equal(append(t, false, (m3_import_options){0}, NULL), M3_OK);
    assert_string_equal(m3_dataset_item_title(t->set, item(t, "d")), "D");
}

static void what_is_gone_leaves_on_demand(void **state)
{
    trial *t = *state;
    uint32_t found;
    data_source_write(&t->new, "interactions.tsv", HEAD "u9\tb\tbuy\t6\n", 0);
    assert_int_equal(append(t, true, (m3_import_options){0}, NULL), M3_ERR_INVALID);
    assert_non_null(strstr(t->err.message, "there is no items file"));
    data_source_write(&t->new, "items.tsv", "item_id\ttitle\na\tA2\n", 0);
    assert_int_equal(append(t, true, (m3_import_options){0}, NULL), M3_OK);
    assert_int_equal(m3_dataset_item_count(t->set), 2);
    assert_false(m3_dataset_find_item(t->set, "c", &found));
    assert_int_equal(m3_dataset_event_count(t->set), 4);
    assert_string_equal(m3_dataset_item_title(t->set, item(t, "a")), "A2");
    assert_features(t, "a", 1, 2);
    assert_non_null(strstr(t->new.log, "1 items of the set are gone, with their 2 events and 0 users"));
}

static void what_does_not_fit_is_told(void **state)
{
    trial *t = *state;
    data_source_write(&t->new, "image.ids.txt", "a\nb\n", 0);
    data_source_write_npy(&t->new, "image.npy", "<f4", false, 2, 3, wide_rows);
    assert_int_equal(append(t, false, (m3_import_options){0}, NULL), M3_ERR_INVALID);
    assert_non_null(strstr(t->err.message, "has 3 columns, and the modality 'image' of"));
    data_source_write(&t->new, "text.ids.txt", "a\nb\n", 0);
    data_source_write_npy(&t->new, "text.npy", "<f4", false, 2, 3, wide_rows);
    data_source_write_npy(&t->new, "image.npy", "<f4", false, 2, 2, old_rows);
    assert_int_equal(append(t, false, (m3_import_options){0}, NULL), M3_OK);
    assert_non_null(strstr(t->new.log, "has no modality 'text'"));
    m3_import_options options = M3_IMPORT_OPTIONS_INIT;
    options.source = t->new.directory;
    char path[128];
    (void)snprintf(path, sizeof path, "%s", data_source_path(&t->old, "set"));
    assert_int_equal(m3_data_append(path, false, &options, path, NULL, &t->err), M3_ERR_INVALID);
    assert_int_equal(m3_data_append("nowhere.set", false, &options, path, NULL, &t->err), M3_ERR_INVALID);
}

/* Without a behavior column, rows are of the set's only behavior. */
static void rows_without_behavior_are_of_the_only_one(void **state)
{
    trial *t = *state;
    data_source_write(&t->old, "interactions.tsv",
                      "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tplay\t1\nu\tb\tplay\t2\n", 0);
    data_source_write(&t->new, "interactions.tsv", "user_id\titem_id\ttimestamp\nu\tc\t3\n", 0);
    assert_int_equal(data_source_import(&t->old, (m3_import_options){0}, NULL, &t->err), M3_OK);
    assert_int_equal(append(t, false, (m3_import_options){0}, NULL), M3_OK);
    assert_int_equal(m3_dataset_events(t->set, 0, 0).count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_what_both_sources_make_at_once, start, end),
        cmocka_unit_test_setup_teardown(repeats_are_dropped_and_the_rest_stays, start, end),
        cmocka_unit_test_setup_teardown(the_split_stays, start, end),
        cmocka_unit_test_setup_teardown(items_without_events_stay_or_are_kept_on_demand, start, end),
        cmocka_unit_test_setup_teardown(what_is_gone_leaves_on_demand, start, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_told, start, end),
        cmocka_unit_test_setup_teardown(rows_without_behavior_are_of_the_only_one, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
