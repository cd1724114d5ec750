/* safetensors: reading with every bound checked, and writing in one pass over the tensors. */
#include "core/base/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/json.h"
#include "core/base/outfile.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8, STEP_BYTES = 4 << 20 };

typedef struct place {
    m3_safetensors_entry entry;
    uint64_t begin, end; /* bytes of the file's data */
} place;

struct m3_safetensors {
    char *path;
    int fd;
    uint64_t data_offset, data_bytes;
    json_t *header; /* holds the names and notes */
    place *places;
    uint32_t *by_name; /* places in the order of their names */
    uint32_t count;
};

static const struct {
    const char *name;
    m3_dtype dtype;
} types[] = {{"F32", M3_F32},   {"I32", M3_I32}, {"U32", M3_U32},   {"U8", M3_U8},
             {"BOOL", M3_BOOL}, {"F16", M3_F16}, {"BF16", M3_BF16}, {"F64", M3_F64}};
enum { TYPES = sizeof types / sizeof types[0] };

uint64_t m3_safetensors_rows(const m3_shape *shape)
{
    return shape->rank > 0 ? shape->dim[0] : 1;
}

uint64_t m3_safetensors_row_bytes(const m3_safetensors_entry *entry)
{
    uint64_t bytes = m3_dtype_bytes(entry->dtype);
    for (uint32_t i = 1; i < entry->shape.rank; i++) bytes *= entry->shape.dim[i];
    return bytes;
}

uint64_t m3_safetensors_step(const m3_safetensors_entry *entry)
{
    const uint64_t bytes = m3_safetensors_row_bytes(entry);
    if (bytes == 0) return UINT64_MAX; /* rows of nothing may be 2^56 in a small file */
    return bytes < STEP_BYTES ? STEP_BYTES / bytes : 1;
}

/* Reading. */

