/* gru: gru_cell and gru_cell_grad; an item takes a piece of the state. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/pieces.h"

static void emit_cell(lower_list *l, const m3_node *node)
{
    const m3_tensor *h = node->in[2];
    const uint64_t count = m3_tensor_count(h), piece = lower_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    lower_dispatch *d =
        LOWER(l, gru_cell, .VECTOR = l->traits->vector, .xi = lower_tensor(l, node->in[0]),
              .hh = lower_tensor(l, node->in[1]), .h = lower_tensor(l, h), .mask = lower_tensor(l, node->in[3]),
              .y = lower_tensor(l, node->out[0]), .count = count, .piece = piece, .width = lower_last(h));
    lower_items(d, lower_parts(count, piece));
}

static void emit_grad(lower_list *l, const m3_node *node)
{
    const m3_tensor *h = node->in[2];
    const uint64_t count = m3_tensor_count(h), piece = lower_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    lower_dispatch *d = LOWER(
        l, gru_cell_grad, .VECTOR = l->traits->vector, .xi = lower_tensor(l, node->in[0]),
        .hh = lower_tensor(l, node->in[1]), .h = lower_tensor(l, h), .mask = lower_tensor(l, node->in[3]),
        .dy = lower_tensor(l, node->in[4]), .dxi = lower_tensor(l, node->out[0]), .dhh = lower_tensor(l, node->out[1]),
        .dh = lower_tensor(l, node->out[2]), .count = count, .piece = piece, .width = lower_last(h));
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_gru_ops[] = {{"gru_cell", NULL, emit_cell}, {"gru_cell_grad", NULL, emit_grad}, {0}};
