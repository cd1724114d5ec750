/* parts: reading of what lies in several files, and their names. */
#include "core/run/parts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"

static const char ending[] = ".safetensors";

/* A tensor of which the parts have rows. */
typedef struct sharded {
    m3_safetensors_entry entry; /* of the whole; its name is ours */
    uint64_t *begins;           /* [parts looked at + 1] rows */
} sharded;

struct m3_parts {
    char *path, *stem, *file_path; /* file_path: of the last m3_parts_file() */
    m3_safetensors *main;          /* NULL: still to be written */
    uint64_t save;
    uint32_t count;   /* of parts; 0: all is in main */
    sharded *tensors; /* by name */
    uint32_t tensor_count;
    uint32_t room;          /* for begins of so many parts */
    m3_safetensors **files; /* [count] those that are open */
    uint32_t last;          /* the one beyond HELD that is open, or count */
};

/* So many stay open, and can be read on when a training has put another save in their place; a process may have some
 * more files than that. */
enum { HELD = 64, TRIES = 8 };

/* Names. */

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* Of a name without its ending. */
static size_t stem_length(const char *name)
{
    const size_t length = strlen(name), cut = sizeof ending - 1;
    return length > cut && strcmp(name + length - cut, ending) == 0 ? length - cut : length;
}

char *m3_parts_stem(const char *path)
{
    const char *name = path + folder_length(path);
    return m3_strfmt("%.*s", (int)stem_length(name), name);
}

static char *path_of(const char *path, const char *stem, uint64_t save, uint32_t index, uint32_t count)
{
    return m3_strfmt("%.*s%s.%016" PRIx64 ".%" PRIu32 "-of-%" PRIu32 "%s", (int)folder_length(path), path, stem, save,
                     index + 1, count, ending);
}

char *m3_part_path(const char *path, const m3_checkpoint_part *part)
{
    char *stem = m3_parts_stem(path);
    char *made = stem != NULL ? path_of(path, stem, part->save, part->index, part->count) : NULL;
    m3_free(stem);
    return made;
}

static bool read_save(const char *text, uint64_t *save)
{
    if (text == NULL || strspn(text, "0123456789abcdef") != M3_SAVE_TEXT - 1) return false;
    *save = strtoull(text, NULL, 16);
    return text[M3_SAVE_TEXT - 1] == '\0' && *save != 0;
}

/* STEM.SAVE.K-of-N.safetensors, or what a killed writer left of it. */
static bool is_part_of(const char *name, const char *stem, size_t length, uint64_t *save)
{
    char text[M3_SAVE_TEXT];
    const char *at = name + length;
    if (strncmp(name, stem, length) != 0 || *at++ != '.') return false;
    (void)snprintf(text, sizeof text, "%s", at);
    if (!read_save(text, save) || at[sizeof text - 1] != '.') return false;
    at += sizeof text;
    const size_t k = strspn(at, "0123456789");
    if (k == 0 || strncmp(at + k, "-of-", 4) != 0) return false;
    at += k + 4;
    const size_t n = strspn(at, "0123456789");
    if (n == 0 || strncmp(at + n, ending, sizeof ending - 1) != 0) return false;
    at += n + sizeof ending - 1;
    return *at == '\0' || strncmp(at, ".tmp.", 5) == 0;
}

bool m3_parts_is_part(const char *name)
{
    uint64_t save = 0;
    for (const char *dot = name; (dot = strchr(dot + 1, '.')) != NULL;)
        if (is_part_of(name, name, (size_t)(dot - name), &save)) return true;
    return false;
}

m3_status m3_parts_save_at(const char *path, uint64_t *save, m3_error *err)
{
    m3_error why = {0};
    m3_safetensors *file = NULL;
    const m3_status st = m3_safetensors_open(path, &file, &why);
    if (file == NULL || !read_save(m3_safetensors_meta(file, "save"), save)) *save = 0;
    m3_safetensors_close(file);
    if (st == M3_OK || st == M3_ERR_INVALID) return M3_OK;
    return M3_FAIL(err, st, why.subject, "%s", why.message);
}

void m3_parts_keep(const char *path, uint64_t save)
{
    char folder[PATH_MAX];
    uint64_t other = 0;
    const char *name = path + folder_length(path);
    const size_t length = stem_length(name);
    (void)snprintf(folder, sizeof folder, "%.*s.", (int)folder_length(path), path);
    DIR *directory = opendir(folder);
    if (directory == NULL) return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (is_part_of(entry->d_name, name, length, &other) && other != save)
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    (void)closedir(directory);
}

