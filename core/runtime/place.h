/* place: addresses for blocks with lifetimes. */
#ifndef M3_CORE_RUNTIME_PLACE_H
#define M3_CORE_RUNTIME_PLACE_H

#include "m3bsr/base.h"

/* Bytes that are taken from step `first` to step `last`, both included. */
typedef struct m3_block {
    uint64_t bytes; /* a multiple of the alignment */
    uint32_t first, last;
    uint64_t address; /* the answer */
    bool output;      /* in the output block: never reused */
    uint32_t claimed; /* the step that last took it over in place */
} m3_block;

/** Give each block an address so that blocks that live at the same time do not overlap, and none crosses a multiple of
 * `cap`, the size of a segment. Tries several orders and keeps the best.
 * @param total  Bytes up to the highest end, summed over the segments. */
m3_status m3_place_blocks(m3_block *const *blocks, uint32_t count, uint64_t cap, uint64_t *total, m3_error *err);

/** The same in no more memory, but what a block leaves is not taken soon after its last step, as far as that costs
 * nothing: on a device that runs steps side by side, who takes it would have to wait for who read it. */
m3_status m3_place_blocks_apart(m3_block *const *blocks, uint32_t count, uint64_t cap, uint64_t *total, m3_error *err);

#endif
