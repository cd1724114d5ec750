/* truth read: the folder that `m3bsr data synth` writes beside its source, against the set that was imported from it.
 * An import may leave out items, users and events, so the set must be a part of the truth. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/data/history.h"
#include "core/data/matrix.h"
#include "core/data/table.h"
#include "core/serve/truth.h"

/* A file of the truth that belongs to other data ends with this. */
#define MEND "give the truth of the source that the set was imported from"

typedef struct reading {
    const char *directory;
    const m3_dataset *set;
    const m3_sequence_names *names;
    m3_truth *truth;
    uint32_t features; /* K */
} reading;

static m3_status open_table(const reading *r, const char *name, m3_table **table, m3_error *err)
{
    char *path = m3_strfmt("%s/%s", r->directory, name);
    if (path == NULL) return M3_FAIL_MEMORY(err, r->directory, strlen(r->directory) + strlen(name) + 2);
    m3_status st = m3_table_open(path, NULL, table, err);
    m3_free(path);
    return st;
}

static m3_status need_column(const m3_table *table, const char *name, uint32_t *column, m3_error *err)
{
    if (m3_table_find(table, name, column)) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table), "has no column '%s'; " MEND, name);
}

/* The next row that is whole; M3_ROW_END behind the last. */
static m3_status next_row(m3_table *table, m3_row *row, m3_error *err)
{
    m3_status st = m3_table_next(table, row, err);
    if (st != M3_OK || row->kind == M3_ROW_GOOD || row->kind == M3_ROW_END) return st;
    char text[256];
    m3_table_defect(table, row, text, sizeof text);
    return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table), "line %llu %s", (unsigned long long)row->line, text);
}

/* A field with a NUL at its end; one that is longer than any id becomes "". */
static const char *text_of(m3_field field, char text[M3_ID_BYTES + 1])
{
    const size_t size = field.size <= M3_ID_BYTES ? field.size : 0;
    memcpy(text, field.text, size);
    text[size] = '\0';
    return text;
}

static m3_status bad_number(const m3_table *table, const m3_row *row, m3_field field, const char *wanted, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table), "line %llu has '%.*s' where %s is needed",
                   (unsigned long long)row->line, M3_FIELD_ARGS(field), wanted);
}

/* Items. */

typedef struct item_file {
    m3_table *table;
    uint32_t id, noise[M3_MAX_MODALITIES]; /* columns */
    m3_matrix matrices[M3_MAX_MODALITIES];
    char *paths[M3_MAX_MODALITIES];
    m3_features features[M3_MAX_MODALITIES]; /* of the set */
    uint8_t *seen;                           /* [N+1] */
} item_file;

static m3_features find_features(const m3_dataset *set, const char *name)
{
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++)
        if (strcmp(m3_dataset_features(set, k).name, name) == 0) return m3_dataset_features(set, k);
    return (m3_features){0};
}

static m3_status open_matrix(const reading *r, item_file *f, uint32_t k, m3_error *err)
{
    m3_status st;
    char column[128];
    const char *name = r->names->modalities[k + 1];
    const size_t items = (size_t)m3_dataset_item_count(r->set) + 1;
    f->features[k] = find_features(r->set, name);
    (void)snprintf(column, sizeof column, "noise_%s", name);
    if ((st = need_column(f->table, column, &f->noise[k], err)) != M3_OK) return st;
    if ((f->paths[k] = m3_strfmt("%s/%s.npy", r->directory, name)) == NULL)
        return M3_FAIL_MEMORY(err, r->directory, strlen(r->directory) + strlen(name) + 6);
    if ((st = m3_matrix_open(&f->matrices[k], f->paths[k], name, err)) != M3_OK) return st;
    if (f->matrices[k].width != f->features[k].width)
        return M3_FAIL(err, M3_ERR_INVALID, f->paths[k], "has %u columns, the set has %u for '%s'; " MEND,
                       f->matrices[k].width, f->features[k].width, name);
    r->truth->noisy[k] = m3_calloc(items, 1);
    r->truth->clean[k] = m3_calloc(items * f->features[k].width, sizeof(float));
    if (r->truth->noisy[k] == NULL || r->truth->clean[k] == NULL)
        return M3_FAIL_MEMORY(err, f->paths[k], items * (f->features[k].width * sizeof(float) + 1));
    return M3_OK;
}