m3_status m3_parts_sweep(const char *path, m3_error *err)
{
    uint64_t save = 0;
    m3_error why = {0};
    m3_safetensors *file = NULL;
    const m3_status st = m3_safetensors_open(path, &file, &why);
    if (file != NULL && !read_save(m3_safetensors_meta(file, "save"), &save)) save = 0;
    m3_safetensors_close(file);
    if (st == M3_OK || access(path, F_OK) != 0) m3_parts_keep(path, save);
    return st == M3_ERR_MEMORY ? M3_FAIL(err, st, why.subject, "%s", why.message) : M3_OK;
}

/* Looking at the parts. */

static bool read_number(const char **text, uint64_t *number)
{
    char *end = NULL;
    if (**text < '0' || **text > '9') return false;
    *number = strtoull(*text, &end, 10);
    *text = *end == ' ' ? end + 1 : end;
    return *end == ' ' || *end == '\0';
}

/* Rows of the tensor that a part has: [begin, end) of rows. */
static m3_status read_range(const m3_safetensors *file, const char *path, const m3_safetensors_entry *entry,
                            uint64_t range[3], m3_error *err)
{
    char *key = m3_strfmt("%s%s", M3_PART_ROWS, entry->name);
    if (key == NULL) return M3_FAIL_MEMORY(err, path, strlen(entry->name) + 8);
    const char *text = m3_safetensors_meta(file, key), *at = text;
    m3_free(key);
    const bool whole = text != NULL && read_number(&at, &range[0]) && read_number(&at, &range[1]) &&
                       read_number(&at, &range[2]) && *at == '\0';
    if (whole && entry->shape.rank > 0 && range[0] <= range[1] && range[1] <= range[2] &&
        range[1] - range[0] == entry->shape.dim[0])
        return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, entry->name, "in %s: says '%s' of its rows, and has %s; the file is damaged",
                   path, text != NULL ? text : "", m3_shape_text(&entry->shape, (char[128]){0}, 128));
}

/* The file that part `index` should be. */
static m3_status check_part_names(const m3_parts *p, const m3_safetensors *file, const char *path, uint32_t index,
                                  m3_error *err)
{
    uint64_t save = 0;
    char wanted[32];
    const char *format = m3_safetensors_meta(file, "format"), *part = m3_safetensors_meta(file, "part");
    if (format == NULL || strcmp(format, M3_PART_FORMAT) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has the format '%s', not '%s', and is no part of %s",
                       format != NULL ? format : "of another tool", M3_PART_FORMAT, p->path);
    if (!read_save(m3_safetensors_meta(file, "save"), &save) || save != p->save)
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "is a part of save %016" PRIx64 ", and %s needs that of save %016" PRIx64
                       "; parts of one save alone go together",
                       save, p->path, p->save);
    (void)snprintf(wanted, sizeof wanted, "%" PRIu32 " of %" PRIu32, index + 1, p->count);
    if (part == NULL || strcmp(part, wanted) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, path, "is part %s, not %s; it has the name of another",
                       part != NULL ? part : "?", wanted);
    return M3_OK;
}

static m3_status open_part(const m3_parts *p, uint32_t index, m3_safetensors **file, m3_error *err)
{
    *file = NULL;
    char *path = path_of(p->path, p->stem, p->save, index, p->count);
    if (path == NULL) return M3_FAIL_MEMORY(err, p->path, strlen(p->path) + 64);
    m3_status st;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        st = M3_FAIL(err, M3_ERR_INVALID, path,
                     "is missing: it has the rows of part %" PRIu32 " of %" PRIu32
                     " of %s. Parts lie beside that file: copy all of them together, and let ranks on several machines "
                     "write to one folder that all of them share",
                     index + 1, p->count, p->path);
    else if ((st = m3_safetensors_open(path, file, err)) == M3_OK)
        st = check_part_names(p, *file, path, index, err);
    if (st != M3_OK) {
        m3_safetensors_close(*file);
        *file = NULL;
    }
    m3_free(path);
    return st;
}

static int by_name(const void *a, const void *b)
{
    const sharded *x = a, *y = b;
    return strcmp(x->entry.name, y->entry.name);
}

