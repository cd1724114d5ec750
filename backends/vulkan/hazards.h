/* hazards: which dispatches depend on which through memory. Two depend when they touch common bytes of a buffer and at
 * least one writes them. A dispatch's level is one more than that of the highest it depends on, so those of a level
 * may run side by side, and one barrier between two levels, over what the first of them wrote, is enough.
 * Nothing here depends on Vulkan. */
#ifndef VULKAN_HAZARDS_H
#define VULKAN_HAZARDS_H

#include "m3bsr/plugin.h"

/* Bytes [from, to) of a buffer as a dispatch touches them. */
typedef struct vulkan_range {
    uint32_t buffer;
    bool write;
    uint64_t from, to;
    uint32_t level; /* of the dispatch */
} vulkan_range;

/* What the dispatches so far touched. Starts with its host alone. */
typedef struct vulkan_hazards {
    const m3_host *host;
    vulkan_range *past;
    uint32_t count, capacity;
} vulkan_hazards;

/* Level of the next dispatch, which touches these ranges; 0 if it depends on none. Sets the level of each range. */
m3_status vulkan_hazards_add(vulkan_hazards *h, vulkan_range *ranges, uint32_t count, uint32_t *level, m3_error *err);
void vulkan_hazards_fini(vulkan_hazards *h);

/* Sort by buffer and offset, and join what touches or overlaps; returns how many are left. */
uint32_t vulkan_ranges_join(vulkan_range *ranges, uint32_t count);

#endif
