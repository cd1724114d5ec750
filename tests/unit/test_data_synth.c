/* synth: the same seed gives the same bytes, its truth tells what was planted, and the planted structure is there. */
#include "tests/support/data_source.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

static char *read_file(const data_source *source, const char *name, size_t *size)
{
    FILE *file = fopen(data_source_path(source, name), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(*size + 1, 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static m3_synth_options small(void)
{
    m3_synth_options options = M3_SYNTH_OPTIONS_INIT;
    options.users = 120;
    options.items = 200;
    options.clusters = 5;
    options.modalities = 2;
    options.width = 8;
    return options;
}

static bool same_file(const data_source *one, const data_source *two, const char *name)
{
    size_t size_one, size_two;
    char *first = read_file(one, name, &size_one), *second = read_file(two, name, &size_two);
    bool same = size_one == size_two && memcmp(first, second, size_one) == 0;
    free(first);
    free(second);
    return same;
}

static void the_seed_decides_the_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"interactions.tsv", "items.tsv",       "image.npy",     "text.npy",
                                        "truth/users.tsv",  "truth/items.tsv", "truth/text.npy"};
    data_source one, two, other;
    m3_error err = {0};
    m3_synth_options options = small();
    data_source_make(&one);
    data_source_make(&two);
    data_source_make(&other);
    assert_int_equal(m3_data_synth(&options, one.directory, &err), M3_OK);
    assert_int_equal(m3_data_synth(&options, two.directory, &err), M3_OK);
    options.seed = 2;
    assert_int_equal(m3_data_synth(&options, other.directory, &err), M3_OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        assert_true(same_file(&one, &two, files[i]));
        assert_false(same_file(&one, &other, files[i]));
    }
    data_source_remove(&one);
    data_source_remove(&two);
    data_source_remove(&other);
}

/* The truth's interactions are the source's with a last column; deep events are never accidental. */
static void the_truth_tells_accidents(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    size_t size;
    uint32_t views = 0, accidents = 0, buys = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    char *plain = read_file(&source, "interactions.tsv", &size),
         *truth = read_file(&source, "truth/interactions.tsv", &size);
    char *plain_at = strchr(plain, '\n') + 1, *truth_at = strchr(truth, '\n') + 1;
    while (*plain_at != '\0') {
        size_t length = strcspn(plain_at, "\n");
        assert_memory_equal(plain_at, truth_at, length);
        bool accidental = strncmp(truth_at + length, "\t1\n", 3) == 0;
        plain_at[length] = '\0';
        bool buy = strstr(plain_at, "\tbuy\t") != NULL;
        assert_false(accidental && buy);
        accidents += accidental;
        buys += buy;
        views += !buy;
        plain_at += length + 1;
        truth_at += length + 3;
    }
    assert_true(fabs((double)accidents / views - options.accidental) < 0.03);
    assert_true(fabs((double)buys / (views - accidents) - options.deepen) < 0.05);
    free(plain);
    free(truth);
    data_source_remove(&source);
}

/* Items that the truth calls noise differ from its clean features, the others do not. */
static void the_truth_tells_feature_noise(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    size_t size;
    uint32_t noisy = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    char *given = read_file(&source, "text.npy", &size), *clean = read_file(&source, "truth/text.npy", &size);
    char *items = read_file(&source, "truth/items.tsv", &size), *line = strchr(items, '\n') + 1;
    for (uint32_t i = 0; i < options.items; i++) {
        size_t row = options.width * sizeof(float), at = 128 + i * row;
        bool noise = line[strcspn(line, "\n") - 1] == '1'; /* text is the last modality */
        assert_int_equal(memcmp(given + at, clean + at, row) != 0, noise);
        noisy += noise;
        line = strchr(line, '\n') + 1;
    }
    assert_true(noisy > options.items / 10 && noisy < options.items / 3);
    free(given);
    free(clean);
    free(items);
    data_source_remove(&source);
}

/* Most steps of a user lead to an item of a cluster that the user was in before: popularity cannot know that. */
static void users_keep_to_their_interests(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    m3_dataset *set;
    uint32_t target, kept = 0, all = 0;
    data_source_make(&source);
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
    assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
    assert_int_equal(m3_dataset_user_count(set), options.users);
    assert_true(m3_dataset_find_behavior(set, "buy", &target));
    assert_int_equal(m3_dataset_target(set), target);
    for (uint32_t u = 0; u < options.users; u++) {
        m3_events events = m3_dataset_events(set, u, target);
        for (uint32_t i = 1; i < events.count; i++) {
            const char *before = m3_dataset_item_category(set, events.items[i - 1]);
            kept += strcmp(before, m3_dataset_item_category(set, events.items[i])) == 0;
            all++;
        }
    }
    assert_true((double)kept / all > 0.8);
    m3_dataset_close(set);
    data_source_remove(&source);
}

static void any_number_of_behaviors_and_modalities_can_be_imported(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 8; n++) {
        data_source source;
        m3_error err = {0};
        m3_dataset *set;
        m3_synth_options options = small();
        options.behaviors = n;
        options.modalities = n - 1;
        options.deepen = 0.9;
        data_source_make(&source);
        assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
        assert_int_equal(data_source_import(&source, (m3_import_options){0}, NULL, &err), M3_OK);
        assert_int_equal(m3_dataset_open(data_source_path(&source, "set"), &set, &err), M3_OK);
        assert_int_equal(m3_dataset_behavior_count(set), n);
        assert_int_equal(m3_dataset_modality_count(set), n - 1);
        assert_string_equal(m3_dataset_behavior_name(set, n - 1), "buy");
        m3_dataset_close(set);
        data_source_remove(&source);
    }
}

