/* New histories against a set: the first byte says whether the file is .csv, and whether behaviors are derived. */
#include "tests/fuzz/fuzz.h"

static void walk(const m3_histories *histories, const m3_dataset *set)
{
    enum { LENGTH = 2, BEHAVIORS = 2 };
    int32_t ids[LENGTH * BEHAVIORS];
    FUZZ_CHECK(m3_dataset_behavior_count(set) == BEHAVIORS && m3_histories_user_count(histories) > 0);
    for (uint32_t u = 0; u < m3_histories_user_count(histories); u++) {
        uint32_t found = 0;
        FUZZ_CHECK(m3_histories_find_user(histories, m3_histories_user_id(histories, u), &found) && found == u);
        for (uint32_t b = 0; b < BEHAVIORS; b++) {
            const m3_events events = m3_histories_events(histories, u, b);
            for (uint32_t i = 0; i < events.count; i++) {
                FUZZ_CHECK(events.items[i] >= 1 && events.items[i] <= m3_dataset_item_count(set));
                FUZZ_CHECK(i == 0 || events.times[i - 1] <= events.times[i]);
            }
        }
        m3_histories_fill(histories, u, M3_TIME_END, LENGTH, LENGTH, ids);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const derive[] = {"view=*", "buy=rating>=4.5"};
    m3_histories *histories = NULL;
    m3_import_report report;
    m3_error err = {0};
    m3_reading reading = {0};
    if (size == 0) return 0;
    const m3_dataset *set = fuzz_set();
    if (data[0] & 2) reading = (m3_reading){.behavior_column = "", .derive = derive, .derive_count = 2};
    reading.strict = (data[0] & 4) != 0;
    const char *path = fuzz_write(data[0] & 1 ? "new.csv" : "new.tsv", data + 1, size - 1);
    m3_status st = m3_histories_read(set, path, &reading, &histories, &report, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK((st == M3_OK) == (histories != NULL));
    if (histories != NULL) walk(histories, set);
    m3_histories_free(histories);
    return 0;
}
