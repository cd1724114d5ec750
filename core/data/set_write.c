/* set_write: sections are laid out first, up to the one whose size shows when it is written, and the others behind it.
 * The header comes last, and for the checksum the file is read once. Feature rows stream through one row of memory. */
#include "core/data/set_write.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

/* What a section's bytes come from: one of the three, or none where m3_set_events_write() writes them. */
struct part {
    m3_set_section head;
    const void *bytes;
    const char **strings;
    uint32_t string_count;
    const m3_feature_rows *features;
    uint8_t *owned; /* bytes that the writer made */
};

struct writer {
    const m3_set_content *content;
    struct part *parts;
    uint32_t count;
    const char **modality_names;
    m3_outfile out;
    uint32_t first_events, touched; /* parts: the first of the events, and the starts of what was touched */
};

static struct part *add_part(struct writer *w, enum m3_set_kind kind, uint32_t index, uint64_t bytes)
{
    struct part *part = &w->parts[w->count++];
    part->head = (m3_set_section){.kind = kind, .index = index, .bytes = bytes};
    return part;
}

static void add_bytes(struct writer *w, enum m3_set_kind kind, uint32_t index, const void *bytes, uint64_t count,
                      size_t size)
{
    add_part(w, kind, index, count * size)->bytes = bytes;
}

static void add_strings(struct writer *w, enum m3_set_kind kind, const char **strings, uint32_t count)
{
    uint64_t bytes = ((uint64_t)count + 1) * sizeof(uint64_t);
    for (uint32_t i = 0; i < count; i++) bytes += strlen(strings[i]) + 1;
    struct part *part = add_part(w, kind, 0, bytes);
    part->strings = strings;
    part->string_count = count;
}

static m3_status add_features(struct writer *w, uint32_t k, m3_error *err)
{
    const m3_feature_rows *features = &w->content->features[k];
    uint64_t rows = (uint64_t)w->content->meta.items + 1;
    struct part *part = add_part(w, M3_SET_FEATURES, k, rows * features->width * sizeof(float));
    part->head.width = features->width;
    part->features = features;
    struct part *present = add_part(w, M3_SET_PRESENT, k, rows);
    present->bytes = present->owned = m3_calloc(rows, 1);
    if (present->owned == NULL) return M3_FAIL_MEMORY(err, features->name, rows);
    for (uint64_t i = 0; i < rows; i++)
        present->owned[i] = features->row_of[i] != 0 || (features->old_of != NULL && features->old_of[i] != 0);
    return M3_OK;
}

static m3_status plan(struct writer *w, m3_error *err)
{
    const m3_set_content *c = w->content;
    const m3_set_meta *meta = &c->meta;
    size_t max_parts = 13 + 4 * (size_t)meta->behaviors + 2 * (size_t)meta->modalities;
    w->parts = m3_calloc(max_parts, sizeof *w->parts);
    w->modality_names = m3_calloc(meta->modalities, sizeof *w->modality_names);
    if (w->parts == NULL || w->modality_names == NULL) return M3_FAIL_MEMORY(err, "set", max_parts * sizeof *w->parts);
    for (uint32_t k = 0; k < meta->modalities; k++) w->modality_names[k] = c->features[k].name;
    add_bytes(w, M3_SET_META, 0, meta, 1, sizeof *meta);
    add_strings(w, M3_SET_USER_IDS, c->user_ids, meta->users);
    add_strings(w, M3_SET_ITEM_IDS, c->item_ids, meta->items + 1);
    add_strings(w, M3_SET_TITLES, c->titles, meta->items + 1);
    add_strings(w, M3_SET_CATEGORIES, c->categories, meta->items + 1);
    add_strings(w, M3_SET_BEHAVIOR_NAMES, c->behavior_names, meta->behaviors);
    add_strings(w, M3_SET_MODALITY_NAMES, w->modality_names, meta->modalities);
    const uint64_t starts = ((uint64_t)meta->users + 1) * sizeof(uint64_t);
    w->first_events = w->count;
    for (uint32_t b = 0; b < meta->behaviors; b++) {
        const uint64_t count = c->events.counts[b];
        (void)add_part(w, M3_SET_EVENT_STARTS, b, starts);
        (void)add_part(w, M3_SET_EVENT_ITEMS, b, count * sizeof(uint32_t));
        (void)add_part(w, M3_SET_EVENT_TIMES, b, count * sizeof(int64_t));
        if (c->events.given) (void)add_part(w, M3_SET_EVENT_PARTS, b, count);
    }
    w->touched = w->count;
    (void)add_part(w, M3_SET_TOUCHED_STARTS, 0, starts);
    (void)add_part(w, M3_SET_TOUCHED_ITEMS, 0, 0);
    for (uint32_t k = 0; k < meta->modalities; k++) {
        m3_status st = add_features(w, k, err);
        if (st != M3_OK) return st;
    }
    if (c->time_digits > 0) add_bytes(w, M3_SET_TIME_DIGITS, 0, &c->time_digits, 1, sizeof c->time_digits);
    if (c->time_unit > 0) add_bytes(w, M3_SET_TIME_UNIT, 0, &c->time_unit, 1, sizeof c->time_unit);
    if (c->split.kind != M3_SPLIT_LAST || c->split.last != 1 || c->split.repeats != 0)
        add_bytes(w, M3_SET_SPLIT, 0, &c->split, 1, sizeof c->split);
    return M3_OK;
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + M3_SET_ALIGN - 1) / M3_SET_ALIGN * M3_SET_ALIGN;
}

