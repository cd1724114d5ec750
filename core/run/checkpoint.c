/* checkpoint: a safetensors file with the parameters under their plain names, the optimiser's states ("adam.m.NAME",
 * "adam.v.NAME"), and in its metadata every counter that a later step, the order of samples or the log depends on.
 * Reals are written in hexadecimal, so that they come back with all their bits. Features are the set's and sums of
 * accumulated gradients are zero between steps, so neither is saved. Tensors are in an order by name, so that the
 * same state gives the same bytes, however many ranks have written it. */
#include "core/run/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/base/number.h"
#include "core/base/outfile.h"

static const char format_name[] = "m3bsr checkpoint 1";

const char *const m3_loss_names[M3_LOSSES] = {"loss", "loss_recommend", "loss_modality", "loss_behavior",
                                              "loss_contrast"};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_among(const char *name, const m3_checkpoint_rows *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) return true;
    return false;
}

static bool is_saved(const m3_store_entry *entry, const m3_checkpoint_rows *rows, uint32_t count)
{
    return !starts_with(entry->name, "features") && !starts_with(entry->name, "accum.") &&
           !starts_with(entry->name, "window.") && !is_among(entry->name, rows, count);
}

/* The state as notes: texts in the metadata of the file. */

enum { NOTE_TEXT = 40, NOTES = 16 + M3_LOSSES };

typedef enum note_kind { U32, U64, REAL, TEXT } note_kind;

typedef struct note {
    const char *key;
    note_kind kind;
    size_t offset; /* in m3_trainer_state */
    bool newer;    /* missing in files of older versions: 0, or no text */
    size_t bytes;  /* TEXT: room for it */
} note;

/* clang-format off */
#define NOTE(kind, member) {#member, kind, offsetof(m3_trainer_state, member), false, sizeof((m3_trainer_state *)0)->member}
/* clang-format on */
static const note notes[NOTES] = {
    NOTE(U32, epoch),
    NOTE(U64, batch),
    NOTE(U64, draws),
    NOTE(U64, steps),
    NOTE(REAL, best),
    NOTE(U32, best_epoch),
    NOTE(U32, bad_epochs),
    NOTE(U64, rows),
    NOTE(U64, log_bytes),
    NOTE(U64, seed),
    NOTE(U64, data),
    NOTE(TEXT, settings),
    {"content", U64, offsetof(m3_trainer_state, content), true, 0},
    {"items", U64, offsetof(m3_trainer_state, items), true, 0},
    {"ranks", U64, offsetof(m3_trainer_state, ranks), true, 0},
    {"metric", TEXT, offsetof(m3_trainer_state, metric), true, sizeof((m3_trainer_state *)0)->metric},
    {"sum_loss", REAL, offsetof(m3_trainer_state, sums[0]), false, 0},
    {"sum_loss_recommend", REAL, offsetof(m3_trainer_state, sums[1]), false, 0},
    {"sum_loss_modality", REAL, offsetof(m3_trainer_state, sums[2]), false, 0},
    {"sum_loss_behavior", REAL, offsetof(m3_trainer_state, sums[3]), false, 0},
    {"sum_loss_contrast", REAL, offsetof(m3_trainer_state, sums[4]), false, 0},
};

static void write_note(const note *n, const m3_trainer_state *state, char text[NOTE_TEXT])
{
    const void *at = (const char *)state + n->offset;
    switch (n->kind) {
    case U32: (void)snprintf(text, NOTE_TEXT, "%" PRIu32, *(const uint32_t *)at); break;
    case U64: (void)snprintf(text, NOTE_TEXT, "%" PRIu64, *(const uint64_t *)at); break;
    case REAL: (void)m3_number_write(text, NOTE_TEXT, "%a", *(const double *)at); break;
    case TEXT: (void)snprintf(text, NOTE_TEXT, "%s", (const char *)at); break;
    }
}

static bool read_note(const note *n, const char *text, m3_trainer_state *state)
{
    void *at = (char *)state + n->offset;
    char *end = NULL;
    if (n->kind == TEXT) {
        (void)snprintf(at, n->bytes, "%s", text);
        return strlen(text) < n->bytes;
    }
    uint64_t whole = n->kind == REAL ? 0 : strtoull(text, &end, 10);
    if (n->kind == REAL)
        *(double *)at = m3_number_read(text, &end);
    else if (n->kind == U64)
        *(uint64_t *)at = whole;
    else
        *(uint32_t *)at = (uint32_t)whole;
    if (n->kind == REAL && !isfinite(*(const double *)at)) return false; /* nothing compares with it */
    return end != text && *end == 0 && (n->kind != U32 || whole <= UINT32_MAX);
}

