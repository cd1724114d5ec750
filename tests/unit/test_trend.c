/* trend: recent popularity on sets that are worked out by hand, what it must not see, and batches that hold it.
 * Labels: errors */
#include "core/base/alloc.h"
#include "core/data/trend.h"
#include "core/train/data_loader.h"
#include "tests/support/data_source.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "1a5" is user 1 buying item a at time 5, "1A5" viewing it. Buying is predicted. */
typedef struct case_set {
    data_source source;
    m3_dataset *set;
    m3_split *split;
} case_set;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static void open_case(case_set *c, const char *events)
{
    static char text[1 << 17];
    m3_error err = {0};
    const char *const behaviors[] = {"view", "buy"};
    size_t used = (size_t)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\n");
    for (const char *at = events; *at != '\0'; at += strspn(at, " ")) {
        char *end;
        const long time = strtol(at + 2, &end, 10);
        used += (size_t)snprintf(text + used, sizeof text - used, "u%c\t%c\t%s\t%ld\n", at[0], tolower(at[1]),
                                 islower(at[1]) ? "buy" : "view", time);
        at = end;
    }
    data_source_make(&c->source);
    data_source_write(&c->source, "interactions.tsv", text, 0);
    check(data_source_import(&c->source, (m3_import_options){.behaviors = behaviors, .behavior_count = 2}, NULL, &err),
          &err);
    check(m3_dataset_open(data_source_path(&c->source, "set"), &c->set, &err), &err);
    check(m3_dataset_split(c->set, 1, &c->split, &err), &err);
}

static void close_case(case_set *c)
{
    m3_split_free(c->split);
    m3_dataset_close(c->set);
    data_source_remove(&c->source);
}

static m3_trend *trend_of(const case_set *c, double half_life)
{
    m3_trend *trend = NULL;
    m3_error err = {0};
    check(m3_trend_create(c->set, c->split, half_life, &trend, &err), &err);
    return trend;
}

/* c of an item, from z = ln(1 + c / 0.1). */
static double count_of(const case_set *c, const float *z, char item)
{
    uint32_t number = 0;
    assert_true(m3_dataset_find_item(c->set, (const char[]){item, '\0'}, &number));
    return 0.1 * expm1((double)z[number - 1]);
}

/* Counts of a, b, c at a time, with a half-life of one event. */
static const struct counted {
    const char *name, *events;
    int64_t time;
    double want[3];
} counted_rows[] = {
    {"nothing counts before the first event", "1a1 2b2 3a3 4c3", 1, {0, 0, 0}},
    {"an event counts half for itself, and half for each one after it", "1a1 2b2 3a4 4c5", 3, {0.25, 0.5, 0}},
    {"events of the time itself do not count", "1a1 2b2 3a4 4c5", 4, {0.25, 0.5, 0}},
    {"an item's events add up", "1a1 2b2 3a4 4c5", 5, {0.125 + 0.5, 0.25, 0}},
    {"at the end all count", "1a1 2b2 3a4 4c5", M3_TIME_END, {0.0625 + 0.25, 0.125, 0.5}},
    {"events are the clock: time between them does not count", "1a1 2b200 3c90000", 80000, {0.25, 0.5, 0}},
    {"any behavior counts", "1A1 2b2 3c4", 3, {0.25, 0.5, 0}},
    {"at the same time users are in order, then behaviors", "2a1 1b1 1A1 3c2", 2, {0.5 + 0.125, 0.25, 0}},
    {"what is held out does not count, nor what comes after it", "1a1 1b2 1A3 1c4 2c9", 9, {0.5, 0, 0}},
};

static void counts_are(void **state)
{
    const struct counted *row = *state;
    case_set c = {0};
    open_case(&c, row->events);
    m3_trend *trend = trend_of(&c, 1.0);
    const float *z = m3_trend_at(trend, row->time);
    for (int i = 0; i < 3; i++) {
        const double is = count_of(&c, z, (char)('a' + i));
        if (!(fabs(is - row->want[i]) < 1e-6)) fail_msg("%c has %.9g, not %.9g", 'a' + i, is, row->want[i]);
    }
    m3_trend_free(trend);
    close_case(&c);
}

