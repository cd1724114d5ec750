/* split: how rows and pieces of work are divided among items. */
#ifndef LOWER_OPS_SPLIT_H
#define LOWER_OPS_SPLIT_H

#include "backends/lowering/lower.h"

/* Iterations of all loops that an item may make. */
static inline uint32_t lower_max_iterations(const lower_traits *traits)
{
    return traits->kind == LOWER_SIMULATED_GPU ? 65000 : UINT32_MAX;
}

/* Items that share a row of so many elements: a processor's item takes it alone, and a group grows with the row. */
static inline uint32_t lower_row_lanes(const lower_traits *traits, uint64_t length)
{
    uint32_t lanes = traits->lanes;
    while (lanes > 1 && 2 * lanes <= traits->group && 16 * (uint64_t)lanes <= length) lanes *= 2;
    return lanes;
}

/* The same for kernels that let an item of a device that is simulated take a row alone too, if it may iterate so often:
 * `passes` times over the row. */
static inline uint32_t lower_pass_lanes(const lower_traits *traits, uint64_t length, uint32_t passes)
{
    if (traits->kind != LOWER_SIMULATED_GPU) return lower_row_lanes(traits, length);
    uint32_t lanes = passes * length <= lower_max_iterations(traits) ? 1 : traits->simulated;
    while (passes * lower_parts(length, lanes) > lower_max_iterations(traits) && 2 * lanes <= traits->group) lanes *= 2;
    return lanes;
}

/* Is a row too long for any group? */
static inline m3_status lower_check_rows(const lower_traits *traits, const m3_node *node, uint32_t passes,
                                         m3_error *why)
{
    const uint64_t max = (uint64_t)traits->group * (lower_max_iterations(traits) / passes);
    if (lower_last(node->in[0]) <= max) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "its rows have %llu elements; this device, which is simulated, takes %llu",
                   (unsigned long long)lower_last(node->in[0]), (unsigned long long)max);
}

/* Geometry of `pieces` that an item each takes, or a group of `lanes` > 1 items; the kernel numbers them as rows.
 * Groups are what a processor divides among its cores, so a big piece is a group of its own, or a vector of them
 * is. */
static inline void lower_pieces(lower_dispatch *d, uint64_t pieces, uint64_t elements, uint32_t lanes)
{
    enum { BIG = 4096 }; /* elements beside which the start of a group is nothing */
    const lower_traits *traits = d->list->traits;
    const uint32_t group = traits->kind == LOWER_SIMULATED_GPU ? traits->simulated : 1;
    const uint64_t groups = lower_parts(pieces, group);
    lower_rows(d, pieces, lanes);
    if (lanes == 1 && elements >= BIG / group && groups <= traits->largest_count[0])
        lower_groups(d, groups, 1, 1, group, 1, 1);
}

/* The largest power of two that is not above x; 1 of 0. */
static inline uint32_t lower_power_below(uint64_t x)
{
    uint32_t power = 1;
    while (power < (1u << 30) && 2 * (uint64_t)power <= x) power *= 2;
    return power;
}

/* Slices of a sum of `length` down columns that lie `width` beside each other: items of a group of `lanes` that work
 * on one column. Neighbours take neighbouring words, and each item has some to add. */
static inline uint32_t lower_slices(const lower_traits *traits, uint32_t lanes, uint64_t length, uint64_t width)
{
    if (traits->kind == LOWER_SIMULATED_GPU) return 1;
    const uint32_t widest = traits->lanes < lanes ? traits->lanes : lanes;
    const uint32_t beside = lower_power_below(2 * width - 1) < widest ? lower_power_below(2 * width - 1) : widest;
    const uint32_t max = lanes / beside;
    return lower_power_below(length / 4) < max ? lower_power_below(length / 4) : max;
}

#endif
