/* safetensors: what is written is read back; what is damaged is refused with its reason; a failed write leaves the old
 * file whole.   Labels: errors */
#include "core/base/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static char path[256];

static void put(const char *header, uint64_t length, size_t data_bytes)
{
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    for (int i = 0; i < 8; i++) (void)fputc((int)(length >> (8 * i) & 0xff), to);
    (void)fputs(header, to);
    for (size_t i = 0; i < data_bytes; i++) (void)fputc((int)i, to);
    assert_int_equal(fclose(to), 0);
}

/* length 0: the header's own. */
static const struct row {
    const char *name, *header;
    uint64_t length;
    size_t data_bytes;
    const char *says; /* "" is a legal file */
} rows[] = {
    {"no tensors are a legal file", "{}", 0, 0, ""},
    {"a tensor without elements is legal", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}", 0, 0,
     ""},
    {"rows of nothing are legal, however many",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[36028797018963968,0],\"data_offsets\":[0,0]}}", 0, 0, ""},
    {"a scalar is legal", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 0, 4, ""},
    {"a header beyond the file is refused", "{}", 1000, 0, "says that its header has 1000 bytes"},
    {"a header of 2^63 bytes is refused", "{}", UINT64_C(1) << 63, 0, "damaged or no safetensors file"},
    {"a header that is no JSON is refused", "{\"a\":", 0, 0, "no JSON object"},
    {"a header that is a list is refused", "[1]", 0, 0, "no JSON object"},
    {"a name that is there twice is refused", "{\"a\":1,\"a\":1}", 0, 0, "duplicate object key"},
    {"an unknown type is refused", "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 0, 4,
     "type F31"},
    {"an entry that is a number is refused", "{\"a\":7}", 0, 0, "type is missing"},
    {"a negative extent is refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 0, 4,
     "axis 0 of its shape is no number"},
    {"a shape whose product overflows is refused",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,4]}}", 0, 4,
     "axis 1 of its shape is no number or too large"},
    {"too many axes are refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 0, 4,
     "no list of at most 6 numbers"},
    {"data beyond the file is refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 4,
     "not two rising numbers up to 4"},
    {"falling offsets are refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 0, 4,
     "not two rising numbers"},
    {"a size that is not the shape's is refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0,
     4, "has 4 bytes; F32 [2] takes 8"},
    {"overlapping tensors are refused",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
     0, 4, "begins at byte 0 of the data; the tensor before ends at 4"},
    {"a hole between tensors is refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 0, 8,
     "begins at byte 4"},
    {"bytes behind the last tensor are refused", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 0,
     9, "has 9 bytes of data; its tensors have 4"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void opens(void **state)
{
    const struct row *row = *state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    put(row->header, row->length != 0 ? row->length : strlen(row->header), row->data_bytes);
    m3_status st = m3_safetensors_open(path, &file, &err);
    assert_int_equal(st, row->says[0] == 0 ? M3_OK : M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, row->says);
    assert_true((file != NULL) == (st == M3_OK));
    m3_safetensors_close(file);
}

static void a_file_shorter_than_its_length_is_refused(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    (void)fputs("abc", to);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "has 3 bytes"));
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    assert_int_equal(m3_safetensors_open("/nowhere/at.all", &file, &err), M3_ERR_INVALID);
    assert_string_equal(err.subject, "/nowhere/at.all");
}

static void a_longer_header_than_anybody_needs_is_not_read(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    put("", (UINT64_C(16) << 20) + 1, 0);
    assert_int_equal(truncate(path, (16 << 20) + 16), 0);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_ERR_INVALID);
    assert_string_equal(err.message, "has a header of 16777217 bytes, and at most 16777216 are read");
}

static void a_fifo_is_no_file_and_not_waited_for(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_ERR_INVALID);
    assert_string_equal(err.message, "has 0 bytes; a safetensors file has at least 8");
    assert_int_equal(unlink(path), 0);
}

