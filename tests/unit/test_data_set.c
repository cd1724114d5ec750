/* data set file: what goes in comes out; whatever the bytes are, opening gives a set or an error. */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "core/data/set_format.h"

static const char interactions[] = "user_id\titem_id\tbehavior\ttimestamp\n"
                                   "10\tx\tview\t5\n"
                                   "9\t7\tview\t3\n"
                                   "9\t007\tview\t3\n"
                                   "9\tx\tbuy\t3\n"
                                   "9\tx\tview\t1\n"
                                   "Ω\t12\tview\t-4\n"
                                   "9\t7\tview\t9\n"
                                   "9\t7\tbuy\t9\n";
static const char items[] = "item_id\ttitle\tcategory\n"
                            "7\tСемь \"7\"\tnumber\n"
                            "x\tX\tletter\n";
static const double features[] = {1, 2, 3, 4, 5, 6};

static void make_set(data_source *source)
{
    m3_error err = {0};
    data_source_make(source);
    data_source_write(source, "interactions.tsv", interactions, 0);
    data_source_write(source, "items.tsv", items, 0);
    data_source_write_npy(source, "image.npy", "<f4", false, 2, 3, features);
    data_source_write(source, "image.ids.txt", "x\n7\n", 0);
    m3_import_options options = {.max_length = 33};
    if (data_source_import(source, options, NULL, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
}

static m3_dataset *open_set(const data_source *source)
{
    m3_error err = {0};
    m3_dataset *set;
    if (m3_dataset_open(data_source_path(source, "set"), &set, &err) != M3_OK) fail_msg("%s", err.message);
    return set;
}

static void check_events(m3_events events, uint32_t count, const uint32_t *want_items, const int64_t *want_times)
{
    assert_int_equal(events.count, count);
    assert_memory_equal(events.items, want_items, count * sizeof *want_items);
    assert_memory_equal(events.times, want_times, count * sizeof *want_times);
}

static void names_and_counts_come_back(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    m3_dataset *set = open_set(&source);
    assert_int_equal(m3_dataset_user_count(set), 3);
    assert_int_equal(m3_dataset_item_count(set), 4);
    assert_int_equal(m3_dataset_behavior_count(set), 2);
    assert_int_equal(m3_dataset_event_count(set), 8);
    assert_int_equal(m3_dataset_max_length(set), 33);
    assert_int_equal(m3_dataset_target(set), 1);
    assert_string_equal(m3_dataset_behavior_name(set, 0), "view");
    const char *const users[] = {"9", "10", "Ω"}, *const ids[] = {"", "7", "007", "12", "x"};
    for (uint32_t u = 0; u < 3; u++) assert_string_equal(m3_dataset_user_id(set, u), users[u]);
    for (uint32_t i = 0; i < 5; i++) assert_string_equal(m3_dataset_item_id(set, i), ids[i]);
    assert_string_equal(m3_dataset_item_title(set, 1), "Семь \"7\"");
    assert_string_equal(m3_dataset_item_category(set, 4), "letter");
    assert_string_equal(m3_dataset_item_title(set, 2), "");
    assert_string_equal(m3_dataset_item_title(set, 5), "");
    assert_string_equal(m3_dataset_user_id(set, UINT32_MAX), "");
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void ids_are_found_and_strangers_are_not(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    m3_dataset *set = open_set(&source);
    uint32_t found = 77;
    assert_false(m3_dataset_find_user(set, "8", &found));
    assert_false(m3_dataset_find_item(set, "", &found));
    assert_false(m3_dataset_find_item(set, "07", &found));
    assert_false(m3_dataset_find_behavior(set, "cart", &found));
    assert_int_equal(found, 77);
    for (uint32_t u = 0; u < 3; u++) {
        assert_true(m3_dataset_find_user(set, m3_dataset_user_id(set, u), &found));
        assert_int_equal(found, u);
    }
    for (uint32_t i = 1; i <= 4; i++) {
        assert_true(m3_dataset_find_item(set, m3_dataset_item_id(set, i), &found));
        assert_int_equal(found, i);
    }
    assert_true(m3_dataset_find_behavior(set, "buy", &found));
    assert_int_equal(found, 1);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void events_are_sorted_by_time_and_ties_keep_file_order(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    m3_dataset *set = open_set(&source);
    check_events(m3_dataset_events(set, 0, 0), 4, (uint32_t[]){4, 1, 2, 1}, (int64_t[]){1, 3, 3, 9});
    check_events(m3_dataset_events(set, 0, 1), 2, (uint32_t[]){4, 1}, (int64_t[]){3, 9});
    check_events(m3_dataset_events(set, 1, 0), 1, (uint32_t[]){4}, (int64_t[]){5});
    check_events(m3_dataset_events(set, 2, 0), 1, (uint32_t[]){3}, (int64_t[]){-4});
    assert_int_equal(m3_dataset_events(set, 1, 1).count, 0);
    assert_int_equal(m3_dataset_events(set, 3, 0).count, 0);
    assert_int_equal(m3_dataset_events(set, 0, 2).count, 0);
    m3_items touched = m3_dataset_touched(set, 0);
    assert_int_equal(touched.count, 3);
    assert_memory_equal(touched.items, ((uint32_t[]){1, 2, 4}), 12);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void features_come_back_with_zeros_for_padding_and_absent_items(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    m3_dataset *set = open_set(&source);
    m3_features f = m3_dataset_features(set, 0);
    const float want[] = {0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 1, 2, 3};
    assert_int_equal(f.width, 3);
    assert_int_equal(f.covered, 2);
    assert_memory_equal(f.rows, want, sizeof want);
    assert_memory_equal(f.present, ((uint8_t[]){0, 1, 0, 0, 1}), 5);
    assert_null(m3_dataset_features(set, 1).name);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void statistics_count_events_and_pairs(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_behavior_stats s;
    make_set(&source);
    m3_dataset *set = open_set(&source);
    assert_int_equal(m3_dataset_stats(set, 0, &s, &err), M3_OK);
    assert_int_equal(s.events, 6);
    assert_int_equal(s.pairs, 5);
    assert_int_equal(s.users, 3);
    assert_int_equal(s.items, 4);
    assert_int_equal(s.users_3, 1);
    assert_int_equal(s.users_5, 0);
    assert_int_equal(s.length_min, 1);
    assert_int_equal(s.length_median, 1);
    assert_int_equal(s.length_max, 4);
    assert_true(s.length_mean == 2.0);
    assert_int_equal(s.first_time, -4);
    assert_int_equal(s.last_time, 9);
    assert_int_equal(m3_dataset_stats(set, 2, &s, &err), M3_ERR_RANGE);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static char *read_set(const data_source *source, size_t *size)
{
    FILE *file = fopen(data_source_path(source, "set"), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void a_set_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    size_t size;
    char *bytes = read_set(&source, &size);
    for (size_t cut = 1; cut < size; cut += cut < 600 ? 1 : 37) {
        m3_error err = {0};
        m3_dataset *set;
        data_source_write(&source, "cut", bytes, cut);
        assert_int_equal(m3_dataset_open(data_source_path(&source, "cut"), &set, &err), M3_ERR_INVALID);
        assert_null(set);
        assert_true(err.message[0] != '\0');
    }
    free(bytes);
    data_source_remove(&source);
}

static void a_flipped_bit_anywhere_is_found(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    size_t size;
    char *bytes = read_set(&source, &size);
    for (size_t at = 0; at < size; at++) {
        m3_error err = {0};
        m3_dataset *set;
        bytes[at] = (char)(bytes[at] ^ (1 << at % 8));
        data_source_write(&source, "flipped", bytes, size);
        assert_int_equal(m3_dataset_open(data_source_path(&source, "flipped"), &set, &err), M3_ERR_INVALID);
        bytes[at] = (char)(bytes[at] ^ (1 << at % 8));
    }
    free(bytes);
    data_source_remove(&source);
}

/* Ask for everything that the set can say, and a little beyond. */
static uint64_t walk(const m3_dataset *set)
{
    uint64_t sum = 0;
    int32_t ids[4];
    for (uint32_t u = 0; u <= m3_dataset_user_count(set); u++) {
        sum += strlen(m3_dataset_user_id(set, u)) + m3_dataset_touched(set, u).count;
        for (uint32_t b = 0; b <= m3_dataset_behavior_count(set); b++) {
            m3_events events = m3_dataset_events(set, u, b);
            for (uint32_t i = 0; i < events.count; i++) sum += events.items[i] + (uint64_t)events.times[i];
        }
        if (m3_dataset_behavior_count(set) <= 2) m3_dataset_history(set, u, M3_TIME_END, 2, 2, ids);
    }
    for (uint32_t i = 0; i <= m3_dataset_item_count(set) + 1; i++)
        sum += strlen(m3_dataset_item_id(set, i)) + strlen(m3_dataset_item_title(set, i)) +
               strlen(m3_dataset_item_category(set, i));
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        m3_features f = m3_dataset_features(set, k);
        for (size_t i = 0; i < ((size_t)m3_dataset_item_count(set) + 1) * f.width; i++) sum += f.rows[i] > 0.0f;
    }
    m3_error err = {0};
    m3_split *split;
    assert_int_equal(m3_dataset_split(set, m3_dataset_target(set), &split, &err), M3_OK);
    m3_split_free(split);
    return sum;
}

static void put_checksum(char *bytes, size_t size)
{
    uint64_t sum = 0;
    memcpy(bytes + offsetof(m3_set_header, checksum), &sum, sizeof sum);
    sum = XXH64(bytes, size, 0);
    memcpy(bytes + offsetof(m3_set_header, checksum), &sum, sizeof sum);
}

/* Whoever makes a set by hand can make the checksum right; then the range checks stand alone. */
static void forge(const data_source *source, const unsigned char *patterns, size_t count)
{
    uint64_t opened = 0, refused = 0;
    size_t size;
    char *bytes = read_set(source, &size);
    for (size_t at = 8; at < size; at++) {
        for (size_t p = 0; p < count; p++) {
            m3_error err = {0};
            m3_dataset *set;
            char old = bytes[at];
            bytes[at] = (char)((unsigned char)bytes[at] ^ patterns[p]);
            put_checksum(bytes, size);
            data_source_write(source, "forged", bytes, size);
            if (m3_dataset_open(data_source_path(source, "forged"), &set, &err) == M3_OK) {
                (void)walk(set);
                opened++;
            } else {
                assert_int_equal(err.code, M3_ERR_INVALID);
                refused++;
            }
            m3_dataset_close(set);
            bytes[at] = old;
        }
    }
    assert_true(opened > 0 && refused > 0);
    free(bytes);
}

static void no_set_with_a_right_checksum_leads_out_of_bounds(void **state)
{
    (void)state;
    data_source source;
    make_set(&source);
    forge(&source, (const unsigned char[]){0x01, 0x80, 0xff}, 3);
    data_source_remove(&source);
}

/* Splits lie in sections of their own. */
static void nor_does_one_with_a_split(void **state)
{
    (void)state;
    static const char given[] = "user_id\titem_id\ttimestamp\tsplit\nu\ta\t1\ttrain\nu\tb\t2\tvalid\nv\ta\t3\ttest\n";
    static const m3_import_options ways[] = {{.reading.split_column = "split", .keep_repeats = true},
                                             {.split_at = "2,3"}};
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        data_source source;
        m3_error err = {0};
        data_source_make(&source);
        data_source_write(&source, "interactions.tsv", given, 0);
        if (data_source_import(&source, ways[w], NULL, &err) != M3_OK) fail_msg("%s", err.message);
        forge(&source, (const unsigned char[]){0x03}, 1);
        data_source_remove(&source);
    }
}

static void other_files_are_no_sets(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_dataset *set;
    data_source_make(&source);
    assert_int_equal(m3_dataset_open(data_source_path(&source, "nothing"), &set, &err), M3_ERR_INVALID);
    err = (m3_error){0};
    assert_int_equal(m3_dataset_open(source.directory, &set, &err), M3_ERR_INVALID);
    err = (m3_error){0};
    data_source_write(&source, "text", "user_id\titem_id\tbehavior\ttimestamp\n", 0);
    assert_int_equal(m3_dataset_open(data_source_path(&source, "text"), &set, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "is no data set; make one with"));
    data_source_remove(&source);
}

static void put(const data_source *source, const char *name, const char *bytes, size_t size, const char *mode)
{
    FILE *file = fopen(data_source_path(source, name), mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_set_that_changes_is_noticed(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    size_t size;
    make_set(&source);
    char *bytes = read_set(&source, &size);
    m3_dataset *set = open_set(&source);
    assert_int_equal(m3_dataset_check(set, &err), M3_OK);
    put(&source, "new", bytes, size, "wb"); /* another file of the name is no change of the one that is open */
    assert_int_equal(rename(data_source_path(&source, "new"), data_source_path(&source, "set")), 0);
    assert_int_equal(m3_dataset_check(set, &err), M3_OK);
    m3_dataset_close(set);

    set = open_set(&source);
    put(&source, "set", bytes, size, "r+b"); /* the same bytes: nobody looks at them */
    assert_int_equal(m3_dataset_check(set, &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, "was written to after it was opened"));
    m3_dataset_close(set);

    err = (m3_error){0};
    set = open_set(&source);
    put(&source, "set", "x", 1, "ab");
    assert_int_equal(m3_dataset_check(set, &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, "bytes and had"));
    m3_dataset_close(set);
    free(bytes);
    data_source_remove(&source);
}

/* Lists whose places are overwritten while the set is open stay within it. */
static void a_set_that_changes_leads_nowhere(void **state)
{
    (void)state;
    data_source source;
    size_t size;
    make_set(&source);
    char *bytes = read_set(&source, &size);
    m3_dataset *set = open_set(&source);
    memset(bytes, 0x7f, size);
    put(&source, "set", bytes, size, "r+b");
    assert_int_equal(m3_dataset_user_count(set), 3);
    for (uint32_t u = 0; u < 3; u++) {
        assert_int_equal(m3_dataset_events(set, u, 0).count, 0);
        assert_int_equal(m3_dataset_touched(set, u).count, 0);
        assert_string_equal(m3_dataset_user_id(set, u), "");
    }
    m3_dataset_close(set);
    free(bytes);
    data_source_remove(&source);
}

static void the_same_source_gives_the_same_bytes(void **state)
{
    (void)state;
    data_source one, two;
    make_set(&one);
    make_set(&two);
    size_t size_one, size_two;
    char *first = read_set(&one, &size_one), *second = read_set(&two, &size_two);
    assert_int_equal(size_one, size_two);
    assert_memory_equal(first, second, size_one);
    free(first);
    free(second);
    data_source_remove(&one);
    data_source_remove(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_counts_come_back),
        cmocka_unit_test(ids_are_found_and_strangers_are_not),
        cmocka_unit_test(events_are_sorted_by_time_and_ties_keep_file_order),
        cmocka_unit_test(features_come_back_with_zeros_for_padding_and_absent_items),
        cmocka_unit_test(statistics_count_events_and_pairs),
        cmocka_unit_test(a_set_cut_short_anywhere_is_refused),
        cmocka_unit_test(a_flipped_bit_anywhere_is_found),
        cmocka_unit_test(no_set_with_a_right_checksum_leads_out_of_bounds),
        cmocka_unit_test(nor_does_one_with_a_split),
        cmocka_unit_test(other_files_are_no_sets),
        cmocka_unit_test(the_same_source_gives_the_same_bytes),
        cmocka_unit_test(a_set_that_changes_is_noticed),
        cmocka_unit_test(a_set_that_changes_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