static bool is_near(const float *a, const float *b, uint32_t width)
{
    for (uint32_t j = 0; j < width; j++)
        if (!(fabsf(a[j] - b[j]) <= 1e-5F * (1.0F + fabsf(b[j])))) return false;
    return true;
}

/* Whether an item is noise in modality k, and what its features would be without. Where no noise is planted, the set
 * must have the same. */
static m3_status take_features(const reading *r, const item_file *f, const m3_row *row, uint64_t at, uint32_t item,
                               uint32_t k, m3_error *err)
{
    const uint32_t width = f->features[k].width;
    const m3_field noise = row->fields[f->noise[k]];
    float *clean = r->truth->clean[k] + (size_t)item * width;
    if (!m3_field_is(noise, "0") && !m3_field_is(noise, "1")) return bad_number(f->table, row, noise, "0 or 1", err);
    r->truth->noisy[k][item] = m3_field_is(noise, "1");
    if (!m3_matrix_row(&f->matrices[k], at, clean))
        return M3_FAIL(err, M3_ERR_INVALID, f->paths[k], "row %llu has a number that is not finite",
                       (unsigned long long)at);
    if (r->truth->noisy[k][item] || is_near(clean, f->features[k].rows + (size_t)item * width, width)) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, f->paths[k],
                   "row %llu is not what the set has for item '%s', whose features are said to be without noise; " MEND,
                   (unsigned long long)at, m3_dataset_item_id(r->set, item));
}

/* Row r of the matrices is that of row r of the table. */
static m3_status take_items(const reading *r, item_file *f, m3_error *err)
{
    m3_status st;
    m3_row row = {0};
    uint32_t item;
    uint64_t at = 0;
    char id[M3_ID_BYTES + 1];
    for (; (st = next_row(f->table, &row, err)) == M3_OK && row.kind != M3_ROW_END; at++) {
        if (!m3_dataset_find_item(r->set, text_of(row.fields[f->id], id), &item)) continue;
        f->seen[item] = 1;
        for (uint32_t k = 0; k < r->features && at < f->matrices[k].rows; k++)
            if ((st = take_features(r, f, &row, at, item, k, err)) != M3_OK) return st;
    }
    for (uint32_t k = 0; st == M3_OK && k < r->features; k++)
        if (f->matrices[k].rows != at)
            return M3_FAIL(err, M3_ERR_INVALID, f->paths[k], "has %llu rows, and %s has %llu; " MEND,
                           (unsigned long long)f->matrices[k].rows, m3_table_path(f->table), (unsigned long long)at);
    for (item = 1; st == M3_OK && item <= m3_dataset_item_count(r->set); item++)
        if (!f->seen[item])
            return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(f->table), "does not have item '%s' of the set; " MEND,
                           m3_dataset_item_id(r->set, item));
    return st;
}

static m3_status read_items(const reading *r, m3_error *err)
{
    m3_status st;
    item_file f = {0};
    const size_t items = (size_t)m3_dataset_item_count(r->set) + 1;
    if ((st = open_table(r, "items.tsv", &f.table, err)) != M3_OK) goto done;
    if ((st = need_column(f.table, "item_id", &f.id, err)) != M3_OK) goto done;
    if ((f.seen = m3_calloc(items, 1)) == NULL) {
        st = M3_FAIL_MEMORY(err, m3_table_path(f.table), items);
        goto done;
    }
    for (uint32_t k = 0; k < r->features; k++)
        if ((st = open_matrix(r, &f, k, err)) != M3_OK) goto done;
    st = take_items(r, &f, err);
done:
    for (uint32_t k = 0; k < r->features; k++) {
        m3_matrix_close(&f.matrices[k]);
        m3_free(f.paths[k]);
    }
    m3_table_close(f.table);
    m3_free(f.seen);
    return st;
}

/* Events. */

typedef struct event_file {
    m3_table *table;
    uint32_t user, item, behavior, time, accidental, burst; /* columns */
} event_file;