/* A failed write shows when the stream is flushed. */
static void emit(struct writer *w, const void *bytes, size_t size)
{
    if (size > 0) (void)fwrite(bytes, 1, size, w->out.stream);
}

static void emit_strings(struct writer *w, const struct part *part)
{
    uint64_t start = 0;
    for (uint32_t i = 0; i < part->string_count; i++) {
        emit(w, &start, sizeof start);
        start += strlen(part->strings[i]) + 1;
    }
    emit(w, &start, sizeof start);
    for (uint32_t i = 0; i < part->string_count; i++) emit(w, part->strings[i], strlen(part->strings[i]) + 1);
}

bool m3_feature_row(const m3_feature_rows *features, uint64_t item, float *out)
{
    if (features->row_of[item] != 0) return m3_matrix_row(&features->matrix, features->row_of[item] - 1, out);
    if (features->old_of == NULL || features->old_of[item] == 0) return false;
    memcpy(out, features->old + (size_t)features->old_of[item] * features->width, features->width * sizeof *out);
    return true;
}

static m3_status emit_features(struct writer *w, const m3_feature_rows *features, m3_error *err)
{
    uint32_t width = features->width;
    float *row = m3_calloc(width, sizeof *row);
    if (row == NULL) return M3_FAIL_MEMORY(err, features->name, width * sizeof *row);
    m3_status st = M3_OK;
    for (uint64_t i = 0; st == M3_OK && i <= w->content->meta.items; i++) {
        if (i % M3_WATCH_ROWS == 0) st = m3_watch_check(w->content->watch, w->out.path, err);
        if (!m3_feature_row(features, i, row)) memset(row, 0, width * sizeof *row);
        emit(w, row, width * sizeof *row);
    }
    m3_free(row);
    return st;
}

/* Places of parts from..to - 1, which begin behind the byte at offset. */
static uint64_t lay_out(struct writer *w, uint32_t from, uint32_t to, uint64_t offset)
{
    for (uint32_t i = from; i < to; i++) {
        w->parts[i].head.offset = aligned(offset);
        offset = w->parts[i].head.offset + w->parts[i].head.bytes;
    }
    return offset;
}

static m3_status emit_events(struct writer *w, m3_error *err)
{
    const m3_set_events *events = &w->content->events;
    const uint32_t behaviors = events->behaviors;
    m3_set_events_places places[M3_MAX_SET_BEHAVIORS + 1] = {0};
    const struct part *part = &w->parts[w->first_events];
    for (uint32_t b = 0; b < behaviors; b++) {
        places[b].starts = part++->head.offset;
        places[b].items = part++->head.offset;
        places[b].times = part++->head.offset;
        if (events->given) places[b].parts = part++->head.offset;
    }
    places[behaviors].starts = w->parts[w->touched].head.offset;
    places[behaviors].items = w->parts[w->touched + 1].head.offset;
    uint64_t touched = 0;
    const m3_status st = m3_set_events_write(events, places, &w->out, &touched, err);
    w->parts[w->touched + 1].head.bytes = touched * sizeof(uint32_t);
    return st;
}

