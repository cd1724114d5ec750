/* import of features: every form of a matrix is read, and what is wrong with one has its message; far entries are told.
 */
#include "tests/support/data_source.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define GOOD "user_id\titem_id\tbehavior\ttimestamp\nu\ta\tview\t1\nu\ta\tbuy\t2\nu\tb\tview\t3\n"

static const double signs[] = {-1, 2, -3, 4, -5, 6}, truths[] = {1, 0, 0, 1, 1, 1};
static const double large[] = {16777217, -16777217, 33554436, 5, 6, 7};
static const double six[] = {1, 2, 3, 4, 5, 6};
static const double with_nan[] = {1, 2, NAN, 4, 5, 6};
static const double too_large[] = {1, 2, 3, 4, 1e39, 6};
static const double halves[] = {0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x8000};

static const struct feature_row {
    const char *name, *descr;
    bool by_columns;
    uint32_t rows, width;
    const double *values;
    const char *ids;
    m3_status want;
    m3_drop reason;
    const char *says;
    uint64_t dropped, covered;
    float first[2], second[2]; /* rows of the items a and b */
} feature_rows[] = {
    {"float32", "<f4", false, 3, 2, six, "a\nb\nc\n", M3_OK, M3_DROP_UNUSED_FEATURE, "", 1, 2, {1, 2}, {3, 4}},
    {"float64", "<f8", false, 3, 2, six, "c\nb\na", M3_OK, M3_DROP_UNUSED_FEATURE, "", 1, 2, {5, 6}, {3, 4}},
    {"float16",
     "<f2",
     false,
     3,
     2,
     halves,
     "a\r\nb\r\nc\r\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {1, -2},
     {0.333251953125f, 5.9604644775390625e-8f}},
    {"Fortran order", "<f4", true, 3, 2, six, "a\nb\nc\n", M3_OK, M3_DROP_UNUSED_FEATURE, "", 1, 2, {1, 4}, {2, 5}},
    {"an id list with a header",
     "<f4",
     false,
     3,
     2,
     six,
     "item_id\na\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {1, 2},
     {3, 4}},
    {"a NaN costs its row",
     "<f4",
     false,
     3,
     2,
     with_nan,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_NOT_FINITE,
     "image.ids.txt:2: row 2 of",
     1,
     1,
     {1, 2},
     {0, 0}},
    {"beyond float32",
     "<f8",
     false,
     3,
     2,
     too_large,
     "c\na\nb\n",
     M3_OK,
     M3_DROP_NOT_FINITE,
     "beyond float32",
     1,
     1,
     {3, 4},
     {0, 0}},
    {"an item's second row",
     "<f4",
     false,
     3,
     2,
     six,
     "a\nb\na\n",
     M3_OK,
     M3_DROP_DUPLICATE_FEATURE,
     "image.ids.txt:3: item 'a' has row 1 of",
     1,
     2,
     {1, 2},
     {3, 4}},
    {"an item without a row gets zeros",
     "<f4",
     false,
     3,
     2,
     six,
     "a\nx\ny\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "1 of 2 items have no features",
     2,
     1,
     {1, 2},
     {0, 0}},
    {"fewer ids than rows",
     "<f4",
     false,
     3,
     2,
     six,
     "a\nb\n",
     M3_ERR_INVALID,
     0,
     "has 2 lines but",
     0,
     0,
     {0, 0},
     {0, 0}},
    {"no id that occurs",
     "<f4",
     false,
     3,
     2,
     six,
     "x\ny\nz\n",
     M3_ERR_INVALID,
     0,
     "none of its 3 rows can be used",
     0,
     0,
     {0, 0},
     {0, 0}},
    {"no id list", "<f4", false, 3, 2, six, NULL, M3_ERR_INVALID, 0, "has no id list", 0, 0, {0, 0}, {0, 0}},
    {"rows of no numbers",
     "<f4",
     false,
     3,
     0,
     six,
     "a\nb\nc\n",
     M3_ERR_INVALID,
     0,
     "has rows of 0 numbers",
     0,
     0,
     {0, 0},
     {0, 0}},
    {"another type",
     "<c8",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_ERR_INVALID,
     0,
     "holds '<c8'; give numbers: float16, float32, float64, or whole ones",
     0,
     0,
     {0, 0},
     {0, 0}},
    {"text",
     "<U4",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_ERR_INVALID,
     0,
     "holds '<U4'; give numbers",
     0,
     0,
     {0, 0},
     {0, 0}},
    {"big-endian float32",
     ">f4",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {1, 2},
     {3, 4}},
    {"big-endian float64",
     ">f8",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {1, 2},
     {3, 4}},
    {"whole numbers of 16 bits, big-endian",
     ">i2",
     false,
     3,
     2,
     signs,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {-1, 2},
     {-3, 4}},
    {"whole numbers of 64 bits",
     "<i8",
     false,
     3,
     2,
     signs,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {-1, 2},
     {-3, 4}},
    {"whole numbers of 32 bits without sign, big-endian",
     ">u4",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {1, 2},
     {3, 4}},
    {"bytes", "|u1", false, 3, 2, six, "a\nb\nc\n", M3_OK, M3_DROP_UNUSED_FEATURE, "", 1, 2, {1, 2}, {3, 4}},
    {"bytes with sign",
     "|i1",
     false,
     3,
     2,
     signs,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "",
     1,
     2,
     {-1, 2},
     {-3, 4}},
    {"booleans", "|b1", false, 3, 2, truths, "a\nb\nc\n", M3_OK, M3_DROP_UNUSED_FEATURE, "", 1, 2, {1, 0}, {0, 1}},
    {"whole numbers that float32 cannot hold",
     "<i8",
     false,
     3,
     2,
     large,
     "a\nb\nc\n",
     M3_OK,
     M3_DROP_UNUSED_FEATURE,
     "2 whole numbers beyond 16777216 are rounded to what float32 can hold",
     1,
     2,
     {16777216, -16777216},
     {33554436, 5}},
};
enum { FEATURE_ROWS = sizeof feature_rows / sizeof feature_rows[0] };