/* The first part says which tensors there are. */
static m3_status list_tensors(m3_parts *p, const m3_safetensors *first, m3_error *err)
{
    const uint32_t count = m3_safetensors_count(first);
    if ((p->tensors = m3_calloc(count, sizeof *p->tensors)) == NULL)
        return M3_FAIL_MEMORY(err, p->path, count * sizeof *p->tensors);
    for (; p->tensor_count < count; p->tensor_count++) {
        sharded *t = &p->tensors[p->tensor_count];
        uint32_t other;
        t->entry = *m3_safetensors_at(first, p->tensor_count);
        const char *name = t->entry.name;
        t->entry.name = m3_strdup(name);
        t->begins = m3_calloc(1, sizeof *t->begins);
        if (t->entry.name == NULL || t->begins == NULL) {
            m3_free((void *)t->entry.name);
            m3_free(t->begins);
            return M3_FAIL_MEMORY(err, p->path, strlen(name) + 1);
        }
        if (p->main != NULL && m3_safetensors_find(p->main, name, &other)) {
            p->tensor_count++;
            return M3_FAIL(err, M3_ERR_INVALID, t->entry.name, "is in %s and in its parts, too; the files are damaged",
                           p->path);
        }
    }
    qsort(p->tensors, count, sizeof *p->tensors, by_name);
    return M3_OK;
}

/* For one more part: how many there are is known only when all of them have been seen, whatever a file says. */
static m3_status make_room(m3_parts *p, uint32_t parts, m3_error *err)
{
    if (parts <= p->room) return M3_OK;
    const uint32_t room = 2 * parts;
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        uint64_t *begins = m3_realloc(p->tensors[i].begins, (size_t)room + 1, sizeof *begins);
        if (begins == NULL) return M3_FAIL_MEMORY(err, p->path, room * sizeof *begins);
        p->tensors[i].begins = begins;
    }
    p->room = room;
    return M3_OK;
}

static bool same_rows(const m3_safetensors_entry *a, const m3_safetensors_entry *b)
{
    m3_shape x = a->shape, y = b->shape;
    if (x.rank == 0 || x.rank != y.rank || a->dtype != b->dtype) return false;
    x.dim[0] = y.dim[0] = 1;
    return m3_shape_equal(&x, &y);
}

/* Part `index` goes on where the one before ended. */
static m3_status look_at(m3_parts *p, const m3_safetensors *file, uint32_t index, m3_error *err)
{
    m3_status st;
    char *path = path_of(p->path, p->stem, p->save, index, p->count);
    if (path == NULL) return M3_FAIL_MEMORY(err, p->path, strlen(p->path) + 64);
    if (index == 0 && (st = list_tensors(p, file, err)) != M3_OK) goto done;
    if ((st = make_room(p, index + 1, err)) != M3_OK) goto done;
    if (m3_safetensors_count(file) != p->tensor_count)
        st = M3_FAIL(err, M3_ERR_INVALID, path, "has %" PRIu32 " tensors, and the first part has %" PRIu32,
                     m3_safetensors_count(file), p->tensor_count);
    for (uint32_t i = 0; st == M3_OK && i < p->tensor_count; i++) {
        sharded *t = &p->tensors[i];
        uint32_t at = 0;
        uint64_t range[3] = {0};
        if (!m3_safetensors_find(file, t->entry.name, &at)) {
            st = M3_FAIL(err, M3_ERR_INVALID, t->entry.name, "is not in %s, but in the first part", path);
            break;
        }
        const m3_safetensors_entry *entry = m3_safetensors_at(file, at);
        if ((st = read_range(file, path, entry, range, err)) != M3_OK) break;
        if (index == 0) t->entry.shape.dim[0] = range[2];
        if (!same_rows(entry, &t->entry) || range[2] != t->entry.shape.dim[0] || range[0] != t->begins[index] ||
            (index + 1 == p->count && range[1] != range[2]))
            st = M3_FAIL(err, M3_ERR_INVALID, t->entry.name,
                         "in %s: rows %" PRIu64 " to %" PRIu64 " of %" PRIu64
                         " do not go on where the part before ended, at row %" PRIu64 " of %" PRIu64
                         "%s; the parts are not of one checkpoint",
                         path, range[0], range[1], range[2], t->begins[index], t->entry.shape.dim[0],
                         index + 1 == p->count ? ", to the last row" : "");
        t->begins[index + 1] = range[1];
    }
done:
    m3_free(path);
    return st;
}

static void close_part(m3_parts *p, uint32_t index)
{
    m3_safetensors_close(p->files[index]);
    p->files[index] = NULL;
}

static m3_status look_at_all(m3_parts *p, m3_error *err)
{
    m3_status st = M3_OK;
    if ((p->files = m3_calloc(p->count, sizeof *p->files)) == NULL)
        return M3_FAIL_MEMORY(err, p->path, p->count * sizeof *p->files);
    p->last = p->count;
    for (uint32_t i = 0; st == M3_OK && i < p->count; i++) {
        if ((st = open_part(p, i, &p->files[i], err)) == M3_OK) st = look_at(p, p->files[i], i, err);
        if (i >= HELD) close_part(p, i);
    }
    return st;
}

