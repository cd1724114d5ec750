/* dataset: a data set file, mapped, checked once and handed out as borrowed pointers (core/data/set_format.h).
 * The checksum finds damage; the range checks behind it make sure that no file, however made, leads out of bounds. A
 * file that changes later is noticed by its size and time; until then lists are held within their bounds. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/data/names.h"
#include "core/data/set_format.h"
#include "core/data/table.h"

struct strings {
    uint32_t count;
    const uint64_t *starts;
    const char *bytes;
    uint64_t size; /* of bytes */
};

struct lists {
    const uint64_t *starts;
    const uint32_t *items;
    const int64_t *times;
    const uint8_t *parts; /* NULL unless the split is given */
    uint64_t count;       /* of items */
};

struct m3_dataset {
    m3_mapping_file file;
    int held; /* the mapped file, -1: none */
    struct stat opened;
    char *path;
    m3_set_header header; /* copies: what counts and bounds are taken from does not change with the file */
    m3_set_meta meta;
    struct strings user_ids, item_ids, titles, categories, behaviors, modalities;
    struct lists *events; /* [B] */
    struct lists touched;
    m3_features *features; /* [K] */
    uint64_t event_count;
    uint32_t time_digits, time_unit;
    m3_split_rule split;
};

static m3_status damaged(const m3_dataset *set, m3_error *err, const char *what)
{
    return M3_FAIL(err, M3_ERR_INVALID, set->path, "is damaged: %s; import it again", what);
}

static uint64_t checksum_of(const m3_mapping_file *file)
{
    XXH64_state_t state;
    m3_set_header header;
    memcpy(&header, file->bytes, sizeof header);
    header.checksum = 0;
    (void)XXH64_reset(&state, 0);
    (void)XXH64_update(&state, &header, sizeof header);
    (void)XXH64_update(&state, file->bytes + sizeof header, file->size - sizeof header);
    return XXH64_digest(&state);
}

static m3_status check_header(m3_dataset *set, m3_error *err)
{
    const m3_mapping_file *file = &set->file;
    if (file->size < sizeof(m3_set_header) || memcmp(file->bytes, M3_SET_MAGIC, 8) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, set->path,
                       "is no data set; make one with: m3bsr data import SRC --out SET");
    memcpy(&set->header, file->bytes, sizeof set->header);
    const m3_set_header *header = &set->header;
    if (header->version != M3_SET_VERSION)
        return M3_FAIL(err, M3_ERR_INVALID, set->path, "has version %u, this program reads %d; import it again",
                       header->version, M3_SET_VERSION);
    if (header->file_bytes != file->size)
        return M3_FAIL(err, M3_ERR_INVALID, set->path, "is cut short or has grown: %zu bytes, its header says %llu",
                       file->size, (unsigned long long)header->file_bytes);
    if (header->section_count > M3_SET_MOST_SECTIONS ||
        header->section_count * sizeof(m3_set_section) > file->size - sizeof *header)
        return damaged(set, err, "the section table does not fit");
    uint64_t sum = checksum_of(file);
    if (sum != header->checksum)
        return M3_FAIL(err, M3_ERR_INVALID, set->path,
                       "is damaged: checksum %016llx, its header says %016llx; import it again",
                       (unsigned long long)sum, (unsigned long long)header->checksum);
    return M3_OK;
}

/* The section's bytes, which are exactly `bytes` unless that is 0; NULL writes an error. */
static const void *section(const m3_dataset *set, enum m3_set_kind kind, uint32_t index, uint64_t bytes,
                           m3_set_section *found, m3_error *err)
{
    const m3_set_section *table = (const m3_set_section *)(const void *)(set->file.bytes + sizeof(m3_set_header));
    for (uint32_t i = 0; i < set->header.section_count; i++) {
        if (table[i].kind != (uint32_t)kind || table[i].index != index) continue;
        *found = table[i];
        if (found->offset % M3_SET_ALIGN != 0 || found->offset > set->file.size ||
            found->bytes > set->file.size - found->offset || (bytes != 0 && found->bytes != bytes)) {
            (void)damaged(set, err, "a section has the wrong place or size");
            return NULL;
        }
        return set->file.bytes + found->offset;
    }
    (void)damaged(set, err, "a section is missing");
    return NULL;
}

