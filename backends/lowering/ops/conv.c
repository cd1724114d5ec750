/* conv: causal_conv. An item makes a piece of the output. */
#include "backends/lowering/contract.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/pieces.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t taps = lower_last(node->in[M3_CAUSAL_CONV_W]), most = lower_max_iterations(traits) - 1;
    if (taps <= most) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "its filters have %llu weights; this device takes %llu",
                   (unsigned long long)taps, (unsigned long long)most);
}

static void lower(lower_list *l, const m3_node *node)
{
    const m3_tensor *y = node->out[0], *w = node->in[M3_CAUSAL_CONV_W];
    const uint64_t count = m3_tensor_count(y), channels = lower_last(y), taps = lower_last(w);
    const uint64_t groups = w->shape.rank == 3 ? w->shape.dim[0] : 1;
    const uint64_t most = lower_max_iterations(l->traits) / (taps + 1),
                   wished = lower_piece(l->traits, count, sizeof(float));
    const uint64_t piece = wished < most ? wished : most;
    if (count == 0) return;
    lower_dispatch *d =
        LOWER(l, causal_conv, .VECTOR = l->traits->vector, .x = lower_tensor(l, node->in[M3_CAUSAL_CONV_X]),
              .weight = lower_tensor(l, w), .y = lower_tensor(l, y), .count = count, .piece = piece,
              .grouped = count / groups, .length = y->shape.dim[y->shape.rank - 2], .channels = channels, .taps = taps,
              .reverse = m3_node_flag(node, M3_CAUSAL_CONV_REVERSE));
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_conv_ops[] = {{"causal_conv", supports, lower}, {0}};