/* Of a file in parts: which they are. */
static m3_status read_main(m3_parts *p, m3_error *err)
{
    uint64_t count = 0;
    const char *text = m3_safetensors_meta(p->main, "parts"), *stem = m3_safetensors_meta(p->main, "stem");
    const char *format = m3_safetensors_meta(p->main, "format"), *part = m3_safetensors_meta(p->main, "part");
    if (format != NULL && strcmp(format, M3_PART_FORMAT) == 0)
        return M3_FAIL(err, M3_ERR_INVALID, p->path,
                       "is part %s of a checkpoint, with some rows of its tables; name the file beside it that has the "
                       "rest, such as last.safetensors",
                       part != NULL ? part : "?");
    if (text == NULL) return M3_OK;
    if (!read_number(&text, &count) || *text != '\0' || count == 0 || count > M3_MOST_PARTS ||
        !read_save(m3_safetensors_meta(p->main, "save"), &p->save) || stem == NULL || stem[0] == '\0' ||
        strchr(stem, '/') != NULL)
        return M3_FAIL(err, M3_ERR_INVALID, p->path,
                       "is a checkpoint in parts, and does not say which: its notes 'parts', 'save' and 'stem' are "
                       "damaged");
    if ((p->stem = m3_strdup(stem)) == NULL) return M3_FAIL_MEMORY(err, p->path, strlen(stem) + 1);
    p->count = (uint32_t)count;
    return M3_OK;
}

static m3_status open_once(const char *path, m3_parts **parts, uint64_t *save, m3_error *err)
{
    m3_status st;
    m3_parts *p = m3_calloc(1, sizeof *p);
    *parts = NULL;
    if (p == NULL) return M3_FAIL_MEMORY(err, path, sizeof *p);
    if ((p->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path) + 1);
        goto done;
    }
    if ((st = m3_safetensors_open(path, &p->main, err)) != M3_OK) goto done;
    if ((st = read_main(p, err)) != M3_OK) goto done;
    *save = p->save;
    if ((st = look_at_all(p, err)) != M3_OK) goto done;
    *parts = p;
    p = NULL; /* the caller owns it now */
done:
    m3_parts_close(p);
    return st;
}

/* A training may have removed the parts while they were looked for: then there are others. */
m3_status m3_parts_open(const char *path, m3_parts **parts, m3_error *err)
{
    uint64_t save = 0, now = 0;
    for (int tries = 1;; tries++) {
        m3_error why = {0};
        const m3_status st = open_once(path, parts, &save, &why);
        const bool replaced =
            st == M3_ERR_INVALID && save != 0 && m3_parts_save_at(path, &now, NULL) == M3_OK && now != save;
        if (replaced && tries < TRIES) continue;
        if (st != M3_OK && err != NULL) *err = why;
        return st;
    }
}

m3_status m3_parts_check(const char *path, uint64_t save, uint32_t count, m3_error *err)
{
    m3_parts *p = m3_calloc(1, sizeof *p);
    if (p == NULL) return M3_FAIL_MEMORY(err, path, sizeof *p);
    p->path = m3_strdup(path);
    p->stem = m3_parts_stem(path);
    p->save = save;
    p->count = count;
    const m3_status st =
        p->path != NULL && p->stem != NULL ? look_at_all(p, err) : M3_FAIL_MEMORY(err, path, 2 * strlen(path));
    m3_parts_close(p);
    return st;
}

void m3_parts_close(m3_parts *p)
{
    if (p == NULL) return;
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        m3_free((void *)p->tensors[i].entry.name);
        m3_free(p->tensors[i].begins);
    }
    m3_free(p->tensors);
    for (uint32_t i = 0; p->files != NULL && i < p->count; i++) m3_safetensors_close(p->files[i]);
    m3_free((void *)p->files);
    m3_safetensors_close(p->main);
    m3_free(p->file_path);
    m3_free(p->stem);
    m3_free(p->path);
    m3_free(p);
}

/* Tensors: those of the main file, then those of the parts. */

uint32_t m3_parts_files(const m3_parts *p)
{
    return p->count + 1;
}

const char *m3_parts_file(m3_parts *p, uint32_t file)
{
    if (file == 0) return p->path;
    m3_free(p->file_path);
    return p->file_path = path_of(p->path, p->stem, p->save, file - 1, p->count);
}

uint32_t m3_parts_count(const m3_parts *p)
{
    return m3_safetensors_count(p->main) + p->tensor_count;
}

