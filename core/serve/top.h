/* top: the first of many items in an order. */
#ifndef M3_CORE_SERVE_TOP_H
#define M3_CORE_SERVE_TOP_H

#include "m3bsr/serve.h"

/** Whether item a comes before item b: a total order over different items. */
typedef bool (*m3_before_fn)(const void *by, uint32_t a, uint32_t b);

/** The first `top` items of 1..N that are not marked.
 * @param marked  [N+1], non-zero: skip; NULL: none.
 * @param best    [top], the first one first, then item 0; scores are left 0.
 * Returns how many there are. */
uint32_t m3_top_items(const void *by, m3_before_fn before, uint32_t item_count, const uint8_t *marked, uint32_t top,
                      m3_recommendation *best);

#endif
