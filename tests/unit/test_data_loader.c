/* batch: order, negatives and padding are pure functions of seed, epoch and batch, and cover what they should. */
#include "core/data/draw.h"
#include "core/train/data_loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/data_source.h"

enum { USERS = 13, ITEMS = 9, L = 3, N = 4, NEGATIVES = 5 };

static data_source source;
static m3_dataset *set;
static m3_split *split;

static m3_model_config config_of(const char *loss, int32_t batch)
{
    m3_model_config c;
    m3_model_defaults(&c);
    c.behaviors = 2;
    c.length = L;
    c.items = ITEMS;
    c.batch = batch;
    c.negatives = NEGATIVES;
    assert_int_equal(m3_model_set(&c, "loss", loss, NULL), M3_OK);
    return c;
}

static m3_data_loader *loader_of(const char *loss, uint64_t seed, bool keep_empty)
{
    m3_data_loader *loader = NULL;
    m3_error err = {0};
    const m3_model_config c = config_of(loss, N);
    if (m3_data_loader_create(set, split, NULL, &c, seed, keep_empty, NULL, &loader, &err) != M3_OK)
        fail_msg("%s", err.message);
    return loader;
}

/* Room for one batch, filled with what must be overwritten. */
typedef struct room {
    int32_t ids[2 * N * L], target[N], negatives[N * NEGATIVES];
    uint32_t rng[3];
    float valid;
} room;

static uint32_t fill(const m3_data_loader *loader, uint64_t index, uint32_t draw, room *r)
{
    memset(r, 0x77, sizeof *r);
    const m3_batch to = {
        .ids = r->ids, .target = r->target, .negatives = r->negatives, .rng = r->rng, .valid = &r->valid};
    return m3_data_loader_fill(loader, index, draw, &to);
}

static void every_sample_once(void **state)
{
    (void)state;
    m3_data_loader *loader = loader_of("full", 3, true);
    uint64_t all;
    const m3_sample *samples = m3_split_samples(split, M3_SPLIT_TRAIN, &all);
    char *seen = calloc(all, 1);
    assert_int_equal(m3_data_loader_samples(loader), all);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        memset(seen, 0, all);
        m3_data_loader_shuffle(loader, epoch);
        for (uint64_t i = 0; i < all; i++) seen[m3_data_loader_at(loader, i) - samples] = 1;
        assert_null(memchr(seen, 0, all));
    }
    free(seen);
    m3_data_loader_free(loader);
}

static void order_repeats(void **state)
{
    (void)state;
    m3_data_loader *a = loader_of("full", 3, true), *b = loader_of("full", 3, true),
                   *other = loader_of("full", 4, true);
    uint64_t moved = 0, seeded = 0;
    m3_data_loader_shuffle(a, 0);
    m3_data_loader_shuffle(b, 7);
    m3_data_loader_shuffle(other, 7);
    for (uint64_t i = 0; i < m3_data_loader_samples(a); i++) {
        moved += m3_data_loader_at(a, i) != m3_data_loader_at(b, i);
        seeded += m3_data_loader_at(b, i) != m3_data_loader_at(other, i);
    }
    assert_true(moved > m3_data_loader_samples(a) / 2 && seeded > m3_data_loader_samples(a) / 2);
    m3_data_loader_shuffle(a, 7); /* no matter which epochs came before */
    for (uint64_t i = 0; i < m3_data_loader_samples(a); i++)
        assert_ptr_equal(m3_data_loader_at(a, i), m3_data_loader_at(b, i));
    m3_data_loader_free(a);
    m3_data_loader_free(b);
    m3_data_loader_free(other);
}