/* Names in an order that is neither theirs nor that of their data. */
static void every_name_is_found(void **state)
{
    enum { NAMES = 1000 };
    (void)state;
    char header[NAMES * 64] = "{", name[16];
    uint32_t index = 0;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    for (size_t i = 0, at = 1; i < NAMES; i++)
        at += (size_t)snprintf(header + at, sizeof header - at,
                               "%s\"t%zu\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}%s",
                               i > 0 ? "," : "", i * 7 % NAMES, i + 1 == NAMES ? "}" : "");
    put(header, strlen(header), 0);
    if (m3_safetensors_open(path, &file, &err) != M3_OK) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        assert_true(m3_safetensors_find(file, name, &index));
        assert_string_equal(m3_safetensors_at(file, index)->name, name);
    }
    assert_false(m3_safetensors_find(file, "", &index));
    assert_false(m3_safetensors_find(file, "t", &index));
    assert_false(m3_safetensors_find(file, "u", &index));
    m3_safetensors_close(file);
}

static const float values[2][3] = {{1.0F, -2.5F, 3e-20F}, {7.0F, 8.0F, 9.0F}};
static const m3_safetensors_entry entries[] = {
    {"weight", M3_F32, {.rank = 2, .dim = {2, 3}}},
    {"ids", M3_I32, {.rank = 1, .dim = {3}}},
    {"nothing", M3_F32, {.rank = 1, .dim = {0}}},
    {"half", M3_F16, {.rank = 1, .dim = {4}}},
    {"wide", M3_F64, {.rank = 0}},
    {"brain", M3_BF16, {.rank = 1, .dim = {1}}},
};
static const int32_t ids[] = {-1, 0, INT32_MAX};
static const uint16_t halves[] = {0x3c00, 0xc100, 0x0001, 0x7c00}; /* 1, -2.5, 2^-24, infinity */
static const double wide = -1.5;
static const uint16_t brain = 0x3fc0; /* 1.5 */

static m3_status fill(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    const void *from[] = {values, ids, NULL, halves, &wide, &brain};
    if (user != NULL && index == 1) return M3_FAIL(err, M3_ERR_DEVICE_LOST, "device", "went away");
    if (bytes != 0) memcpy(data, from[index], bytes);
    return M3_OK;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const m3_safetensors_note note = {"format", "test \"quoted\" é"};
    m3_safetensors *file = NULL;
    m3_error err = {0};
    uint32_t at = 0;
    float got[6];
    int32_t got_ids[3];
    assert_int_equal(m3_safetensors_write(path, entries, 6, &note, 1, fill, NULL, &err), M3_OK);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_OK);
    assert_int_equal(m3_safetensors_count(file), 6);
    assert_string_equal(m3_safetensors_meta(file, "format"), note.value);
    assert_null(m3_safetensors_meta(file, "other"));
    assert_false(m3_safetensors_find(file, "weigh", &at));

    assert_true(m3_safetensors_find(file, "weight", &at));
    assert_true(m3_shape_equal(&m3_safetensors_at(file, at)->shape, &entries[0].shape));
    assert_int_equal(m3_safetensors_read_f32(file, at, got, 6, &err), M3_OK);
    assert_memory_equal(got, values, sizeof values);
    assert_int_equal(m3_safetensors_read(file, at, got, 20, &err), M3_ERR_INVALID);
    assert_int_equal(m3_safetensors_read_rows_f32(file, at, 1, 2, got, &err), M3_OK);
    assert_memory_equal(got, values[1], sizeof values[1]);
    assert_int_equal(m3_safetensors_read_rows_f32(file, at, 1, 3, got, &err), M3_ERR_RANGE);

    assert_true(m3_safetensors_find(file, "ids", &at));
    assert_int_equal(m3_safetensors_read(file, at, got_ids, sizeof got_ids, &err), M3_OK);
    assert_memory_equal(got_ids, ids, sizeof ids);
    assert_int_equal(m3_safetensors_read_f32(file, at, got, 3, &err), M3_ERR_INVALID);
    assert_int_equal(m3_safetensors_read_rows_f32(file, at, 0, 1, got, &err), M3_ERR_INVALID);

    assert_true(m3_safetensors_find(file, "half", &at));
    assert_int_equal(m3_safetensors_read_f32(file, at, got, 4, NULL), M3_OK);
    assert_true(got[0] == 1.0F && got[1] == -2.5F && got[2] == 0x1p-24F && isinf(got[3]));
    assert_int_equal(m3_safetensors_read_rows_f32(file, at, 1, 3, got, NULL), M3_OK);
    assert_true(got[0] == -2.5F && got[1] == 0x1p-24F);
    assert_int_equal(m3_safetensors_read_rows_f32(file, at, 3, 5, got, NULL), M3_ERR_RANGE);
    assert_true(m3_safetensors_find(file, "wide", &at));
    assert_int_equal(m3_safetensors_read_f32(file, at, got, 1, NULL), M3_OK);
    assert_true(got[0] == -1.5F);
    assert_true(m3_safetensors_find(file, "brain", &at));
    assert_int_equal(m3_safetensors_read_f32(file, at, got, 1, NULL), M3_OK);
    assert_true(got[0] == 1.5F);
    m3_safetensors_close(file);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    int broken = 1;
    assert_int_equal(m3_safetensors_write(path, entries, 6, NULL, 0, fill, NULL, &err), M3_OK);
    assert_int_equal(m3_safetensors_write(path, entries, 2, NULL, 0, fill, &broken, &err), M3_ERR_DEVICE_LOST);
    assert_int_equal(m3_safetensors_open(path, &file, NULL), M3_OK);
    assert_int_equal(m3_safetensors_count(file), 6);
    m3_safetensors_close(file);
}