static m3_status get_strings(const m3_dataset *set, enum m3_set_kind kind, uint32_t count, struct strings *strings,
                             m3_error *err)
{
    m3_set_section found;
    const char *bytes = section(set, kind, 0, 0, &found, err);
    if (bytes == NULL) return M3_ERR_INVALID;
    uint64_t head = ((uint64_t)count + 1) * sizeof(uint64_t);
    if (found.bytes < head) return damaged(set, err, "a string table is too short");
    const uint64_t size = found.bytes - head;
    *strings = (struct strings){count, (const uint64_t *)(const void *)bytes, bytes + head, size};
    if (strings->starts[0] != 0 || strings->starts[count] != size)
        return damaged(set, err, "a string table has wrong ends");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t from = strings->starts[i], to = strings->starts[i + 1];
        if (to <= from || to > size || strings->bytes[to - 1] != '\0')
            return damaged(set, err, "a string leads out of its table");
        if (!m3_field_is_utf8((m3_field){strings->bytes + from, (size_t)(to - 1 - from)}))
            return damaged(set, err, "a string is not UTF-8");
    }
    return M3_OK;
}

/* Within the table, whatever has become of the file since it was checked. */
static const char *string_at(const struct strings *strings, uint32_t index)
{
    if (index >= strings->count) return "";
    const uint64_t from = strings->starts[index], to = strings->starts[index + 1];
    return from < to && to <= strings->size && strings->bytes[to - 1] == '\0' ? strings->bytes + from : "";
}

/* Rising ids are what the look-up relies on, and leave no duplicates. */
static m3_status check_rising(const m3_dataset *set, const struct strings *strings, uint32_t from, m3_error *err)
{
    for (uint32_t i = from; i + 1 < strings->count; i++)
        if (m3_id_compare(string_at(strings, i), string_at(strings, i + 1)) >= 0)
            return damaged(set, err, "ids are out of order");
    return M3_OK;
}

static m3_status get_starts(const m3_dataset *set, enum m3_set_kind kind, uint32_t index, const uint64_t **starts,
                            m3_error *err)
{
    m3_set_section found;
    uint64_t users = set->meta.users;
    const void *bytes = section(set, kind, index, (users + 1) * sizeof(uint64_t), &found, err);
    if (bytes == NULL) return M3_ERR_INVALID;
    *starts = bytes;
    if ((*starts)[0] != 0) return damaged(set, err, "the first user's events do not start at 0");
    for (uint64_t u = 0; u < users; u++)
        if ((*starts)[u] > (*starts)[u + 1] || (*starts)[u + 1] - (*starts)[u] > UINT32_MAX)
            return damaged(set, err, "a user's events have no place");
    return M3_OK;
}

static m3_status get_item_numbers(const m3_dataset *set, enum m3_set_kind kind, uint32_t index, uint64_t count,
                                  const uint32_t **items, m3_error *err)
{
    m3_set_section found;
    *items = section(set, kind, index, 0, &found, err);
    if (*items == NULL) return M3_ERR_INVALID;
    if (count > found.bytes / sizeof(uint32_t) || count * sizeof(uint32_t) != found.bytes)
        return damaged(set, err, "a list of items has the wrong size");
    for (uint64_t i = 0; i < count; i++)
        if ((*items)[i] == 0 || (*items)[i] > set->meta.items)
            return damaged(set, err, "an item number is out of range");
    return M3_OK;
}