static m3_status read_state(const m3_parts *file, const char *path, m3_trainer_state *state, m3_error *err)
{
    const char *format = m3_parts_meta(file, "format");
    if (format == NULL || strcmp(format, format_name) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "has the format '%s', not '%s': parameters can be used, but training cannot go on from it",
                       format != NULL ? format : "of another tool", format_name);
    for (int i = 0; i < NOTES; i++) {
        const char *text = m3_parts_meta(file, notes[i].key);
        if (text == NULL && notes[i].newer)
            memset((char *)state + notes[i].offset, 0, notes[i].bytes != 0 ? notes[i].bytes : sizeof(uint64_t));
        else if (text == NULL || !read_note(&notes[i], text, state))
            return M3_FAIL(err, M3_ERR_INVALID, path, "its note '%s' is %s%s%s; the file is damaged", notes[i].key,
                           text != NULL ? "'" : "missing", text != NULL ? text : "", text != NULL ? "'" : "");
    }
    return M3_OK;
}

/* Saving. */

typedef struct saving {
    m3_store *store;
    m3_safetensors_entry *entries;
    uint32_t count;
} saving;

/* Values from number `first` on. What follows "holds nan at 3, so ..." comes from `then`. */
static m3_status check_finite(const char *name, const float *values, uint64_t first, uint64_t count, const char *then,
                              m3_error *err)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return M3_FAIL(err, M3_ERR_INVALID, name, "holds %s at %llu, %s",
                           isnan(values[i]) ? "nan" : "infinity or a number beyond float32",
                           (unsigned long long)(first + i), then);
    return M3_OK;
}

static const char no_save[] = "so no checkpoint is written; lower lr, or clip more";

/* A checkpoint with NaN would take the place of the last good one. */
static m3_status read_entry(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    saving *s = user;
    const m3_safetensors_entry *entry = &s->entries[index];
    m3_status st = m3_store_read(s->store, entry->name, data, bytes, err);
    if (st != M3_OK || entry->dtype != M3_F32) return st;
    return check_finite(entry->name, data, 0, bytes / sizeof(float), no_save, err);
}

/* What others read comes first: moments are ours alone. */
static int by_name(const void *a, const void *b)
{
    const m3_safetensors_entry *x = a, *y = b;
    const bool late = starts_with(x->name, "adam."), other_late = starts_with(y->name, "adam.");
    return late != other_late ? late - other_late : strcmp(x->name, y->name);
}

enum { PART_NOTES = 3 };

/* The file that path names. @param part  NULL: it has all. */
static m3_status write_main(const char *path, const m3_checkpoint_part *part, m3_store *store,
                            const m3_checkpoint_rows *rows, uint32_t count, const m3_trainer_state *state,
                            m3_error *err)
{
    saving s = {.store = store};
    char texts[NOTES][NOTE_TEXT], save[M3_SAVE_TEXT], parts[16];
    m3_safetensors_note meta[1 + NOTES + PART_NOTES] = {{"format", format_name}};
    uint32_t all = m3_store_count(store), meta_count = 1;
    char *stem = m3_parts_stem(path);
    if ((s.entries = m3_calloc(all, sizeof *s.entries)) == NULL || stem == NULL) {
        m3_free(s.entries);
        m3_free(stem);
        return M3_FAIL_MEMORY(err, path, all * sizeof *s.entries);
    }
    for (uint32_t i = 0; i < all; i++) {
        m3_store_entry entry;
        m3_store_at(store, i, &entry);
        if (is_saved(&entry, rows, count))
            s.entries[s.count++] = (m3_safetensors_entry){entry.name, entry.dtype, entry.shape};
    }
    qsort(s.entries, s.count, sizeof *s.entries, by_name);
    for (int i = 0; i < NOTES; i++) {
        write_note(&notes[i], state, texts[i]);
        meta[meta_count++] = (m3_safetensors_note){notes[i].key, texts[i]};
    }
    if (part != NULL) {
        (void)snprintf(save, sizeof save, "%016" PRIx64, part->save);
        (void)snprintf(parts, sizeof parts, "%" PRIu32, part->count);
        meta[meta_count++] = (m3_safetensors_note){"parts", parts};
        meta[meta_count++] = (m3_safetensors_note){"save", save};
        meta[meta_count++] = (m3_safetensors_note){"stem", stem};
    }
    m3_status st = m3_safetensors_write(path, s.entries, s.count, meta, meta_count, read_entry, &s, err);
    if (st == M3_OK) m3_parts_keep(path, part != NULL ? part->save : 0);
    m3_free(s.entries);
    m3_free(stem);
    return st;
}

