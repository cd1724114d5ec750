/* A source folder: the input is its files one after another, each under a line "@NAME". The file "options" has a line
 * KEY=VALUE for some options of the import. A set that an import has written must open. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 4, TEXT = 64 };

typedef struct list {
    char text[MOST][TEXT];
    const char *at[MOST];
    uint32_t count;
} list;

typedef struct setting {
    m3_import_options options;
    list derive, behaviors, modalities, columns;
    char target[TEXT], user[TEXT], behavior[TEXT], separator[TEXT], time[TEXT];
} setting;

static void add(list *to, const char *value)
{
    if (to->count == MOST) return;
    (void)snprintf(to->text[to->count], TEXT, "%s", value);
    to->at[to->count] = to->text[to->count];
    to->count++;
}

static const char *keep(char *to, const char *value)
{
    (void)snprintf(to, TEXT, "%s", value);
    return to;
}

static void set(setting *s, const char *key, const char *value)
{
    m3_import_options *o = &s->options;
    const uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    if (strcmp(key, "derive") == 0) add(&s->derive, value);
    if (strcmp(key, "behaviors") == 0) add(&s->behaviors, value);
    if (strcmp(key, "modalities") == 0) add(&s->modalities, value);
    if (strcmp(key, "target") == 0) o->target = keep(s->target, value);
    if (strcmp(key, "user") == 0) o->reading.user_column = keep(s->user, value);
    if (strcmp(key, "columns") == 0) add(&s->columns, value);
    if (strcmp(key, "time") == 0) o->reading.time_column = keep(s->time, value);
    if (strcmp(key, "time_unit") == 0) o->reading.time_unit = (m3_time_unit)(number % 5);
    if (strcmp(key, "separator") == 0) o->reading.separator = keep(s->separator, value);
    if (strcmp(key, "behavior") == 0) o->reading.behavior_column = keep(s->behavior, value);
    if (strcmp(key, "min_user") == 0) o->min_user_events = number;
    if (strcmp(key, "min_item") == 0) o->min_item_events = number;
    if (strcmp(key, "max_length") == 0) o->max_length = number;
    if (strcmp(key, "memory") == 0) o->memory = number;
    if (strcmp(key, "threads") == 0) o->threads = number % 4;
    if (strcmp(key, "strict") == 0) o->reading.strict = true;
    if (strcmp(key, "keep_items") == 0) o->keep_items = true;
    if (strcmp(key, "no_features") == 0) o->no_features = true;
}

static void read_options(setting *s, const char *text, size_t size)
{
    char line[2 * TEXT];
    for (size_t at = 0, next; at < size; at = next) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - text) - at : size - at;
        next = at + length + 1;
        if (length >= sizeof line) continue;
        memcpy(line, text + at, length);
        line[length] = '\0';
        char *value = strchr(line, '=');
        if (value != NULL) *value++ = '\0';
        set(s, line, value != NULL ? value : "");
    }
}

static void take_file(setting *s, const char *name, size_t name_size, const char *bytes, size_t size)
{
    static const char *const names[] = {
        "interactions.tsv", "interactions.csv", "a.inter", "items.tsv", "items.csv",         "a.item",
        "image.npy",        "image.ids.txt",    "ids.txt", "text.npy",  "image.safetensors", "text.safetensors"};
    if (name_size == 7 && memcmp(name, "options", 7) == 0) read_options(s, bytes, size);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == name_size && memcmp(names[i], name, name_size) == 0)
            (void)fuzz_write(names[i], bytes, size);
}

/* The next line that starts with '@', or the end. */
static size_t next_file(const char *text, size_t at, size_t size)
{
    while (at < size && text[at] != '@') {
        const char *end = memchr(text + at, '\n', size - at);
        at = end != NULL ? (size_t)(end - text) + 1 : size;
    }
    return at;
}

static void take_all(setting *s, const char *text, size_t size)
{
    for (size_t at = next_file(text, 0, size), next; at < size; at = next) {
        const char *name = text + at + 1, *end = memchr(name, '\n', size - at - 1);
        if (end == NULL) return;
        size_t from = (size_t)(end - text) + 1;
        next = next_file(text, from, size);
        take_file(s, name, (size_t)(end - name), text + from, next - from);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static setting s;
    m3_import_report report;
    m3_dataset *set = NULL;
    m3_error err = {0};
    fuzz_clear();
    s = (setting){.options = M3_IMPORT_OPTIONS_INIT};
    s.options.threads = 1; /* making others takes longer than most inputs do */
    take_all(&s, (const char *)data, size);
    s.options.source = fuzz_folder();
    s.options.reading.derive = s.derive.at;
    s.options.reading.derive_count = s.derive.count;
    s.options.reading.columns = s.columns.at;
    s.options.reading.column_count = s.columns.count;
    s.options.behaviors = s.behaviors.count > 0 ? s.behaviors.at : NULL;
    s.options.behavior_count = s.behaviors.count;
    s.options.modalities = s.modalities.at;
    s.options.modality_count = s.modalities.count;
    m3_status st = m3_data_import(&s.options, fuzz_path("set"), &report, &err);
    fuzz_check_error(st, &err);
    if (st != M3_OK) return 0;
    st = m3_dataset_open(fuzz_path("set"), &set, &err);
    if (st != M3_OK) (void)fprintf(stderr, "%s\n", err.message);
    FUZZ_CHECK(st == M3_OK);
    FUZZ_CHECK(m3_dataset_event_count(set) == report.events);
    fuzz_walk_set(set);
    m3_dataset_close(set);
    return 0;
}
