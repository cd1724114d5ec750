/* gru: gru_cell and gru_cell_grad; an item takes a piece of the state. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/ops/pieces.h"

static void cell(lower_list *l, const m3_node *node, const char *entry)
{
    const m3_tensor *h = node->in[2];
    const uint64_t count = m3_tensor_count(h), piece = lower_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    lower_dispatch *d = lower_begin(l, "gru", entry);
    lower_constant(d, "VECTOR", (int32_t)l->traits->vector);
    for (uint32_t i = 0; i < node->in_count; i++) lower_read(d, node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) lower_write(d, node->out[i]);
    lower_u32(d, count);
    lower_u32(d, piece);
    lower_u32(d, lower_last(h));
    lower_items(d, lower_parts(count, piece));
}

static void emit_forward(lower_list *l, const m3_node *node)
{
    cell(l, node, "gru_cell");
}

static void emit_backward(lower_list *l, const m3_node *node)
{
    cell(l, node, "gru_cell_grad");
}

const lower_op lower_gru_ops[] = {{"gru_cell", NULL, emit_forward}, {"gru_cell_grad", NULL, emit_backward}, {0}};
