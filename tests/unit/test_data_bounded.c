/* data in little memory and by several threads: the set is the same byte for byte, what is said is the same, and the
 * first error of the file is the one that is told, wherever a piece of the file ends.
 * Labels: threads */
#include "tests/support/data_source.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/event_log.h"

enum { ROWS = 12000, BYTES = 1 << 21, LITTLE = 3 << 18 };

/* A source that is made row by row. */
typedef struct text {
    char *bytes;
    size_t size;
} text;

static void add(text *t, const char *format, ...) M3_PRINTF(2, 3);

static void add(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->size += (size_t)vsnprintf(t->bytes + t->size, BYTES - t->size, format, args);
    va_end(args);
    assert_true(t->size < BYTES);
}

static uint32_t pick(uint32_t row, uint32_t what, uint32_t below)
{
    return (row * 2654435761u ^ what * 40503u ^ row >> 7) % below;
}

/* Row n of each kind of source: defects, repeats, rows out of order, and times that get finer late. */

static void plain(text *t, uint32_t n)
{
    if (n % 501 == 7) add(t, "\n\r\n");
    if (n % 97 == 5)
        add(t, "broken\trow\n");
    else if (n % 89 == 3)
        add(t, "u\xff\ti\tview\t1\n");
    else if (n % 83 == 2)
        add(t, "u%u\ti%u\tview\tno time\n", n, n);
    else
        add(t, "u%u\titem-%u\t%s\t%u%s\n", pick(n, 1, 300), pick(n, 2, 900), n % 7 == 0 ? "buy" : "view",
            pick(n, 3, 900), n > ROWS / 2 && n % 3 == 0 ? ".25" : "");
    if (n % 53 == 1) add(t, "u1\titem-1\tbuy\t9\n");
}

/* Fields with line ends in them, whole tables in fields, and inch marks. */
static void quoted(text *t, uint32_t n)
{
    if (n % 5 == 1)
        add(t, "u%u,\"item %u\",view,%u,\"%u, it says:\nu1,i1,view,5,x\n\nand \"\"more\"\"\"\n", pick(n, 1, 300),
            pick(n, 2, 900), pick(n, 3, 900), n);
    else if (n % 41 == 2)
        add(t, "u%u,item %u,view,%u,42\" black\n", pick(n, 1, 300), pick(n, 2, 900), n);
    else if (n % 997 == 9)
        add(t, "u2,i2,view,3,\"never closed\n");
    else
        add(t, "u%u,item %u, buy ,%u,\"some \t text\"\n", pick(n, 1, 300), pick(n, 2, 900), pick(n, 3, 400));
}

static void objects(text *t, uint32_t n)
{
    if (n % 61 == 4) add(t, "{\"user_id\": \"u\", \"item_id\": [1]}\n");
    add(t, "{\"user_id\": %u, \"item_id\": \"i%u\", \"timestamp\": %u.5, \"behavior\": \"%s\"}\n", pick(n, 1, 300),
        pick(n, 2, 900), pick(n, 3, 900), n % 4 == 0 ? "buy" : "v\\u00efew");
}

/* Behaviors that appear late, and parts against the order of the file. */
static void parts(text *t, uint32_t n)
{
    add(t, "u%u;i%u;b%u;%u;%s\n", pick(n, 1, 300), pick(n, 2, 90), n / 700, n % 5, n % 5 == 4 ? "test" : "train");
}