static m3_status emit_part(struct writer *w, const struct part *part, m3_error *err)
{
    m3_status st = m3_watch_check(w->content->watch, w->out.path, err);
    if (st != M3_OK) return st;
    (void)fseeko(w->out.stream, (off_t)part->head.offset, SEEK_SET);
    if (part->features != NULL) return emit_features(w, part->features, err);
    if (part->strings != NULL)
        emit_strings(w, part);
    else if (part->bytes != NULL)
        emit(w, part->bytes, (size_t)part->head.bytes);
    return M3_OK;
}

static m3_status sum_file(const struct writer *w, uint64_t size, uint64_t *sum, m3_error *err)
{
    enum { BLOCK = 1 << 18 };
    XXH64_state_t hash;
    m3_status st = M3_OK;
    char *block = m3_calloc(BLOCK, 1);
    if (block == NULL) return M3_FAIL_MEMORY(err, w->out.path, BLOCK);
    (void)XXH64_reset(&hash, 0);
    for (uint64_t at = 0; st == M3_OK && at < size; at += BLOCK) {
        const size_t part = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        if ((st = m3_watch_check(w->content->watch, w->out.path, err)) != M3_OK) break;
        if ((st = m3_outfile_read_at(&w->out, block, part, at, err)) == M3_OK) (void)XXH64_update(&hash, block, part);
    }
    *sum = XXH64_digest(&hash);
    m3_free(block);
    return st;
}

static m3_status emit_all(struct writer *w, m3_error *err)
{
    m3_status st;
    m3_set_header header = {.magic = M3_SET_MAGIC, .version = M3_SET_VERSION, .section_count = w->count};
    (void)lay_out(w, 0, w->touched + 2, sizeof header + w->count * sizeof(m3_set_section));
    if ((st = emit_events(w, err)) != M3_OK) return st;
    const uint64_t offset = w->parts[w->touched + 1].head.offset + w->parts[w->touched + 1].head.bytes;
    header.file_bytes = lay_out(w, w->touched + 2, w->count, offset);
    for (uint32_t i = 0; i < w->count; i++)
        if ((st = emit_part(w, &w->parts[i], err)) != M3_OK) return st;
    (void)fseeko(w->out.stream, 0, SEEK_SET);
    emit(w, &header, sizeof header);
    for (uint32_t i = 0; i < w->count; i++) emit(w, &w->parts[i].head, sizeof w->parts[i].head);
    if ((st = m3_outfile_flush(&w->out, err)) != M3_OK) return st;
    if (ftruncate(fileno(w->out.stream), (off_t)header.file_bytes) != 0) /* a last section may be empty */
        return M3_FAIL(err, M3_ERR_IO, w->out.path, "could not be written: %s", strerror(errno));
    if ((st = sum_file(w, header.file_bytes, &header.checksum, err)) != M3_OK) return st;
    return m3_outfile_write_at(&w->out, &header, sizeof header, 0, err);
}

m3_status m3_set_write(const m3_set_content *content, const char *path, m3_error *err)
{
    m3_status st;
    struct writer *w = m3_calloc(1, sizeof *w);
    if (w == NULL) return M3_FAIL_MEMORY(err, path, sizeof *w);
    w->content = content;
    if ((st = plan(w, err)) != M3_OK) goto done;
    if ((st = m3_outfile_open(&w->out, path, err)) != M3_OK) goto done;
    if ((st = emit_all(w, err)) != M3_OK) goto done;
    st = m3_outfile_commit(&w->out, err);
done:
    m3_outfile_discard(&w->out);
    for (uint32_t i = 0; i < w->count; i++) m3_free(w->parts[i].owned);
    m3_free(w->parts);
    m3_free(w->modality_names);
    m3_free(w);
    return st;
}
