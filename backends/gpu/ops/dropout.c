/* dropout: the draws are random_uniform's and never leave the kernel; an item takes whole blocks of four. */
#include "ops/list.h"

#include "ops/pieces.h"

static void lower(gpu_list *l, const m3_node *node)
{
    const double rate = node->attr[0].f;
    const uint64_t count = m3_tensor_count(node->out[0]), block = l->traits->vector >= 8 ? 4 * l->traits->vector : 4;
    const uint64_t piece = gpu_parts(gpu_piece(l->traits, count, sizeof(float)), block) * block;
    if (count == 0) return;
    gpu_dispatch *d = gpu_begin(l, "dropout", "drop");
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_read(d, node->in[0]);
    gpu_read(d, node->in[1]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, count);
    gpu_u32(d, piece);
    gpu_u32(d, (uint64_t)node->attr[1].i[0]);
    gpu_f32(d, (float)rate);
    gpu_f32(d, (float)(1.0 / (1.0 - rate)));
    gpu_items(d, gpu_parts(count, piece));
}

const gpu_op gpu_dropout_ops[] = {{"dropout", NULL, lower}, {0}};