/* A column of the shapes that features have, and whether an entry of it is so far that a warning names it. */
static const struct column {
    const char *name;
    double values[12];
    const char *says; /* NULL: nothing */
} columns[] = {
    {"a mark below", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -999}, "column 2 has -999, and half of its entries lie from"},
    {"a mark above, twice", {9999, 2, 3, 4, 5, 9999, 7, 8, 9, 10, 11, 6}, "column 2 has 9999"},
    {"a count", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1000}, "take its logarithm"},
    {"years", {1990, 1991, 1992, 1993, 1994, 1995, 1996, 1997, 1998, 1999, 2000, 1900}, NULL},
    {"mostly empty", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5, 300}, NULL},
    {"all alike", {-999, -999, -999, -999, -999, -999, -999, -999, -999, -999, -999, -999}, NULL},
};
enum { COLUMNS = sizeof columns / sizeof columns[0], COLUMN_ITEMS = 12 };

static void names_far_entries(void **state)
{
    const struct column *column = *state;
    data_source source;
    m3_error err = {0};
    double values[2 * COLUMN_ITEMS];
    char events[1024] = "user_id\titem_id\tbehavior\ttimestamp\n", ids[256] = "";
    size_t event_end = strlen(events), id_end = 0;
    data_source_make(&source);
    for (int i = 0; i < COLUMN_ITEMS; i++) {
        event_end += (size_t)snprintf(events + event_end, sizeof events - event_end, "u\ti%02d\tview\t%d\n", i, i);
        id_end += (size_t)snprintf(ids + id_end, sizeof ids - id_end, "i%02d\n", i);
        values[2 * i] = i % 3;
        values[2 * i + 1] = column->values[i];
    }
    data_source_write(&source, "interactions.tsv", events, 0);
    data_source_write(&source, "image.ids.txt", ids, 0);
    data_source_write_npy(&source, "image.npy", "<f4", false, COLUMN_ITEMS, 2, values);
    assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
    if (column->says != NULL)
        assert_non_null(strstr(source.log, column->says));
    else
        assert_null(strstr(source.log, "so far an entry"));
    data_source_remove(&source);
}

static void takes_features(void **state)
{
    const struct feature_row *row = *state;
    data_source source;
    m3_import_report report;
    m3_error err = {0};
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", GOOD, 0);
    data_source_write_npy(&source, "image.npy", row->descr, row->by_columns, row->rows, row->width, row->values);
    if (row->ids != NULL) data_source_write(&source, "image.ids.txt", row->ids, 0);
    m3_status st = data_source_import(&source, (m3_import_options){0}, &report, &err);
    const char *said = st == M3_OK ? source.log : err.message;
    if (st != row->want || strstr(said, row->says) == NULL) print_message("said: %s\n", said);
    assert_int_equal(st, row->want);
    assert_non_null(strstr(said, row->says));
    if (st == M3_OK) {
        m3_dataset *set;
        assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
        m3_features features = m3_dataset_features(set, 0);
        assert_int_equal(report.dropped[row->reason], row->dropped);
        assert_string_equal(features.name, "image");
        assert_int_equal(features.width, row->width);
        assert_int_equal(features.covered, row->covered);
        assert_memory_equal(features.rows, ((float[2]){0, 0}), sizeof row->first);
        assert_memory_equal(features.rows + 2, row->first, sizeof row->first);
        assert_memory_equal(features.rows + 4, row->second, sizeof row->second);
        m3_dataset_close(set);
    }
    data_source_remove(&source);
}

