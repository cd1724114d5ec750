/* names: strings numbered in the order of their first appearance, 0, 1, 2, …, found again by hash. */
#ifndef M3_CORE_DATA_NAMES_H
#define M3_CORE_DATA_NAMES_H

#include "m3bsr/base.h"

/** Starts as {0}; m3_names_fini() ends it. */
typedef struct m3_names {
    uint32_t count;
    uint32_t capacity;   /**< of starts */
    size_t *starts;      /**< [count] offsets in bytes */
    char *bytes;         /**< each string with its NUL */
    size_t used, held;   /**< of bytes */
    uint32_t *slots;     /**< hash table of numbers + 1, 0 is free */
    uint32_t slot_count; /**< a power of two, or 0 */
} m3_names;

/** The number of a string without NUL, which is copied when it is new.
 * @param fresh  Set when it was new; may be NULL. */
m3_status m3_names_add(m3_names *names, const char *text, size_t size, uint32_t *number, bool *fresh, m3_error *err);
bool m3_names_find(const m3_names *names, const char *text, size_t size, uint32_t *number);
/** Borrowed until the next m3_names_add(). */
const char *m3_names_at(const m3_names *names, uint32_t number);
/** Takes a zeroed struct. */
void m3_names_fini(m3_names *names);

/** The order of ids in a set: ids of decimal digits by value, then the rest by bytes; 0 only for equal strings. */
int m3_id_compare(const char *a, const char *b);

/** Numbers in the order of m3_id_compare(), of those with keep[number] (of all when keep is NULL).
 * @param order  Yours, m3_free(): [*count] old numbers. */
m3_status m3_names_sort(const m3_names *names, const bool *keep, uint32_t **order, uint32_t *count, m3_error *err);

#endif
