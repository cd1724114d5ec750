/* order: stable sorting of 32-bit keys with their places, by counting digits. */
#ifndef CPU_OPS_ORDER_H
#define CPU_OPS_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of scratch that cpu_order wants for count keys. */
static inline size_t cpu_order_bytes(size_t count)
{
    return 4 * count * sizeof(uint32_t);
}

/* By insertion: what counting costs is paid off by more. */
static inline void cpu_order_few(uint32_t *key, uint32_t *place, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t k = key[i], p = place[i];
        size_t at = i;
        for (; at > 0 && key[at - 1] > k; at--) {
            key[at] = key[at - 1];
            place[at] = place[at - 1];
        }
        key[at] = k;
        place[at] = p;
    }
}

/* Sort keys rising, equal ones by their place. Behind it (*keys)[i] lies in rising order and (*places)[i] says where it
 * was; both point into scratch, where the caller has put the keys as the first `count` words. */
static inline void cpu_order(uint32_t *scratch, size_t count, const uint32_t **keys, const uint32_t **places)
{
    enum { DIGIT = 11, DIGITS = 1 << DIGIT, PASSES = 3, FEW = 64 };
    uint32_t *key = scratch, *place = key + count, *next_key = place + count, *next_place = next_key + count;
    for (size_t i = 0; i < count; i++) place[i] = (uint32_t)i;
    *keys = key;
    *places = place;
    if (count <= FEW) {
        cpu_order_few(key, place, count);
        return;
    }
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        const uint32_t shift = pass * DIGIT;
        uint32_t start[DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++) start[key[i] >> shift & (DIGITS - 1)]++;
        if (start[key[0] >> shift & (DIGITS - 1)] == count) continue; /* all equal here */
        for (uint32_t d = 0; d < DIGITS; d++) {
            uint32_t here = start[d];
            start[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t to = start[key[i] >> shift & (DIGITS - 1)]++;
            next_key[to] = key[i];
            next_place[to] = place[i];
        }
        uint32_t *swap = key;
        key = next_key, next_key = swap;
        swap = place, place = next_place, next_place = swap;
    }
    *keys = key;
    *places = place;
}

#endif