/* 3,000 events of a at the times 1, 2, …: three to a row. */
static void long_logs_are_cut_into_rows(void **state)
{
    (void)state;
    static char events[1 << 16];
    size_t used = 0;
    case_set c = {0};
    for (int i = 1; i <= 3000; i++)
        used += (size_t)snprintf(events + used, sizeof events - used, "%cA%d ", '1' + i % 2, i);
    (void)snprintf(events + used, sizeof events - used, "1a9998 2b9999");
    open_case(&c, events);
    m3_trend *trend = trend_of(&c, 1e9); /* hardly anything is forgotten: c counts */
    for (int time = 1; time <= 3001; time += 100) {
        const double before = time - 1, want = before - fmod(before, 3.0);
        assert_true(fabs(count_of(&c, m3_trend_at(trend, time), 'a') - want) < 1e-3 * (1.0 + want));
    }
    m3_trend_free(trend);
    close_case(&c);
}

enum { N = 4, NEGATIVES = 2 };

/* Batches hold what the trend has at the time of each sample; rows of padding hold 0. */
static void batches_hold_it(void **state)
{
    case_set c = {0};
    m3_model_config config;
    m3_data_loader *loader = NULL;
    m3_error err = {0};
    const bool sampled = *state != NULL;
    open_case(&c, "1a1 1b2 1c3 1d4 2b1 2c3 2a5 2d6 3d2 3c5");
    const uint32_t items = m3_dataset_item_count(c.set), width = sampled ? 1 + NEGATIVES : items;
    m3_model_defaults(&config);
    config.behaviors = 2;
    config.length = 3;
    config.items = (int32_t)items;
    config.batch = N;
    config.negatives = NEGATIVES;
    config.trend = 2;
    config.loss = sampled ? M3_LOSS_SAMPLED : M3_LOSS_FULL;
    check(m3_data_loader_create(c.set, c.split, NULL, &config, 3, true, NULL, &loader, &err), &err);
    const m3_trend *trend = m3_data_loader_trend(loader);
    assert_non_null(trend);
    float *is = calloc((size_t)N * width, sizeof *is);
    int32_t negatives[N * NEGATIVES];
    const m3_batch to = {.negatives = sampled ? negatives : NULL, .trend = is};
    for (uint64_t batch = 0; batch < m3_data_loader_batches(loader); batch++) {
        memset(is, 0x77, (size_t)N * width * sizeof *is);
        const uint32_t rows = m3_data_loader_fill(loader, batch, 0, &to);
        for (uint32_t i = 0; i < N * width; i++) {
            const uint32_t row = i / width, k = i % width;
            if (row >= rows) {
                assert_true(is[i] == 0.0F);
                continue;
            }
            const m3_sample *sample = m3_data_loader_at(loader, batch * N + row);
            const uint32_t item = !sampled ? k + 1
                                  : k == 0 ? sample->item
                                           : (uint32_t)negatives[row * NEGATIVES + k - 1];
            assert_true(is[i] == m3_trend_at(trend, sample->time)[item - 1]);
        }
    }
    free(is);
    m3_data_loader_free(loader);
    close_case(&c);
}

static void without_memory_nothing_is_left_over(void **state)
{
    (void)state;
    case_set c = {0};
    m3_status st = M3_ERR_MEMORY;
    uint64_t n = 0;
    open_case(&c, "1a1 1b2 1c3 2a1 2b2 3a1");
    for (; st != M3_OK; n++) {
        alloc_failure failure = {.at = n};
        m3_error err = {0};
        m3_trend *trend = NULL;
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_trend_create(c.set, c.split, 5.0, &trend, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (failure.seen <= n) check(st, &err);
        if (st != M3_OK) assert_int_equal(err.code, M3_ERR_MEMORY);
        m3_trend_free(trend);
    }
    assert_int_equal(n, 6);
    close_case(&c);
}

int main(void)
{
    enum { ROWS = sizeof counted_rows / sizeof counted_rows[0] };
    static int yes;
    struct CMUnitTest tests[ROWS + 4] = {
        cmocka_unit_test(long_logs_are_cut_into_rows),
        {"a batch of the full loss holds all items", batches_hold_it, NULL, NULL, NULL},
        {"a batch of the sampled loss holds target and negatives", batches_hold_it, NULL, NULL, &yes},
        cmocka_unit_test(without_memory_nothing_is_left_over),
    };
    for (size_t i = 0; i < ROWS; i++)
        tests[4 + i] =
            (struct CMUnitTest){counted_rows[i].name, counts_are, NULL, NULL, (void *)(uintptr_t)&counted_rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