static void skips_empty(void **state)
{
    (void)state;
    m3_data_loader *loader = loader_of("full", 3, false), *all = loader_of("full", 3, true);
    assert_int_equal(m3_data_loader_skipped(loader), USERS); /* each user's first */
    assert_int_equal(m3_data_loader_samples(loader) + USERS, m3_data_loader_samples(all));
    assert_int_equal(m3_data_loader_skipped(all), 0);
    for (uint64_t i = 0; i < m3_data_loader_samples(loader); i++)
        assert_true(m3_data_loader_at(loader, i)->position > 0);
    m3_data_loader_free(loader);
    m3_data_loader_free(all);
}

static void fills_rows(void **state)
{
    (void)state;
    m3_data_loader *loader = loader_of("sampled", UINT64_C(0x500000003), true);
    room r;
    m3_data_loader_shuffle(loader, 1);
    assert_int_equal(fill(loader, 1, 17, &r), N);
    assert_true(r.valid == (float)N);
    assert_int_equal(r.rng[0], 3);
    assert_int_equal(r.rng[1], 5);
    assert_int_equal(r.rng[2], 17);
    uint32_t words[5] = {0};
    const m3_step_samples step = m3_data_loader_step(loader, 3, 3, true);
    (void)m3_data_loader_fill(loader, 5, 17, &(m3_batch){.rng = words, .parts = 3, .step = &step}); /* its last */
    assert_memory_equal(words, ((uint32_t[]){3, 5, 17, 2, 3}), sizeof words);
    for (uint32_t i = 0; i < N; i++) {
        const m3_sample *sample = m3_data_loader_at(loader, N + i);
        int32_t want[2 * L];
        m3_dataset_history(set, sample->user, sample->time, L, L, want);
        assert_int_equal(r.target[i], sample->item);
        for (uint32_t b = 0; b < 2; b++) assert_memory_equal(r.ids + (b * N + i) * L, want + b * L, L * sizeof *want);
    }
    m3_data_loader_free(loader);
}

static void pads_last(void **state)
{
    (void)state;
    m3_data_loader *loader = loader_of("sampled", 3, true);
    uint64_t count = m3_data_loader_samples(loader), batches = m3_data_loader_batches(loader);
    uint32_t rest = (uint32_t)(count % N);
    room r;
    assert_true(rest != 0); /* or this test shows nothing */
    assert_int_equal(fill(loader, batches - 1, 0, &r), rest);
    assert_true(r.valid == (float)rest);
    for (uint32_t i = rest; i < N; i++) {
        assert_int_equal(r.target[i], 0);
        for (uint32_t k = 0; k < NEGATIVES; k++) assert_int_equal(r.negatives[i * NEGATIVES + k], 0);
        for (uint32_t l = 0; l < L; l++) assert_int_equal(r.ids[i * L + l] | r.ids[(N + i) * L + l], 0);
    }
    m3_data_loader_free(loader);
}

