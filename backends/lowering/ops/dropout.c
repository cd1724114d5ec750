/* dropout: the draws are random_uniform's and never leave the kernel; an item takes whole blocks of four. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/ops/pieces.h"

static void lower(lower_list *l, const m3_node *node)
{
    const double rate = node->attr[0].f;
    const uint64_t count = m3_tensor_count(node->out[0]), block = l->traits->vector >= 8 ? 4 * l->traits->vector : 4;
    const uint64_t piece = lower_parts(lower_piece(l->traits, count, sizeof(float)), block) * block;
    if (count == 0) return;
    lower_dispatch *d = lower_begin(l, "dropout", "drop");
    lower_constant(d, "VECTOR", l->traits->vector);
    lower_read(d, node->in[0]);
    lower_read(d, node->in[1]);
    lower_write(d, node->out[0]);
    lower_u32(d, count);
    lower_u32(d, piece);
    lower_u32(d, (uint64_t)node->attr[1].i[0]);
    lower_f32(d, (float)rate);
    lower_f32(d, (float)(1.0 / (1.0 - rate)));
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_dropout_ops[] = {{"dropout", NULL, lower}, {0}};