static m3_status read_at(const m3_safetensors *file, uint64_t offset, void *to, uint64_t bytes, m3_error *err)
{
    char *at = to;
    while (bytes > 0) {
        ssize_t got = pread(file->fd, at, bytes < (1U << 30) ? (size_t)bytes : (size_t)1 << 30, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return M3_FAIL(err, M3_ERR_IO, file->path, "cannot be read: %s", strerror(errno));
        if (got == 0)
            return M3_FAIL(err, M3_ERR_IO, file->path, "ends at byte %llu, %llu bytes too early; it has been cut short",
                           (unsigned long long)offset, (unsigned long long)bytes);
        at += got;
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return M3_OK;
}

static m3_status load_header(m3_safetensors *file, m3_error *err)
{
    m3_status st;
    struct stat info;
    unsigned char length_bytes[LENGTH_BYTES];
    uint64_t length = 0;
    char *text = NULL;
    json_error_t wrong;
    if (fstat(file->fd, &info) != 0) return M3_FAIL(err, M3_ERR_IO, file->path, "%s", strerror(errno));
    uint64_t size = S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
    if (size < LENGTH_BYTES)
        return M3_FAIL(err, M3_ERR_INVALID, file->path, "has %llu bytes; a safetensors file has at least %d",
                       (unsigned long long)size, LENGTH_BYTES);
    if ((st = read_at(file, 0, length_bytes, LENGTH_BYTES, err)) != M3_OK) return st;
    for (int i = LENGTH_BYTES; i-- > 0;) length = length << 8 | length_bytes[i];
    if (length <= size - LENGTH_BYTES && length > M3_SAFETENSORS_HEADER)
        return M3_FAIL(err, M3_ERR_INVALID, file->path, "has a header of %llu bytes, and at most %llu are read",
                       (unsigned long long)length, (unsigned long long)M3_SAFETENSORS_HEADER);
    if (length > size - LENGTH_BYTES)
        return M3_FAIL(err, M3_ERR_INVALID, file->path,
                       "says that its header has %llu bytes, and has %llu; it is damaged or no safetensors file",
                       (unsigned long long)length, (unsigned long long)(size - LENGTH_BYTES));
    if ((text = m3_calloc((size_t)length, 1)) == NULL) return M3_FAIL_MEMORY(err, file->path, length);
    if ((st = read_at(file, LENGTH_BYTES, text, length, err)) != M3_OK) goto done;
    file->data_offset = LENGTH_BYTES + length;
    file->data_bytes = size - file->data_offset;
    if ((st = m3_json_parse(text, (size_t)length, file->path, &file->header, &wrong, err)) != M3_OK) goto done;
    if (!json_is_object(file->header))
        st = M3_FAIL(err, M3_ERR_INVALID, file->path, "its header is no JSON object: %s",
                     file->header == NULL ? wrong.text : "another value");
done:
    m3_free(text);
    return st;
}

static bool whole_number(const json_t *value, uint64_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

static m3_status parse_shape(const m3_safetensors *file, const char *name, const json_t *shape, place *p, m3_error *err)
{
    uint64_t count = 1;
    if (!json_is_array(shape) || json_array_size(shape) > M3_MAX_RANK)
        return M3_FAIL(err, M3_ERR_INVALID, name, "in %s: its shape is no list of at most %d numbers", file->path,
                       M3_MAX_RANK);
    p->entry.shape.rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < p->entry.shape.rank; i++) {
        uint64_t dim = 0;
        if (!whole_number(json_array_get(shape, i), &dim) || (dim != 0 && count > (UINT64_C(1) << 56) / dim))
            return M3_FAIL(err, M3_ERR_INVALID, name, "in %s: axis %u of its shape is no number or too large",
                           file->path, i);
        p->entry.shape.dim[i] = dim;
        count *= dim;
    }
    return M3_OK;
}

static m3_status parse_entry(const m3_safetensors *file, const char *name, const json_t *value, place *p, m3_error *err)
{
    const char *type = json_string_value(json_object_get(value, "dtype"));
    const json_t *places = json_object_get(value, "data_offsets");
    uint32_t t = 0;
    while (t < TYPES && (type == NULL || strcmp(types[t].name, type) != 0)) t++;
    if (t == TYPES)
        return M3_FAIL(err, M3_ERR_INVALID, name, "in %s: type %s; known are F32 F16 BF16 F64 I32 U32 U8 BOOL",
                       file->path, type != NULL ? type : "is missing");
    p->entry.name = name;
    p->entry.dtype = types[t].dtype;
    m3_status st = parse_shape(file, name, json_object_get(value, "shape"), p, err);
    if (st != M3_OK) return st;
    if (json_array_size(places) != 2 || !whole_number(json_array_get(places, 0), &p->begin) ||
        !whole_number(json_array_get(places, 1), &p->end) || p->begin > p->end || p->end > file->data_bytes)
        return M3_FAIL(err, M3_ERR_INVALID, name, "in %s: its data_offsets are not two rising numbers up to %llu",
                       file->path, (unsigned long long)file->data_bytes);
    uint64_t bytes = m3_shape_count(&p->entry.shape) * m3_dtype_bytes(p->entry.dtype);
    if (p->end - p->begin != bytes)
        return M3_FAIL(err, M3_ERR_INVALID, name, "in %s: has %llu bytes; %s %s takes %llu", file->path,
                       (unsigned long long)(p->end - p->begin), type,
                       m3_shape_text(&p->entry.shape, (char[128]){0}, 128), (unsigned long long)bytes);
    return M3_OK;
}

static int by_begin(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty tensors first */
}

static int by_name(const void *a, const void *b, void *places)
{
    const uint32_t *x = a, *y = b;
    const place *all = places;
    return strcmp(all[*x].entry.name, all[*y].entry.name);
}

/* The format allows neither holes nor overlaps. */
static m3_status check_places(const m3_safetensors *file, m3_error *err)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < file->count; i++) {
        const place *p = &file->places[i];
        if (p->begin != at)
            return M3_FAIL(err, M3_ERR_INVALID, p->entry.name,
                           "in %s: begins at byte %llu of the data; the tensor before ends at %llu", file->path,
                           (unsigned long long)p->begin, (unsigned long long)at);
        at = p->end;
    }
    if (at != file->data_bytes)
        return M3_FAIL(err, M3_ERR_INVALID, file->path, "has %llu bytes of data; its tensors have %llu",
                       (unsigned long long)file->data_bytes, (unsigned long long)at);
    return M3_OK;
}