m3_status m3_checkpoint_save(const char *path, m3_store *store, const m3_trainer_state *state, m3_error *err)
{
    return write_main(path, NULL, store, NULL, 0, state, err);
}

/* In parts. Who writes one and dies later may still write when others have gone on: what it writes has another name,
 * as no two saves that follow each other have the same number. */
m3_status m3_checkpoint_next_save(const char *path, const m3_trainer_state *state, uint32_t parts, uint64_t *save,
                                  m3_error *err)
{
    uint64_t before = 0;
    const m3_status st = m3_parts_save_at(path, &before, err);
    if (st != M3_OK) return st;
    XXH64_hash_t hash = XXH64(&before, sizeof before, parts);
    for (int i = 0; i < NOTES; i++) {
        char text[NOTE_TEXT];
        write_note(&notes[i], state, text);
        hash = XXH64(text, strlen(text), hash);
    }
    while (hash == before || hash == 0) hash++;
    *save = hash;
    return M3_OK;
}

static m3_status read_rows(void *user, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    const m3_checkpoint_rows *rows = (const m3_checkpoint_rows *)user + index;
    const m3_status st = rows->read(rows, rows->begin + begin, rows->begin + end, data, err);
    if (st != M3_OK || rows->dtype != M3_F32) return st;
    const m3_safetensors_entry entry = {rows->name, rows->dtype, rows->shape};
    const uint64_t width = m3_safetensors_row_bytes(&entry) / sizeof(float);
    return check_finite(rows->name, data, (rows->begin + begin) * width, (end - begin) * width, no_save, err);
}

m3_status m3_checkpoint_write_part(const char *path, const m3_checkpoint_part *part, const m3_checkpoint_rows *rows,
                                   uint32_t count, m3_error *err)
{
    enum { FIXED = 3, ROWS_TEXT = 64 };
    m3_status st = M3_OK;
    char save[M3_SAVE_TEXT], which[32];
    char *file = m3_part_path(path, part), **keys = m3_calloc(count, sizeof *keys);
    char(*texts)[ROWS_TEXT] = m3_calloc(count, sizeof *texts);
    m3_safetensors_entry *entries = m3_calloc(count, sizeof *entries);
    m3_safetensors_note *meta = m3_calloc((size_t)count + FIXED, sizeof *meta);
    bool made = file != NULL && keys != NULL && texts != NULL && entries != NULL && meta != NULL;
    for (uint32_t i = 0; made && i < count; i++) {
        entries[i] = (m3_safetensors_entry){rows[i].name, rows[i].dtype, rows[i].shape};
        entries[i].shape.dim[0] = rows[i].end - rows[i].begin;
        (void)snprintf(texts[i], sizeof texts[i], "%" PRIu64 " %" PRIu64 " %" PRIu64, rows[i].begin, rows[i].end,
                       rows[i].shape.dim[0]);
        keys[i] = m3_strfmt("%s%s", M3_PART_ROWS, rows[i].name);
        made = keys[i] != NULL;
        meta[FIXED + i] = (m3_safetensors_note){keys[i], texts[i]};
    }
    if (made) {
        (void)snprintf(save, sizeof save, "%016" PRIx64, part->save);
        (void)snprintf(which, sizeof which, "%" PRIu32 " of %" PRIu32, part->index + 1, part->count);
        meta[0] = (m3_safetensors_note){"format", M3_PART_FORMAT};
        meta[1] = (m3_safetensors_note){"save", save};
        meta[2] = (m3_safetensors_note){"part", which};
        st = m3_safetensors_write_rows(file, entries, count, meta, count + FIXED, read_rows, (void *)rows, err);
    } else {
        st = M3_FAIL_MEMORY(err, path, count * sizeof *meta);
    }
    for (uint32_t i = 0; keys != NULL && i < count; i++) m3_free(keys[i]);
    m3_free((void *)keys);
    m3_free(texts);
    m3_free(entries);
    m3_free(meta);
    m3_free(file);
    return st;
}

