/* top: a heap of the first items so far, with the last of them on top. */
#include "core/serve/top.h"

#include <string.h>

typedef struct heap {
    const void *by;
    m3_before_fn before;
    m3_recommendation *at;
    uint32_t count;
} heap;

static void sink(heap *h, uint32_t i)
{
    for (;;) {
        uint32_t worst = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < h->count; child++)
            if (h->before(h->by, h->at[worst].item, h->at[child].item)) worst = child;
        if (worst == i) return;
        const m3_recommendation other = h->at[i];
        h->at[i] = h->at[worst];
        h->at[worst] = other;
        i = worst;
    }
}

static void rise(heap *h, uint32_t i)
{
    while (i > 0 && h->before(h->by, h->at[(i - 1) / 2].item, h->at[i].item)) {
        const uint32_t parent = (i - 1) / 2;
        const m3_recommendation other = h->at[i];
        h->at[i] = h->at[parent];
        h->at[parent] = other;
        i = parent;
    }
}

static void offer(heap *h, uint32_t top, uint32_t item)
{
    if (h->count < top) {
        h->at[h->count++].item = item;
        rise(h, h->count - 1);
    } else if (h->before(h->by, item, h->at[0].item)) {
        h->at[0].item = item;
        sink(h, 0);
    }
}

uint32_t m3_top_items(const void *by, m3_before_fn before, uint32_t item_count, const uint8_t *marked, uint32_t top,
                      m3_recommendation *best)
{
    heap h = {.by = by, .before = before, .at = best};
    memset(best, 0, top * sizeof *best);
    for (uint32_t item = 1; item <= item_count; item++)
        if (marked == NULL || marked[item] == 0) offer(&h, top, item);
    const uint32_t found = h.count;
    for (uint32_t left = found; left > 1; left--) { /* the last ones go to the end */
        const m3_recommendation worst = best[0];
        best[0] = best[left - 1];
        best[left - 1] = worst;
        h.count = left - 1;
        sink(&h, 0);
    }
    return found;
}
