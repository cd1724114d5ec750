/* names: strings numbered in the order of their first appearance, 0, 1, 2, …, found again by hash. */
#ifndef M3_CORE_DATA_NAMES_H
#define M3_CORE_DATA_NAMES_H

#include "m3bsr/base.h"

/** Starts as {0}; m3_names_fini() ends it. */
typedef struct m3_names {
    uint32_t count;
    uint32_t capacity; /**< of starts */
    size_t *starts;    /**< [count] offsets in bytes */
    char *bytes;       /**< each string with its NUL */
    size_t used, held; /**< of bytes */
    struct m3_name_slot *slots;
    uint32_t slot_count; /**< a power of two, or 0 */
} m3_names;

enum { M3_NAME_INLINE = 11 };

/** Of the hash table. A short name stands in it whole, so that finding it reads nothing else. */
typedef struct m3_name_slot {
    uint32_t number; /**< + 1; 0: free */
    uint8_t size;    /**< of a name up to M3_NAME_INLINE bytes; else UINT8_MAX, and the text is the hash */
    char text[M3_NAME_INLINE];
} m3_name_slot;

/** The hash of a string, for the two calls below. */
uint64_t m3_name_hash(const char *text, size_t size);
/** As m3_names_find(). */
bool m3_names_find_hashed(const m3_names *names, const char *text, size_t size, uint64_t hash, uint32_t *number);
/** Fetch into the processor's cache what m3_names_find_hashed() will look at, in three steps with time between them, of
 * which short names need the first. */
void m3_names_fetch(const m3_names *names, uint64_t hash, int step);
/** Bytes that its names take. */
size_t m3_names_bytes(const m3_names *names);
/** Free what names are found by: from now on they are only read by number. */
void m3_names_forget_slots(m3_names *names);

/** The number of a string without NUL, which is copied when it is new.
 * @param fresh  Set when it was new; may be NULL. */
m3_status m3_names_add(m3_names *names, const char *text, size_t size, uint32_t *number, bool *fresh, m3_error *err);
/** Any number of threads may find names while none adds one. */
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