static m3_status number_events(const reading *r, m3_error *err)
{
    uint64_t count = 0;
    const uint64_t users = m3_dataset_user_count(r->set), behaviors = m3_dataset_behavior_count(r->set);
    const uint64_t events = m3_dataset_event_count(r->set);
    r->truth->starts = m3_calloc(users * behaviors, sizeof(uint64_t));
    r->truth->flags = m3_calloc(events, 1);
    if (r->truth->starts == NULL || r->truth->flags == NULL)
        return M3_FAIL_MEMORY(err, "flags of events", users * behaviors * sizeof(uint64_t) + events);
    for (uint32_t u = 0; u < users; u++)
        for (uint32_t b = 0; b < behaviors; b++) {
            r->truth->starts[u * behaviors + b] = count;
            count += m3_dataset_events(r->set, u, b).count;
        }
    return M3_OK;
}

/* The first event of this item and time without flags, in the order of the set; else any with them, which is a row
 * that the import dropped as a repeat; else NULL. */
static uint8_t *find_event(const reading *r, uint32_t user, uint32_t behavior, uint32_t item, int64_t time)
{
    const m3_events events = m3_dataset_events(r->set, user, behavior);
    uint8_t *flags = r->truth->flags + r->truth->starts[(uint64_t)user * m3_dataset_behavior_count(r->set) + behavior];
    uint8_t *found = NULL;
    for (uint32_t i = m3_events_before(events, time); i < events.count && events.times[i] == time; i++) {
        if (events.items[i] != item) continue;
        found = &flags[i];
        if (*found == 0) break;
    }
    return found;
}

static m3_status take_event(const reading *r, const event_file *f, const m3_row *row, m3_error *err)
{
    bool fits = true;
    uint32_t needed = 0;
    int64_t time;
    double burst = 0.0;
    uint32_t user, item, behavior;
    char id[M3_ID_BYTES + 1];
    const m3_field accidental = row->fields[f->accidental];
    if (!m3_field_time(row->fields[f->time], m3_dataset_time_digits(r->set), 0, &time, &needed, &fits))
        return bad_number(f->table, row, row->fields[f->time], "a time", err);
    if (!m3_field_is(accidental, "0") && !m3_field_is(accidental, "1"))
        return bad_number(f->table, row, accidental, "0 or 1", err);
    if (r->truth->has_bursts && (!m3_field_number(row->fields[f->burst], &burst) || burst < 0.0))
        return bad_number(f->table, row, row->fields[f->burst], "0 or the number of a burst", err);
    if (!m3_dataset_find_user(r->set, text_of(row->fields[f->user], id), &user)) return M3_OK;
    if (!m3_dataset_find_item(r->set, text_of(row->fields[f->item], id), &item)) return M3_OK;
    if (!m3_dataset_find_behavior(r->set, text_of(row->fields[f->behavior], id), &behavior)) return M3_OK;
    uint8_t *flags = find_event(r, user, behavior, item, time);
    if (flags == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(f->table),
                       "line %llu is no event of the set, which has its user, item and behavior; " MEND,
                       (unsigned long long)row->line);
    if (*flags == 0)
        *flags = (uint8_t)(M3_EVENT_KNOWN | (m3_field_is(accidental, "1") ? M3_EVENT_ACCIDENTAL : 0) |
                           (burst > 0.0 ? M3_EVENT_BURST : 0));
    return M3_OK;
}

static m3_status check_events(const reading *r, const m3_table *table, m3_error *err)
{
    for (uint32_t u = 0; u < m3_dataset_user_count(r->set); u++)
        for (uint32_t b = 0; b < m3_dataset_behavior_count(r->set); b++) {
            const m3_events events = m3_dataset_events(r->set, u, b);
            const uint8_t *flags = m3_truth_flags(r->truth, r->set, u, b);
            for (uint32_t i = 0; i < events.count; i++)
                if (flags[i] == 0)
                    return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table),
                                   "does not have the set's event %s, %s, %s, %lld; " MEND,
                                   m3_dataset_user_id(r->set, u), m3_dataset_item_id(r->set, events.items[i]),
                                   m3_dataset_behavior_name(r->set, b), (long long)events.times[i]);
        }
    return M3_OK;
}

