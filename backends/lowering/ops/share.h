/* share: how rows and pieces of work are given to items. */
#ifndef LOWER_OPS_SHARE_H
#define LOWER_OPS_SHARE_H

#include "backends/lowering/lower.h"

/* Turns of loops that an item may make in all. */
static inline uint32_t share_turns(const lower_traits *traits)
{
    return traits->kind == LOWER_SIMULATED_GPU ? 65000 : UINT32_MAX;
}

/* Items that share a row of so many elements: a processor's item takes it alone, and a group grows with the row. */
static inline uint32_t share_row(const lower_traits *traits, uint64_t length)
{
    uint32_t lanes = traits->lanes;
    while (lanes > 1 && 2 * lanes <= traits->group && 16 * (uint64_t)lanes <= length) lanes *= 2;
    return lanes;
}

/* The same for kernels that let an item of a device that is simulated take a row alone too, if it may turn so often:
 * `walks` times over the row. */
static inline uint32_t share_walks(const lower_traits *traits, uint64_t length, uint32_t walks)
{
    if (traits->kind != LOWER_SIMULATED_GPU) return share_row(traits, length);
    uint32_t lanes = walks * length <= share_turns(traits) ? 1 : traits->simulated;
    while (walks * lower_parts(length, lanes) > share_turns(traits) && 2 * lanes <= traits->group) lanes *= 2;
    return lanes;
}

/* Is a row too long for any group? */
static inline m3_status share_check(const lower_traits *traits, const m3_node *node, uint32_t walks, m3_error *why)
{
    const uint64_t most = (uint64_t)traits->group * (share_turns(traits) / walks);
    if (lower_last(node->in[0]) <= most) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "its rows have %llu elements; this device, which is simulated, takes %llu",
                   (unsigned long long)lower_last(node->in[0]), (unsigned long long)most);
}

/* Geometry of `pieces` that an item each takes, or a group of `lanes` > 1 items; the kernel numbers them as rows.
 * Groups are what a processor shares out between its cores, so a big piece is a group of its own, or a vector of them
 * is. */
static inline void share_pieces(lower_dispatch *d, uint64_t pieces, uint64_t elements, uint32_t lanes)
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
static inline uint32_t share_power(uint64_t x)
{
    uint32_t power = 1;
    while (power < (1u << 30) && 2 * (uint64_t)power <= x) power *= 2;
    return power;
}

/* Slices of a sum of `length` down columns that lie `width` beside each other: items of a group of `lanes` that work
 * on one column. Neighbours take neighbouring words, and each item has some to add. */
static inline uint32_t share_slices(const lower_traits *traits, uint32_t lanes, uint64_t length, uint64_t width)
{
    if (traits->kind == LOWER_SIMULATED_GPU) return 1;
    const uint32_t widest = traits->lanes < lanes ? traits->lanes : lanes;
    const uint32_t beside = share_power(2 * width - 1) < widest ? share_power(2 * width - 1) : widest;
    const uint32_t most = lanes / beside;
    return share_power(length / 4) < most ? share_power(length / 4) : most;
}

#endif
