/* No split lets training see what comes later: in two sources that differ in what is held out and in what lies behind
 * it, all that training reads is the same to the bit. Each pair has a third source beside it that differs in training,
 * so that the comparison is known to look. */
#include "core/data/denoised.h"
#include "core/data/history.h"
#include "core/data/merged.h"
#include "core/data/neighbors.h"
#include "core/train/data_loader.h"
#include "tests/support/data_source.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* "1a5" is user 1 buying item a at time 5, "1A5" viewing it. Buying is predicted. */
static const struct planted {
    const char *name;
    m3_import_options options;
    const char *training;         /* what training may see */
    const char *future, *another; /* what it must not see, in two forms with the same users and items */
    const char *more;             /* an event of training, which must show */
} planted[] = {
    {"the last one",
     {0},
     "1a1 1A1 1b2 1C2 2b1 2c2 2a3 3a1 3B1 4c1",
     "1c5 1d6 2d5 2e6 3b2 4d3",
     "1e5 1c6 2e5 2d6 3b2 4d3",
     "1B1"},
    {"the last one, with all that comes behind it",
     {0},
     "1a1 1b2 2b1 2c2 2a3 3a1 3b2",
     "1c5 1d6 1a7 1b7 1A7 1E8 2d5 2e6 2E9 2A9",
     "1c5 1e6 1b8 1D9 2d5 2e6 2a7 2b7 2c7",
     "3C1"},
    {"the last two",
     {.last = 2},
     "1a1 1b2 1f3 2b1 2c2 2a3 3a1 3b2",
     "1c5 1d6 1e7 1g8 2d5 2e6 2f7 2g8 1A9",
     "1g5 1e6 1d7 1c8 2d5 2g6 2f7 2e8 2C9",
     "3C1"},
    {"repeats as targets",
     {.keep_repeats = true},
     "1a1 1b2 1a3 2b1 2b2 2c3 3a1 3b2 3c3 3d4",
     "1a5 1b6 2c5 2a6 3e7 3e8",
     "1e5 1a6 2b5 2c6 3a7 3b8",
     "3C1"},
    {"two points in time",
     {.split_at = "10,20"},
     "1a1 1b2 2b1 2C2 3c3 3d4 4A9 5d1",
     "1c10 1d20 2a10 3a20 4a21 4b22 4C23 5e15 5a20",
     "1e10 1c20 2d15 3b25 4b11 4e30 4A10 4B10 4E10 5a10 5b11 5d20",
     "4B9"},
    {"one point in time",
     {.split_at = "10"},
     "1a1 1b2 2b1 2C2 3c3 3d4 4A9",
     "1c10 1d20 2a10 3a20 4a21 4b22 4C23 4e24",
     "1e10 1c20 2d15 3b25 4b11 4e30 4A10",
     "4B9"},
    {"parts that the source gives",
     {.reading.split_column = "split"},
     "1a1 1b2 2b1 2C2 3c3 3d4 4A9",
     "1c10 1d20 2a10 3a20 4a21 4b22 4C23 4e24 4f12",
     "1e10 1c20 2d15 3b25 4b11 4e30 4A10 4B10",
     "3B4"},
    {"given parts, and a view that is held out at the time of the last training",
     {.reading.split_column = "split"},
     "1a1 1b9 2b1 2C2 3c3 3d4",
     "1C9 1d20 2a10 3a20",
     "1E9 1F9 1d20 2a10 3a20",
     "3B4"},
    {"two points in time, repeats as targets",
     {.split_at = "10,20", .keep_repeats = true},
     "1a1 1b2 1a3 2b1 2C2 3c3 3d4 4A9",
     "1a10 1e20 2a10 3c20",
     "1e10 1b20 2b15 3d25 4A10 4a15",
     "4B9"},
};
enum { PLANTED = sizeof planted / sizeof planted[0] };

typedef struct opened {
    data_source source;
    m3_dataset *set;
    m3_split *split;
    XXH64_state_t hash;
} opened;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

/* A user 0 who had every item makes them the same in all sources. The last of events is what is held out. */
static void open_source(opened *o, const struct planted *row, const char *const events[], size_t count)
{
    static char text[1 << 14];
    m3_error err = {0};
    const char *const behaviors[] = {"view", "buy"};
    m3_import_options options = row->options;
    size_t used = (size_t)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\tsplit\n");
    for (char item = 'a'; item <= 'g'; item++)
        used += (size_t)snprintf(text + used, sizeof text - used, "0\t%c\tview\t0\ttrain\n", item);
    for (size_t e = 0; e < count; e++)
        for (const char *at = events[e]; *at != '\0'; at += strspn(at, " ")) {
            char *end;
            const long time = strtol(at + 2, &end, 10);
            used += (size_t)snprintf(text + used, sizeof text - used, "%c\t%c\t%s\t%ld\t%s\n", at[0], tolower(at[1]),
                                     islower(at[1]) ? "buy" : "view", time,
                                     e + 1 < count ? "train"
                                     : time < 20   ? "valid"
                                                   : "test");
            at = end;
        }
    options.behaviors = behaviors;
    options.behavior_count = 2;
    data_source_make(&o->source);
    data_source_write(&o->source, "interactions.tsv", text, 0);
    check(data_source_import(&o->source, options, NULL, &err), &err);
    check(m3_dataset_open(data_source_path(&o->source, "set"), &o->set, &err), &err);
    check(m3_dataset_split(o->set, 1, &o->split, &err), &err);
}