/* [3, 2] float32 1..6 behind the header; the data's end is the file's. */
static size_t make_safetensors(char *bytes, const char *header)
{
    uint64_t length = strlen(header);
    const float numbers[] = {1, 2, 3, 4, 5, 6};
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + 8, header, length + 1); /* the NUL is overwritten */
    memcpy(bytes + 8 + length, numbers, sizeof numbers);
    return 8 + length + sizeof numbers;
}

static const struct safetensors_row {
    const char *name, *header;
    m3_status want;
    const char *says;
} safetensors_rows[] = {
    {"safetensors: the only tensor", "{\"x\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}", M3_OK, ""},
    {"safetensors: the one with the name",
     "{\"__metadata__\":{},\"y\":{},\"image\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}", M3_OK, ""},
    {"safetensors: none with the name", "{\"x\":{},\"y\":{}}", M3_ERR_INVALID,
     "has 2 tensors and none is named 'image'"},
    {"safetensors: rank 1", "{\"x\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", M3_ERR_INVALID,
     "rank 1"},
    {"safetensors: another type", "{\"x\":{\"dtype\":\"C64\",\"shape\":[3,1],\"data_offsets\":[0,24]}}", M3_ERR_INVALID,
     "holds C64"},
    {"safetensors: bytes beyond the file", "{\"x\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[4,28]}}",
     M3_ERR_INVALID, "bytes 4 to 28"},
    {"safetensors: shape and bytes differ", "{\"x\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[0,24]}}",
     M3_ERR_INVALID, "24 bytes of numbers are there"},
    {"safetensors: no JSON", "{\"x\":", M3_ERR_INVALID, "has a damaged header"},
};
enum { SAFETENSORS_ROWS = sizeof safetensors_rows / sizeof safetensors_rows[0] };

static void takes_safetensors(void **state)
{
    const struct safetensors_row *row = *state;
    char bytes[512];
    data_source source;
    m3_error err = {0};
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", GOOD, 0);
    data_source_write(&source, "image.safetensors", bytes, make_safetensors(bytes, row->header));
    data_source_write(&source, "ids.txt", "a\nb\nc\n", 0);
    m3_status st = data_source_import(&source, (m3_import_options){0}, NULL, &err);
    if (st != row->want) print_message("%s\n", err.message);
    assert_int_equal(st, row->want);
    if (st != M3_OK) assert_non_null(strstr(err.message, row->says));
    data_source_remove(&source);
}

static void modalities_come_in_the_order_asked_for(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_dataset *set;
    const char *const order[] = {"text", "image"};
    const char *const missing[] = {"sound"};
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", GOOD, 0);
    data_source_write(&source, "ids.txt", "a\nb\nc\n", 0);
    data_source_write_npy(&source, "image.npy", "<f4", false, 3, 2, six);
    data_source_write_npy(&source, "text.npy", "<f4", false, 3, 1, six);
    data_source_write_npy(&source, "audio.npy", "<f4", false, 3, 1, six);
    m3_import_options options = {.modalities = order, .modality_count = 2};
    assert_int_equal(data_source_import(&source, options, NULL, &err), M3_OK);
    assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
    assert_int_equal(m3_dataset_modality_count(set), 2);
    assert_string_equal(m3_dataset_features(set, 0).name, "text");
    assert_string_equal(m3_dataset_features(set, 1).name, "image");
    m3_dataset_close(set);
    options = (m3_import_options){.modalities = missing, .modality_count = 1};
    assert_int_equal(data_source_import(&source, options, NULL, &err), M3_ERR_INVALID);
    assert_string_equal(err.subject, "sound");
    data_source_remove(&source);
}

int main(void)
{
    struct CMUnitTest tests[FEATURE_ROWS + COLUMNS + SAFETENSORS_ROWS + 1];
    size_t count = 0;
    for (size_t i = 0; i < FEATURE_ROWS; i++)
        tests[count++] =
            (struct CMUnitTest){feature_rows[i].name, takes_features, NULL, NULL, (void *)&feature_rows[i]};
    for (size_t i = 0; i < COLUMNS; i++)
        tests[count++] = (struct CMUnitTest){columns[i].name, names_far_entries, NULL, NULL, (void *)&columns[i]};
    for (size_t i = 0; i < SAFETENSORS_ROWS; i++)
        tests[count++] =
            (struct CMUnitTest){safetensors_rows[i].name, takes_safetensors, NULL, NULL, (void *)&safetensors_rows[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(modalities_come_in_the_order_asked_for);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