static m3_status parse_header(m3_safetensors *file, m3_error *err)
{
    const char *name;
    json_t *value;
    file->places = m3_calloc(json_object_size(file->header), sizeof *file->places);
    if (file->places == NULL)
        return M3_FAIL_MEMORY(err, file->path, json_object_size(file->header) * sizeof *file->places);
    file->by_name = m3_calloc(json_object_size(file->header), sizeof *file->by_name);
    if (file->by_name == NULL)
        return M3_FAIL_MEMORY(err, file->path, json_object_size(file->header) * sizeof *file->by_name);
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        m3_status st = parse_entry(file, name, value, &file->places[file->count], err);
        if (st != M3_OK) return st;
        file->count++;
    }
    qsort(file->places, file->count, sizeof *file->places, by_begin);
    for (uint32_t i = 0; i < file->count; i++) file->by_name[i] = i;
    qsort_r(file->by_name, file->count, sizeof *file->by_name, by_name, file->places);
    return check_places(file, err);
}

m3_status m3_safetensors_open(const char *path, m3_safetensors **out, m3_error *err)
{
    m3_status st;
    m3_safetensors *file = m3_calloc(1, sizeof *file);
    *out = NULL;
    if (file == NULL) return M3_FAIL_MEMORY(err, path, sizeof *file);
    file->fd = -1;
    if ((file->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path) + 1);
        goto done;
    }
    if ((file->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        /* Another path mends what is wrong with this one; the rest is the system's. */
        const bool mendable =
            errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG;
        st = M3_FAIL(err, mendable ? M3_ERR_INVALID : M3_ERR_IO, path, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    if ((st = load_header(file, err)) != M3_OK) goto done;
    if ((st = parse_header(file, err)) != M3_OK) goto done;
    *out = file;
    file = NULL; /* the caller owns it now */
done:
    m3_safetensors_close(file);
    return st;
}

void m3_safetensors_close(m3_safetensors *file)
{
    if (file == NULL) return;
    if (file->fd >= 0) (void)close(file->fd);
    json_decref(file->header);
    m3_free(file->places);
    m3_free(file->by_name);
    m3_free(file->path);
    m3_free(file);
}

uint32_t m3_safetensors_count(const m3_safetensors *file)
{
    return file->count;
}

const m3_safetensors_entry *m3_safetensors_at(const m3_safetensors *file, uint32_t index)
{
    return &file->places[index].entry;
}

bool m3_safetensors_find(const m3_safetensors *file, const char *name, uint32_t *index)
{
    uint32_t low = 0, high = file->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(name, file->places[file->by_name[middle]].entry.name);
        if (order == 0) {
            *index = file->by_name[middle];
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

const char *m3_safetensors_meta(const m3_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

m3_status m3_safetensors_read(const m3_safetensors *file, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    const place *p = &file->places[index];
    if (p->end - p->begin != bytes)
        return M3_FAIL(err, M3_ERR_INVALID, p->entry.name, "in %s: has %llu bytes; %llu were asked", file->path,
                       (unsigned long long)(p->end - p->begin), (unsigned long long)bytes);
    return read_at(file, file->data_offset + p->begin, data, bytes, err);
}

m3_status m3_safetensors_read_rows(const m3_safetensors *file, uint32_t index, uint64_t begin, uint64_t end, void *data,
                                   m3_error *err)
{
    const place *p = &file->places[index];
    const uint64_t rows = m3_safetensors_rows(&p->entry.shape), row_bytes = m3_safetensors_row_bytes(&p->entry);
    if (begin > end || end > rows)
        return M3_FAIL(err, M3_ERR_RANGE, p->entry.name, "in %s: has %llu rows; %llu to %llu were asked", file->path,
                       (unsigned long long)rows, (unsigned long long)begin, (unsigned long long)end);
    return read_at(file, file->data_offset + p->begin + begin * row_bytes, data, (end - begin) * row_bytes, err);
}

static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000U) << 16, exponent = (h >> 10) & 31U, mantissa = h & 0x3ffU, bits;
    float value;
    if (exponent == 0) { /* zero or denormal: mantissa 2^-24 */
        value = (float)mantissa * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0x7f800000U : (exponent + 112) << 23) | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void widen(m3_dtype dtype, const void *from, float *to, uint64_t count)
{
    const uint16_t *half = from;
    const double *wide = from;
    for (uint64_t i = 0; i < count; i++)
        to[i] = dtype == M3_F64 ? (float)wide[i] : dtype == M3_F16 ? from_f16(half[i]) : from_bf16(half[i]);
}

static m3_status refuse_numbers(const m3_safetensors *file, const m3_safetensors_entry *entry, uint64_t wanted,
                                m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INVALID, entry->name, "in %s: is %s %s; %llu floating numbers are wanted", file->path,
                   m3_dtype_name(entry->dtype), m3_shape_text(&entry->shape, (char[128]){0}, 128),
                   (unsigned long long)wanted);
}

m3_status m3_safetensors_read_rows_f32(const m3_safetensors *file, uint32_t index, uint64_t begin, uint64_t end,
                                       float *data, m3_error *err)
{
    const m3_safetensors_entry *entry = &file->places[index].entry;
    if (!m3_dtype_is_float(entry->dtype)) return refuse_numbers(file, entry, m3_shape_count(&entry->shape), err);
    if (entry->dtype == M3_F32) return m3_safetensors_read_rows(file, index, begin, end, data, err);
    const uint64_t bytes = begin < end ? (end - begin) * m3_safetensors_row_bytes(entry) : 0;
    void *raw = m3_calloc((size_t)bytes, 1);
    if (raw == NULL) return M3_FAIL_MEMORY(err, entry->name, bytes);
    m3_status st = m3_safetensors_read_rows(file, index, begin, end, raw, err);
    if (st == M3_OK) widen(entry->dtype, raw, data, bytes / m3_dtype_bytes(entry->dtype));
    m3_free(raw);
    return st;
}

m3_status m3_safetensors_read_f32(const m3_safetensors *file, uint32_t index, float *data, uint64_t count,
                                  m3_error *err)
{
    const m3_safetensors_entry *entry = &file->places[index].entry;
    if (m3_shape_count(&entry->shape) != count) return refuse_numbers(file, entry, count, err);
    return m3_safetensors_read_rows_f32(file, index, 0, m3_safetensors_rows(&entry->shape), data, err);
}

/* Writing. */

static json_t *describe(const m3_safetensors_entry *entry, uint64_t begin, uint64_t end)
{
    uint32_t t = 0;
    while (t < TYPES && types[t].dtype != entry->dtype) t++;
    json_t *shape = json_array();
    for (uint32_t i = 0; i < entry->shape.rank; i++) {
        if (json_array_append_new(shape, json_integer((json_int_t)entry->shape.dim[i])) == 0) continue;
        json_decref(shape);
        return NULL; /* no memory; with an axis less it would be another tensor */
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", t < TYPES ? types[t].name : "?", "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

static m3_status make_header(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                             const m3_safetensors_note *notes, uint32_t note_count, char **text, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t at = 0;
    json_t *header = json_object(), *meta = json_object();
    bool made = header != NULL && meta != NULL;
    for (uint32_t i = 0; i < note_count; i++)
        made = made && json_object_set_new(meta, notes[i].key, json_string(notes[i].value)) == 0;
    if (note_count != 0) made = made && json_object_set(header, "__metadata__", meta) == 0;
    for (uint32_t i = 0; i < count && made; i++) {
        uint64_t bytes = m3_shape_count(&entries[i].shape) * m3_dtype_bytes(entries[i].dtype);
        if (json_object_get(header, entries[i].name) != NULL) {
            st = M3_FAIL(err, M3_ERR_INVALID, entries[i].name, "would be twice in %s; names are unique", path);
            goto done;
        }
        made = json_object_set_new(header, entries[i].name, describe(&entries[i], at, at + bytes)) == 0;
        at += bytes;
    }
    *text = made ? m3_json_text(header, JSON_COMPACT) : NULL;
    if (*text == NULL)
        st = M3_FAIL(err, M3_ERR_MEMORY, path, "its header could not be made: a text is not UTF-8, or no memory");
done:
    json_decref(header);
    json_decref(meta);
    return st;
}

/* The header is padded with blanks, so that the data is aligned. */
static bool put_header(FILE *to, const char *text)
{
    size_t length = strlen(text), padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        if (fputc((int)(padded >> (8 * i) & 0xffU), to) == EOF) return false;
    return fprintf(to, "%-*s", (int)padded, text) == (int)padded;
}

typedef struct filler {
    m3_safetensors_fill_rows fill;
    void *user;
    bool whole; /* it is given tensors whole */
} filler;

static uint64_t step_of(const filler *f, const m3_safetensors_entry *entry)
{
    return f->whole ? m3_safetensors_rows(&entry->shape) : m3_safetensors_step(entry);
}

static m3_status put_tensor(const char *path, FILE *to, const m3_safetensors_entry *entry, uint32_t index,
                            const filler *f, void *block, m3_error *err)
{
    m3_status st = M3_OK;
    const uint64_t rows = m3_safetensors_rows(&entry->shape), row_bytes = m3_safetensors_row_bytes(entry);
    const uint64_t step = step_of(f, entry);
    for (uint64_t begin = 0, end = 0; st == M3_OK && begin < rows; begin = end) {
        end = rows - begin < step ? rows : begin + step;
        const size_t bytes = (size_t)((end - begin) * row_bytes);
        st = f->fill(f->user, index, begin, end, block, err);
        if (st == M3_OK && fwrite(block, 1, bytes, to) != bytes)
            st = M3_FAIL(err, M3_ERR_IO, path, "could not be written: %s; the file of that name is as it was",
                         strerror(errno));
    }
    return st;
}

static m3_status put_tensors(const char *path, FILE *to, const m3_safetensors_entry *entries, uint32_t count,
                             const filler *f, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t rows = m3_safetensors_rows(&entries[i].shape), step = step_of(f, &entries[i]);
        const uint64_t bytes = (rows < step ? rows : step) * m3_safetensors_row_bytes(&entries[i]);
        if (bytes > largest) largest = bytes;
    }
    void *block = m3_calloc((size_t)largest, 1);
    if (block == NULL) return M3_FAIL_MEMORY(err, path, largest);
    for (uint32_t i = 0; i < count && st == M3_OK; i++) st = put_tensor(path, to, &entries[i], i, f, block, err);
    m3_free(block);
    return st;
}

static m3_status write_file(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                            const m3_safetensors_note *notes, uint32_t note_count, const filler *f, m3_error *err)
{
    m3_outfile out = {0};
    char *header = NULL;
    m3_status st = make_header(path, entries, count, notes, note_count, &header, err);
    if (st == M3_OK) st = m3_outfile_open(&out, path, err);
    if (st == M3_OK && !put_header(out.stream, header))
        st = M3_FAIL(err, M3_ERR_IO, path, "could not be written: %s; the file of that name is as it was",
                     strerror(errno));
    if (st == M3_OK) st = put_tensors(path, out.stream, entries, count, f, err);
    if (st == M3_OK) st = m3_outfile_commit(&out, err);
    m3_outfile_discard(&out);
    m3_free(header);
    return st;
}

typedef struct whole_filler {
    m3_safetensors_fill fill;
    void *user;
    const m3_safetensors_entry *entries;
} whole_filler;

static m3_status fill_whole(void *user, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    const whole_filler *w = user;
    return w->fill(w->user, index, data, (end - begin) * m3_safetensors_row_bytes(&w->entries[index]), err);
}

m3_status m3_safetensors_write(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                               const m3_safetensors_note *notes, uint32_t note_count, m3_safetensors_fill fill,
                               void *user, m3_error *err)
{
    whole_filler w = {fill, user, entries};
    const filler f = {fill_whole, &w, true};
    return write_file(path, entries, count, notes, note_count, &f, err);
}

m3_status m3_safetensors_write_rows(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                                    const m3_safetensors_note *notes, uint32_t note_count,
                                    m3_safetensors_fill_rows fill, void *user, m3_error *err)
{
    const filler f = {fill, user, false};
    return write_file(path, entries, count, notes, note_count, &f, err);
}
