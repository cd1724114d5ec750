/* gru: gru_cell and gru_cell_grad; an item takes a piece of the state. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/pieces.h"
#include "m3bsr/ops.h"

static void emit_cell(lower_list *l, const m3_node *node)
{
    const m3_tensor *h = node->in[M3_GRU_CELL_H];
    const uint64_t count = m3_tensor_count(h), piece = lower_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    lower_dispatch *d =
        LOWER(l, gru_cell, .VECTOR = l->traits->vector, .xi = lower_tensor(l, node->in[M3_GRU_CELL_XI]),
              .hh = lower_tensor(l, node->in[M3_GRU_CELL_HH]), .h = lower_tensor(l, h),
              .mask = lower_tensor(l, node->in[M3_GRU_CELL_MASK]), .y = lower_tensor(l, node->out[M3_GRU_CELL_Y]),
              .count = count, .piece = piece, .width = lower_last(h));
    lower_items(d, lower_parts(count, piece));
}

static void emit_grad(lower_list *l, const m3_node *node)
{
    const m3_tensor *h = node->in[M3_GRU_CELL_GRAD_H];
    const uint64_t count = m3_tensor_count(h), piece = lower_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    lower_dispatch *d = LOWER(
        l, gru_cell_grad, .VECTOR = l->traits->vector, .xi = lower_tensor(l, node->in[M3_GRU_CELL_GRAD_XI]),
        .hh = lower_tensor(l, node->in[M3_GRU_CELL_GRAD_HH]), .h = lower_tensor(l, h),
        .mask = lower_tensor(l, node->in[M3_GRU_CELL_GRAD_MASK]), .dy = lower_tensor(l, node->in[M3_GRU_CELL_GRAD_DY]),
        .dxi = lower_tensor(l, node->out[M3_GRU_CELL_GRAD_DXI]),
        .dhh = lower_tensor(l, node->out[M3_GRU_CELL_GRAD_DHH]), .dh = lower_tensor(l, node->out[M3_GRU_CELL_GRAD_DH]),
        .count = count, .piece = piece, .width = lower_last(h));
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_gru_ops[] = {{"gru_cell", NULL, emit_cell}, {"gru_cell_grad", NULL, emit_grad}, {0}};
