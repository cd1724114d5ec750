/* hazards: levels by a list of past accesses, from which those are removed that a later access replaces. */
#include "backends/vulkan/hazards.h"
#include "backends/vulkan/buffer.h"

#include <stdlib.h>
#include <string.h>

static bool overlap(const vulkan_range *a, const vulkan_range *b)
{
    return a->buffer == b->buffer && a->from < b->to && b->from < a->to;
}

static bool covers(const vulkan_range *a, const vulkan_range *b)
{
    return a->buffer == b->buffer && a->from <= b->from && b->to <= a->to;
}

static m3_status reserve(vulkan_hazards *h, uint32_t more, m3_error *err)
{
    const m3_host *host = h->host;
    if (h->count + more <= h->capacity) return M3_OK;
    const uint32_t capacity = 2 * h->capacity + more;
    vulkan_range *past = host->allocate(host->user, capacity, sizeof *past);
    if (past == NULL) return M3_FAIL_MEMORY(err, "dispatches", capacity * sizeof *past);
    if (h->count > 0) memcpy(past, h->past, h->count * sizeof *past);
    host->release(host->user, h->past);
    h->past = past;
    h->capacity = capacity;
    return M3_OK;
}

/* Whatever depends on a past access that a later write covers depends on that write too, and a past read of the same
 * bytes is no more than the later of the two: both may be removed. */
static void remember(vulkan_hazards *h, const vulkan_range *range)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        const vulkan_range *past = &h->past[i];
        const bool gone = range->level > past->level
                              ? covers(range, past) && (range->write || !past->write)
                              : range->level == past->level && covers(range, past) && range->write == past->write;
        if (!gone) h->past[kept++] = *past;
    }
    h->past[kept++] = *range;
    h->count = kept;
}

m3_status vulkan_hazards_add(vulkan_hazards *h, vulkan_range *ranges, uint32_t count, uint32_t *level, m3_error *err)
{
    const m3_status st = reserve(h, count, err);
    if (st != M3_OK) return st;
    *level = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < h->count; k++)
            if ((ranges[i].write || h->past[k].write) && overlap(&ranges[i], &h->past[k]) && h->past[k].level >= *level)
                *level = h->past[k].level + 1;
    for (uint32_t i = 0; i < count; i++) {
        ranges[i].level = *level;
        remember(h, &ranges[i]);
    }
    return M3_OK;
}

void vulkan_hazards_fini(vulkan_hazards *h)
{
    if (h->host != NULL) h->host->release(h->host->user, h->past);
    *h = (vulkan_hazards){0};
}

static int by_place(const void *a, const void *b)
{
    const vulkan_range *x = a, *y = b;
    if (x->buffer != y->buffer) return x->buffer < y->buffer ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

uint32_t vulkan_ranges_join(vulkan_range *ranges, uint32_t count)
{
    uint32_t kept = 0;
    qsort(ranges, count, sizeof *ranges, by_place);
    for (uint32_t i = 0; i < count; i++) {
        vulkan_range *last = kept > 0 ? &ranges[kept - 1] : NULL;
        if (last != NULL && last->buffer == ranges[i].buffer && ranges[i].from <= last->to) {
            if (ranges[i].to > last->to) last->to = ranges[i].to;
        } else {
            ranges[kept++] = ranges[i];
        }
    }
    return kept;
}
