/* neighbors: which items stand together in the sequences that training may look at (MODEL.md 5.5). */
#ifndef M3_CORE_DATA_NEIGHBORS_H
#define M3_CORE_DATA_NEIGHBORS_H

#include "core/data/merged.h"

enum { M3_NEIGHBORS = 32 }; /* Q: of an item, at most */

/** Starts as {0}; m3_neighbors_fini() ends it. */
typedef struct m3_neighbors {
    uint32_t items;
    uint32_t *ids;  /**< [N+1, Q], heaviest first; 0 beyond the last */
    float *weights; /**< [N+1, Q], the sum of a row is 1, or 0 where there is none */
    double *mass;   /**< [N+1] sum of the weights of an item's events */
} m3_neighbors;

/** They lie where the merged events lie. */
m3_status m3_neighbors_create(const m3_merged *merged, uint32_t items, uint32_t behaviors, m3_neighbors *neighbors,
                              m3_error *err);
void m3_neighbors_fini(m3_neighbors *neighbors);

/** An item and how heavy it is. */
typedef struct m3_weighted {
    double weight;
    uint32_t item;
} m3_weighted;

/** Heaviest first, ties by the lower number. */
void m3_weighted_sort(m3_weighted *items, size_t count);

#endif