/* Files of before these options were there: the sums were taken then. Of matrices, whose last bits are those of the
 * system's cos and log, a weighted sum is. */
static void options_that_are_off_change_no_byte(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t checksum;
    } files[] = {{"interactions.tsv", 0xcc09105fd9c0ba0c}, {"items.tsv", 0xf319f7d30c18e95b},
                 {"image.ids.txt", 0x6b60d9a6947185dd},    {"truth/interactions.tsv", 0xf90ca5bd6b984d35},
                 {"truth/items.tsv", 0xf7af7f228f8e90c8},  {"truth/users.tsv", 0xc4a4dd6e3164cbe4}};
    static const struct {
        const char *name;
        double sum;
    } matrices[] = {{"image.npy", 644.075237}, {"text.npy", -5.643409}, {"truth/text.npy", 73.662855}};
    data_source source;
    m3_error err = {0};
    m3_synth_options options = small();
    size_t size;
    data_source_make(&source);
    options.size = M3_STRUCT_SIZE(m3_synth_options, seed); /* a caller of before */
    assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *bytes = read_file(&source, files[i].name, &size);
        if (XXH64(bytes, size, 0) != files[i].checksum)
            fail_msg("%s: 0x%016llx", files[i].name, (unsigned long long)XXH64(bytes, size, 0));
        free(bytes);
    }
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        char *bytes = read_file(&source, matrices[i].name, &size);
        double sum = 0;
        for (size_t at = 128; at < size; at += sizeof(float)) {
            float value;
            memcpy(&value, bytes + at, sizeof value);
            sum += value * (double)(1 + at / sizeof(float) % 7);
        }
        if (!(fabs(sum - matrices[i].sum) < 1e-3)) fail_msg("%s: %.6f", matrices[i].name, sum);
        free(bytes);
    }
    data_source_remove(&source);
}

/* Tables of the truth. */

enum { MAX_CELLS = 400000 };

typedef struct table {
    char *bytes, **cells;
    uint32_t rows, columns; /* rows without the head */
} table;

