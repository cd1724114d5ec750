/* pieces: how many neighbouring elements of an output an item makes, and a draw takes. */
#ifndef LOWER_OPS_PIECES_H
#define LOWER_OPS_PIECES_H

#include "backends/lowering/lower.h"

/* Items of a processor, and those that it plays, take long pieces, but there are enough of them to keep its units busy;
 * other items take a vector. A piece is whole vectors and, where elements are narrower, whole words: no two items write
 * into the same one. Items that are played together lie an odd number of cache lines apart, so that they do not contend
 * for the same part of a cache. */
static inline uint64_t lower_piece(const lower_traits *traits, uint64_t count, uint64_t element_bytes)
{
    enum { MIN_PIECE = 256, MAX_PIECE = 8192, LINE_BYTES = 64, MAX_LINES = 63, GROUPS_OF_UNIT = 8 };
    const uint64_t word = 4 / element_bytes > traits->vector ? 4 / element_bytes : traits->vector;
    const uint64_t fair = lower_parts(count, (uint64_t)traits->units * GROUPS_OF_UNIT * traits->group);
    if (traits->kind == LOWER_SIMULATED_GPU) {
        const uint64_t line = LINE_BYTES / element_bytes, lines = lower_parts(fair, line) | 1;
        return (lines < MAX_LINES ? lines : MAX_LINES) * line;
    }
    if (traits->kind != LOWER_PROCESSOR) return word;
    const uint64_t piece = lower_parts(fair, word) * word;
    return piece < MIN_PIECE ? MIN_PIECE : piece > MAX_PIECE ? MAX_PIECE : piece;
}

/* Blocks of four that a batch takes in a draw, where it stands `repeats` times among `count` elements. */
static inline uint64_t lower_draw_blocks(uint64_t count, int64_t repeats)
{
    return lower_parts(count / (uint64_t)repeats, 4);
}

#endif