const m3_safetensors_entry *m3_parts_at(const m3_parts *p, uint32_t index)
{
    const uint32_t whole = m3_safetensors_count(p->main);
    return index < whole ? m3_safetensors_at(p->main, index) : &p->tensors[index - whole].entry;
}

bool m3_parts_find(const m3_parts *p, const char *name, uint32_t *index)
{
    if (m3_safetensors_find(p->main, name, index)) return true;
    const sharded wanted = {.entry = {.name = name}};
    const sharded *found =
        p->tensor_count != 0 ? bsearch(&wanted, p->tensors, p->tensor_count, sizeof *p->tensors, by_name) : NULL;
    if (found != NULL) *index = m3_safetensors_count(p->main) + (uint32_t)(found - p->tensors);
    return found != NULL;
}

const char *m3_parts_meta(const m3_parts *p, const char *key)
{
    return m3_safetensors_meta(p->main, key);
}

/* One that is opened again may have changed since all were looked at. */
static m3_status use_part(m3_parts *p, uint32_t index, const sharded *t, uint32_t *at, m3_error *err)
{
    if (p->files[index] == NULL) {
        if (p->last < p->count) close_part(p, p->last);
        p->last = index;
        const m3_status st = open_part(p, index, &p->files[index], err);
        if (st != M3_OK) return st;
    }
    const m3_safetensors *file = p->files[index];
    const uint64_t rows = t->begins[index + 1] - t->begins[index];
    if (m3_safetensors_find(file, t->entry.name, at) && same_rows(m3_safetensors_at(file, *at), &t->entry) &&
        m3_safetensors_at(file, *at)->shape.dim[0] == rows)
        return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, t->entry.name, "in part %" PRIu32 " of %s: has changed while it was read",
                   index + 1, p->path);
}

m3_status m3_parts_read_rows(m3_parts *p, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t whole = m3_safetensors_count(p->main);
    if (index < whole) return m3_safetensors_read_rows(p->main, index, begin, end, data, err);
    const sharded *t = &p->tensors[index - whole];
    const uint64_t bytes = m3_safetensors_row_bytes(&t->entry);
    if (begin > end || end > t->entry.shape.dim[0])
        return M3_FAIL(err, M3_ERR_RANGE, t->entry.name,
                       "in %s: has %" PRIu64 " rows; %" PRIu64 " to %" PRIu64 " were asked", p->path,
                       t->entry.shape.dim[0], begin, end);
    for (uint32_t i = 0; st == M3_OK && i < p->count; i++) {
        const uint64_t first = begin > t->begins[i] ? begin : t->begins[i];
        const uint64_t last = end < t->begins[i + 1] ? end : t->begins[i + 1];
        uint32_t at = 0;
        if (first >= last) continue;
        if ((st = use_part(p, i, t, &at, err)) == M3_OK)
            st = m3_safetensors_read_rows(p->files[i], at, first - t->begins[i], last - t->begins[i],
                                          (char *)data + (first - begin) * bytes, err);
    }
    return st;
}

/* A part is ours, and has f32. */
static m3_status refuse_numbers(const m3_parts *p, const m3_safetensors_entry *entry, uint64_t wanted, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INVALID, entry->name,
                   "in the parts of %s: is %s %s; %" PRIu64 " numbers of f32 are wanted", p->path,
                   m3_dtype_name(entry->dtype), m3_shape_text(&entry->shape, (char[128]){0}, 128), wanted);
}

m3_status m3_parts_read_rows_f32(m3_parts *p, uint32_t index, uint64_t begin, uint64_t end, float *data, m3_error *err)
{
    const m3_safetensors_entry *entry = m3_parts_at(p, index);
    if (index < m3_safetensors_count(p->main))
        return m3_safetensors_read_rows_f32(p->main, index, begin, end, data, err);
    if (entry->dtype != M3_F32) return refuse_numbers(p, entry, m3_shape_count(&entry->shape), err);
    return m3_parts_read_rows(p, index, begin, end, data, err);
}

m3_status m3_parts_read_f32(m3_parts *p, uint32_t index, float *data, uint64_t count, m3_error *err)
{
    const m3_safetensors_entry *entry = m3_parts_at(p, index);
    if (index < m3_safetensors_count(p->main)) return m3_safetensors_read_f32(p->main, index, data, count, err);
    if (m3_shape_count(&entry->shape) != count) return refuse_numbers(p, entry, count, err);
    return m3_parts_read_rows_f32(p, index, 0, entry->shape.dim[0], data, err);
}
