/* grown: see the header. */
#include "tests/support/grown.h"
#include "tests/support/training.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 40, FEATURES = 3, BARE = 33 };

/* Features of item i, which are those of no other. */
static void features_of(uint32_t i, double x[FEATURES])
{
    x[0] = 0.1 * i;
    x[1] = (double)((7 * i) % 11) - 5.0;
    x[2] = (double)((5 * i) % 13) * 0.3;
}

/* Items 0 to count - 1 but one, which has no features, as do items from `bare` on. */
static void write_features(const data_source *source, uint32_t count, uint32_t bare)
{
    char ids[1024] = "";
    double values[64][FEATURES];
    uint32_t rows = 0;
    for (uint32_t i = 0; i < count && i < bare; i++) {
        if (i == 4) continue;
        (void)snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "i%u\n", i);
        features_of(i, values[rows++]);
    }
    data_source_write(source, "text.ids.txt", ids, 0);
    data_source_write_npy(source, "text.npy", "<f8", false, rows, FEATURES, &values[0][0]);
}

/* Users walk through items low, low + 1, …; every third event goes deeper. */
static void write_events(const data_source *source, uint32_t first, uint32_t each, uint32_t low, uint32_t items)
{
    static char text[1 << 16];
    size_t at = (size_t)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\n");
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t e = first; e < first + each; e++) {
            const uint32_t item = low + (3 * u + e * (1 + u % 4)) % items, time = 100 * e + u;
            at += (size_t)snprintf(text + at, sizeof text - at, "u%u\ti%u\tview\t%u\n", u, item, time);
            if (e % 3 != 2) at += (size_t)snprintf(text + at, sizeof text - at, "u%u\ti%u\tbuy\t%u\n", u, item, time);
        }
    data_source_write(source, "interactions.tsv", text, at);
}

double grown_planted(uint32_t i, uint32_t column)
{
    double x[FEATURES];
    features_of(i, x);
    return 0.2 + 0.05 * column * x[0] - 0.1 * x[1] + 0.02 * (column % 3) * x[2];
}

uint32_t grown_meant(const m3_dataset *set, uint32_t item)
{
    return (uint32_t)strtoul(m3_dataset_item_id(set, item) + 1, NULL, 10);
}

void grown_make(grown *sets)
{
    static const char *const behaviors[] = {"view", "buy"};
    const m3_import_options two = {.behaviors = behaviors, .behavior_count = 2};
    m3_import_options append = M3_IMPORT_OPTIONS_INIT;
    m3_error err = {0};
    char set[128];
    data_source_make(&sets->old);
    data_source_make(&sets->new);
    data_source_make(&sets->less);
    write_events(&sets->old, 0, 9, 0, GROWN_OLD);
    write_features(&sets->old, GROWN_OLD, GROWN_OLD);
    training_check(data_source_import(&sets->old, two, NULL, &err), &err);
    write_events(&sets->new, 9, 6, 0, GROWN_ITEMS);
    write_features(&sets->new, GROWN_ITEMS, BARE);
    data_source_write(&sets->new, "items.tsv", "item_id\ttitle\ni35\tnothing is known\n", 0);
    append.source = sets->new.directory;
    append.keep_items = true;
    (void)snprintf(set, sizeof set, "%s", data_source_path(&sets->old, "set"));
    training_check(m3_data_append(set, false, &append, data_source_path(&sets->new, "set"), NULL, &err), &err);
    write_events(&sets->less, 0, 15, GROWN_GONE, GROWN_ITEMS - GROWN_GONE);
    write_features(&sets->less, GROWN_ITEMS, BARE);
    training_check(data_source_import(&sets->less, two, NULL, &err), &err);
}

void grown_remove(grown *sets)
{
    data_source_remove(&sets->old);
    data_source_remove(&sets->new);
    data_source_remove(&sets->less);
}