static m3_status get_parts(m3_dataset *set, uint32_t b, m3_error *err)
{
    m3_set_section found;
    struct lists *lists = &set->events[b];
    lists->parts = section(set, M3_SET_EVENT_PARTS, b, 0, &found, err);
    if (lists->parts == NULL) return M3_ERR_INVALID;
    if (found.bytes != lists->count) return damaged(set, err, "a list of parts has the wrong size");
    for (uint32_t u = 0; u < set->meta.users; u++)
        for (uint64_t i = lists->starts[u]; i < lists->starts[u + 1]; i++)
            if (lists->parts[i] >= M3_SPLIT_COUNT || (i > lists->starts[u] && lists->parts[i] < lists->parts[i - 1]))
                return damaged(set, err, "the parts of a user's events are impossible");
    return M3_OK;
}

static m3_status get_events(m3_dataset *set, uint32_t b, m3_error *err)
{
    m3_status st;
    m3_set_section found;
    struct lists *lists = &set->events[b];
    if ((st = get_starts(set, M3_SET_EVENT_STARTS, b, &lists->starts, err)) != M3_OK) return st;
    const uint64_t count = lists->count = lists->starts[set->meta.users];
    if ((st = get_item_numbers(set, M3_SET_EVENT_ITEMS, b, count, &lists->items, err)) != M3_OK) return st;
    lists->times = section(set, M3_SET_EVENT_TIMES, b, 0, &found, err);
    if (lists->times == NULL) return M3_ERR_INVALID;
    if (count > found.bytes / sizeof(int64_t) || count * sizeof(int64_t) != found.bytes)
        return damaged(set, err, "a list of times has the wrong size");
    for (uint32_t u = 0; u < set->meta.users; u++)
        for (uint64_t i = lists->starts[u]; i + 1 < lists->starts[u + 1]; i++)
            if (lists->times[i] > lists->times[i + 1]) return damaged(set, err, "a user's events are out of order");
    set->event_count += count;
    return set->split.kind == M3_SPLIT_GIVEN ? get_parts(set, b, err) : M3_OK;
}

static m3_status get_touched(m3_dataset *set, m3_error *err)
{
    m3_status st;
    struct lists *lists = &set->touched;
    if ((st = get_starts(set, M3_SET_TOUCHED_STARTS, 0, &lists->starts, err)) != M3_OK) return st;
    const uint64_t count = lists->count = lists->starts[set->meta.users];
    if ((st = get_item_numbers(set, M3_SET_TOUCHED_ITEMS, 0, count, &lists->items, err)) != M3_OK) return st;
    for (uint32_t u = 0; u < set->meta.users; u++)
        for (uint64_t i = lists->starts[u]; i + 1 < lists->starts[u + 1]; i++)
            if (lists->items[i] >= lists->items[i + 1]) return damaged(set, err, "a user's items are out of order");
    return M3_OK;
}

static m3_status get_features(m3_dataset *set, uint32_t k, m3_error *err)
{
    m3_set_section found;
    m3_features *features = &set->features[k];
    uint64_t rows = (uint64_t)set->meta.items + 1;
    features->name = string_at(&set->modalities, k);
    features->rows = section(set, M3_SET_FEATURES, k, 0, &found, err);
    if (features->rows == NULL) return M3_ERR_INVALID;
    features->width = found.width;
    if (found.width == 0 || found.width > M3_SET_MOST_WIDTH || rows * found.width * sizeof(float) != found.bytes)
        return damaged(set, err, "a feature matrix has the wrong size");
    features->present = section(set, M3_SET_PRESENT, k, rows, &found, err);
    if (features->present == NULL) return M3_ERR_INVALID;
    for (uint64_t i = 0; i < rows * features->width; i++)
        if (!isfinite(features->rows[i]) || (i < features->width && features->rows[i] != 0.0f))
            return damaged(set, err, "a feature is not finite, or those of the padding item are not zero");
    for (uint64_t i = 0; i < rows; i++) {
        if (features->present[i] > (i != 0)) return damaged(set, err, "a feature's mark is neither 0 nor 1");
        features->covered += features->present[i];
    }
    return M3_OK;
}

