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
    {"digits after the point of a timestamp are kept",
     {{"interactions.tsv", HEAD "u\ta\tview\t5.75\nu\ta\tview\t5.750\nu\ta\tview\t5.5\n", 0}},
     {0},
     M3_OK,
     M3_DROP_DUPLICATE_EVENT,
     "timestamps are kept with 2 digits after the point",
     1,
     2},
    {"more digits than fit beside the largest time",
     {{"interactions.tsv", HEAD "u\ta\tview\t1577836800.12345678901\nu\tb\tview\t1577836800\n", 0}},
     {0},
     M3_OK,
     0,
     "1 timestamps have more digits after the point than fit beside the largest; 9 are kept",
     0,
     2},
    {"a time that does not fit beside the digits of another",
     {{"interactions.tsv", HEAD "u\ta\tview\t0.123456789012\nu\tb\tview\t1577836800\n", 0}},
     {0},
     M3_ERR_INVALID,
     0,
     "line 3: timestamp is '1577836800', which does not fit beside times with 12 digits after the point; round those",
     0,
     0},
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
     "interactions.tsv:5: timestamp is 'yesterday', not a number",
     1,
     3},
    {"a time beyond 64 bits",
     {{"interactions.tsv", GOOD "u\tc\tview\t99999999999999999999\n", 0}},
     {0},
     M3_OK,
     M3_DROP_NUMBER,
     "timestamp is '99999999999999999999', beyond the largest that can be kept, 9223372036854775806",
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

typedef struct stopper {
    int at, seen;
    volatile int stop;
} stopper;

static void stop_there(void *user, const m3_import_progress *progress)
{
    stopper *s = user;
    assert_true(progress->done <= progress->bytes);
    if (s->seen++ == s->at) s->stop = 1;
}

/* While rows are read and sorted, items are read, and before the set is written. */
static void a_stopped_import_leaves_nothing_behind(void **state)
{
    (void)state;
    static char events[1 << 17], items[1 << 17];
    data_source source;
    m3_status st = M3_ERR_INTERRUPTED;
    int stops = 0;
    size_t e = (size_t)snprintf(events, sizeof events, "user_id\titem_id\ttimestamp\n"),
           i = (size_t)snprintf(items, sizeof items, "item_id\n");
    for (int n = 0; n < 3000; n++) {
        e += (size_t)snprintf(events + e, sizeof events - e, "u%d\ti%d\t%d\n", n % 9, n, n);
        i += (size_t)snprintf(items + i, sizeof items - i, "i%d\n", n);
    }
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", events, e);
    data_source_write(&source, "items.tsv", items, i);
    for (; st == M3_ERR_INTERRUPTED; stops++) {
        m3_error err = {0};
        m3_dataset *set = NULL;
        stopper s = {.at = stops};
        m3_import_options options = {.size = sizeof options, .progress = stop_there, .progress_user = &s};
        options.stop = &s.stop;
        st = data_source_import(&source, options, NULL, &err);
        m3_status opened = m3_dataset_open(data_source_path(&source, "set"), &set, &err);
        assert_int_equal(opened, st == M3_OK ? M3_OK : M3_ERR_INVALID);
        m3_dataset_close(set);
        assert_false(data_source_has_temporary(&source));
        if (st != M3_OK) assert_int_equal(s.seen, stops + 1);
    }
    assert_int_equal(st, M3_OK);
    assert_int_equal(stops, 7); /* before and behind the rows, before they are sorted, after 1024 and 2048 rows of
                                   items, before the set is written */
    data_source_remove(&source);
}

int main(void)
{
    const struct CMUnitTest singles[] = {cmocka_unit_test(a_stopped_import_leaves_nothing_behind),
                                         cmocka_unit_test(an_error_names_the_input_file_and_line),
                                         cmocka_unit_test(a_failed_import_leaves_the_old_set_alone)};
    enum { SINGLES = sizeof singles / sizeof singles[0] };
    struct CMUnitTest tests[ROWS + SINGLES];
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        tests[count++] = (struct CMUnitTest){rows[i].name, imports, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < SINGLES; i++) tests[count++] = singles[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