static const struct kind {
    const char *name, *file, *head, *split;
    void (*row)(text *t, uint32_t n);
    uint32_t core;
} kinds[] = {
    {"plain rows with defects", "interactions.tsv", "user_id\titem_id\tbehavior\ttimestamp\n", NULL, plain, 0},
    {"a k-core", "interactions.tsv", "user_id\titem_id\tbehavior\ttimestamp\n", NULL, plain, 11},
    {"line ends in quotes", "interactions.csv", "user_id,item_id,behavior,timestamp,text\n", NULL, quoted, 0},
    {"JSON lines", "interactions.jsonl", "", NULL, objects, 0},
    {"parts", "interactions.csv", "user_id;item_id;behavior;timestamp;split\n", "split", parts, 0},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void write_source(data_source *source, const struct kind *kind, const char *last)
{
    text t = {.bytes = malloc(BYTES)};
    assert_non_null(t.bytes);
    add(&t, "%s", kind->head);
    for (uint32_t n = 0; n < ROWS; n++) kind->row(&t, n);
    add(&t, "%s", last);
    data_source_write(source, kind->file, t.bytes, t.size);
    free(t.bytes);
}

static m3_status import_with(data_source *source, const struct kind *kind, uint64_t memory, uint32_t threads,
                             bool strict, m3_error *err)
{
    m3_import_options options = M3_IMPORT_OPTIONS_INIT;
    options.memory = memory;
    options.threads = threads;
    options.reading.split_column = kind->split;
    options.reading.strict = strict;
    options.min_user_events = options.min_item_events = kind->core;
    source->logged = 0;
    (void)remove(data_source_path(source, "set")); /* which would be named as not read */
    return data_source_import(source, options, NULL, err);
}

static size_t read_set(const data_source *source, char *bytes)
{
    FILE *file = fopen(data_source_path(source, "set"), "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, BYTES, file);
    assert_true(size < BYTES);
    assert_int_equal(fclose(file), 0);
    return size;
}

static void memory_and_threads_change_nothing(void **state)
{
    const struct kind *kind = *state;
    static char log[sizeof((data_source *)NULL)->log];
    data_source source;
    m3_error err = {0};
    char *set = malloc(BYTES), *again = malloc(BYTES);
    assert_true(set != NULL && again != NULL);
    data_source_make(&source);
    write_source(&source, kind, "");
    assert_int_equal(import_with(&source, kind, 0, 1, false, &err), M3_OK);
    const size_t size = read_set(&source, set);
    (void)snprintf(log, sizeof log, "%s", source.log);
    assert_non_null(strstr(log, "repeat an earlier event"));
    for (uint32_t threads = 1; threads <= 4; threads++) {
        assert_int_equal(import_with(&source, kind, threads == 3 ? 0 : LITTLE, threads, false, &err), M3_OK);
        assert_int_equal(read_set(&source, again), size);
        assert_memory_equal(set, again, size);
        assert_string_equal(log, source.log);
        assert_false(data_source_has_temporary(&source));
    }
    free(set);
    free(again);
    data_source_remove(&source);
}

/* Without defects, but for those at the end. */
static void clean(text *t, uint32_t n)
{
    add(t, "u%u,i%u,view,%u,\"two\nlines\"\n", n % 300, n / 7, n);
}

static void the_first_error_of_the_file_is_told(void **state)
{
    static const struct kind kind = {"", "interactions.csv", "user_id,item_id,behavior,timestamp,text\n", NULL, clean,
                                     0};
    static const char *const endings[] = {"u1,,view,1,\nu1,b,view,x,\n",
                                          "u1,new,view,1,\nu1,new,view,1,\nu1,,view,1,\n"};
    static const char *const says[] = {"item_id is empty", "the 'view' of user 'u1' on item 'new' at 1 is already"};
    (void)state;
    data_source source;
    data_source_make(&source);
    for (int i = 0; i < 2; i++) {
        write_source(&source, &kind, endings[i]);
        for (uint32_t threads = 1; threads <= 4; threads++) {
            m3_error err = {0};
            assert_int_equal(import_with(&source, &kind, LITTLE, threads, true, &err), M3_ERR_INVALID);
            assert_non_null(strstr(err.message, says[i]));
            assert_int_equal(err.line, 2 * ROWS + 2 + i); /* a header, two lines a row */
            assert_false(data_source_has_temporary(&source));
        }
    }
    data_source_remove(&source);
}

static void too_little_memory_is_said_with_what_is_needed(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    data_source_make(&source);
    write_source(&source, &kinds[0], "");
    assert_int_equal(import_with(&source, &kinds[0], 1 << 18, 1, false, &err), M3_ERR_MEMORY);
    assert_non_null(strstr(err.message, "give at least 1 MiB"));
    data_source_remove(&source);
}

/* The log of events against sorting them all at once. */

enum { EVENTS = 20000, USERS = 50 };

static struct {
    uint64_t repeats;
} told;

static void count_repeat(void *arg, const m3_event *event, uint32_t earlier)
{
    (void)arg;
    assert_true(earlier < event->line);
    told.repeats++;
}

static m3_status collect(void *arg, const m3_event *events, size_t count, m3_error *err)
{
    m3_event **to = arg;
    (void)err;
    memcpy(*to, events, count * sizeof *events);
    *to += count;
    return M3_OK;
}

static size_t keep_even_items(void *arg, m3_event *events, size_t count)
{
    size_t kept = 0;
    (void)arg;
    for (size_t i = 0; i < count; i++)
        if (events[i].item % 2 == 0) events[kept++] = events[i];
    return kept;
}

static bool same(const m3_event *a, const m3_event *b)
{
    return a->user == b->user && a->time == b->time && a->item == b->item && a->behavior == b->behavior;
}

/* In place: as the log should have them. */
static size_t settle_plainly(m3_event *events, size_t count, const uint32_t *rank)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool repeated = false;
        m3_event event = events[i];
        event.user = rank[event.user];
        if (i < EVENTS / 2) event.time *= 10;
        for (size_t k = kept; k-- > 0 && !repeated;) repeated = same(&events[k], &event);
        if (!repeated) events[kept++] = event;
    }
    qsort(events, kept, sizeof *events, m3_event_by_time);
    return kept;
}