static table read_table(const data_source *source, const char *name)
{
    size_t size;
    table t = {.bytes = read_file(source, name, &size), .cells = calloc(MAX_CELLS, sizeof(char *))};
    uint32_t cells = 0;
    for (char *at = t.bytes; *at != '\0';) {
        assert_true(cells < MAX_CELLS);
        t.cells[cells++] = at;
        at += strcspn(at, "\t\n");
        const bool ends = *at == '\n';
        *at++ = '\0';
        if (ends && t.columns == 0) t.columns = cells;
    }
    assert_int_equal(cells % t.columns, 0);
    t.rows = cells / t.columns - 1;
    return t;
}

static void free_table(table *t)
{
    free(t->bytes);
    free(t->cells);
}

static const char *text_at(const table *t, uint32_t row, const char *column)
{
    for (uint32_t i = 0; i < t->columns; i++)
        if (strcmp(t->cells[i], column) == 0) return t->cells[(size_t)(row + 1) * t->columns + i];
    fail_msg("there is no column %s", column);
    return NULL;
}

static long long number_at(const table *t, uint32_t row, const char *column)
{
    return strtoll(text_at(t, row, column), NULL, 10);
}

/* The row in items.tsv of the item of an event; users.tsv likewise. */
static uint32_t item_of(const table *events, uint32_t row)
{
    return (uint32_t)atoi(text_at(events, row, "item_id") + 1) - 1;
}

static uint32_t user_of(const table *events, uint32_t row)
{
    return (uint32_t)atoi(text_at(events, row, "user_id") + 1) - 1;
}

static bool is_in_list(const char *list, long long number)
{
    for (const char *at = list; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL)
        if (strtoll(at, NULL, 10) == number) return true;
    return false;
}

static bool is_view(const table *events, uint32_t row)
{
    return strcmp(text_at(events, row, "behavior"), "view") == 0;
}

