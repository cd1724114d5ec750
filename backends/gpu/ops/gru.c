/* gru: gru_cell and gru_cell_grad; an item takes a piece of the state. */
#include "ops/list.h"

#include "ops/pieces.h"

static void cell(gpu_list *l, const m3_node *node, const char *entry)
{
    const m3_tensor *h = node->in[2];
    const uint64_t count = m3_tensor_count(h), piece = gpu_piece(l->traits, count, sizeof(float));
    if (count == 0) return;
    gpu_dispatch *d = gpu_begin(l, "gru", entry);
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    for (uint32_t i = 0; i < node->in_count; i++) gpu_read(d, node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) gpu_write(d, node->out[i]);
    gpu_u32(d, count);
    gpu_u32(d, piece);
    gpu_u32(d, gpu_last(h));
    gpu_items(d, gpu_parts(count, piece));
}

static void lower_forward(gpu_list *l, const m3_node *node)
{
    cell(l, node, "gru_cell");
}

static void lower_backward(gpu_list *l, const m3_node *node)
{
    cell(l, node, "gru_cell_grad");
}

const gpu_op gpu_gru_ops[] = {{"gru_cell", NULL, lower_forward}, {"gru_cell_grad", NULL, lower_backward}, {0}};
