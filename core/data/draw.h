/* draw: random numbers of the host: the same generator as the graph's (core/ops/philox.c), at sites that no graph uses.
 * A draw is a pure function of what keys it. */
#ifndef M3_CORE_DATA_DRAW_H
#define M3_CORE_DATA_DRAW_H

#include "m3bsr/data.h"

enum { M3_SITE_ORDER = 0x10000, M3_SITE_NEGATIVES = 0x10001, M3_SITE_UNI99 = 0x10002, M3_SITE_BENCH = 0x10003 };

/** 64 random bits of (seed, step, site, element). */
uint64_t m3_draw(uint64_t seed, uint32_t step, uint32_t site, uint64_t element);
/** Uniform over the items 1..N without `without` (rising, no repeats); 0 when nothing is left. Exact, no rejection. */
uint32_t m3_draw_item(uint64_t bits, uint32_t item_count, m3_items without);

#endif