static void see(opened *o, const void *bytes, size_t size)
{
    (void)XXH64_update(&o->hash, bytes, size);
}

/* What the loss of a step reads: histories, targets, negatives and recent popularity. */
static void see_batches(opened *o, const char *loss)
{
    enum { N = 4, L = 5, NEGATIVES = 6, ITEMS = 7 };
    int32_t ids[2 * N * L], target[N], negatives[N * NEGATIVES];
    float trend[N * (1 + NEGATIVES) + N * ITEMS];
    m3_error err = {0};
    m3_model_config c;
    m3_data_loader *loader = NULL;
    m3_model_defaults(&c);
    c.behaviors = 2;
    c.length = L;
    c.items = ITEMS;
    c.batch = N;
    c.negatives = NEGATIVES;
    c.trend = 100;
    check(m3_model_set(&c, "loss", loss, &err), &err);
    check(m3_data_loader_create(o->set, o->split, NULL, &c, 1, true, NULL, &loader, &err), &err);
    m3_data_loader_shuffle(loader, 0);
    for (uint64_t batch = 0; batch < m3_data_loader_batches(loader); batch++) {
        const bool sampled = loss[0] == 's';
        const m3_batch to = {.ids = ids, .target = target, .negatives = sampled ? negatives : NULL, .trend = trend};
        memset(trend, 0, sizeof trend);
        (void)m3_data_loader_fill(loader, batch, (uint32_t)batch, &to);
        see(o, ids, sizeof ids);
        see(o, target, sizeof target);
        if (sampled) see(o, negatives, sizeof negatives);
        see(o, trend, sizeof trend);
    }
    m3_data_loader_free(loader);
}

static uint64_t seen_by_training(opened *o)
{
    m3_error err = {0};
    m3_trend *trend = NULL;
    m3_merged merged = {0};
    const uint32_t items = m3_dataset_item_count(o->set);
    (void)XXH64_reset(&o->hash, 0);
    see(o, m3_split_item_counts(o->split), (items + 1) * sizeof(uint32_t));
    check(m3_trend_create(o->set, o->split, 10, &trend, &err), &err);
    see(o, m3_trend_at(trend, M3_TIME_END), items * sizeof(float));
    m3_trend_free(trend);
    check(m3_merged_create(o->set, o->split, &merged, &err), &err);
    for (uint32_t u = 0; u < merged.users; u++) {
        const m3_merged_event *events = merged.events + merged.starts[u];
        const uint32_t all = (uint32_t)(merged.starts[u + 1] - merged.starts[u]);
        for (uint32_t i = 0; i < m3_merged_before(events, all, merged.until[u]); i++) {
            see(o, &events[i].item, sizeof events[i].item);
            see(o, &events[i].behavior, sizeof events[i].behavior);
            see(o, &events[i].time, sizeof events[i].time);
        }
    }
    m3_merged_fini(&merged);
    see_batches(o, "full");
    see_batches(o, "sampled");
    m3_split_free(o->split);
    m3_dataset_close(o->set);
    data_source_remove(&o->source);
    return XXH64_digest(&o->hash);
}

static void sees_nothing_of_the_future(void **state)
{
    const struct planted *row = *state;
    const char *const futures[] = {row->future, row->another};
    uint64_t seen[3];
    opened o;
    for (int i = 0; i < 2; i++) {
        open_source(&o, row, (const char *[]){row->training, futures[i]}, 2);
        uint64_t test;
        (void)m3_split_samples(o.split, M3_SPLIT_TEST, &test);
        assert_true(test > 0);
        seen[i] = seen_by_training(&o);
    }
    open_source(&o, row, (const char *[]){row->training, row->more, row->future}, 3);
    seen[2] = seen_by_training(&o);
    assert_true(seen[0] == seen[1]);
    assert_true(seen[0] != seen[2]);
}

int main(void)
{
    struct CMUnitTest tests[PLANTED];
    for (size_t i = 0; i < PLANTED; i++)
        tests[i] = (struct CMUnitTest){planted[i].name, sees_nothing_of_the_future, NULL, NULL,
                                       (void *)(uintptr_t)&planted[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
