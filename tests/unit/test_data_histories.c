/* new histories: users from a file against the items and behaviors of a set. */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "user_id\titem_id\tbehavior\ttimestamp\n"

static m3_dataset *make_set(data_source *source)
{
    m3_error err = {0};
    m3_dataset *set;
    data_source_make(source);
    data_source_write(source, "interactions.tsv", HEAD "u\ta\tview\t1\nu\ta\tbuy\t1\nu\tb\tview\t2\nu\tc\tview\t3\n",
                      0);
    if (data_source_import(source, (m3_import_options){0}, NULL, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(m3_dataset_open(data_source_path(source, "set"), &set, &err), M3_OK);
    return set;
}

static void unseen_users_are_served_and_unknown_items_counted(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_histories *h;
    m3_import_report report;
    m3_dataset *set = make_set(&source);
    data_source_write(&source, "new.tsv",
                      HEAD "zoe\tc\tview\t9\nzoe\ta\tview\t7\nzoe\tqq\tview\t8\nyan\tb\tbuy\t1\nxi\tqq\tview\t1\n"
                           "zoe\ta\tcart\t8\nu\tb\tview\t4\n",
                      0);
    m3_reading reading = {.log = data_source_log, .log_user = &source};
    const char *path = data_source_path(&source, "new.tsv");
    assert_int_equal(m3_histories_read(set, path, &reading, &h, &report, &err), M3_OK);
    assert_int_equal(report.dropped[M3_DROP_UNKNOWN_ITEM], 2);
    assert_int_equal(report.dropped[M3_DROP_UNKNOWN_BEHAVIOR], 1);
    assert_int_equal(report.events, 4);
    assert_non_null(strstr(source.log, "new.tsv:4: the set has no item 'qq'; dropped"));
    assert_non_null(strstr(source.log, "new.tsv:7: the set has no behavior 'cart'; dropped"));
    assert_int_equal(m3_histories_user_count(h), 4);
    uint32_t zoe, xi, u;
    assert_true(m3_histories_find_user(h, "zoe", &zoe));
    assert_true(m3_histories_find_user(h, "xi", &xi));
    assert_true(m3_histories_find_user(h, "u", &u));
    assert_false(m3_histories_find_user(h, "nobody", &u));
    assert_string_equal(m3_histories_user_id(h, zoe), "zoe");
    int32_t ids[6];
    m3_histories_fill(h, zoe, M3_TIME_END, 3, 3, ids);
    assert_memory_equal(ids, ((int32_t[]){0, 1, 3, 0, 0, 0}), sizeof ids);
    m3_histories_fill(h, zoe, 9, 3, 3, ids);
    assert_memory_equal(ids, ((int32_t[]){0, 0, 1, 0, 0, 0}), sizeof ids);
    m3_histories_fill(h, xi, M3_TIME_END, 3, 3, ids);
    assert_memory_equal(ids, ((int32_t[]){0, 0, 0, 0, 0, 0}), sizeof ids);
    m3_histories_fill(h, u, M3_TIME_END, 3, 3, ids); /* the file's events alone */
    assert_memory_equal(ids, ((int32_t[]){0, 0, 2, 0, 0, 0}), sizeof ids);
    assert_int_equal(m3_histories_events(h, 9, 0).count, 0);
    m3_histories_free(h);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static const struct row {
    const char *name, *text;
    bool strict;
    const char *says;
} refused[] = {
    {"a file without rows", HEAD, false, "has no user in 0 rows"},
    {"only bad rows", HEAD "x\ny\n", false, "has no user in 2 rows: 2 have a wrong number of fields"},
    {"no behavior column although the set has two", "user_id\titem_id\ttimestamp\nu\ta\t1\n", false,
     "has no column 'behavior'"},
    {"strict refuses an unknown item", HEAD "z\tqq\tview\t1\n", true, "the set has no item 'qq'"},
};
enum { REFUSED = sizeof refused / sizeof refused[0] };

static void refuses(void **state)
{
    const struct row *row = *state;
    data_source source;
    m3_error err = {0};
    m3_histories *h;
    m3_dataset *set = make_set(&source);
    data_source_write(&source, "new.tsv", row->text, 0);
    m3_reading reading = {.strict = row->strict};
    const char *path = data_source_path(&source, "new.tsv");
    assert_int_equal(m3_histories_read(set, path, &reading, &h, NULL, &err), M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) print_message("%s\n", err.message);
    assert_non_null(strstr(err.message, row->says));
    assert_null(h);
    m3_dataset_close(set);
    data_source_remove(&source);
}

int main(void)
{
    struct CMUnitTest tests[REFUSED + 1];
    tests[0] = (struct CMUnitTest)cmocka_unit_test(unseen_users_are_served_and_unknown_items_counted);
    for (size_t i = 0; i < REFUSED; i++)
        tests[i + 1] = (struct CMUnitTest){refused[i].name, refuses, NULL, NULL, (void *)&refused[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
