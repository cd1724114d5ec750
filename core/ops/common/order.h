/* order: sorting of values with their places, for .evaluate of the ops that sort. */
#ifndef M3_CORE_OPS_COMMON_ORDER_H
#define M3_CORE_OPS_COMMON_ORDER_H

#include "m3bsr/base.h"

typedef struct m3_ranked {
    double value;
    uint64_t index;
} m3_ranked;

/** Rising values, NaN behind all others; equal ones (0 and -0 too) in rising index order. */
void m3_order_rising(m3_ranked *item, uint64_t count);
/** Falling values, NaN as -infinity; equal ones in rising index order. */
void m3_order_falling(m3_ranked *item, uint64_t count);

#endif
