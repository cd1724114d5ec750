/* tuning: the table of measured variants, and its file. */
#include "backends/lowering/tuning.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { KEY_BYTES = 384, VARIANT_BYTES = 32, LINE_BYTES = 512, NAME_BYTES = 64 };

static const char version[] = "m3bsr tuning 1";

typedef struct entry {
    char class_text[LOWER_CLASS_BYTES], variant[VARIANT_BYTES];
    double microseconds;
} entry;

struct lower_tuning {
    const m3_host *host;
    char key[KEY_BYTES];
    const lower_cache *files;
    char name[NAME_BYTES]; /* of the file; "": none keeps it */
    entry *entries;
    uint32_t count, capacity, measured;
    bool changed;
};

/* The table. */

m3_status lower_tuning_create(const m3_host *host, const char *key, lower_tuning **out, m3_error *err)
{
    lower_tuning *t = *out = host->allocate(host->user, 1, sizeof *t);
    if (t == NULL) return M3_FAIL_MEMORY(err, "tuning", sizeof *t);
    t->host = host;
    (void)snprintf(t->key, sizeof t->key, "%s", key);
    for (char *c = t->key; *c != '\0'; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
    return M3_OK;
}

void lower_tuning_free(lower_tuning *t)
{
    if (t == NULL) return;
    const m3_host *host = t->host;
    host->release(host->user, t->entries);
    host->release(host->user, t);
}

static entry *find(const lower_tuning *t, const char *class_text)
{
    for (uint32_t i = 0; t != NULL && i < t->count; i++)
        if (strcmp(t->entries[i].class_text, class_text) == 0) return &t->entries[i];
    return NULL;
}

const char *lower_tuned(const lower_tuning *t, const char *class_text)
{
    const entry *e = find(t, class_text);
    return e != NULL ? e->variant : NULL;
}

uint32_t lower_tuning_count(const lower_tuning *t)
{
    return t->count;
}

uint32_t lower_tuning_measured(const lower_tuning *t)
{
    return t->measured;
}

bool lower_tuning_changed(const lower_tuning *t)
{
    return t->changed;
}

static m3_status grow(lower_tuning *t, m3_error *err)
{
    const uint32_t capacity = t->capacity == 0 ? 64 : 2 * t->capacity;
    entry *more = t->host->allocate(t->host->user, capacity, sizeof *more);
    if (more == NULL) return M3_FAIL_MEMORY(err, "tuning", capacity * sizeof *more);
    if (t->count > 0) memcpy(more, t->entries, t->count * sizeof *more);
    t->host->release(t->host->user, t->entries);
    t->entries = more;
    t->capacity = capacity;
    return M3_OK;
}

static m3_status enter(lower_tuning *t, const char *class_text, const char *variant, double microseconds, m3_error *err)
{
    m3_status st;
    entry *e = find(t, class_text);
    if (strlen(class_text) >= LOWER_CLASS_BYTES || strlen(variant) >= VARIANT_BYTES)
        return M3_FAIL(err, M3_ERR_RANGE, "tuning", "'%s %s' is longer than %d and %d letters", class_text, variant,
                       LOWER_CLASS_BYTES - 1, VARIANT_BYTES - 1);
    if (e == NULL) {
        if (t->count == t->capacity && (st = grow(t, err)) != M3_OK) return st;
        e = &t->entries[t->count++];
        (void)snprintf(e->class_text, sizeof e->class_text, "%s", class_text);
    }
    (void)snprintf(e->variant, sizeof e->variant, "%s", variant);
    e->microseconds = microseconds;
    return M3_OK;
}

m3_status lower_tuning_put(lower_tuning *t, const char *class_text, const char *variant, double microseconds,
                           m3_error *err)
{
    const uint32_t count = t->count;
    const m3_status st = enter(t, class_text, variant, microseconds, err);
    if (st != M3_OK) return st;
    t->measured += t->count - count;
    t->changed = true;
    return M3_OK;
}

/* The file. */

/* line 0: the file as a whole. */
static void warn(const lower_tuning *t, const char *name, unsigned line, const char *what)
{
    char text[LINE_BYTES], at[16] = {0};
    if (t->host->log == NULL) return;
    if (line > 0) (void)snprintf(at, sizeof at, ":%u", line);
    (void)snprintf(text, sizeof text, "tuning: %.300s%s: %.150s", name, at, what);
    t->host->log(t->host->user, M3_LOG_WARN, text);
}

static void first_line(const lower_tuning *t, char text[LINE_BYTES])
{
    (void)snprintf(text, LINE_BYTES, "%s %s\n", version, t->key);
}

/* "12.345", with a decimal point whatever the locale of the process; false when it is something else. */
static bool read_microseconds(const char *text, double *microseconds)
{
    const size_t digits = strspn(text, "0123456789");
    const bool point = text[digits] == '.';
    const size_t fraction = point ? strspn(text + digits + 1, "0123456789") : 0;
    double scale = 1.0;
    *microseconds = (double)strtoull(text, NULL, 10);
    for (size_t i = 0; i < fraction; i++) *microseconds += (text[digits + 1 + i] - '0') * (scale /= 10.0);
    return digits > 0 && text[digits + point + fraction] == 0;
}

/* One line of a file: three words and nothing else. */
static m3_status read_entry(lower_tuning *t, const char *text, const char *name, unsigned line, m3_error *err)
{
    char class_text[LOWER_CLASS_BYTES], variant[VARIANT_BYTES], time[32], rest;
    double microseconds;
    _Static_assert(LOWER_CLASS_BYTES == 96 && VARIANT_BYTES == 32, "the widths below");
    if (strchr(text, '\n') == NULL || sscanf(text, "%95s %31s %31s %c", class_text, variant, time, &rest) != 3 ||
        !read_microseconds(time, &microseconds)) {
        warn(t, name, line, "is not 'class variant microseconds'; left out");
        return M3_OK;
    }
    return enter(t, class_text, variant, microseconds, err);
}

static m3_status read_lines(lower_tuning *t, FILE *file, const char *name, m3_error *err)
{
    m3_status st = M3_OK;
    char text[LINE_BYTES], wanted[LINE_BYTES];
    first_line(t, wanted);
    if (fgets(text, sizeof text, file) == NULL || strcmp(text, wanted) != 0) {
        warn(t, name, 1, "was measured on another device, driver or version; not used");
        return M3_OK;
    }
    for (unsigned line = 2; st == M3_OK && fgets(text, sizeof text, file) != NULL; line++)
        st = read_entry(t, text, name, line, err);
    return st;
}

m3_status lower_tuning_load(lower_tuning *t, const lower_cache *files, const char *name, m3_error *err)
{
    size_t bytes = 0;
    void *text = lower_cache_read(files, name, &bytes);
    if (text == NULL) return M3_OK;
    FILE *file = fmemopen(text, bytes, "r");
    m3_status st = file != NULL ? read_lines(t, file, name, err) : M3_FAIL_MEMORY(err, name, bytes);
    if (file != NULL) (void)fclose(file);
    t->host->release(t->host->user, text);
    return st;
}

static bool write_all(const lower_tuning *t, FILE *file)
{
    char text[LINE_BYTES];
    first_line(t, text);
    bool ok = fputs(text, file) >= 0;
    for (uint32_t i = 0; i < t->count && ok; i++) {
        const entry *e = &t->entries[i];
        const unsigned long long thousandths = (unsigned long long)(e->microseconds * 1e3 + 0.5);
        ok =
            fprintf(file, "%s %s %llu.%03llu\n", e->class_text, e->variant, thousandths / 1000, thousandths % 1000) > 0;
    }
    return ok;
}

m3_status lower_tuning_save(lower_tuning *t, const lower_cache *files, const char *name, m3_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    if (file == NULL) return M3_FAIL_MEMORY(err, name, LINE_BYTES);
    const bool whole = write_all(t, file);
    if (fclose(file) != 0 || !whole) {
        free(text); /* the C library's own memory */
        return M3_FAIL_MEMORY(err, name, bytes);
    }
    const bool written = lower_cache_write(files, name, text, bytes);
    const int reason = errno;
    free(text);
    if (!written) return M3_FAIL(err, M3_ERR_IO, name, "cannot be written: %s", strerror(reason));
    t->changed = false;
    return M3_OK;
}

m3_status lower_tuning_open(const m3_host *host, const lower_cache *files, const char *interface, const char *key,
                            lower_tuning **out, m3_error *err)
{
    lower_tuning *t = NULL;
    m3_status st = lower_tuning_create(host, key, &t, err);
    *out = t;
    if (t == NULL || files == NULL) return st;
    t->files = files;
    (void)snprintf(t->name, sizeof t->name, "tuning-%.16s-%016llx.txt", interface,
                   (unsigned long long)XXH3_64bits(t->key, strlen(t->key)));
    if ((st = lower_tuning_load(t, files, t->name, err)) == M3_OK) return M3_OK;
    lower_tuning_free(t);
    *out = NULL;
    return st;
}

m3_status lower_tuning_describe(const lower_tuning *t, m3_tuning *tuning, m3_error *err)
{
    if (tuning->size < M3_STRUCT_SIZE(m3_tuning, path))
        return M3_FAIL(err, M3_ERR_ABI, "m3_tuning", "its size is %u, wanted at least %u", tuning->size,
                       M3_STRUCT_SIZE(m3_tuning, path));
    tuning->classes = t->count;
    tuning->measured = t->measured;
    tuning->path[0] = '\0';
    if (t->name[0] == '\0') return M3_OK;
    const int length = snprintf(tuning->path, sizeof tuning->path, "%s/%s", t->host->cache_path, t->name);
    if (length < 0 || (size_t)length >= sizeof tuning->path) tuning->path[0] = '\0'; /* no part of a path is one */
    return M3_OK;
}

void lower_tuning_keep(lower_tuning *t)
{
    m3_error why = {0};
    if (t->name[0] == '\0' || !t->changed) return;
    if (lower_tuning_save(t, t->files, t->name, &why) != M3_OK) warn(t, t->name, 0, why.message);
}

const m3_host *lower_tuning_host(const lower_tuning *t)
{
    return t->host;
}
