/* yaml: the part of YAML that a settings file needs: one mapping from keys to values or flat lists of values.
 *   lr: 0.001          -> "lr", "0.001"
 *   features: [a, b]   -> "features", "[a, b]"
 * Everything else that YAML can say is refused with its line, so that nothing is read in another sense than meant. */
#include "core/settings/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>
#include <yaml.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

/* A file of settings has some thousand bytes. What is longer, or has no end, is none, and is read no further. */
enum { MOST_BYTES = 1 << 20 };

typedef struct seen {
    char *key;
    uint32_t line;
} seen;

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand; deleted by the next */
    const char *path;
    FILE *file;
    size_t bytes; /* read so far */
    seen *keys;
    uint32_t count;
    m3_error *err;
} reader;

/* fail(r, line, subject, "…"): the file and the line stand where a source file usually does. */
#define FAIL(r, at, subject, ...)                                                                                      \
    ((void)m3_error_set((r)->err, M3_ERR_INVALID, (r)->path, (int)(at), (subject), __VA_ARGS__), M3_ERR_INVALID)

static uint32_t line_of(const reader *r)
{
    return (uint32_t)r->event.start_mark.line + 1;
}

static int read_bytes(void *user, unsigned char *to, size_t size, size_t *got)
{
    reader *r = user;
    *got = fread(to, 1, size, r->file);
    r->bytes += *got;
    return r->bytes <= MOST_BYTES && !ferror(r->file);
}

static m3_status next(reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return M3_OK;
    if (r->parser.error == YAML_MEMORY_ERROR) return M3_FAIL_MEMORY(r->err, r->path, 0);
    if (r->bytes > MOST_BYTES)
        return FAIL(r, r->parser.mark.line + 1, "", "is longer than %d bytes; give a file of settings", MOST_BYTES);
    size_t line = r->parser.error == YAML_READER_ERROR ? r->parser.mark.line : r->parser.problem_mark.line;
    return FAIL(r, line + 1, "", "is no YAML: %s%s%s; write lines of key: value",
                r->parser.problem != NULL ? r->parser.problem : "it cannot be read",
                r->parser.context != NULL ? ", " : "", r->parser.context != NULL ? r->parser.context : "");
}

/* Anchors, aliases and tags would make a value depend on more than its own line. */
static m3_status refuse_indirect(reader *r, const char *subject)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (r->event.type == YAML_ALIAS_EVENT) anchor = r->event.data.alias.anchor;
    if (r->event.type == YAML_SCALAR_EVENT) {
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
    } else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
    } else if (r->event.type == YAML_MAPPING_START_EVENT) {
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
    }
    if (anchor != NULL)
        return FAIL(r, line_of(r), subject, "uses the anchor or alias '%s'; write the value itself",
                    (const char *)anchor);
    if (tag != NULL) return FAIL(r, line_of(r), subject, "has the tag '%s'; leave it out", (const char *)tag);
    return M3_OK;
}

