/* draws: philox, random_uniform, random_normal. The numbers follow from seed, step, site and element alone; an item
 * makes the four elements of a block, or many blocks on a processor. */
#include "ops/list.h"

#include <string.h>

static void lower(gpu_list *l, const m3_node *node)
{
    const char *name = node->op->name;
    const uint64_t count = m3_tensor_count(node->out[0]);
    const bool processor = l->traits->lanes == 1;
    const uint32_t vector = processor ? l->traits->vector : 1, part = processor ? 8 * vector : 1;
    if (count == 0) return;
    gpu_dispatch *d = gpu_begin(l, "draws", "draw");
    gpu_constant(d, "KIND", strcmp(name, "philox") == 0 ? 0 : strcmp(name, "random_uniform") == 0 ? 1 : 2);
    gpu_constant(d, "VECTOR", (int32_t)vector);
    gpu_constant(d, "PART", (int32_t)part);
    gpu_read(d, node->in[0]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, count);
    gpu_u32(d, (uint64_t)node->attr[1].i[0]);
    gpu_items(d, gpu_parts(count, 4 * (uint64_t)part));
}

const gpu_op gpu_draws_ops[] = {
    {"philox", NULL, lower}, {"random_uniform", NULL, lower}, {"random_normal", NULL, lower}, {0}};
