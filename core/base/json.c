/* json: jansson takes a string for which there is no memory for an invalid token, and drops characters of a token that
 * it cannot make room for. What the C library left in errno tells. */
#include "core/base/json.h"

#include <errno.h>
#include <string.h>

#include "core/base/alloc.h"

m3_status m3_json_parse(const char *text, size_t size, const char *subject, json_t **value, json_error_t *wrong,
                        m3_error *err)
{
    const int before = errno;
    errno = 0;
    *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, wrong);
    const bool silent = *value == NULL && wrong->text[0] == '\0'; /* every other error has a text */
    const bool no_memory = errno == ENOMEM || silent;
    errno = before;
    if (!no_memory) return M3_OK;
    json_decref(*value);
    *value = NULL;
    return M3_FAIL_MEMORY(err, subject, size);
}

typedef struct text {
    char *bytes;
    size_t size, room;
    bool failed; /* remembered here, as jansson does not look at what a key returns */
} text;

static int append(const char *bytes, size_t size, void *user)
{
    text *t = user;
    if (!t->failed && t->room - t->size <= size) {
        const size_t room = 2 * (t->room + size) + 256;
        char *grown = m3_realloc(t->bytes, room, 1);
        t->failed = grown == NULL;
        if (grown != NULL) {
            t->bytes = grown;
            t->room = room;
        }
    }
    if (t->failed) return -1;
    memcpy(t->bytes + t->size, bytes, size);
    t->size += size;
    return 0;
}

char *m3_json_text(const json_t *value, size_t flags)
{
    text t = {0};
    if (json_dump_callback(value, append, &t, flags) == 0 && append("", 1, &t) == 0) return t.bytes;
    m3_free(t.bytes);
    return NULL;
}
