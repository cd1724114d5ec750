/* order: the stable order of rows of keys, by passes over their digits (shaders' sort). For devices whose groups have
 * many lanes; an item of a processor sorts alone. */
#ifndef LOWER_ORDER_H
#define LOWER_ORDER_H

#include "backends/lowering/contract.h"

typedef struct lower_order {
    lower_view key, place; /* u32 [rows, length] */
} lower_order;

/* Blocks into which a row is cut so that groups split the work; whole tiles of `lanes`. */
typedef struct lower_blocks {
    uint64_t count, length; /* of a row; elements of a block */
    uint32_t lanes;
} lower_blocks;

lower_blocks lower_blocks_of(const lower_traits *traits, uint64_t rows, uint64_t length);

/* Are there rows that need more blocks than a group can see the counts of? */
m3_status lower_order_check(const lower_traits *traits, const m3_node *node, uint64_t rows, uint64_t length,
                            m3_error *why);

/* Digits of a group, as the shaders want them: its lanes, a power of two. */
uint32_t lower_digit_bits(uint32_t lanes);

/* Bits that hold 0 to `max`. */
uint32_t lower_bits(uint64_t max);

/* Rising keys of each row of x, equal ones as they stood, with the places where they were; in scratch. rows * length
 * is not 0. keys: KEYS_U32 … */
lower_order lower_order_rows(lower_list *l, const m3_tensor *x, uint64_t rows, uint64_t length, uint32_t keys,
                             uint64_t limit, int64_t skip);

#endif