static m3_status read_events(const reading *r, m3_error *err)
{
    m3_status st;
    m3_row row = {0};
    event_file f = {0};
    if ((st = number_events(r, err)) != M3_OK) return st;
    if ((st = open_table(r, "interactions.tsv", &f.table, err)) != M3_OK) return st;
    if ((st = need_column(f.table, "user_id", &f.user, err)) != M3_OK ||
        (st = need_column(f.table, "item_id", &f.item, err)) != M3_OK ||
        (st = need_column(f.table, "behavior", &f.behavior, err)) != M3_OK ||
        (st = need_column(f.table, "timestamp", &f.time, err)) != M3_OK ||
        (st = need_column(f.table, "accidental", &f.accidental, err)) != M3_OK)
        goto done;
    r->truth->has_bursts = m3_table_find(f.table, "burst", &f.burst);
    while ((st = next_row(f.table, &row, err)) == M3_OK && row.kind != M3_ROW_END)
        if ((st = take_event(r, &f, &row, err)) != M3_OK) goto done;
    if (st == M3_OK) st = check_events(r, f.table, err);
done:
    m3_table_close(f.table);
    return st;
}

/* Weights. */

static uint32_t find_name(const char *const *names, uint32_t count, m3_field name)
{
    uint32_t i = 0;
    while (i < count && !m3_field_is(name, names[i])) i++;
    return i;
}

static m3_status take_weights(const reading *r, m3_table *table, m3_error *err)
{
    m3_status st;
    m3_row row = {0};
    uint32_t behavior, modality, weight;
    const m3_sequence_names *n = r->names;
    if ((st = need_column(table, "behavior", &behavior, err)) != M3_OK ||
        (st = need_column(table, "modality", &modality, err)) != M3_OK ||
        (st = need_column(table, "weight", &weight, err)) != M3_OK)
        return st;
    while ((st = next_row(table, &row, err)) == M3_OK && row.kind != M3_ROW_END) {
        double number;
        const uint32_t b = find_name(n->behaviors, n->behavior_count, row.fields[behavior]);
        const uint32_t m = find_name(n->modalities, n->modality_count, row.fields[modality]);
        if (!m3_field_number(row.fields[weight], &number) || number < 0.0)
            return bad_number(table, &row, row.fields[weight], "a weight of 0 or more", err);
        if (b < n->behavior_count && m > 0 && m < n->modality_count) r->truth->weights[b][m] = number;
    }
    for (uint32_t b = 0; st == M3_OK && b < n->behavior_count; b++)
        for (uint32_t m = 1; m < n->modality_count; m++)
            if (isnan(r->truth->weights[b][m]))
                return M3_FAIL(err, M3_ERR_INVALID, m3_table_path(table), "has no weight of '%s' for '%s'; " MEND,
                               n->modalities[m], n->behaviors[b]);
    return st;
}

/* A version before wrote no such file. */
static m3_status read_weights(const reading *r, m3_error *err)
{
    m3_table *table = NULL;
    for (uint32_t b = 0; b < r->names->behavior_count; b++)
        for (uint32_t m = 0; m < r->names->modality_count; m++) r->truth->weights[b][m] = m == 0 ? 1.0 : (double)NAN;
    char *path = m3_strfmt("%s/weights.tsv", r->directory);
    if (path == NULL) return M3_FAIL_MEMORY(err, r->directory, strlen(r->directory) + 13);
    r->truth->has_weights = access(path, F_OK) == 0;
    m3_free(path);
    if (!r->truth->has_weights) return M3_OK;
    m3_status st = open_table(r, "weights.tsv", &table, err);
    if (st == M3_OK) st = take_weights(r, table, err);
    m3_table_close(table);
    return st;
}

m3_status m3_truth_read(const char *directory, const m3_dataset *set, const m3_sequence_names *names, m3_truth *truth,
                        m3_error *err)
{
    m3_status st;
    const reading r = {directory, set, names, truth, names->modality_count - 1};
    if ((st = read_items(&r, err)) != M3_OK) return st;
    if ((st = read_events(&r, err)) != M3_OK) return st;
    return read_weights(&r, err);
}

void m3_truth_fini(m3_truth *truth)
{
    for (uint32_t k = 0; k < M3_MAX_MODALITIES; k++) {
        m3_free(truth->noisy[k]);
        m3_free(truth->clean[k]);
    }
    m3_free(truth->starts);
    m3_free(truth->flags);
    *truth = (m3_truth){0};
}

const uint8_t *m3_truth_flags(const m3_truth *truth, const m3_dataset *set, uint32_t user, uint32_t behavior)
{
    return truth->flags + truth->starts[(uint64_t)user * m3_dataset_behavior_count(set) + behavior];
}
