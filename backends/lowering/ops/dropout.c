/* dropout: the draws are random_uniform's and never leave the kernel; an item takes whole blocks of four. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/pieces.h"
#include "m3bsr/ops.h"

static void lower(lower_list *l, const m3_node *node)
{
    const double rate = m3_node_float(node, M3_DROPOUT_RATE);
    const uint64_t count = m3_tensor_count(node->out[M3_DROPOUT_Y]),
                   block = l->traits->vector >= 8 ? 4 * l->traits->vector : 4;
    const uint64_t piece = lower_parts(lower_piece(l->traits, count, sizeof(float)), block) * block;
    const bool parted = node->op->attr_count == M3_DROPOUT_PART_ATTRS;
    if (count == 0) return;
    lower_dispatch *d =
        LOWER(l, drop, .VECTOR = l->traits->vector, .PARTED = parted, .x = lower_tensor(l, node->in[M3_DROPOUT_X]),
              .rng = lower_tensor(l, node->in[M3_DROPOUT_RNG]), .y = lower_tensor(l, node->out[M3_DROPOUT_Y]),
              .count = count, .piece = piece, .site = (uint64_t)m3_node_int(node, M3_DROPOUT_SITE), .rate = (float)rate,
              .blocks = parted ? lower_draw_blocks(count, m3_node_int(node, M3_DROPOUT_PART_REPEATS)) : 0,
              .factor = (float)(1.0 / (1.0 - rate)));
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_dropout_ops[] = {{"dropout", NULL, lower}, {"dropout_part", NULL, lower}, {0}};