static m3_status get_split(m3_dataset *set, m3_error *err)
{
    m3_set_section found;
    const m3_set_split *split = section(set, M3_SET_SPLIT, 0, sizeof *split, &found, NULL);
    set->split = (m3_split_rule){.kind = M3_SPLIT_LAST, .last = 1};
    if (split == NULL) return M3_OK;
    if (split->kind > M3_SPLIT_GIVEN || split->repeats > 1 || split->test_from < split->valid_from ||
        (split->kind == M3_SPLIT_LAST && split->last == 0))
        return damaged(set, err, "its split is impossible");
    set->split = (m3_split_rule){.kind = (m3_split_kind)split->kind,
                                 .last = split->last,
                                 .valid_from = split->valid_from,
                                 .test_from = split->test_from,
                                 .repeats = split->repeats != 0};
    return M3_OK;
}

static m3_status check_contents(m3_dataset *set, m3_error *err)
{
    m3_status st;
    m3_set_section found;
    const void *bytes = section(set, M3_SET_META, 0, sizeof set->meta, &found, err);
    if (bytes == NULL) return M3_ERR_INVALID;
    memcpy(&set->meta, bytes, sizeof set->meta);
    const m3_set_meta *meta = &set->meta;
    /* Each user and item has a string of at least one byte and each behavior sections, so the file bounds them. */
    if (meta->users > set->file.size || meta->items >= set->file.size || meta->items >= INT32_MAX ||
        meta->behaviors > M3_SET_MOST_SECTIONS || meta->modalities > M3_SET_MOST_SECTIONS ||
        meta->target >= meta->behaviors || meta->users == 0 || meta->items == 0 || meta->max_length == 0)
        return damaged(set, err, "its counts are impossible");
    set->events = m3_calloc(meta->behaviors, sizeof *set->events);
    set->features = m3_calloc(meta->modalities, sizeof *set->features);
    if (set->events == NULL || set->features == NULL)
        return M3_FAIL_MEMORY(err, set->path, meta->behaviors * sizeof *set->events);
    if ((st = get_strings(set, M3_SET_USER_IDS, meta->users, &set->user_ids, err)) != M3_OK ||
        (st = get_strings(set, M3_SET_ITEM_IDS, meta->items + 1, &set->item_ids, err)) != M3_OK ||
        (st = get_strings(set, M3_SET_TITLES, meta->items + 1, &set->titles, err)) != M3_OK ||
        (st = get_strings(set, M3_SET_CATEGORIES, meta->items + 1, &set->categories, err)) != M3_OK ||
        (st = get_strings(set, M3_SET_BEHAVIOR_NAMES, meta->behaviors, &set->behaviors, err)) != M3_OK ||
        (st = get_strings(set, M3_SET_MODALITY_NAMES, meta->modalities, &set->modalities, err)) != M3_OK ||
        (st = check_rising(set, &set->user_ids, 0, err)) != M3_OK ||
        (st = check_rising(set, &set->item_ids, 1, err)) != M3_OK)
        return st;
    if ((st = get_split(set, err)) != M3_OK) return st; /* says what events have */
    for (uint32_t b = 0; b < meta->behaviors; b++)
        if ((st = get_events(set, b, err)) != M3_OK) return st;
    if ((st = get_touched(set, err)) != M3_OK) return st;
    for (uint32_t k = 0; k < meta->modalities; k++)
        if ((st = get_features(set, k, err)) != M3_OK) return st;
    const uint32_t *digits = section(set, M3_SET_TIME_DIGITS, 0, sizeof *digits, &found, NULL);
    set->time_digits = digits != NULL ? *digits : 0;
    const uint32_t *unit = section(set, M3_SET_TIME_UNIT, 0, sizeof *unit, &found, NULL);
    set->time_unit = unit != NULL ? *unit : M3_TIME_UNKNOWN;
    if (set->time_digits > M3_TIME_DIGITS || set->time_unit > M3_TIME_NS)
        return damaged(set, err, "its times have impossible units");
    return M3_OK;
}