static void events_are_settled_as_if_all_were_in_memory(void **state)
{
    (void)state;
    static m3_event events[EVENTS], wanted[EVENTS], found[EVENTS];
    uint32_t rank[USERS];
    data_source source;
    m3_error err = {0};
    m3_pool *pool;
    data_source_make(&source);
    for (uint32_t u = 0; u < USERS; u++) rank[u] = USERS - 1 - u;
    for (uint32_t i = 0; i < EVENTS; i++) /* many users have many events at a time */
        events[i] = (m3_event){.time = (int64_t)pick(i, 4, 7) - 3 + (i >= EVENTS / 2 ? pick(i, 4, 100) : 0),
                               .user = pick(i, 5, 3) == 0 ? 7 : pick(i, 6, USERS),
                               .item = pick(i, 7, 40),
                               .behavior = (uint16_t)pick(i, 8, 2),
                               .part = (uint16_t)pick(i, 9, 3),
                               .line = i + 1};
    memcpy(wanted, events, sizeof events);
    const size_t count = settle_plainly(wanted, EVENTS, rank);
    assert_int_equal(m3_pool_create(3, &pool, &err), M3_OK);
    static const uint64_t rooms[] = {UINT64_MAX, 1, 3000 * 2 * sizeof(m3_event)};
    for (int r = 0; r < 3; r++) {
        m3_event_log log = {.pool = pool, .beside = data_source_path(&source, "set"), .room = rooms[r]};
        m3_event *end = found;
        told.repeats = 0;
        for (uint32_t i = 0; i < EVENTS; i += 500) {
            if (i == EVENTS / 2) m3_event_log_scale(&log, 1);
            assert_int_equal(m3_event_log_add(&log, events + i, 500, &err), M3_OK);
        }
        assert_int_equal(log.in_file, r > 0);
        assert_int_equal(m3_event_log_settle(&log, rank, USERS, count_repeat, NULL, &err), M3_OK);
        assert_int_equal(m3_event_log_scan(&log, collect, &end, &err), M3_OK);
        assert_int_equal(end - found, count);
        assert_memory_equal(found, wanted, count * sizeof *found);
        assert_int_equal(told.repeats, EVENTS - count);
        assert_int_equal(m3_event_log_keep(&log, keep_even_items, NULL, &err), M3_OK);
        end = found;
        assert_int_equal(m3_event_log_scan(&log, collect, &end, &err), M3_OK);
        size_t evens = 0;
        for (size_t i = 0; i < count; i++)
            if (wanted[i].item % 2 == 0) assert_memory_equal(&wanted[i], &found[evens++], sizeof *found);
        assert_int_equal(end - found, evens);
        m3_event_log_fini(&log);
        assert_false(data_source_has_temporary(&source));
    }
    m3_pool_free(pool);
    data_source_remove(&source);
}

int main(void)
{
    const struct CMUnitTest singles[] = {cmocka_unit_test(the_first_error_of_the_file_is_told),
                                         cmocka_unit_test(too_little_memory_is_said_with_what_is_needed),
                                         cmocka_unit_test(events_are_settled_as_if_all_were_in_memory)};
    enum { SINGLES = sizeof singles / sizeof singles[0] };
    struct CMUnitTest tests[KINDS + SINGLES];
    size_t count = 0;
    for (size_t i = 0; i < KINDS; i++)
        tests[count++] =
            (struct CMUnitTest){kinds[i].name, memory_and_threads_change_nothing, NULL, NULL, (void *)&kinds[i]};
    for (size_t i = 0; i < SINGLES; i++) tests[count++] = singles[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