static bool is_plain(const reader *r)
{
    return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const reader *r)
{
    const char *text = (const char *)r->event.data.scalar.value;
    return is_plain(r) && (text[0] == 0 || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* The scalar at hand. */
static m3_status take_text(reader *r, const char *subject, char **text)
{
    m3_status st = refuse_indirect(r, subject);
    if (st != M3_OK) return st;
    if (r->event.type == YAML_MAPPING_START_EVENT || r->event.type == YAML_SEQUENCE_START_EVENT)
        return FAIL(r, line_of(r), subject, "has a %s inside; give a single value or a flat list",
                    r->event.type == YAML_MAPPING_START_EVENT ? "mapping" : "list");
    if (is_null(r)) return FAIL(r, line_of(r), subject, "has no value; give one or remove the line");
    const char *value = (const char *)r->event.data.scalar.value;
    if (strlen(value) != r->event.data.scalar.length)
        return FAIL(r, line_of(r), subject, "has a zero character in its value; remove it");
    *text = m3_strdup(value);
    if (*text != NULL) return M3_OK;
    (void)M3_FAIL_MEMORY(r->err, subject, strlen(value) + 1);
    return M3_ERR_MEMORY;
}

/* A text that grows at its end, in time by its length. */
typedef struct growing {
    char *text;
    size_t length, capacity;
} growing;

static m3_status append(reader *r, growing *list, const char *subject, const char *text)
{
    const size_t more = strlen(text);
    if (list->length + more >= list->capacity) {
        const size_t capacity = 2 * (list->length + more) + 64;
        char *longer = m3_realloc(list->text, capacity, 1);
        if (longer == NULL) return M3_FAIL_MEMORY(r->err, subject, capacity);
        list->text = longer;
        list->capacity = capacity;
    }
    memcpy(list->text + list->length, text, more + 1);
    list->length += more;
    return M3_OK;
}

/* A flat list as "[a, b]". */
static m3_status take_list(reader *r, const char *subject, char **text)
{
    m3_status st = refuse_indirect(r, subject);
    growing list = {0};
    char *entry = NULL;
    if (st != M3_OK) return st;
    if ((st = append(r, &list, subject, "[")) != M3_OK) goto done;
    for (;;) {
        if ((st = next(r)) != M3_OK) goto done;
        if (r->event.type == YAML_SEQUENCE_END_EVENT) break;
        if ((st = take_text(r, subject, &entry)) != M3_OK) goto done;
        if (strpbrk(entry, ",[]") != NULL) {
            st = FAIL(r, line_of(r), subject, "has the entry '%s'; an entry has no comma and no bracket", entry);
            goto done;
        }
        if (list.length > 1 && (st = append(r, &list, subject, ", ")) != M3_OK) goto done;
        if ((st = append(r, &list, subject, entry)) != M3_OK) goto done;
        m3_free(entry);
        entry = NULL;
    }
    if ((st = append(r, &list, subject, "]")) != M3_OK) goto done;
    *text = list.text;
    list.text = NULL; /* the caller owns it now */
done:
    m3_free(entry);
    m3_free(list.text);
    return st;
}

static m3_status remember(reader *r, char *key)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (strcmp(r->keys[i].key, key) == 0) {
            m3_status st =
                FAIL(r, line_of(r), key, "is set again; line %u has it already: keep one of them", r->keys[i].line);
            m3_free(key);
            return st;
        }
    seen *more = m3_realloc(r->keys, r->count + 1, sizeof *more);
    if (more == NULL) {
        m3_free(key);
        return M3_FAIL_MEMORY(r->err, r->path, sizeof *more);
    }
    r->keys = more;
    r->keys[r->count++] = (seen){.key = key, .line = line_of(r)};
    return M3_OK;
}

static m3_status read_pair(reader *r, m3_yaml_pair pair, void *user)
{
    m3_status st;
    char *key = NULL, *value = NULL;
    if ((st = take_text(r, "key", &key)) != M3_OK) return st;
    if ((st = remember(r, key)) != M3_OK) return st;
    if ((st = next(r)) != M3_OK) return st;
    uint32_t line = line_of(r);
    bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    st = list ? take_list(r, key, &value) : take_text(r, key, &value);
    if (st == M3_OK) st = pair(user, key, value, list, line, r->err);
    m3_free(value);
    return st;
}

static m3_status read_mapping(reader *r, m3_yaml_pair pair, void *user)
{
    m3_status st;
    if ((st = next(r)) != M3_OK) return st; /* the stream's start */
    if ((st = next(r)) != M3_OK) return st;
    if (r->event.type == YAML_STREAM_END_EVENT) return M3_OK; /* nothing but comments */
    if ((st = next(r)) != M3_OK) return st;
    if ((st = refuse_indirect(r, "")) != M3_OK) return st;
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        for (;;) {
            if ((st = next(r)) != M3_OK) return st;
            if (r->event.type == YAML_MAPPING_END_EVENT) break;
            if ((st = read_pair(r, pair, user)) != M3_OK) return st;
        }
    } else if (r->event.type != YAML_SCALAR_EVENT || !is_null(r)) {
        return FAIL(r, line_of(r), "", "holds a %s; write lines of key: value",
                    r->event.type == YAML_SCALAR_EVENT ? "single value" : "list");
    }
    if ((st = next(r)) != M3_OK) return st; /* the document's end */
    if ((st = next(r)) != M3_OK) return st;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return FAIL(r, line_of(r), "", "has a second document here; keep one mapping a file");
    return M3_OK;
}

m3_status m3_yaml_read(const char *path, m3_yaml_pair pair, void *user, m3_error *err)
{
    m3_status st;
    reader r = {.path = path, .err = err};
    r.file = fopen(path, "rbe");
    if (r.file == NULL) return M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
    if (!yaml_parser_initialize(&r.parser)) {
        st = M3_FAIL_MEMORY(err, path, sizeof r.parser);
        goto done;
    }
    yaml_parser_set_input(&r.parser, read_bytes, &r);
    st = read_mapping(&r, pair, user);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
done:
    for (uint32_t i = 0; i < r.count; i++) m3_free(r.keys[i].key);
    m3_free(r.keys);
    (void)fclose(r.file);
    return st;
}

/* Writing. */

static bool reads_plain(const char *value)
{
    static const char *const taken[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcasecmp(value, taken[i]) == 0) return false;
    return value[0] != 0 && value[0] != '-' &&
           strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-") == strlen(value);
}

/* Between quotes: neither refused by YAML nor taken for the end of a line. */
static bool reads_raw(utf8proc_int32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0), line_end = c == 0x2028 || c == 0x2029;
    return !control && !line_end && c != 0xfeff && (c < 0xfffd || c > 0xffff);
}

void m3_yaml_write(FILE *to, const char *value)
{
    if (reads_plain(value)) {
        (void)fputs(value, to);
        return;
    }
    (void)fputc('"', to);
    for (const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)value; *at != 0;) {
        utf8proc_int32_t c = *at;
        utf8proc_ssize_t bytes = c < 0x80 ? 1 : utf8proc_iterate(at, -1, &c);
        if (bytes < 1) bytes = 1, c = 0xfffd; /* no UTF-8, which YAML would refuse */
        if (c == '"' || c == '\\') (void)fputc('\\', to);
        if (reads_raw(c))
            (void)fwrite(at, 1, (size_t)bytes, to);
        else
            (void)fprintf(to, "\\u%04x", (unsigned)c);
        at += bytes;
    }
    (void)fputc('"', to);
}
