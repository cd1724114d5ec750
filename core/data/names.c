/* names: an arena of strings and an open-addressing table over it (linear probing, at most five eighths full). */
#include "core/data/names.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/base/alloc.h"

/* By key first, which most comparisons end at. */
struct named {
    uint64_t key;
    const char *text;
    uint32_t number;
    uint32_t kind; /* decimal digits up to 64 bits, longer ones, the rest */
};

uint64_t m3_name_hash(const char *text, size_t size)
{
    return XXH3_64bits(text, size);
}

static m3_name_slot slot_for(uint32_t number, const char *text, size_t size, uint64_t hash)
{
    m3_name_slot slot = {.number = number + 1, .size = UINT8_MAX};
    if (size <= M3_NAME_INLINE) {
        slot.size = (uint8_t)size;
        memcpy(slot.text, text, size);
    } else {
        memcpy(slot.text, &hash, sizeof hash);
    }
    return slot;
}

static bool is_name(const m3_names *names, const m3_name_slot *slot, const m3_name_slot *like, const char *text,
                    size_t size)
{
    if (slot->size != like->size || memcmp(slot->text, like->text, sizeof slot->text) != 0) return false;
    if (slot->size != UINT8_MAX) return true;
    const uint32_t number = slot->number - 1;
    const size_t start = names->starts[number];
    const size_t end = number + 1 < names->count ? names->starts[number + 1] : names->used;
    return end - start == size + 1 && memcmp(names->bytes + start, text, size) == 0;
}

static uint32_t slot_of(const m3_names *names, const char *text, size_t size, uint64_t hash)
{
    const uint32_t mask = names->slot_count - 1;
    const m3_name_slot like = slot_for(0, text, size, hash);
    uint32_t at = (uint32_t)hash & mask;
    while (names->slots[at].number != 0 && !is_name(names, &names->slots[at], &like, text, size)) at = (at + 1) & mask;
    return at;
}

static m3_status grow_slots(m3_names *names, m3_error *err)
{
    const uint32_t wanted = names->slot_count == 0 ? 64 : names->slot_count * 2;
    m3_name_slot *slots = m3_calloc(wanted, sizeof *slots);
    if (slots == NULL) return M3_FAIL_MEMORY(err, "ids", (size_t)wanted * sizeof *slots);
    m3_free(names->slots);
    names->slots = slots;
    names->slot_count = wanted;
    for (uint32_t i = 0; i < names->count; i++) {
        const char *text = names->bytes + names->starts[i];
        const size_t end = i + 1 < names->count ? names->starts[i + 1] : names->used;
        const size_t size = end - names->starts[i] - 1;
        const uint64_t hash = m3_name_hash(text, size);
        uint32_t at = (uint32_t)hash & (wanted - 1);
        while (slots[at].number != 0) at = (at + 1) & (wanted - 1); /* all are different */
        slots[at] = slot_for(i, text, size, hash);
    }
    return M3_OK;
}

static m3_status make_room(m3_names *names, size_t size, m3_error *err)
{
    if (names->count >= UINT32_MAX / 4) return M3_FAIL(err, M3_ERR_RANGE, "ids", "more than %u ids", UINT32_MAX / 4);
    if (names->count >= names->slot_count / 8 * 5) {
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
    const uint64_t hash = m3_name_hash(text, size);
    const bool known = m3_names_find_hashed(names, text, size, hash, number);
    if (fresh != NULL) *fresh = !known;
    if (known) return M3_OK;
    m3_status st = make_room(names, size, err);
    if (st != M3_OK) return st;
    names->slots[slot_of(names, text, size, hash)] = slot_for(names->count, text, size, hash);
    names->starts[names->count] = names->used;
    memcpy(names->bytes + names->used, text, size);
    names->bytes[names->used + size] = '\0';
    names->used += size + 1;
    *number = names->count++;
    return M3_OK;
}

bool m3_names_find_hashed(const m3_names *names, const char *text, size_t size, uint64_t hash, uint32_t *number)
{
    if (names->slot_count == 0) return false;
    const uint32_t found = names->slots[slot_of(names, text, size, hash)].number;
    if (found == 0) return false;
    *number = found - 1;
    return true;
}

bool m3_names_find(const m3_names *names, const char *text, size_t size, uint32_t *number)
{
    return m3_names_find_hashed(names, text, size, m3_name_hash(text, size), number);
}

void m3_names_fetch(const m3_names *names, uint64_t hash, int step)
{
    if (names->slot_count == 0) return;
    const m3_name_slot *slot = &names->slots[(uint32_t)hash & (names->slot_count - 1)];
    if (step == 0)
        __builtin_prefetch(slot);
    else if (slot->number == 0 || slot->size != UINT8_MAX)
        return;
    else if (step == 1)
        __builtin_prefetch(&names->starts[slot->number - 1]);
    else
        __builtin_prefetch(names->bytes + names->starts[slot->number - 1]);
}

size_t m3_names_bytes(const m3_names *names)
{
    return names->count * sizeof *names->starts + names->used + names->slot_count * sizeof *names->slots;
}

void m3_names_forget_slots(m3_names *names)
{
    m3_free(names->slots);
    names->slots = NULL;
    names->slot_count = 0;
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

enum { SHORT_NUMBER, LONG_NUMBER, OTHER };

/* Where two have another kind or key, these say the order that m3_id_compare() says. */
static struct named named_at(const m3_names *names, uint32_t number)
{
    struct named named = {.text = m3_names_at(names, number), .number = number, .kind = OTHER};
    const size_t size = strlen(named.text), zeros = strspn(named.text, "0"), most = 19;
    if (size > 0 && strspn(named.text, "0123456789") == size) {
        named.kind = size - zeros <= most ? SHORT_NUMBER : LONG_NUMBER;
        for (size_t i = zeros; i < size && named.kind == SHORT_NUMBER; i++)
            named.key = named.key * 10 + (uint64_t)(named.text[i] - '0');
        return named;
    }
    for (size_t i = 0; i < sizeof named.key; i++)
        named.key = named.key << 8 | (i < size ? (unsigned char)named.text[i] : 0);
    return named;
}

static int by_id(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return m3_id_compare(x->text, y->text);
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
        if (keep == NULL || keep[i]) list[kept++] = named_at(names, i);
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