m3_status m3_checkpoint_commit(const char *path, const m3_checkpoint_part *part, m3_store *store,
                               const m3_checkpoint_rows *rows, uint32_t count, const m3_trainer_state *state,
                               m3_error *err)
{
    m3_status st = m3_parts_check(path, part->save, part->count, err);
    if (st == M3_OK) st = write_main(path, part, store, rows, count, state, err);
    if (st != M3_OK) (void)m3_parts_sweep(path, NULL); /* its parts would fill a disk that is full already */
    return st;
}

/* Loading. */

static m3_status check_shape(const char *path, const char *name, const m3_shape *has, const m3_shape *wants,
                             m3_error *err)
{
    char a[128], b[128];
    if (m3_shape_equal(has, wants)) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, name,
                   "is %s in %s, but %s in the model; use the settings that it was made with",
                   m3_shape_text(has, a, sizeof a), path, m3_shape_text(wants, b, sizeof b));
}

static m3_status find(m3_parts *file, const char *path, const char *name, const m3_shape *shape, uint32_t *index,
                      m3_error *err)
{
    char text[128];
    if (!m3_parts_find(file, name, index))
        return M3_FAIL(err, M3_ERR_INVALID, name,
                       "is not among the %u tensors of %s, but the model has it as %s; use the settings that the file "
                       "was made with",
                       m3_parts_count(file), path, m3_shape_text(shape, text, sizeof text));
    return check_shape(path, name, &m3_parts_at(file, *index)->shape, shape, err);
}

/* As it is stored, without a change. */
static m3_status find_exactly(m3_parts *file, const char *path, const char *name, const m3_shape *shape,
                              m3_dtype wanted, uint32_t *index, m3_error *err)
{
    const m3_status st = find(file, path, name, shape, index, err);
    if (st != M3_OK) return st;
    const m3_dtype dtype = m3_parts_at(file, *index)->dtype;
    if (dtype == wanted) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, name,
                   "is %s in %s, but %s in the model; training goes on from its own checkpoints alone",
                   m3_dtype_name(dtype), path, m3_dtype_name(wanted));
}

static m3_status load_exactly(m3_parts *file, const char *path, m3_store *store, const m3_store_entry *entry,
                              m3_error *err)
{
    m3_status st;
    uint32_t index = 0;
    if ((st = find_exactly(file, path, entry->name, &entry->shape, entry->dtype, &index, err)) != M3_OK) return st;
    uint64_t bytes = m3_shape_count(&entry->shape) * m3_dtype_bytes(entry->dtype);
    void *data = m3_calloc(bytes, 1);
    if (data == NULL) return M3_FAIL_MEMORY(err, entry->name, bytes);
    st = m3_parts_read_rows(file, index, 0, m3_safetensors_rows(&entry->shape), data, err);
    if (st == M3_OK) st = m3_store_write(store, entry->name, entry->dtype, &entry->shape, data, err);
    m3_free(data);
    return st;
}

static m3_status refuse_unknown(m3_parts *file, const char *path, const m3_store *store, const m3_checkpoint_rows *rows,
                                uint32_t count, m3_error *err)
{
    for (uint32_t i = 0; i < m3_parts_count(file); i++) {
        const m3_safetensors_entry *has = m3_parts_at(file, i);
        m3_store_entry entry;
        if (!is_among(has->name, rows, count) && !m3_store_find(store, has->name, &entry))
            return M3_FAIL(err, M3_ERR_INVALID, has->name,
                           "is in %s, but not in the model; use the settings that the file was made with", path);
    }
    return M3_OK;
}