/* What jansson may still ask for; it has no user. */
static int requests_left;

static void *scarce(size_t bytes)
{
    return requests_left-- > 0 ? malloc(bytes) : NULL;
}

/* One request fails, whichever: jansson may go on without it, so a header must not be taken for whole. */
static void *scarce_once(size_t bytes)
{
    return requests_left-- == 0 ? NULL : malloc(bytes);
}

static void a_header_without_memory_is_not_written(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        m3_status st = M3_ERR_MEMORY;
        for (int n = 0; st != M3_OK || requests_left < 0; n++) {
            m3_error err = {0};
            m3_safetensors *file = NULL;
            requests_left = n;
            json_set_alloc_funcs(kind == 0 ? scarce : scarce_once, free);
            st = m3_safetensors_write(path, entries, 6, NULL, 0, fill, NULL, &err);
            const bool refused = requests_left < 0;
            json_set_alloc_funcs(malloc, free);
            if (st != M3_OK) {
                assert_int_equal(st, M3_ERR_MEMORY);
                continue;
            }
            if (m3_safetensors_open(path, &file, &err) != M3_OK) fail_msg("request %d: %s", n, err.message);
            for (uint32_t i = 0; i < 6; i++) {
                uint32_t at = 0;
                assert_true(m3_safetensors_find(file, entries[i].name, &at));
                assert_true(m3_shape_equal(&m3_safetensors_at(file, at)->shape, &entries[i].shape));
            }
            m3_safetensors_close(file);
            if (!refused) break;
        }
    }
}

static void a_name_may_not_be_written_twice(void **state)
{
    (void)state;
    const m3_safetensors_entry twice[] = {entries[2], entries[2]};
    m3_error err = {0};
    assert_int_equal(m3_safetensors_write(path, twice, 2, NULL, 0, fill, NULL, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "would be twice"));
}

static void a_file_cut_short_while_open_is_an_error(void **state)
{
    (void)state;
    m3_safetensors *file = NULL;
    m3_error err = {0};
    uint32_t at = 0;
    float got = 0;
    assert_int_equal(m3_safetensors_write(path, entries, 6, NULL, 0, fill, NULL, &err), M3_OK);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_OK);
    assert_int_equal(truncate(path, 64), 0);
    assert_true(m3_safetensors_find(file, "wide", &at));
    assert_int_equal(m3_safetensors_read_f32(file, at, &got, 1, &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, "cut short"));
    m3_safetensors_close(file);
}

/* More than is moved at once, and a row that is more than that by itself. */
static const m3_safetensors_entry large[] = {
    {"tall", M3_F32, {.rank = 2, .dim = {300000, 5}}},
    {"wide", M3_F32, {.rank = 2, .dim = {2, 1100000}}},
    {"one", M3_F32, {.rank = 0}},
    {"none", M3_F32, {.rank = 2, .dim = {0, 5}}},
};

