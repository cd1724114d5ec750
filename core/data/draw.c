/* draw: random numbers of the host. */
#include "core/data/draw.h"

#include "core/base/philox.h"

uint64_t m3_draw(uint64_t seed, uint32_t step, uint32_t site, uint64_t element)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4] = {(uint32_t)element, site, step, (uint32_t)(element >> 32)};
    m3_philox4x32_10(words, key, words);
    return (uint64_t)words[1] << 32 | words[0];
}

/* Items below touched[i] that are left: touched[i] - 1 - i. So the k-th that is left, from 0, is k + 1 + i with i the
 * number of touched items that have at most k left below them. */
uint32_t m3_draw_item(uint64_t bits, uint32_t item_count, m3_items without)
{
    uint32_t left = item_count - without.count, low = 0, high = without.count;
    if (left == 0) return 0;
    uint32_t k = (uint32_t)(bits % left); /* 64 bits against at most 31: the bias is below 2^-33 */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (without.items[middle] - 1 - middle <= k)
            low = middle + 1;
        else
            high = middle;
    }
    return k + 1 + low;
}