m3_status m3_checkpoint_load_rest(const char *path, m3_store *store, const m3_checkpoint_rows *rows, uint32_t count,
                                  m3_trainer_state *state, m3_error *err)
{
    m3_status st;
    m3_parts *file = NULL;
    if ((st = m3_parts_open(path, &file, err)) != M3_OK) goto done;
    if ((st = read_state(file, path, state, err)) != M3_OK) goto done;
    if (store == NULL) goto done;
    if ((st = refuse_unknown(file, path, store, rows, count, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < m3_store_count(store); i++) {
        m3_store_entry entry;
        m3_store_at(store, i, &entry);
        if (is_saved(&entry, rows, count) && (st = load_exactly(file, path, store, &entry, err)) != M3_OK) goto done;
    }
done:
    m3_parts_close(file);
    return st;
}

m3_status m3_checkpoint_load(const char *path, m3_store *store, m3_trainer_state *state, m3_error *err)
{
    return m3_checkpoint_load_rest(path, store, NULL, 0, state, err);
}

static m3_status load_some_rows(m3_parts *file, const char *path, const m3_checkpoint_rows *rows, m3_error *err)
{
    m3_status st;
    uint32_t index = 0;
    if ((st = find_exactly(file, path, rows->name, &rows->shape, rows->dtype, &index, err)) != M3_OK) return st;
    const m3_safetensors_entry *entry = m3_parts_at(file, index);
    const uint64_t all = rows->end - rows->begin, most = m3_safetensors_step(entry), step = all < most ? all : most;
    void *data = m3_calloc((size_t)step, (size_t)m3_safetensors_row_bytes(entry));
    if (data == NULL) return M3_FAIL_MEMORY(err, rows->name, (size_t)(step * m3_safetensors_row_bytes(entry)));
    for (uint64_t begin = rows->begin, end = 0; st == M3_OK && begin < rows->end; begin = end) {
        end = rows->end - begin < step ? rows->end : begin + step;
        st = m3_parts_read_rows(file, index, begin, end, data, err);
        if (st == M3_OK) st = rows->write(rows, begin, end, data, err);
    }
    m3_free(data);
    return st;
}

m3_status m3_checkpoint_load_rows(const char *path, const m3_checkpoint_rows *rows, uint32_t count, m3_error *err)
{
    m3_parts *file = NULL;
    m3_status st = m3_parts_open(path, &file, err);
    for (uint32_t i = 0; st == M3_OK && i < count; i++) st = load_some_rows(file, path, &rows[i], err);
    m3_parts_close(file);
    return st;
}

static const char no_rank[] = "so the checkpoint can rank nothing; give one from before it diverged";

static m3_status read_finite(m3_parts *file, uint32_t index, const char *name, float *data, uint64_t count,
                             m3_error *err)
{
    const m3_status st = m3_parts_read_f32(file, index, data, count, err);
    return st == M3_OK ? check_finite(name, data, 0, count, no_rank, err) : st;
}

m3_status m3_checkpoint_read_rows(m3_parts *file, uint32_t index, uint64_t begin, uint64_t end, float *rows,
                                  m3_error *err)
{
    const m3_safetensors_entry *entry = m3_parts_at(file, index);
    const uint64_t width = m3_safetensors_row_bytes(entry) / m3_dtype_bytes(entry->dtype);
    const m3_status st = m3_parts_read_rows_f32(file, index, begin, end, rows, err);
    return st == M3_OK ? check_finite(entry->name, rows, begin * width, (end - begin) * width, no_rank, err) : st;
}

void m3_checkpoint_identify(const m3_parts *file, char *text, size_t bytes)
{
    static const char *const keys[] = {"steps", "draws", "seed", "data", "settings"};
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && at < bytes; i++) {
        const char *value = m3_parts_meta(file, keys[i]);
        at += (size_t)snprintf(text + at, bytes - at, "%s%s %.24s", i > 0 ? ", " : "", keys[i],
                               value != NULL ? value : "unknown");
    }
}

static m3_status write_zeros(m3_store *store, const char *name, const m3_shape *shape, m3_error *err)
{
    const uint64_t count = m3_shape_count(shape);
    float *zeros = m3_calloc(count, sizeof *zeros);
    if (zeros == NULL) return M3_FAIL_MEMORY(err, name, count * sizeof *zeros);
    const m3_status st = m3_store_write(store, name, M3_F32, shape, zeros, err);
    m3_free(zeros);
    return st;
}

/* As m3_checkpoint_table says. */
static m3_status load_table(m3_parts *file, const char *path, m3_store *store, const m3_shape *shape,
                            const m3_checkpoint_table *table, m3_error *err)
{
    m3_status st;
    uint32_t index = 0;
    m3_store_entry entry;
    const m3_shape whole = M3_SHAPE(table->rows, shape->dim[1]);
    if (!m3_parts_find(file, table->name, &index)) return find(file, path, table->name, &whole, &index, err);
    const m3_shape had = m3_parts_at(file, index)->shape;
    if (had.rank != 2 || had.dim[1] != shape->dim[1]) return check_shape(path, table->name, &had, &whole, err);
    if (!m3_store_find(store, table->name, &entry) && (st = write_zeros(store, table->name, shape, err)) != M3_OK)
        return st;
    return table->fill(table->user, file, index, err);
}

static m3_status load_parameter(m3_parts *file, const char *path, m3_store *store, const char *name,
                                const m3_shape *shape, const m3_checkpoint_table *table, m3_error *err)
{
    m3_status st;
    uint32_t index = 0;
    if (table != NULL && strcmp(name, table->name) == 0) return load_table(file, path, store, shape, table, err);
    if ((st = find(file, path, name, shape, &index, err)) != M3_OK) return st;
    const uint64_t count = m3_shape_count(shape);
    float *data = m3_calloc(count, sizeof *data);
    if (data == NULL) return M3_FAIL_MEMORY(err, name, count * sizeof *data);
    st = read_finite(file, index, name, data, count, err);
    if (st == M3_OK) st = m3_store_write(store, name, M3_F32, shape, data, err);
    m3_free(data);
    return st;
}

m3_status m3_checkpoint_load_parameters(const char *path, m3_store *store, const m3_graph *graph,
                                        const m3_checkpoint_table *table, m3_error *err)
{
    m3_parts *file = NULL;
    m3_status st = m3_parts_open(path, &file, err);
    const uint32_t count = graph != NULL ? m3_graph_tensor_count(graph) : m3_store_count(store);
    for (uint32_t i = 0; st == M3_OK && i < count; i++) {
        m3_store_entry entry = {0};
        if (graph != NULL) {
            const m3_tensor *p = m3_graph_tensor(graph, i);
            entry = (m3_store_entry){p->name, p->kind, p->dtype, p->shape};
        } else {
            m3_store_at(store, i, &entry);
        }
        if (entry.kind == M3_PARAMETER && !starts_with(entry.name, "window."))
            st = load_parameter(file, path, store, entry.name, &entry.shape, table, err);
    }
    m3_parts_close(file);
    return st;
}

/* Joining. */

typedef struct joining {
    m3_parts *from;
    uint32_t *order; /* of its tensors, by name */
    m3_safetensors_entry *entries;
} joining;

static m3_status join_rows(void *user, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    const joining *j = user;
    return m3_parts_read_rows(j->from, j->order[index], begin, end, data, err);
}

/* An output may not be one of the files that are read, but for the one that it replaces. */
static m3_status check_out(m3_parts *from, const char *path, const char *out, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = strcmp(path, out) == 0; st == M3_OK && i < m3_parts_files(from); i++) {
        const char *file = m3_parts_file(from, i);
        if (file == NULL) return M3_FAIL_MEMORY(err, path, strlen(path) + 64);
        st = m3_outfile_check(out, (const char *const[]){file}, 1, err);
    }
    return st;
}

