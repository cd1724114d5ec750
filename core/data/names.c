/* names: an arena of strings and an open-addressing table over it (linear probing, at most half full). */
#include "core/data/names.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/base/alloc.h"

struct named {
    const char *text;
    uint32_t number;
};

static uint32_t slot_of(const m3_names *names, const char *text, size_t size)
{
    uint32_t mask = names->slot_count - 1;
    uint32_t at = (uint32_t)XXH3_64bits(text, size) & mask;
    for (; names->slots[at] != 0; at = (at + 1) & mask) {
        const char *other = names->bytes + names->starts[names->slots[at] - 1];
        if (strncmp(other, text, size) == 0 && other[size] == '\0') break;
    }
    return at;
}

static m3_status grow_slots(m3_names *names, m3_error *err)
{
    uint32_t wanted = names->slot_count == 0 ? 64 : names->slot_count * 2;
    uint32_t *slots = m3_calloc(wanted, sizeof *slots);
    if (slots == NULL) return M3_FAIL_MEMORY(err, "ids", (size_t)wanted * sizeof *slots);
    m3_free(names->slots);
    names->slots = slots;
    names->slot_count = wanted;
    for (uint32_t i = 0; i < names->count; i++) {
        const char *text = names->bytes + names->starts[i];
        names->slots[slot_of(names, text, strlen(text))] = i + 1;
    }
    return M3_OK;
}

static m3_status make_room(m3_names *names, size_t size, m3_error *err)
{
    if (names->count >= UINT32_MAX / 4) return M3_FAIL(err, M3_ERR_RANGE, "ids", "more than %u ids", UINT32_MAX / 4);
    if (names->count >= names->slot_count / 2) {
        m3_status st = grow_slots(names, err);
        if (st != M3_OK) return st;
    }
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity == 0 ? 32 : names->capacity * 2;
        size_t *starts = m3_realloc(names->starts, capacity, sizeof *starts);
        if (starts == NULL) return M3_FAIL_MEMORY(err, "ids", capacity * sizeof *starts);
        names->starts = starts;
        names->capacity = capacity;
    }
    if (names->held - names->used < size + 1) {
        size_t held = (names->held + size + 1) * 2;
        char *bytes = m3_realloc(names->bytes, held, 1);
        if (bytes == NULL) return M3_FAIL_MEMORY(err, "ids", held);
        names->bytes = bytes;
        names->held = held;
    }
    return M3_OK;
}

m3_status m3_names_add(m3_names *names, const char *text, size_t size, uint32_t *number, bool *fresh, m3_error *err)
{
    bool known = m3_names_find(names, text, size, number);
    if (fresh != NULL) *fresh = !known;
    if (known) return M3_OK;
    m3_status st = make_room(names, size, err);
    if (st != M3_OK) return st;
    names->slots[slot_of(names, text, size)] = names->count + 1;
    names->starts[names->count] = names->used;
    memcpy(names->bytes + names->used, text, size);
    names->bytes[names->used + size] = '\0';
    names->used += size + 1;
    *number = names->count++;
    return M3_OK;
}

bool m3_names_find(const m3_names *names, const char *text, size_t size, uint32_t *number)
{
    if (names->slot_count == 0) return false;
    uint32_t slot = names->slots[slot_of(names, text, size)];
    if (slot == 0) return false;
    *number = slot - 1;
    return true;
}

const char *m3_names_at(const m3_names *names, uint32_t number)
{
    return names->bytes + names->starts[number];
}

void m3_names_fini(m3_names *names)
{
    m3_free(names->starts);
    m3_free(names->bytes);
    m3_free(names->slots);
    *names = (m3_names){0};
}

/* Leading zeros do not count for the value; "7" and "007" differ all the same, by their lengths. */
int m3_id_compare(const char *a, const char *b)
{
    size_t size_a = strlen(a), size_b = strlen(b);
    bool digits_a = size_a > 0 && strspn(a, "0123456789") == size_a;
    bool digits_b = size_b > 0 && strspn(b, "0123456789") == size_b;
    if (digits_a != digits_b) return digits_a ? -1 : 1;
    if (!digits_a) return strcmp(a, b);
    size_t zeros_a = strspn(a, "0"), zeros_b = strspn(b, "0");
    if (size_a - zeros_a != size_b - zeros_b) return size_a - zeros_a < size_b - zeros_b ? -1 : 1;
    int order = strcmp(a + zeros_a, b + zeros_b);
    if (order != 0) return order;
    return size_a == size_b ? 0 : size_a < size_b ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    return m3_id_compare(((const struct named *)a)->text, ((const struct named *)b)->text);
}

m3_status m3_names_sort(const m3_names *names, const bool *keep, uint32_t **order, uint32_t *count, m3_error *err)
{
    *order = NULL;
    *count = 0;
    m3_status st = M3_OK;
    struct named *list = m3_calloc(names->count, sizeof *list);
    uint32_t *numbers = m3_calloc(names->count, sizeof *numbers);
    if (list == NULL || numbers == NULL) {
        st = M3_FAIL_MEMORY(err, "ids", names->count * (sizeof *list + sizeof *numbers));
        goto done;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < names->count; i++)
        if (keep == NULL || keep[i]) list[kept++] = (struct named){m3_names_at(names, i), i};
    qsort(list, kept, sizeof *list, by_id);
    for (uint32_t i = 0; i < kept; i++) numbers[i] = list[i].number;
    *order = numbers;
    *count = kept;
    numbers = NULL; /* the caller owns it now */
done:
    m3_free(numbers);
    m3_free(list);
    return st;
}
