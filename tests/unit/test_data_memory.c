/* data without memory: whichever allocation fails, once or from there on, the call says so, leaks nothing and leaves
 * no file behind.
 * Labels: errors */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"

static const char *const derive[] = {"keep=n>=0"};
static const char packed[] = /* user_id,item_id,timestamp, three rows */
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2b\x2d\x4e\x2d\x8a\xcf\x4c\xd1\xc9\x2c\x49\xcd\x05\xd1"
    "\x25\x99\xb9\xa9\xc5\x25\x89\xb9\x05\x5c\xa5\x3a\x89\x3a\x86\x40\x32\x49\xc7\x88\xab\x0c\xc8\x36"
    "\xe6\x02\x00\x21\xa4\x3d\x28\x2c\x00\x00\x00";
static const double numbers[] = {1, 2, 3, 4};

static void make_source(data_source *source)
{
    data_source_make(source);
    data_source_write(source, "interactions.csv",
                      "user_id,item_id,behavior,timestamp,n\nu,a,view,1,1\nu,\"b\",view,2,2\nv,a,buy,3,3\nu,a,x\n", 0);
    data_source_write(source, "items.tsv", "item_id\ttitle\na\tA\tx\nb\tB\nz\tZ\n", 0);
    data_source_write(source, "packed", packed, sizeof packed - 1);
    data_source_write(source, "ids.txt", "a\nb\n", 0);
    data_source_write_npy(source, "image.npy", "<f4", false, 2, 2, numbers);
}

static m3_status import_it(data_source *source, m3_error *err)
{
    m3_import_options options = {.min_user_events = 1, .min_item_events = 2, .keep_items = true};
    options.reading.derive = derive;
    options.reading.derive_count = 1;
    return data_source_import(source, options, NULL, err);
}

static m3_status append_it(data_source *source, m3_error *err)
{
    m3_import_options options = {.size = sizeof options, .source = source->directory, .reading.derive = derive};
    options.reading.derive_count = 1;
    char set[128];
    (void)snprintf(set, sizeof set, "%s", data_source_path(source, "set"));
    return m3_data_append(set, true, &options, data_source_path(source, "set2"), NULL, err);
}

#ifdef M3BSR_ZLIB
static m3_status import_packed(data_source *source, m3_error *err)
{
    m3_import_options options = {.interactions = data_source_path(source, "packed"), .no_features = true};
    return data_source_import(source, options, NULL, err);
}
#endif

static m3_status open_it(data_source *source, m3_error *err)
{
    m3_dataset *set;
    m3_status st = m3_dataset_open(data_source_path(source, "set"), &set, err);
    m3_dataset_close(set);
    return st;
}

static m3_status split_it(data_source *source, m3_error *err)
{
    m3_dataset *set;
    m3_split *split = NULL;
    m3_behavior_stats stats;
    m3_status st = m3_dataset_open(data_source_path(source, "set"), &set, err);
    if (st == M3_OK) st = m3_dataset_split(set, 0, &split, err);
    if (st == M3_OK) st = m3_dataset_stats(set, 0, &stats, err);
    m3_split_free(split);
    m3_dataset_close(set);
    return st;
}

static m3_status read_histories(data_source *source, m3_error *err)
{
    m3_dataset *set;
    m3_histories *h = NULL;
    m3_status st = m3_dataset_open(data_source_path(source, "set"), &set, err);
    if (st == M3_OK) st = m3_histories_read(set, data_source_path(source, "interactions.csv"), NULL, &h, NULL, err);
    m3_histories_free(h);
    m3_dataset_close(set);
    return st;
}

static m3_status synthesize(data_source *source, m3_error *err)
{
    static const char *const only[] = {"only:buy"};
    m3_synth_options options = M3_SYNTH_OPTIONS_INIT;
    options.users = 4;
    options.items = 8;
    options.clusters = 2;
    options.width = 2;
    options.tail = 1.0;
    options.accidental_by = M3_ACCIDENTAL_POPULARITY;
    options.features = only;
    options.feature_count = 1;
    return m3_data_synth(&options, data_source_path(source, "synth"), err);
}

static const struct row {
    const char *name;
    m3_status (*run)(data_source *, m3_error *);
    bool on; /* every later allocation fails too */
    bool reads_csv;
} rows[] = {
    {"import, one allocation fails", import_it, false, true},
    {"import, all fail from one on", import_it, true, true},
    {"append, one allocation fails", append_it, false, true},
    {"append, all fail from one on", append_it, true, true},
#ifdef M3BSR_ZLIB
    {"compressed, one allocation fails", import_packed, false, true},
    {"compressed, all fail from one on", import_packed, true, true},
#endif
    {"open, one allocation fails", open_it, false, false},
    {"open, all fail from one on", open_it, true, false},
    {"split, one allocation fails", split_it, false, false},
    {"split, all fail from one on", split_it, true, false},
    {"histories, one allocation fails", read_histories, false, true},
    {"histories, all fail from one on", read_histories, true, true},
    {"synth, one allocation fails", synthesize, false, false},
    {"synth, all fail from one on", synthesize, true, false},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static uint64_t checksum_of(const data_source *source)
{
    m3_error err = {0};
    m3_dataset *set;
    assert_int_equal(m3_dataset_open(data_source_path(source, "set"), &set, &err), M3_OK);
    uint64_t checksum = m3_dataset_checksum(set);
    m3_dataset_close(set);
    return checksum;
}

static void survives(void **state)
{
    const struct row *row = *state;
    data_source source;
    m3_error first = {0};
    make_source(&source);
    assert_int_equal(import_it(&source, &first), M3_OK);
    assert_int_equal(row->run(&source, &first), M3_OK);
    uint64_t n = 0, checksum = checksum_of(&source);
    m3_status st = M3_ERR_MEMORY;
    for (; st == M3_ERR_MEMORY; n++) {
        m3_error err = {0};
        alloc_failure failure = {.at = n, .on = row->on};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = row->run(&source, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("allocation %d: %s", (int)n, err.message);
        if (st == M3_OK) assert_int_equal(checksum_of(&source), checksum);
        if (st == M3_OK && failure.seen > n) {
            assert_true(row->reads_csv); /* libcsv asks again, for a smaller buffer; nobody else may go on */
            st = M3_ERR_MEMORY;
        }
        assert_false(data_source_has_temporary(&source));
        assert_true(n < 2000);
    }
    assert_true(n > 2);
    data_source_remove(&source);
}

int main(void)
{
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, survives, NULL, NULL, (void *)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