m3_status m3_checkpoint_join_file(const char *path, const char *out, uint32_t *parts, m3_error *err)
{
    m3_status st;
    joining j = {0};
    m3_safetensors_note meta[1 + NOTES] = {{"format", format_name}};
    m3_trainer_state state;
    uint32_t meta_count = 1;
    if ((st = m3_parts_open(path, &j.from, err)) != M3_OK) return st;
    if (parts != NULL) *parts = m3_parts_files(j.from) - 1;
    if ((st = read_state(j.from, path, &state, err)) != M3_OK) goto done;
    if (m3_parts_files(j.from) == 1 && strcmp(path, out) == 0) goto done; /* it is one file */
    if ((st = check_out(j.from, path, out, err)) != M3_OK) goto done;
    const uint32_t count = m3_parts_count(j.from);
    j.order = m3_calloc(count, sizeof *j.order);
    j.entries = m3_calloc(count, sizeof *j.entries);
    if (j.order == NULL || j.entries == NULL) {
        st = M3_FAIL_MEMORY(err, path, count * sizeof *j.entries);
        goto done;
    }
    for (uint32_t i = 0; i < count; i++) j.entries[i] = *m3_parts_at(j.from, i);
    qsort(j.entries, count, sizeof *j.entries, by_name);
    for (uint32_t i = 0; i < count; i++) (void)m3_parts_find(j.from, j.entries[i].name, &j.order[i]);
    for (int i = 0; i < NOTES; i++) {
        const char *text = m3_parts_meta(j.from, notes[i].key);
        if (text != NULL) meta[meta_count++] = (m3_safetensors_note){notes[i].key, text};
    }
    st = m3_safetensors_write_rows(out, j.entries, count, meta, meta_count, join_rows, &j, err);
    if (st == M3_OK && strcmp(path, out) == 0) m3_parts_keep(path, 0);
done:
    m3_free(j.order);
    m3_free(j.entries);
    m3_parts_close(j.from);
    return st;
}
