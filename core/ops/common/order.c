/* order: sorting of values with their places. The index decides between equal values, so qsort is stable here. */
#include "core/ops/common/order.h"

#include <math.h>
#include <stdlib.h>

static int by_index(const m3_ranked *a, const m3_ranked *b)
{
    return (a->index > b->index) - (a->index < b->index);
}

static int rising(const void *left, const void *right)
{
    const m3_ranked *a = left, *b = right;
    if (isnan(a->value) || isnan(b->value)) {
        int after = (isnan(a->value) != 0) - (isnan(b->value) != 0);
        return after != 0 ? after : by_index(a, b);
    }
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return by_index(a, b);
}

static int falling(const void *left, const void *right)
{
    const m3_ranked *a = left, *b = right;
    double x = isnan(a->value) ? -INFINITY : a->value, y = isnan(b->value) ? -INFINITY : b->value;
    if (x != y) return x > y ? -1 : 1;
    return by_index(a, b);
}

void m3_order_rising(m3_ranked *item, uint64_t count)
{
    if (count > 1) qsort(item, count, sizeof *item, rising);
}

void m3_order_falling(m3_ranked *item, uint64_t count)
{
    if (count > 1) qsort(item, count, sizeof *item, falling);
}
