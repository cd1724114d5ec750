/* alloc: the one place where core asks for memory, so that a test can fail the n-th request.
 * Sizes are bytes. Memory is zeroed: a struct starts empty and one exit can free all of it. */
#ifndef M3_CORE_BASE_ALLOC_H
#define M3_CORE_BASE_ALLOC_H

#include "m3bsr/base.h"

/** count * size zeroed bytes, NULL when memory or the product runs out. count 0 gives a unique pointer. */
void *m3_calloc(size_t count, size_t size);
/** Grow or shrink; the new part is NOT zeroed. On NULL the old block is untouched. */
void *m3_realloc(void *block, size_t count, size_t size);
/** A copy of a string, or NULL. */
char *m3_strdup(const char *text);
/** printf into fresh memory, or NULL. */
char *m3_strfmt(const char *format, ...) M3_PRINTF(1, 2);
void m3_free(void *block);

/** Asked before each request; returning false makes it fail. Set it before the first engine and not while one
 * runs: it is process wide, meant for tests and for embedding under a memory budget. NULL removes it. */
typedef bool (*m3_alloc_gate)(void *user, size_t bytes);
void m3_alloc_set_gate(m3_alloc_gate gate, void *user);

#endif
