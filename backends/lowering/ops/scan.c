/* scan: scan and cumsum along one axis of [outer, length, inner]. An item goes down a column, or a vector of columns; a
 * device that ends long loops gets the axis in several dispatches, each of which goes on from the last. */
#include "backends/lowering/contract.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

static void lower(lower_list *l, const m3_node *node)
{
    const bool sum = node->in_count == M3_CUMSUM_INPUTS;
    const m3_shape *y = &node->out[0]->shape;
    const uint32_t axis = (uint32_t)m3_node_int(node, sum ? M3_CUMSUM_AXIS : M3_SCAN_AXIS);
    const uint64_t length = y->dim[axis], part = lower_max_iterations(l->traits);
    const uint64_t vector = l->traits->kind == LOWER_SIMULATED_GPU ? 1 : l->traits->vector;
    uint64_t outer = 1, inner = 1;
    for (uint32_t i = 0; i < axis; i++) outer *= y->dim[i];
    for (uint32_t i = axis + 1; i < y->rank; i++) inner *= y->dim[i];
    for (uint64_t begin = 0; begin < length && outer * inner > 0; begin += part) {
        lower_dispatch *d =
            LOWER(l, scan, .VECTOR = vector, .DECAY = !sum, .a = lower_tensor(l, sum ? NULL : node->in[M3_SCAN_A]),
                  .b = lower_tensor(l, node->in[sum ? M3_CUMSUM_X : M3_SCAN_B]), .y = lower_tensor(l, node->out[0]),
                  .outer = outer, .length = length, .inner = inner, .begin = begin,
                  .end = begin + part < length ? begin + part : length,
                  .reverse = m3_node_flag(node, sum ? M3_CUMSUM_REVERSE : M3_SCAN_REVERSE));
        lower_items(d, outer * lower_parts(inner, vector));
    }
}

const lower_op lower_scan_ops[] = {{"scan", NULL, lower}, {"cumsum", NULL, lower}, {0}};