static m3_status fill_rows(void *user, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    uint64_t *calls = user;
    const uint64_t width = m3_safetensors_row_bytes(&large[index]) / sizeof(float);
    (void)err;
    for (uint64_t i = 0; i < (end - begin) * width; i++) ((float *)data)[i] = (float)(begin * width + i) + (float)index;
    if (calls != NULL) calls[index]++;
    return M3_OK;
}

static m3_status fill_large(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    (void)bytes;
    return fill_rows(user, index, 0, m3_safetensors_rows(&large[index].shape), data, err);
}

static uint64_t checksum(void)
{
    static uint64_t words[8192];
    uint64_t sum = 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t count; (count = fread(words, 1, sizeof words, file)) != 0; memset(words, 0, sizeof words))
        for (size_t i = 0; i < (count + 7) / 8; i++) sum = sum * 31 + words[i];
    assert_int_equal(fclose(file), 0);
    return sum;
}

static void rows_at_a_time_make_the_same_file(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_safetensors *file = NULL;
    uint64_t calls[4] = {0};
    uint32_t at = 0;
    float got[10];
    assert_int_equal(m3_safetensors_write(path, large, 4, NULL, 0, fill_large, NULL, &err), M3_OK);
    const uint64_t whole = checksum();
    assert_int_equal(m3_safetensors_write_rows(path, large, 4, NULL, 0, fill_rows, calls, &err), M3_OK);
    assert_true(checksum() == whole);
    assert_true(calls[0] == 2 && calls[1] == 2 && calls[2] == 1 && calls[3] == 0);
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_OK);
    assert_true(m3_safetensors_find(file, "tall", &at));
    assert_int_equal(m3_safetensors_read_rows(file, at, 299998, 300000, got, &err), M3_OK);
    for (int i = 0; i < 10; i++) assert_true(got[i] == (float)(299998 * 5 + i));
    assert_int_equal(m3_safetensors_read_rows(file, at, 299999, 300001, got, &err), M3_ERR_RANGE);
    assert_int_equal(m3_safetensors_read_rows(file, at, 2, 1, got, &err), M3_ERR_RANGE);
    m3_safetensors_close(file);
}

/* Nearly all of the file is a hole. */
static void rows_beyond_4_gib_are_read(void **state)
{
    (void)state;
    const char *header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1610612736,2],\"data_offsets\":[0,12884901888]}}";
    const int64_t data = 8 + (int64_t)strlen(header);
    const float row[2] = {3.0F, 4.0F};
    m3_error err = {0};
    m3_safetensors *file = NULL;
    float got[2] = {0};
    put(header, strlen(header), 0);
    FILE *to = fopen(path, "r+b");
    assert_non_null(to);
    if (fseeko(to, data + (INT64_C(1610612735) * 8), SEEK_SET) != 0 || fwrite(row, 1, sizeof row, to) != sizeof row ||
        fclose(to) != 0)
        skip(); /* a file system without files of this size */
    assert_int_equal(m3_safetensors_open(path, &file, &err), M3_OK);
    assert_int_equal(m3_safetensors_read_rows(file, 0, 1610612735, 1610612736, got, &err), M3_OK);
    assert_memory_equal(got, row, sizeof row);
    m3_safetensors_close(file);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 12];
    size_t count = 0;
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/m3bsr-test-%ld.safetensors", folder != NULL ? folder : "/tmp",
                   (long)getpid());
    for (; count < ROWS; count++)
        tests[count] = (struct CMUnitTest){rows[count].name, opens, NULL, NULL, (void *)&rows[count]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_file_shorter_than_its_length_is_refused);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_missing_file_is_named);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_longer_header_than_anybody_needs_is_not_read);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_fifo_is_no_file_and_not_waited_for);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_name_is_found);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(what_is_written_is_read_back);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_failed_write_leaves_the_old_file);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_header_without_memory_is_not_written);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_name_may_not_be_written_twice);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_file_cut_short_while_open_is_an_error);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(rows_at_a_time_make_the_same_file);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(rows_beyond_4_gib_are_read);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
