/* draws: philox, random_uniform, random_normal, and those of a part of a batch. The numbers follow from seed, step,
 * site and element alone; an item makes the four elements of a block, or many blocks on a processor. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/pieces.h"

#include "m3bsr/ops.h"
#include <string.h>

static uint64_t kind_of(const m3_node *node)
{
    const char *name = node->op->name; /* with _part behind it or without */
    if (strncmp(name, "philox", strlen("philox")) == 0) return DRAW_BITS;
    return strncmp(name, "random_uniform", strlen("random_uniform")) == 0 ? DRAW_UNIFORM : DRAW_NORMAL;
}

static void lower(lower_list *l, const m3_node *node)
{
    const uint64_t count = m3_tensor_count(node->out[M3_DRAW_Y]);
    const bool processor = l->traits->kind == LOWER_PROCESSOR;
    const uint32_t vector = processor ? l->traits->vector : 1, part = processor ? 8 * vector : 1;
    const bool parted = node->op->attr_count == M3_DRAW_PART_ATTRS;
    if (count == 0) return;
    lower_dispatch *d = LOWER(l, draw, .KIND = kind_of(node), .VECTOR = vector, .PART = part, .PARTED = parted,
                              .rng = lower_tensor(l, node->in[M3_DRAW_RNG]), .y = lower_tensor(l, node->out[M3_DRAW_Y]),
                              .count = count, .site = (uint64_t)m3_node_int(node, M3_DRAW_SITE),
                              .blocks = parted ? lower_draw_blocks(count, m3_node_int(node, M3_DRAW_PART_REPEATS)) : 0);
    lower_items(d, lower_parts(count, 4 * (uint64_t)part));
}

const lower_op lower_draws_ops[] = {
    {"philox", NULL, lower},
    {"random_uniform", NULL, lower},
    {"random_normal", NULL, lower},
    {"philox_part", NULL, lower},
    {"random_uniform_part", NULL, lower},
    {"random_normal_part", NULL, lower},
    {0},
};
