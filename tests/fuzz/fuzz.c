/* fuzz: a folder for the files of a target, a device, and a walk over an opened set. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fuzz_broken(const char *claim, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    abort();
}

void fuzz_check_error(m3_status st, const m3_error *err)
{
    FUZZ_CHECK(st == err->code);
    FUZZ_CHECK((st == M3_OK) == (err->message[0] == '\0'));
    FUZZ_CHECK(st != M3_ERR_INTERNAL);
}

/* Files. */

static char folder[256];

static void remove_folder(void)
{
    fuzz_clear();
    (void)rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (folder[0] != '\0') return folder;
    const char *root = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/m3bsr-fuzz-XXXXXX", root != NULL ? root : "/tmp");
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    FUZZ_CHECK(atexit(remove_folder) == 0);
    return folder;
}

const char *fuzz_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder(), name);
    return path;
}

const char *fuzz_write(const char *name, const void *bytes, size_t size)
{
    const char *path = fuzz_path(name);
    /* What lies there is written over: giving its pages back and taking others costs more than some readers do. */
    const int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    FUZZ_CHECK(file >= 0);
    FUZZ_CHECK(size == 0 || write(file, bytes, size) == (ssize_t)size);
    FUZZ_CHECK(ftruncate(file, (off_t)size) == 0);
    FUZZ_CHECK(close(file) == 0);
    return path;
}

void fuzz_clear(void)
{
    DIR *files = opendir(fuzz_folder());
    FUZZ_CHECK(files != NULL);
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
        if (entry->d_name[0] != '.') (void)unlink(fuzz_path(entry->d_name));
    (void)closedir(files);
}

/* A device. */

static m3_device *device;

static void close_device(void)
{
    m3_engine *engine = m3_device_engine(device);
    m3_device_close(device);
    m3_engine_free(engine);
}

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

m3_device *fuzz_device(void)
{
    m3_engine *engine = NULL;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log = quiet,
                                     .cache_path = "/",
                                     .allow_writable_folder = true};
    if (device != NULL) return device;
    FUZZ_CHECK(m3_engine_create(&config, &engine, NULL) == M3_OK);
    FUZZ_CHECK(m3_device_open(engine, "reference", (m3_span){0}, &device, NULL) == M3_OK);
    FUZZ_CHECK(atexit(close_device) == 0);
    return device;
}

/* A set. */

static m3_dataset *fixed;

static void close_set(void)
{
    m3_dataset_close(fixed);
}

const m3_dataset *fuzz_set(void)
{
    static const char source[] = "user_id\titem_id\tbehavior\ttimestamp\n"
                                 "u\ta\tview\t1\nu\tb\tview\t2\nu\tb\tbuy\t2\nv\tc\tview\t-3\nv\t10\tbuy\t4\n";
    m3_import_options options = M3_IMPORT_OPTIONS_INIT;
    if (fixed != NULL) return fixed;
    options.interactions = fuzz_write("set.tsv", source, sizeof source - 1);
    FUZZ_CHECK(m3_data_import(&options, fuzz_path("set"), NULL, NULL) == M3_OK);
    FUZZ_CHECK(m3_dataset_open(fuzz_path("set"), &fixed, NULL) == M3_OK);
    FUZZ_CHECK(atexit(close_set) == 0);
    return fixed;
}

static void walk_user(const m3_dataset *set, uint32_t user)
{
    enum { LENGTH = 3 };
    const uint32_t behaviors = m3_dataset_behavior_count(set), items = m3_dataset_item_count(set);
    uint32_t found = 0;
    FUZZ_CHECK(m3_dataset_find_user(set, m3_dataset_user_id(set, user), &found) && found == user);
    for (uint32_t b = 0; b < behaviors; b++) {
        const m3_events events = m3_dataset_events(set, user, b);
        for (uint32_t i = 0; i < events.count; i++) {
            FUZZ_CHECK(events.items[i] >= 1 && events.items[i] <= items);
            FUZZ_CHECK(i == 0 || events.times[i - 1] <= events.times[i]);
        }
    }
    const m3_items touched = m3_dataset_touched(set, user);
    for (uint32_t i = 0; i < touched.count; i++) FUZZ_CHECK(touched.items[i] >= 1 && touched.items[i] <= items);
    int32_t *ids = calloc((size_t)behaviors * LENGTH, sizeof *ids);
    FUZZ_CHECK(ids != NULL);
    m3_dataset_history(set, user, M3_TIME_END, LENGTH, LENGTH, ids);
    for (uint32_t i = 0; i < behaviors * LENGTH; i++) FUZZ_CHECK(ids[i] >= 0 && (uint32_t)ids[i] <= items);
    free(ids);
}

static void walk_split(const m3_dataset *set, uint32_t behavior)
{
    m3_split *split = NULL;
    m3_error err = {0};
    m3_status st = m3_dataset_split(set, behavior, &split, &err);
    fuzz_check_error(st, &err);
    if (st != M3_OK) return;
    for (uint32_t part = 0; part < M3_SPLIT_COUNT; part++) {
        uint64_t count = 0;
        const m3_sample *samples = m3_split_samples(split, (m3_split_part)part, &count);
        for (uint64_t i = 0; i < count; i++) {
            const m3_items before = m3_split_had_before(split, &samples[i]);
            FUZZ_CHECK(samples[i].item >= 1 && samples[i].item <= m3_dataset_item_count(set));
            for (uint32_t k = 0; k < before.count; k++) FUZZ_CHECK(before.items[k] != samples[i].item);
        }
    }
    FUZZ_CHECK(m3_split_item_counts(split) != NULL);
    m3_split_free(split);
}

void fuzz_walk_set(const m3_dataset *set)
{
    const uint32_t items = m3_dataset_item_count(set), behaviors = m3_dataset_behavior_count(set);
    size_t length = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) walk_user(set, u);
    for (uint32_t i = 0; i <= items; i++) {
        uint32_t found = 0;
        length += strlen(m3_dataset_item_title(set, i)) + strlen(m3_dataset_item_category(set, i));
        FUZZ_CHECK(i == 0 || (m3_dataset_find_item(set, m3_dataset_item_id(set, i), &found) && found == i));
    }
    for (uint32_t b = 0; b < behaviors; b++) {
        m3_behavior_stats stats;
        m3_error err = {0};
        length += strlen(m3_dataset_behavior_name(set, b));
        fuzz_check_error(m3_dataset_stats(set, b, &stats, &err), &err);
        walk_split(set, b);
    }
    double sum = 0;
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        const m3_features features = m3_dataset_features(set, k);
        for (size_t i = 0; i < (size_t)(items + 1) * features.width; i++) sum += (double)features.rows[i];
    }
    FUZZ_CHECK(sum == sum && length < SIZE_MAX);
}