static void synthesize(const data_source *source, const m3_synth_options *options)
{
    m3_error err = {0};
    if (m3_data_synth(options, source->directory, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
}

/* How often genuine views, or accidental ones, are on each item. */
static uint32_t *count_views(const table *events, uint32_t items, int accidental)
{
    uint32_t *counts = calloc(items, sizeof *counts);
    for (uint32_t i = 0; i < events->rows; i++)
        if (is_view(events, i) && number_at(events, i, "accidental") == accidental) counts[item_of(events, i)]++;
    return counts;
}

/* The mean popularity of what accidental clicks are on, over that of all items: 1 where they do not follow it. */
static double follows_popularity(const table *events, uint32_t items)
{
    uint32_t *genuine = count_views(events, items, 0), *accidents = count_views(events, items, 1);
    double on = 0, clicks = 0, all = 0;
    for (uint32_t i = 0; i < items; i++) {
        on += (double)genuine[i] * accidents[i];
        clicks += accidents[i];
        all += genuine[i];
    }
    free(genuine);
    free(accidents);
    return on / clicks / (all / items);
}

static void accidents_can_follow_popularity(void **state)
{
    (void)state;
    data_source source;
    m3_synth_options options = small();
    double ratios[2];
    table events[2];
    options.tail = 1.0;
    for (int i = 0; i < 2; i++) {
        data_source_make(&source);
        options.accidental_by = i == 0 ? M3_ACCIDENTAL_UNIFORM : M3_ACCIDENTAL_POPULARITY;
        synthesize(&source, &options);
        events[i] = read_table(&source, "truth/interactions.tsv");
        ratios[i] = follows_popularity(&events[i], options.items);
        data_source_remove(&source);
    }
    assert_true(fabs(ratios[0] - 1.0) < 0.3);
    assert_true(ratios[1] > 2.0);
    assert_int_equal(events[0].rows, events[1].rows);
    for (uint32_t i = 0; i < events[0].rows; i++) /* all else is the same */
        if (number_at(&events[0], i, "accidental") == 0)
            assert_string_equal(text_at(&events[0], i, "item_id"), text_at(&events[1], i, "item_id"));
    free_table(&events[0]);
    free_table(&events[1]);
}

/* A burst is a row of three to six clicks of a user, one or two places on each, in a cluster that is not the user's. */
static void accidents_can_come_in_bursts(void **state)
{
    (void)state;
    data_source source;
    m3_synth_options options = small();
    uint32_t last[120] = {0}, length[120] = {0}; /* by user: row of the last view, events of its burst so far */
    uint32_t views = 0, accidents = 0, burst_events = 0, bursts = 0;
    options.accidental = 0.4;
    options.bursts = 0.5;
    data_source_make(&source);
    synthesize(&source, &options);
    table events = read_table(&source, "truth/interactions.tsv"), items = read_table(&source, "truth/items.tsv"),
          users = read_table(&source, "truth/users.tsv");
    for (uint32_t i = 0; i < events.rows; i++) {
        const uint32_t u = user_of(&events, i), item = item_of(&events, i);
        const long long burst = number_at(&events, i, "burst");
        if (!is_view(&events, i)) continue;
        const bool goes_on = length[u] > 0 && number_at(&events, last[u], "burst") == burst;
        if (length[u] > 0 && !goes_on) assert_in_range(length[u], 3, 6);
        if (burst > 0) {
            assert_int_equal(number_at(&events, i, "accidental"), 1);
            assert_false(is_in_list(text_at(&users, u, "clusters"), number_at(&items, item, "cluster")));
            if (goes_on) {
                const uint32_t before = item_of(&events, last[u]);
                assert_int_equal(number_at(&items, item, "cluster"), number_at(&items, before, "cluster"));
                assert_in_range((40 + number_at(&items, item, "place") - number_at(&items, before, "place")) % 40, 1,
                                2);
                assert_in_range(number_at(&events, i, "timestamp") - number_at(&events, last[u], "timestamp"), 1, 59);
            }
            bursts += !goes_on;
        }
        length[u] = burst == 0 ? 0 : goes_on ? length[u] + 1 : 1;
        last[u] = i;
        views++;
        accidents += number_at(&events, i, "accidental") == 1;
        burst_events += burst > 0;
    }
    assert_true(bursts > 100);
    assert_true(fabs((double)accidents / views - 0.4) < 0.03);
    assert_true(fabs((double)burst_events / accidents - 0.5) < 0.05);
    free_table(&events);
    free_table(&items);
    free_table(&users);
    data_source_remove(&source);
}

/* Popularity falls with the rank, many items are hardly ever seen, and a step still leads on along the ring. */
static void items_can_have_a_long_tail(void **state)
{
    (void)state;
    data_source source;
    m3_synth_options options = small();
    uint32_t by_rank[41] = {0}, rare = 0, all = 0;
    options.tail = 1.5;
    data_source_make(&source);
    synthesize(&source, &options);
    table events = read_table(&source, "truth/interactions.tsv"), items = read_table(&source, "truth/items.tsv");
    uint32_t *views = count_views(&events, options.items, 0);
    for (uint32_t i = 0; i < options.items; i++) {
        by_rank[number_at(&items, i, "rank")] += views[i];
        rare += views[i] <= 2;
        all += views[i];
    }
    assert_true(by_rank[1] > all / 4 && by_rank[1] > by_rank[2] && by_rank[2] > by_rank[5] && by_rank[5] > by_rank[20]);
    assert_true(rare > options.items / 4);
    free(views);
    free_table(&events);
    free_table(&items);
    data_source_remove(&source);
}

/* How like the features of two items are, -1..1. */
static double likeness(const float *a, const float *b, uint32_t width)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t j = 0; j < width; j++) {
        ab += (double)a[j] * b[j];
        aa += (double)a[j] * a[j];
        bb += (double)b[j] * b[j];
    }
    return ab / sqrt(aa * bb);
}

