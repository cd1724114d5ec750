/* draws: philox, random_uniform, random_normal. The numbers follow from seed, step, site and element alone; an item
 * makes the four elements of a block, or many blocks on a processor. */
#include "backends/lowering/ops/list.h"

#include <string.h>

static void lower(lower_list *l, const m3_node *node)
{
    const char *name = node->op->name;
    const uint64_t count = m3_tensor_count(node->out[0]);
    const bool processor = l->traits->lanes == 1;
    const uint32_t vector = processor ? l->traits->vector : 1, part = processor ? 8 * vector : 1;
    if (count == 0) return;
    lower_dispatch *d = lower_begin(l, "draws", "draw");
    lower_constant(d, "KIND", strcmp(name, "philox") == 0 ? 0 : strcmp(name, "random_uniform") == 0 ? 1 : 2);
    lower_constant(d, "VECTOR", vector);
    lower_constant(d, "PART", part);
    lower_read(d, node->in[0]);
    lower_write(d, node->out[0]);
    lower_u32(d, count);
    lower_u32(d, (uint64_t)node->attr[1].i[0]);
    lower_items(d, lower_parts(count, 4 * (uint64_t)part));
}

const lower_op lower_draws_ops[] = {
    {"philox", NULL, lower}, {"random_uniform", NULL, lower}, {"random_normal", NULL, lower}, {0}};
