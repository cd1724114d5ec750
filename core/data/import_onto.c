/* import_onto: what an import that adds to a data set takes from it. The set's users and items become the first of the
 * rows, under the numbers that they have there, and its events the first events: what comes twice is found as it is
 * within a file. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/import.h"

m3_status m3_import_onto_open(m3_import_onto *onto, m3_import_options *options, m3_error *err)
{
    m3_status st = m3_dataset_open(onto->path, &onto->set, err);
    if (st != M3_OK) return st;
    const m3_dataset *set = onto->set;
    const uint32_t behaviors = m3_dataset_behavior_count(set);
    for (uint32_t b = 0; b < behaviors; b++) onto->behaviors[b] = m3_dataset_behavior_name(set, b);
    options->behaviors = onto->behaviors;
    options->behavior_count = behaviors;
    options->target = onto->behaviors[m3_dataset_target(set)];
    options->modality_count = 0;
    options->no_features = options->no_features || m3_dataset_modality_count(set) == 0;
    options->min_user_events = options->min_item_events = 0; /* what the set has stays */
    if (options->max_length == 0) options->max_length = m3_dataset_max_length(set);
    return M3_OK;
}

static m3_status take_names(const m3_dataset *set, m3_rows *rows, m3_error *err)
{
    m3_status st = M3_OK;
    uint32_t number;
    for (uint32_t b = 0; st == M3_OK && b < m3_dataset_behavior_count(set); b++) {
        const char *name = m3_dataset_behavior_name(set, b);
        st = m3_names_add(&rows->behaviors, name, strlen(name), &number, NULL, err);
    }
    for (uint32_t u = 0; st == M3_OK && u < m3_dataset_user_count(set); u++) {
        const char *id = m3_dataset_user_id(set, u);
        st = m3_names_add(&rows->users, id, strlen(id), &number, NULL, err);
    }
    for (uint32_t i = 1; st == M3_OK && i <= m3_dataset_item_count(set); i++) {
        const char *id = m3_dataset_item_id(set, i);
        st = m3_names_add(&rows->items, id, strlen(id), &number, NULL, err);
    }
    return st;
}

m3_status m3_import_onto_rows(const m3_import_onto *onto, m3_rows *rows, m3_error *err)
{
    const m3_dataset *set = onto->set;
    m3_status st = take_names(set, rows, err);
    m3_event event = {0};
    for (uint32_t u = 0; st == M3_OK && u < m3_dataset_user_count(set); u++) {
        for (uint32_t b = 0; st == M3_OK && b < m3_dataset_behavior_count(set); b++) {
            const m3_events events = m3_dataset_events(set, u, b);
            for (uint32_t i = 0; st == M3_OK && i < events.count; i++) {
                event = (m3_event){.time = events.times[i],
                                   .user = u,
                                   .item = events.items[i] - 1,
                                   .behavior = (uint16_t)b,
                                   .line = event.line + 1};
                const int64_t size = event.time < 0 ? -event.time : event.time;
                if (size > rows->latest) rows->latest = size;
                st = m3_rows_add(rows, &event, 1, err);
            }
        }
    }
    rows->of_set = rows->before = event.line;
    rows->time_digits = m3_dataset_time_digits(set);
    rows->time_unit = m3_dataset_time_unit(set);
    return st != M3_OK ? st : m3_rows_make_room(rows, 0, err);
}

m3_status m3_import_onto_features(const m3_import_onto *onto, m3_import_files *files, m3_drops *drops, m3_error *err)
{
    const uint32_t count = m3_dataset_modality_count(onto->set);
    m3_feature_file *ordered = m3_calloc((size_t)count + 1, sizeof *ordered);
    if (ordered == NULL) return M3_FAIL_MEMORY(err, "features", count * sizeof *ordered);
    for (uint32_t i = 0; i < files->feature_count; i++) {
        m3_feature_file *file = &files->features[i];
        uint32_t k = 0;
        while (k < count && strcmp(m3_dataset_features(onto->set, k).name, file->name) != 0) k++;
        if (k < count) {
            ordered[k] = *file;
            continue;
        }
        m3_drops_say(drops, M3_LOG_WARN, "%s is not read: %s has no modality '%s'", file->path, onto->path, file->name);
        m3_feature_file_fini(file);
    }
    m3_free(files->features);
    files->features = ordered;
    files->feature_count = count;
    return M3_OK;
}

void m3_import_onto_fini(m3_import_onto *onto)
{
    m3_dataset_close(onto->set);
    *onto = (m3_import_onto){0};
}
