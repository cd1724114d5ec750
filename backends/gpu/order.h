/* order: the stable order of rows of keys, by passes over their digits (shaders' sort). For devices whose groups have
 * many lanes; an item of a processor sorts alone. */
#ifndef GPU_ORDER_H
#define GPU_ORDER_H

#include "lower.h"

/* What a key is made of: KEYS of the shaders. */
typedef enum gpu_keys {
    GPU_KEYS = 0, /* a key already */
    GPU_KEYS_U32 = 1,
    GPU_KEYS_I32 = 2,
    GPU_KEYS_F32 = 3,
    GPU_KEYS_FALLING = 4, /* f32, the largest first */
    GPU_KEYS_IDS = 5      /* an id below the limit that is not skip is its own key; all others have the limit's */
} gpu_keys;

typedef struct gpu_order {
    gpu_view key, place; /* u32 [rows, length] */
} gpu_order;

/* Blocks into which a row is cut so that groups share the work; whole tiles of `lanes`. */
typedef struct gpu_blocks {
    uint64_t count, length; /* of a row; elements of a block */
    uint32_t lanes;
} gpu_blocks;

gpu_blocks gpu_blocks_of(const gpu_traits *traits, uint64_t rows, uint64_t length);

/* Are there rows that need more blocks than a group can see the counts of? */
m3_status gpu_order_check(const gpu_traits *traits, const m3_node *node, uint64_t rows, uint64_t length, m3_error *why);

/* Digits of a group, as the shaders want them: its lanes, a power of two. */
uint32_t gpu_digit_bits(uint32_t lanes);

/* Bits that hold 0 to `most`. */
uint32_t gpu_bits(uint64_t most);

/* Rising keys of each row of x, equal ones as they stood, with the places where they were; in scratch. rows * length
 * is not 0. */
gpu_order gpu_order_rows(gpu_list *l, const m3_tensor *x, uint64_t rows, uint64_t length, gpu_keys keys, uint64_t limit,
                         int64_t skip);

#endif