/* The mean likeness of items whose places in `column` are neighbours in one cluster, or of all items of one cluster. */
static double mean_likeness(const data_source *source, const char *matrix, const table *items, const char *column,
                            uint32_t width)
{
    size_t size;
    double sum = 0, count = 0;
    char *bytes = read_file(source, matrix, &size);
    const float *rows = (const float *)(void *)(bytes + 128);
    for (uint32_t i = 0; i < items->rows; i++)
        for (uint32_t j = 0; j < items->rows; j++) {
            if (i == j || number_at(items, i, "cluster") != number_at(items, j, "cluster")) continue;
            if (column != NULL && number_at(items, j, column) != number_at(items, i, column) + 1) continue;
            sum += likeness(rows + (size_t)i * width, rows + (size_t)j * width, width);
            count++;
        }
    free(bytes);
    return sum / count;
}

/* The share of events of a behavior that follow the one before by one or two places of a ring of 40, where both are of
 * one cluster. */
static double follows_ring(const table *events, const table *items, const char *behavior, const char *place)
{
    uint32_t last[120];
    double steps = 0, all = 0;
    for (int u = 0; u < 120; u++) last[u] = UINT32_MAX;
    for (uint32_t i = 0; i < events->rows; i++) {
        if (strcmp(text_at(events, i, "behavior"), behavior) != 0 || number_at(events, i, "accidental") == 1) continue;
        const uint32_t u = user_of(events, i), item = item_of(events, i), before = last[u];
        last[u] = item;
        if (before == UINT32_MAX || number_at(items, item, "cluster") != number_at(items, before, "cluster")) continue;
        const long long moved = (40 + number_at(items, item, place) - number_at(items, before, place)) % 40;
        steps += moved == 1 || moved == 2;
        all++;
    }
    return steps / all;
}

static void modalities_can_be_useless_or_for_one_behavior(void **state)
{
    (void)state;
    data_source source;
    const char *const uses[] = {"useful", "useless", "only:buy"};
    m3_synth_options options = small();
    options.modalities = options.feature_count = 3;
    options.features = uses;
    options.width = 64;
    data_source_make(&source);
    synthesize(&source, &options);
    table events = read_table(&source, "truth/interactions.tsv"), items = read_table(&source, "truth/items.tsv"),
          weights = read_table(&source, "truth/weights.tsv");

    const uint32_t width = options.width;
    assert_true(mean_likeness(&source, "truth/image.npy", &items, NULL, width) > 0.5);
    assert_true(fabs(mean_likeness(&source, "truth/text.npy", &items, NULL, width)) < 0.05);
    assert_true(fabs(mean_likeness(&source, "truth/audio.npy", &items, NULL, width)) < 0.05);
    assert_true(fabs(mean_likeness(&source, "truth/audio.npy", &items, "place", width)) < 0.2);
    assert_true(mean_likeness(&source, "truth/audio.npy", &items, "place_buy", width) > 0.9);

    assert_true(follows_ring(&events, &items, "view", "place") > 0.95);
    assert_true(follows_ring(&events, &items, "view", "place_buy") < 0.15);
    assert_true(follows_ring(&events, &items, "buy", "place_buy") > 0.95);
    assert_true(follows_ring(&events, &items, "buy", "place") < 0.15);

    static const struct {
        const char *behavior, *modality;
        int weight;
    } wanted[] = {{"view", "image", 1}, {"view", "text", 0}, {"view", "audio", 0},
                  {"buy", "image", 1},  {"buy", "text", 0},  {"buy", "audio", 1}};
    assert_int_equal(weights.rows, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(text_at(&weights, i, "behavior"), wanted[i].behavior);
        assert_string_equal(text_at(&weights, i, "modality"), wanted[i].modality);
        assert_int_equal(number_at(&weights, i, "weight"), wanted[i].weight);
    }
    free_table(&events);
    free_table(&items);
    free_table(&weights);
    data_source_remove(&source);
}