m3_status m3_dataset_open(const char *path, m3_dataset **out, m3_error *err)
{
    m3_status st;
    m3_dataset *set = *out = NULL;
    if ((set = m3_calloc(1, sizeof *set)) == NULL) return M3_FAIL_MEMORY(err, path, sizeof *set);
    set->held = -1;
    if ((set->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path) + 1);
        goto done;
    }
    if ((st = m3_file_map_held(path, &set->file, &set->held, err)) != M3_OK) goto done;
    if (fstat(set->held, &set->opened) != 0) { /* before anything is read: what changes from now on is noticed */
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be looked at: %s", strerror(errno));
        goto done;
    }
    if ((st = check_header(set, err)) != M3_OK) goto done;
    if ((st = check_contents(set, err)) != M3_OK) goto done;
    *out = set;
    set = NULL; /* the caller owns it now */
done:
    m3_dataset_close(set);
    return st;
}

void m3_dataset_close(m3_dataset *set)
{
    if (set == NULL) return;
    m3_free(set->events);
    m3_free(set->features);
    m3_file_unmap(&set->file);
    if (set->held >= 0) (void)close(set->held);
    m3_free(set->path);
    m3_free(set);
}

m3_status m3_dataset_check(const m3_dataset *set, m3_error *err)
{
    struct stat now;
    const struct stat *was = &set->opened;
    if (fstat(set->held, &now) != 0)
        return M3_FAIL(err, M3_ERR_IO, set->path, "cannot be looked at: %s", strerror(errno));
    if (now.st_size != was->st_size)
        return M3_FAIL(
            err, M3_ERR_IO, set->path,
            "has %lld bytes and had %lld when it was opened: something writes to it while it is read. Put it "
            "back, and write new data to another name, which may take the name of the old by mv",
            (long long)now.st_size, (long long)was->st_size);
    if (now.st_mtim.tv_sec != was->st_mtim.tv_sec || now.st_mtim.tv_nsec != was->st_mtim.tv_nsec)
        return M3_FAIL(
            err, M3_ERR_IO, set->path,
            "was written to after it was opened, while it is read. Put it back, and write new data to another "
            "name, which may take the name of the old by mv");
    return M3_OK;
}

uint32_t m3_dataset_user_count(const m3_dataset *set)
{
    return set->meta.users;
}

uint32_t m3_dataset_item_count(const m3_dataset *set)
{
    return set->meta.items;
}

uint32_t m3_dataset_behavior_count(const m3_dataset *set)
{
    return set->meta.behaviors;
}

uint32_t m3_dataset_modality_count(const m3_dataset *set)
{
    return set->meta.modalities;
}

uint32_t m3_dataset_target(const m3_dataset *set)
{
    return set->meta.target;
}

uint32_t m3_dataset_max_length(const m3_dataset *set)
{
    return set->meta.max_length;
}

uint32_t m3_dataset_time_digits(const m3_dataset *set)
{
    return set->time_digits;
}

m3_time_unit m3_dataset_time_unit(const m3_dataset *set)
{
    return (m3_time_unit)set->time_unit;
}

uint64_t m3_dataset_event_count(const m3_dataset *set)
{
    return set->event_count;
}

uint64_t m3_dataset_checksum(const m3_dataset *set)
{
    return set->header.checksum;
}

/* Of the sections of the kinds, a bit each, in the order of their kinds and indices, with their places left out. */
static uint64_t sum_of_sections(const m3_dataset *set, uint32_t kinds)
{
    const m3_set_section *table = (const m3_set_section *)(const void *)(set->file.bytes + sizeof(m3_set_header));
    const uint32_t count = set->header.section_count;
    XXH64_state_t state;
    (void)XXH64_reset(&state, 0);
    for (uint32_t kind = M3_SET_META; kind < M3_SET_KINDS; kind++) {
        for (uint32_t index = 0; (kinds >> kind & 1u) != 0 && index < M3_SET_MOST_SECTIONS; index++) {
            uint32_t i = 0;
            while (i < count && (table[i].kind != kind || table[i].index != index)) i++;
            if (i == count) break;
            const uint64_t head[] = {kind, index, table[i].width, table[i].bytes};
            (void)XXH64_update(&state, head, sizeof head);
            (void)XXH64_update(&state, set->file.bytes + table[i].offset, table[i].bytes);
        }
    }
    return XXH64_digest(&state);
}

