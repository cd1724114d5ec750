/* import: every kind of bad input has its message with file and line, and its count; good input of every form is read.
 */
#include "tests/support/data_source.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "user_id\titem_id\tbehavior\ttimestamp\n"
#define GOOD HEAD "u\ta\tview\t1\nu\ta\tbuy\t2\nu\tb\tview\t3\n"

enum { MOST_FILES = 4 };

struct file {
    const char *name, *text;
    size_t size; /* when the text has NULs */
};

static const char *const starred[] = {"rate=rating>=0", "like=rating>=4"};
static const char *const bad_rule[] = {"like"};
static const char *const rule_of_nothing[] = {"like=stars>4"};
static const char *const every_row[] = {"seen=*"};
static const char *const buy_view[] = {"buy", "view"};
static const char *const only_view[] = {"view"};
static const char *const with_cart[] = {"view", "cart", "buy"};
static const char *const twice[] = {"view", "view"};

static const struct row {
    const char *name;
    struct file files[MOST_FILES];
    m3_import_options options;
    m3_status want;
    m3_drop reason;
    const char *says; /* in the error or the log */
    uint64_t dropped, events;
} rows[] = {
    {"a plain table", {{"interactions.tsv", GOOD, 0}}, {0}, M3_OK, 0, "target: 'buy'", 0, 3},
    {"no newline at the end", {{"interactions.tsv", HEAD "u\ta\tview\t1", 0}}, {0}, M3_OK, 0, "", 0, 1},
    {"carriage returns and a byte order mark",
     {{"interactions.tsv",
       "\xEF\xBB\xBFuser_id\titem_id\tbehavior\ttimestamp\r\nu\ta\tview\t1\r\n\r\nu\tb\tview\t2\r\n", 0}},
     {0},
     M3_OK,
     0,
     "",
     0,
     2},
    {"quotes are plain characters in TSV",
     {{"interactions.tsv", HEAD "\"u\ta\"\tview\t1\n", 0}},
     {0},
     M3_OK,
     0,
     "",
     0,
     1},
    {"quotes quote in CSV",
     {{"interactions.csv", "user_id,item_id,behavior,timestamp\n\"u, 1\",\"a \"\"x\"\"\",view,1\n\"u, 1\",b,view,2\n",
       0}},
     {0},
     M3_OK,
     0,
     "1 users and 2 items",
     0,
     2},
    {"CSV with carriage returns and blank lines",
     {{"interactions.csv", "user_id,item_id,behavior,timestamp\r\nu,a,view,1\r\n\r\nu,\"b\",view,2\r\n", 0}},
     {0},
     M3_OK,
     0,
     "",
     0,
     2},
    {"types of a RecBole header are cut off",
     {{"ml.inter", "user_id:token\titem_id:token\tbehavior:token\ttimestamp:float\nu\ta\tview\t978300760.0\n", 0}},
     {0},
     M3_OK,
     0,
     "ml.inter",
     0,
     1},
    {"ids of any alphabet",
     {{"interactions.tsv", HEAD "用户\tМир\tview\t1\nΩμ\t🎬\tview\t2\n", 0}},
     {0},
     M3_OK,
     0,
     "2 users and 2 items",
     0,
     2},
    {"without a behavior column all rows are one behavior",
     {{"interactions.tsv", "user_id\titem_id\ttimestamp\nu\ta\t1\n", 0}},
     {0},
     M3_OK,
     0,
     "'interaction'",
     0,
     1},
    {"behaviors from a numeric column",
     {{"interactions.tsv", "user_id\titem_id\trating\ttimestamp\nu\ta\t5\t1\nu\tb\t3.5\t2\nu\tc\t4.0\t3\n", 0}},
     {.reading = {.derive = starred, .derive_count = 2}},
     M3_OK,
     0,
     "'rate' (3 events), 'like' (2 events)",
     0,
     5},
    {"a derived behavior for every row beside the column",
     {{"interactions.tsv", GOOD, 0}},
     {.reading = {.derive = every_row, .derive_count = 1}},
     M3_OK,
     0,
     "",
     0,
     6},
    {"columns by other names",
     {{"interactions.tsv", "who\twhat\twhen\nu\ta\t1\n", 0}},
     {.reading = {.user_column = "who", .item_column = "what", .time_column = "when"}},
     M3_OK,
     0,
     "",
     0,
     1},
    {"unknown columns are named",
     {{"interactions.tsv", "user_id\titem_id\tbehavior\ttimestamp\tdevice\tcity\nu\ta\tview\t1\tx\ty\n", 0}},
     {0},
     M3_OK,
     0,
     "columns not used: 'device', 'city'",
     0,
     1},
    {"behaviors in the order asked for",
     {{"interactions.tsv", GOOD, 0}},
     {.behaviors = buy_view, .behavior_count = 2},
     M3_OK,
     0,
     "target: 'view'",
     0,
     3},
    {"behaviors not asked for are dropped",
     {{"interactions.tsv", GOOD, 0}},
     {.behaviors = only_view, .behavior_count = 1},
     M3_OK,
     M3_DROP_BEHAVIOR,
     "not wanted",
     1,
     2},
    {"a behavior without events stays and is said",
     {{"interactions.tsv", GOOD, 0}},
     {.behaviors = with_cart, .behavior_count = 3},
     M3_OK,
     0,
     "behavior 'cart' has no event",
     0,
     3},
    {"rows out of order are sorted and counted",
     {{"interactions.tsv", HEAD "u\ta\tview\t5\nu\tb\tview\t3\nu\tc\tview\t4\n", 0}},
     {0},
     M3_OK,
     0,
     "interactions.tsv:3: earlier than the row before of user 'u'",
     0,
     3},
    {"a fraction of a timestamp is cut off",
     {{"interactions.tsv", HEAD "u\ta\tview\t5.75\n", 0}},
     {0},
     M3_OK,
     0,
     "fractions of 1 timestamps",
     0,
     1},
    {"a row with too few fields",
     {{"interactions.tsv", GOOD "u\tc\tview\n", 0}},
     {0},
     M3_OK,
     M3_DROP_FIELDS,
     "interactions.tsv:5: has 3 fields where the header has 4; dropped",
     1,
     3},
    {"a row with too many fields",
     {{"interactions.tsv", GOOD "u\tc\tview\t7\t8\n", 0}},
     {0},
     M3_OK,
     M3_DROP_FIELDS,
     "has 5 fields where the header has 4",
     1,
     3},
    {"text behind a closing quote",
     {{"interactions.csv", "user_id,item_id,behavior,timestamp\nu,\"a\"b,view,1\nu,c,view,2\n", 0}},
     {0},
     M3_OK,
     M3_DROP_FIELDS,
     "interactions.csv:2: the quotes do not pair up",
     1,
     1},
    {"a quote that never closes costs its own line alone",
     {{"interactions.csv", "user_id,item_id,behavior,timestamp\nu,\"a,view,1\nu,c,view,2\nu,d,view,3\n", 0}},
     {0},
     M3_OK,
     M3_DROP_FIELDS,
     "interactions.csv:2: the quotes do not pair up",
     1,
     2},
    {"an empty id",
     {{"interactions.tsv", GOOD "\tc\tview\t7\n", 0}},
     {0},
     M3_OK,
     M3_DROP_ID,
     "tsv:5: user_id is empty",
     1,
     3},
    {"an id with a NUL",
     {{"interactions.tsv", HEAD "u\ta\0b\tview\t7\nu\ta\tview\t8\n", sizeof HEAD - 1 + 24}},
     {0},
     M3_OK,
     M3_DROP_ID,
     "item_id has a control character",
     1,
     1},
    {"a time that is no number",
     {{"interactions.tsv", GOOD "u\tc\tview\tyesterday\n", 0}},
     {0},
     M3_OK,
     M3_DROP_NUMBER,
     "interactions.tsv:5: timestamp is 'yesterday', not a whole number",
     1,
     3},
    {"a time beyond 64 bits",
     {{"interactions.tsv", GOOD "u\tc\tview\t99999999999999999999\n", 0}},
     {0},
     M3_OK,
     M3_DROP_NUMBER,
     "not a whole number",
     1,
     3},
    {"a rating that is no number",
     {{"interactions.tsv", "user_id\titem_id\trating\ttimestamp\nu\ta\t5\t1\nu\tb\tgood\t2\n", 0}},
     {.reading = {.derive = starred, .derive_count = 2}},
     M3_OK,
     M3_DROP_NUMBER,
     "tsv:3: rating is 'good', not a number",
     1,
     2},
    {"an id that is not UTF-8",
     {{"interactions.tsv", GOOD "u\t\xC3\x28\tview\t7\n", 0}},
     {0},
     M3_OK,
     M3_DROP_ENCODING,
     "interactions.tsv:5: item_id is not UTF-8",
     1,
     3},
    {"an overlong UTF-8 form is not UTF-8",
     {{"interactions.tsv", GOOD "u\t\xC0\xAF\tview\t7\n", 0}},
     {0},
     M3_OK,
     M3_DROP_ENCODING,
     "is not UTF-8",
     1,
     3},
    {"a repeated row",
     {{"interactions.tsv", GOOD "u\ta\tview\t1\n", 0}},
     {0},
     M3_OK,
     M3_DROP_DUPLICATE_EVENT,
     "tsv:5: the 'view' of user 'u' on item 'a' at 1 is already at line 2",
     1,
     3},
    {"the fourth of a kind ends the examples",
     {{"interactions.tsv", GOOD "x\nx\nx\nx\nx\n", 0}},
     {0},
     M3_OK,
     M3_DROP_FIELDS,
     "tsv:8: one more of these; the rest is only counted",
     5,
     3},
    {"strict makes a defect an error",
     {{"interactions.tsv", GOOD "u\tc\tview\n", 0}},
     {.reading = {.strict = true}},
     M3_ERR_INVALID,
     0,
     "has 3 fields",
     0,
     0},
    {"the k-core is applied again and again",
     {{"interactions.tsv",
       HEAD "u\ta\tview\t1\nu\tb\tview\t2\nv\ta\tview\t3\nv\tb\tview\t4\nw\ta\tview\t5\nw\tc\tview\t6\n", 0}},
     {.min_user_events = 2, .min_item_events = 2},
     M3_OK,
     M3_DROP_CORE,
     "2 events removed in 3 sweeps",
     2,
     4},
    {"a k-core without anyone",
     {{"interactions.tsv", GOOD, 0}},
     {.min_user_events = 9},
     M3_ERR_INVALID,
     0,
     "no event is left of 3 rows: 3 are events",
     0,
     0},
    {"no source", {{NULL, NULL, 0}}, {0}, M3_ERR_INVALID, 0, "has no interactions.tsv", 0, 0},
    {"two interactions files",
     {{"interactions.tsv", GOOD, 0}, {"interactions.csv", "a,b\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "say which with --interactions",
     0,
     0},
    {"an empty file", {{"interactions.tsv", "\n\n", 0}}, {0}, M3_ERR_INVALID, 0, "is empty", 0, 0},
    {"a header and no rows", {{"interactions.tsv", HEAD, 0}}, {0}, M3_ERR_INVALID, 0, "has a header but no rows", 0, 0},
    {"nothing but bad rows",
     {{"interactions.tsv", HEAD "x\ny\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "no event is left of 2 rows: 2 have a wrong number of fields",
     0,
     0},
    {"a missing column lists those there are",
     {{"interactions.tsv", "user\titem_id\tbehavior\ttimestamp\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "has no column 'user_id'; its columns are 'user', 'item_id', 'behavior', 'timestamp'. Name the right one with "
     "--user-column",
     0,
     0},
    {"a column twice",
     {{"interactions.tsv", "user_id\titem_id\titem_id\ttimestamp\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "two columns are named 'item_id'",
     0,
     0},
    {"UTF-16",
     {{"interactions.tsv", "\xFF\xFEu\0s\0", 6}},
     {0},
     M3_ERR_INVALID,
     0,
     "is UTF-16; save it as UTF-8",
     0,
     0},
    {"a rule that is none",
     {{"interactions.tsv", GOOD, 0}},
     {.reading = {.derive = bad_rule, .derive_count = 1}},
     M3_ERR_INVALID,
     0,
     "'like' is no rule",
     0,
     0},
    {"a rule over a column that is not there",
     {{"interactions.tsv", GOOD, 0}},
     {.reading = {.derive = rule_of_nothing, .derive_count = 1}},
     M3_ERR_INVALID,
     0,
     "has no column 'stars'",
     0,
     0},
    {"a behavior column by name must be there",
     {{"interactions.tsv", GOOD, 0}},
     {.reading = {.behavior_column = "action"}},
     M3_ERR_INVALID,
     0,
     "has no column 'action'",
     0,
     0},
    {"a target that is no behavior",
     {{"interactions.tsv", GOOD, 0}},
     {.target = "cart"},
     M3_ERR_INVALID,
     0,
     "'cart' is no behavior of the set; choose among 'view', 'buy'",
     0,
     0},
    {"a target without events",
     {{"interactions.tsv", GOOD, 0}},
     {.behaviors = with_cart, .behavior_count = 3, .target = "cart"},
     M3_ERR_INVALID,
     0,
     "'cart' has no event, so there is nothing to predict",
     0,
     0},
    {"a behavior named twice",
     {{"interactions.tsv", GOOD, 0}},
     {.behaviors = twice, .behavior_count = 2},
     M3_ERR_INVALID,
     0,
     "'view' is named twice",
     0,
     0},
    {"items without events are dropped",
     {{"interactions.tsv", GOOD, 0}, {"items.tsv", "item_id\ttitle\na\tA\nz\tZ\n", 0}},
     {0},
     M3_OK,
     M3_DROP_UNUSED_ITEM,
     "1 items with events have no row",
     1,
     3},
    {"items without events can be kept",
     {{"interactions.tsv", GOOD, 0}, {"items.csv", "item_id,title\na,A\nz,Z\n", 0}},
     {.keep_items = true},
     M3_OK,
     M3_DROP_UNUSED_ITEM,
     "1 users and 3 items",
     0,
     3},
    {"an item's second row",
     {{"interactions.tsv", GOOD, 0}, {"items.tsv", "item_id\ttitle\nb\tB\na\tA\na\tC\n", 0}},
     {0},
     M3_OK,
     M3_DROP_DUPLICATE_ITEM,
     "items.tsv:4: item 'a' has a row already",
     1,
     3},
    {"a title that is not UTF-8",
     {{"interactions.tsv", GOOD, 0}, {"items.tsv", "item_id\ttitle\na\tA\nb\t\xFF\n", 0}},
     {0},
     M3_OK,
     M3_DROP_ENCODING,
     "items.tsv:3: id, title or category is not UTF-8",
     1,
     3},
    {"unknown columns of the items file are named",
     {{"interactions.tsv", GOOD, 0}, {"items.tsv", "item_id\tcolour\ttitle\na\tred\tA\nb\tblue\tB\n", 0}},
     {0},
     M3_OK,
     0,
     "items.tsv: columns not used: 'colour'",
     0,
     3},
    {"an items file without item_id",
     {{"interactions.tsv", GOOD, 0}, {"items.tsv", "id\ttitle\na\tA\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "has no column 'item_id'",
     0,
     0},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void imports(void **state)
{
    const struct row *row = *state;
    data_source source;
    m3_import_report report;
    m3_error err = {0};
    data_source_make(&source);
    for (size_t i = 0; i < MOST_FILES && row->files[i].name != NULL; i++)
        data_source_write(&source, row->files[i].name, row->files[i].text, row->files[i].size);
    m3_status st = data_source_import(&source, row->options, &report, &err);
    if (st != row->want) print_message("%s\n%s", err.message, source.log);
    assert_int_equal(st, row->want);
    const char *said = st == M3_OK ? source.log : err.message;
    if (strstr(said, row->says) == NULL) print_message("said: %s\n", said);
    assert_non_null(strstr(said, row->says));
    assert_int_equal(report.dropped[row->reason], st == M3_OK ? row->dropped : report.dropped[row->reason]);
    if (st == M3_OK) assert_int_equal(report.events, row->events);
    uint64_t all = 0;
    for (int i = 0; i < M3_DROP_REASONS && st == M3_OK; i++) all += report.dropped[i];
    if (st == M3_OK) assert_int_equal(all, row->dropped);
    data_source_remove(&source);
}

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
     "<i8",
     false,
     3,
     2,
     six,
     "a\nb\nc\n",
     M3_ERR_INVALID,
     0,
     "holds '<i8'; give little-endian float16",
     0,
     0,
     {0, 0},
     {0, 0}},
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
    {"safetensors: another type", "{\"x\":{\"dtype\":\"I64\",\"shape\":[3,1],\"data_offsets\":[0,24]}}", M3_ERR_INVALID,
     "holds I64"},
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

static void an_error_names_the_input_file_and_line(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", GOOD "u\tc\tview\n", 0);
    m3_import_options strict = {.reading = {.strict = true}};
    assert_int_equal(data_source_import(&source, strict, NULL, &err), M3_ERR_INVALID);
    assert_string_equal(err.file, data_source_path(&source, "interactions.tsv"));
    assert_int_equal(err.line, 5);
    data_source_remove(&source);
}

static void a_failed_import_leaves_the_old_set_alone(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_dataset *set;
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", GOOD, 0);
    assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
    data_source_write(&source, "interactions.tsv", HEAD, 0);
    assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_ERR_INVALID);
    m3_error open_err = {0};
    assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &open_err), M3_OK);
    assert_int_equal(m3_dataset_event_count(set), 3);
    m3_dataset_close(set);
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
    const struct CMUnitTest singles[] = {cmocka_unit_test(an_error_names_the_input_file_and_line),
                                         cmocka_unit_test(a_failed_import_leaves_the_old_set_alone),
                                         cmocka_unit_test(modalities_come_in_the_order_asked_for)};
    enum { SINGLES = sizeof singles / sizeof singles[0] };
    struct CMUnitTest tests[ROWS + FEATURE_ROWS + COLUMNS + SAFETENSORS_ROWS + SINGLES];
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        tests[count++] = (struct CMUnitTest){rows[i].name, imports, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < FEATURE_ROWS; i++)
        tests[count++] =
            (struct CMUnitTest){feature_rows[i].name, takes_features, NULL, NULL, (void *)&feature_rows[i]};
    for (size_t i = 0; i < COLUMNS; i++)
        tests[count++] = (struct CMUnitTest){columns[i].name, names_far_entries, NULL, NULL, (void *)&columns[i]};
    for (size_t i = 0; i < SAFETENSORS_ROWS; i++)
        tests[count++] =
            (struct CMUnitTest){safetensors_rows[i].name, takes_safetensors, NULL, NULL, (void *)&safetensors_rows[i]};
    for (size_t i = 0; i < SINGLES; i++) tests[count++] = singles[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