/* Every genuine event is of an interest that its user has at the time. */
static void interests_can_drift(void **state)
{
    (void)state;
    data_source source;
    m3_synth_options options = small();
    double interests = 0, changed = 0;
    uint32_t later = 0, all = 0;
    options.clusters = 20;
    options.drift = 0.5;
    data_source_make(&source);
    synthesize(&source, &options);
    table events = read_table(&source, "truth/interactions.tsv"), items = read_table(&source, "truth/items.tsv"),
          users = read_table(&source, "truth/users.tsv");
    for (uint32_t i = 0; i < events.rows; i++) {
        if (number_at(&events, i, "accidental") == 1) continue;
        const uint32_t u = user_of(&events, i);
        const bool second = number_at(&events, i, "timestamp") >= number_at(&users, u, "since");
        assert_true(is_in_list(text_at(&users, u, second ? "later" : "clusters"),
                               number_at(&items, item_of(&events, i), "cluster")));
        later += second;
        all++;
    }
    assert_true(fabs((double)later / all - 0.5) < 0.05);
    for (uint32_t u = 0; u < options.users; u++) {
        const char *was = text_at(&users, u, "clusters"), *is = text_at(&users, u, "later");
        while (was != NULL) {
            interests++;
            changed += strtol(was, NULL, 10) != strtol(is, NULL, 10);
            was = strchr(was, ',') != NULL ? strchr(was, ',') + 1 : NULL;
            is = strchr(is, ',') != NULL ? strchr(is, ',') + 1 : "";
        }
    }
    assert_true(fabs(changed / interests - 0.5) < 0.12);
    free_table(&events);
    free_table(&items);
    free_table(&users);
    data_source_remove(&source);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    static const char *const uses[] = {"useful", "only:like"};
    static const struct {
        const char *subject, *says;
    } wanted[] = {{"users", "is 0"},
                  {"clusters", "is 101; give 1 to 100"},
                  {"behaviors", "is 9"},
                  {"accidental", "is 1; give 0 to 0.9"},
                  {"deepen", "is nan"},
                  {"events", "is 3"},
                  {"bursts", "is 1.5"},
                  {"tail", "is -1"},
                  {"drift", "is 2"},
                  {"accidental_by", "is 2"},
                  {"features", "has 1 entries and there are 2 modalities"},
                  {"features",
                   "'only:like' of text is unknown; give useful, useless or only:BEHAVIOR, where BEHAVIOR is "
                   "one of view, buy"}};
    data_source source;
    data_source_make(&source);
    for (int i = 0; i < 12; i++) {
        m3_error err = {0};
        m3_synth_options options = small();
        options.features = uses;
        if (i == 0) options.users = 0;
        if (i == 1) options.clusters = 101;
        if (i == 2) options.behaviors = 9;
        if (i == 3) options.accidental = 1.0;
        if (i == 4) options.deepen = NAN;
        if (i == 5) options.events = 3;
        if (i == 6) options.bursts = 1.5;
        if (i == 7) options.tail = -1.0;
        if (i == 8) options.drift = 2.0;
        if (i == 9) options.accidental_by = 2;
        if (i >= 10) options.feature_count = (uint32_t)i - 9;
        assert_int_equal(m3_data_synth(&options, source.directory, &err), M3_ERR_INVALID);
        assert_string_equal(err.subject, wanted[i].subject);
        assert_ptr_equal(strstr(err.message, wanted[i].says), err.message);
    }
    data_source_remove(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_decides_the_bytes),
        cmocka_unit_test(the_truth_tells_accidents),
        cmocka_unit_test(the_truth_tells_feature_noise),
        cmocka_unit_test(users_keep_to_their_interests),
        cmocka_unit_test(any_number_of_behaviors_and_modalities_can_be_imported),
        cmocka_unit_test(options_that_are_off_change_no_byte),
        cmocka_unit_test(accidents_can_follow_popularity),
        cmocka_unit_test(accidents_can_come_in_bursts),
        cmocka_unit_test(items_can_have_a_long_tail),
        cmocka_unit_test(modalities_can_be_useless_or_for_one_behavior),
        cmocka_unit_test(interests_can_drift),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
