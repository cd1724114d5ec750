/* import_features: line r of an id list names the item of row r; the matrix stays mapped until the set is written. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/import.h"
#include "core/data/source.h"

struct ids {
    m3_source source;
    uint64_t at;
};

/* *found is false at the end of the file. */
static m3_status next_id(struct ids *ids, m3_field *id, bool *found, m3_error *err)
{
    const m3_source *source = &ids->source;
    const char *from, *end = NULL;
    size_t left;
    for (;;) {
        from = source->bytes + (ids->at - source->from);
        left = (size_t)(source->to - ids->at);
        if (left > 0) end = memchr(from, '\n', left);
        if (end != NULL || source->ended) break;
        m3_status st = m3_source_more(&ids->source, ids->at, err);
        if (st != M3_OK) return st;
    }
    *found = left > 0;
    size_t size = end == NULL ? left : (size_t)(end - from);
    ids->at += size + (end != NULL);
    if (size > 0 && from[size - 1] == '\r') size--;
    *id = (m3_field){from, size};
    return M3_OK;
}

static m3_status open_ids(struct ids *ids, const char *path, m3_error *err)
{
    const m3_status st = m3_source_open(&ids->source, path, err);
    ids->at = st == M3_OK && ids->source.to >= 3 && memcmp(ids->source.bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    return st;
}

/* As many lines as rows; one more is a header if it has the item column's name, and then *line is 2. */
static m3_status check_count(const m3_feature_file *file, uint64_t rows, const char *item_column, uint64_t *line,
                             m3_error *err)
{
    struct ids ids = {0};
    uint64_t count = 0;
    bool found = true, header = false;
    m3_status st = open_ids(&ids, file->ids, err);
    while (st == M3_OK && found) {
        m3_field id;
        st = next_id(&ids, &id, &found, err);
        if (st != M3_OK || !found) break;
        header = count == 0 ? m3_field_is(id, item_column) : header;
        count++;
    }
    m3_source_close(&ids.source);
    *line = count == rows + 1 && header ? 2 : 1;
    if (st != M3_OK || count == rows || *line == 2) return st;
    return M3_FAIL(err, M3_ERR_INVALID, file->ids, "has %llu lines but %s has %llu rows; they must be as many",
                   (unsigned long long)count, file->path, (unsigned long long)rows);
}

static void say_covered(const m3_feature_rows *features, const m3_import_items *items, m3_drops *drops)
{
    if (features->covered < items->count)
        m3_drops_say(drops, M3_LOG_WARN, "modality '%s': %u of %u items have no features and get zeros", features->name,
                     items->count - features->covered, items->count);
}

struct used {
    bool any;         /* row of the matrix */
    uint64_t rounded; /* whole numbers that float32 cannot hold */
};

static m3_status take_row(m3_feature_rows *features, const m3_feature_file *file, const m3_rows *rows,
                          const m3_import_items *items, m3_field id, uint64_t line, uint64_t row, float *scratch,
                          struct used *used, m3_drops *drops, m3_error *err)
{
    if (id.size == 0 || m3_field_has_control(id))
        return m3_drops_add(drops, M3_DROP_ID, file->ids, line, err,
                            "the item's id is empty or has control characters");
    if (!m3_field_is_utf8(id))
        return m3_drops_add(drops, M3_DROP_ENCODING, file->ids, line, err, "the id is not UTF-8");
    uint32_t old, number = 0;
    if (m3_names_find(&rows->items, id.text, id.size, &old)) number = items->number[old];
    if (number == 0) {
        m3_drops_count(drops, M3_DROP_UNUSED_FEATURE);
        return M3_OK;
    }
    if (features->row_of[number] != 0)
        return m3_drops_add(drops, M3_DROP_DUPLICATE_FEATURE, file->ids, line, err,
                            "item '%.*s' has row %llu of %s already, which stays", M3_FIELD_ARGS(id),
                            (unsigned long long)features->row_of[number], file->path);
    if (!m3_matrix_row(&features->matrix, row, scratch))
        return m3_drops_add(drops, M3_DROP_NOT_FINITE, file->ids, line, err,
                            "row %llu of %s, item '%.*s', has NaN, infinity or a number beyond float32",
                            (unsigned long long)row + 1, file->path, M3_FIELD_ARGS(id));
    features->row_of[number] = row + 1;
    features->covered += features->old_of == NULL || features->old_of[number] == 0;
    used->any = true;
    used->rounded += m3_matrix_rounded(&features->matrix, row);
    return M3_OK;
}

/* The rows that items had in the set which the import adds to. */
static m3_status take_old(m3_feature_rows *features, const m3_import_onto *onto, uint32_t modality,
                          const m3_import_items *items, m3_error *err)
{
    const m3_features old = m3_dataset_features(onto->set, modality);
    features->old = old.rows;
    features->width = old.width;
    if ((features->old_of = m3_calloc((size_t)items->count + 1, sizeof *features->old_of)) == NULL)
        return M3_FAIL_MEMORY(err, features->name, items->count * sizeof *features->old_of);
    for (uint32_t n = 1; n <= items->count; n++) {
        const uint32_t was = items->order[n - 1]; /* items of the set come first in the rows, in its order */
        if (was >= m3_dataset_item_count(onto->set) || old.present[was + 1] == 0) continue;
        features->old_of[n] = was + 1;
        features->covered++;
    }
    return M3_OK;
}

m3_status m3_feature_rows_keep(m3_feature_rows *features, const m3_import_onto *onto, uint32_t modality,
                               const m3_import_items *items, m3_drops *drops, m3_error *err)
{
    const char *name = m3_dataset_features(onto->set, modality).name;
    if ((features->name = m3_strdup(name)) == NULL) return M3_FAIL_MEMORY(err, name, strlen(name));
    if ((features->row_of = m3_calloc((size_t)items->count + 1, sizeof *features->row_of)) == NULL)
        return M3_FAIL_MEMORY(err, name, items->count * sizeof *features->row_of);
    const m3_status st = take_old(features, onto, modality, items, err);
    if (st == M3_OK) say_covered(features, items, drops);
    return st;
}

m3_status m3_feature_rows_read(m3_feature_rows *features, const m3_feature_file *file, const m3_rows *rows,
                               const m3_import_items *items, const char *item_column, const m3_import_onto *onto,
                               uint32_t modality, m3_drops *drops, m3_error *err)
{
    m3_status st;
    struct ids ids = {0};
    float *scratch = NULL;
    uint64_t first_line;
    struct used used = {0};
    if ((features->name = m3_strdup(file->name)) == NULL) {
        st = M3_FAIL_MEMORY(err, file->name, strlen(file->name));
        goto done;
    }
    if ((st = m3_matrix_open(&features->matrix, file->path, file->name, err)) != M3_OK) goto done;
    features->width = features->matrix.width;
    if (onto != NULL && (st = take_old(features, onto, modality, items, err)) != M3_OK) goto done;
    if (features->width != features->matrix.width) {
        st = M3_FAIL(err, M3_ERR_INVALID, file->path, "has %u columns, and the modality '%s' of %s has %u",
                     features->matrix.width, file->name, onto->path, features->width);
        goto done;
    }
    if ((st = check_count(file, features->matrix.rows, item_column, &first_line, err)) != M3_OK) goto done;
    if ((st = open_ids(&ids, file->ids, err)) != M3_OK) goto done;
    features->row_of = m3_calloc((size_t)items->count + 1, sizeof *features->row_of);
    scratch = m3_calloc(features->matrix.width, sizeof *scratch);
    if (features->row_of == NULL || scratch == NULL) {
        st = M3_FAIL_MEMORY(err, file->path, items->count * sizeof *features->row_of);
        goto done;
    }
    m3_field id;
    bool found;
    if (first_line == 2 && (st = next_id(&ids, &id, &found, err)) != M3_OK) goto done;
    for (uint64_t row = 0;; row++) {
        if ((st = next_id(&ids, &id, &found, err)) != M3_OK) goto done;
        if (!found) break;
        if (row % M3_WATCH_ROWS == 0 && (st = m3_watch_check(&drops->watch, file->path, err)) != M3_OK) goto done;
        st = take_row(features, file, rows, items, id, first_line + row, row, scratch, &used, drops, err);
        if (st != M3_OK) goto done;
    }
    if (!used.any)
        st = M3_FAIL(err, M3_ERR_INVALID, file->path,
                     "none of its %llu rows can be used; are the ids in %s those of the interactions?",
                     (unsigned long long)features->matrix.rows, file->ids);
    else
        say_covered(features, items, drops);
    if (used.rounded > 0)
        m3_drops_say(
            drops, M3_LOG_WARN,
            "%s: %llu whole numbers beyond 16777216 are rounded to what float32 can hold; if they are ids, they "
            "are no features",
            file->path, (unsigned long long)used.rounded);
    if (st == M3_OK) st = m3_feature_rows_say_far(features, items->count, drops, err);
done:
    m3_source_close(&ids.source);
    m3_free(scratch);
    return st;
}

void m3_feature_rows_fini(m3_feature_rows *features)
{
    m3_matrix_close(&features->matrix);
    m3_free(features->name);
    m3_free(features->row_of);
    m3_free(features->old_of);
    *features = (m3_feature_rows){0};
}
