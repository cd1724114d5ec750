/* alloc: calloc, realloc and free behind a gate that tests use to fail requests. */
#include "core/base/alloc.h"

#include <stdlib.h>
#include <string.h>

static struct {
    m3_alloc_gate allow;
    void *user;
} gate;

void m3_alloc_set_gate(m3_alloc_gate allow, void *user)
{
    gate.user = user;
    gate.allow = allow;
}

static bool allowed(size_t bytes)
{
    return gate.allow == NULL || gate.allow(gate.user, bytes);
}

void *m3_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    size_t bytes = count * size;
    if (!allowed(bytes)) return NULL;
    return calloc(bytes != 0 ? bytes : 1, 1);
}

void *m3_realloc(void *block, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    size_t bytes = count * size;
    if (!allowed(bytes)) return NULL;
    return realloc(block, bytes != 0 ? bytes : 1);
}

char *m3_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = m3_calloc(bytes, 1);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

char *m3_strfmt(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : m3_calloc((size_t)length + 1, 1);
    if (text != NULL) (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void m3_free(void *block)
{
    free(block);
}