/* Rows beyond the samples are not computed: the one batch has as many as there are. */
static void is_no_longer_than_the_data(void **state)
{
    (void)state;
    m3_data_loader *loader = NULL;
    m3_error err = {0};
    const m3_model_config c = config_of("full", 1 << 20);
    if (m3_data_loader_create(set, split, NULL, &c, 3, true, NULL, &loader, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(m3_data_loader_batch(loader), m3_data_loader_samples(loader));
    assert_int_equal(m3_data_loader_batches(loader), 1);
    m3_data_loader_free(loader);
    loader = loader_of("full", 3, true);
    assert_int_equal(m3_data_loader_batch(loader), N);
    m3_data_loader_free(loader);
}

/* In training: what is held out is no more and no less a negative than other items. */
static bool touched(uint32_t user, uint32_t item)
{
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        const m3_events events = m3_dataset_events(set, user, b);
        for (uint32_t i = 0; i < events.count && events.times[i] < m3_split_until(split, user); i++)
            if (events.items[i] == item) return true;
    }
    return false;
}

static void draws_negatives(void **state)
{
    (void)state;
    m3_data_loader *loader = loader_of("sampled", 3, true);
    room r, again, other;
    uint32_t differ = 0, held = 0;
    uint64_t users;
    const m3_sample *test = m3_split_samples(split, M3_SPLIT_TEST, &users); /* one a user */
    assert_int_equal(users, USERS);
    for (uint64_t batch = 0; batch < m3_data_loader_batches(loader); batch++) {
        uint32_t rows = fill(loader, batch, 5, &r);
        (void)fill(loader, batch, 5, &again);
        assert_memory_equal(&r, &again, sizeof r);
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t k = 0; k < NEGATIVES; k++) {
                uint32_t item = (uint32_t)r.negatives[i * NEGATIVES + k];
                const m3_sample *sample = m3_data_loader_at(loader, batch * N + i);
                assert_in_range(item, 1, ITEMS);
                assert_true(item != sample->item);
                assert_false(touched(sample->user, item));
                held += item == test[sample->user].item;
            }
    }
    for (uint64_t i = 0; i < m3_data_loader_batches(loader); i++) { /* another epoch draws others, whatever the order */
        m3_data_loader_shuffle(loader, 0);
        (void)fill(loader, i, 5, &r);
        m3_data_loader_shuffle(loader, 1);
        (void)fill(loader, i, 5, &other);
        differ += memcmp(r.negatives, other.negatives, sizeof r.negatives) != 0;
    }
    assert_int_equal(differ, m3_data_loader_batches(loader));
    assert_true(held > 0);
    m3_data_loader_free(loader);
}

static void draws_uniformly(void **state)
{
    (void)state;
    const uint32_t without[] = {1, 2, 5, 9};
    const m3_items items = {.count = 4, .items = without};
    uint32_t counts[ITEMS + 1] = {0};
    for (uint64_t k = 0; k < 5; k++) counts[m3_draw_item(k, ITEMS, items)]++;
    const uint32_t want[ITEMS + 1] = {0, 0, 0, 1, 1, 0, 1, 1, 1, 0};
    assert_memory_equal(counts, want, sizeof want); /* each of the five that are left, once */
    assert_int_equal(m3_draw_item(3, 4, (m3_items){.count = 0}), 4);
    assert_int_equal(m3_draw_item(3, 2, (m3_items){.count = 2, .items = without}), 0);
}

/* User u goes through 3 + u % 4 items; user 0 through all. Views come before each buy. */
static int start(void **state)
{
    (void)state;
    char text[8192] = "user_id\titem_id\tbehavior\ttimestamp\n";
    m3_error err = {0};
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t i = 0; i < (u == 0 ? ITEMS : 3 + u % 4); i++) {
            size_t at = strlen(text);
            uint32_t item = (u + 2 * i) % ITEMS;
            (void)snprintf(text + at, sizeof text - at, "%u\t%u\tview\t%u\n%u\t%u\tbuy\t%u\n", u, item, i, u, item, i);
        }
    data_source_make(&source);
    data_source_write(&source, "interactions.tsv", text, 0);
    if (data_source_import(&source, (m3_import_options){0}, NULL, &err) != M3_OK) return -1;
    if (m3_dataset_open(data_source_path(&source, "set"), &set, &err) != M3_OK) return -1;
    return m3_dataset_split(set, m3_dataset_target(set), &split, &err) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_split_free(split);
    m3_dataset_close(set);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"an epoch has every sample once", every_sample_once, NULL, NULL, NULL},
        {"the order follows seed and epoch alone", order_repeats, NULL, NULL, NULL},
        {"samples without history are skipped or kept", skips_empty, NULL, NULL, NULL},
        {"rows hold history, target and draws", fills_rows, NULL, NULL, NULL},
        {"the last batch is padded with zeros", pads_last, NULL, NULL, NULL},
        {"a batch is no longer than the data", is_no_longer_than_the_data, NULL, NULL, NULL},
        {"negatives are items that the user does not touch in training", draws_negatives, NULL, NULL, NULL},
        {"every item that is left is drawn alike", draws_uniformly, NULL, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, start, stop);
}