uint64_t m3_dataset_content_checksum(const m3_dataset *set)
{
    return sum_of_sections(
        set, ~(1u << M3_SET_META | 1u << M3_SET_TITLES | 1u << M3_SET_CATEGORIES | 1u << M3_SET_TIME_UNIT));
}

uint64_t m3_dataset_item_checksum(const m3_dataset *set)
{
    return sum_of_sections(set, 1u << M3_SET_ITEM_IDS);
}

const m3_import_report *m3_dataset_import_report(const m3_dataset *set)
{
    return &set->meta.report;
}

m3_split_rule m3_dataset_split_rule(const m3_dataset *set)
{
    return set->split;
}

const char *m3_dataset_user_id(const m3_dataset *set, uint32_t user)
{
    return string_at(&set->user_ids, user);
}

const char *m3_dataset_item_id(const m3_dataset *set, uint32_t item)
{
    return string_at(&set->item_ids, item);
}

const char *m3_dataset_item_title(const m3_dataset *set, uint32_t item)
{
    return string_at(&set->titles, item);
}

const char *m3_dataset_item_category(const m3_dataset *set, uint32_t item)
{
    return string_at(&set->categories, item);
}

const char *m3_dataset_behavior_name(const m3_dataset *set, uint32_t behavior)
{
    return string_at(&set->behaviors, behavior);
}

static bool find_id(const struct strings *strings, uint32_t from, const char *id, uint32_t *found)
{
    uint32_t low = from, high = strings->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = m3_id_compare(string_at(strings, middle), id);
        if (order == 0) {
            *found = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool m3_dataset_find_user(const m3_dataset *set, const char *id, uint32_t *found)
{
    return find_id(&set->user_ids, 0, id, found);
}

bool m3_dataset_find_item(const m3_dataset *set, const char *id, uint32_t *found)
{
    return find_id(&set->item_ids, 1, id, found);
}

bool m3_dataset_find_behavior(const m3_dataset *set, const char *name, uint32_t *found)
{
    for (uint32_t b = 0; b < set->meta.behaviors; b++)
        if (strcmp(string_at(&set->behaviors, b), name) == 0) {
            *found = b;
            return true;
        }
    return false;
}

/* Within the list, whatever has become of the file since it was checked: m3_dataset_check() tells, but only later. */
static m3_items list_of(const struct lists *lists, uint32_t user)
{
    const uint64_t from = lists->starts[user], to = lists->starts[user + 1];
    if (from > to || to > lists->count) return (m3_items){0, lists->items};
    return (m3_items){(uint32_t)(to - from), lists->items + from};
}

m3_events m3_dataset_events(const m3_dataset *set, uint32_t user, uint32_t behavior)
{
    if (user >= set->meta.users || behavior >= set->meta.behaviors) return (m3_events){0};
    const struct lists *lists = &set->events[behavior];
    const m3_items items = list_of(lists, user);
    return (m3_events){items.count, items.items, lists->times + (items.items - lists->items)};
}

const uint8_t *m3_dataset_event_parts(const m3_dataset *set, uint32_t user, uint32_t behavior)
{
    if (user >= set->meta.users || behavior >= set->meta.behaviors) return NULL;
    const struct lists *lists = &set->events[behavior];
    return lists->parts != NULL ? lists->parts + (list_of(lists, user).items - lists->items) : NULL;
}

m3_items m3_dataset_touched(const m3_dataset *set, uint32_t user)
{
    if (user >= set->meta.users) return (m3_items){0};
    return list_of(&set->touched, user);
}

m3_features m3_dataset_features(const m3_dataset *set, uint32_t modality)
{
    return modality < set->meta.modalities ? set->features[modality] : (m3_features){0};
}
