/* radix_sort: stable sorting of 32-bit keys with their indices, digit by digit from the lowest. */
#ifndef CPU_OPS_RADIX_SORT_H
#define CPU_OPS_RADIX_SORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of scratch for count keys. */
static inline size_t cpu_radix_sort_bytes(size_t count)
{
    return 4 * count * sizeof(uint32_t);
}

/* By insertion, for few keys: counting digits pays off with more. */
static inline void cpu_insertion_sort(uint32_t *key, uint32_t *index, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t k = key[i], p = index[i];
        size_t at = i;
        for (; at > 0 && key[at - 1] > k; at--) {
            key[at] = key[at - 1];
            index[at] = index[at - 1];
        }
        key[at] = k;
        index[at] = p;
    }
}

/* Sort keys rising, equal ones by their index. Afterwards (*keys)[i] rise, and (*indices)[i] is where a key was before;
 * both point into scratch, whose first `count` words are the keys to be sorted. */
static inline void cpu_radix_sort(uint32_t *scratch, size_t count, const uint32_t **keys, const uint32_t **indices)
{
    enum { DIGIT = 11, DIGITS = 1 << DIGIT, PASSES = 3, FEW = 64 };
    uint32_t *key = scratch, *index = key + count, *next_key = index + count, *next_index = next_key + count;
    for (size_t i = 0; i < count; i++) index[i] = (uint32_t)i;
    *keys = key;
    *indices = index;
    if (count <= FEW) {
        cpu_insertion_sort(key, index, count);
        return;
    }
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        const uint32_t shift = pass * DIGIT;
        uint32_t start[DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++) start[key[i] >> shift & (DIGITS - 1)]++;
        if (start[key[0] >> shift & (DIGITS - 1)] == count) continue; /* all have the same digit */
        for (uint32_t d = 0; d < DIGITS; d++) {
            uint32_t here = start[d];
            start[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t to = start[key[i] >> shift & (DIGITS - 1)]++;
            next_key[to] = key[i];
            next_index[to] = index[i];
        }
        uint32_t *swap = key;
        key = next_key;
        next_key = swap;
        swap = index;
        index = next_index;
        next_index = swap;
    }
    *keys = key;
    *indices = index;
}

#endif
