/* softmax: masked_softmax, softmax_cross_entropy and its gradient, each over the rows of x [rows, length]. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/across.h"
#include "backends/lowering/contract.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { PASSES = 3 }; /* over a row */

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    return lower_check_rows(traits, node, PASSES, why);
}

static uint32_t lanes_of(const lower_traits *traits, const m3_tensor *x)
{
    return lower_pass_lanes(traits, lower_last(x), PASSES);
}

/* Rows are those of the first input. */
uint32_t lower_softmax_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    if (m3_tensor_count(node->in[0]) == 0) return 0;
    return lower_across_variants(traits, node, lanes_of(traits, node->in[0]), class_text, names);
}

static void finish(lower_dispatch *d, const m3_tensor *x)
{
    lower_pieces(d, lower_row_count(x), lower_last(x), lanes_of(d->list->traits, x));
}

#define CONSTANTS(axes, step)                                                                                          \
    .VECTOR = l->traits->vector, .AXES = (axes), .STEP = (step), .LANES = lanes_of(l->traits, x),                      \
    .SUBGROUP = lower_across(l, lanes_of(l->traits, x))

/* Rows of the mask stand still along the axes where it is broadcast: a row's mask starts at the sum of the strides
 * times the row's place along the axes, of which the kernel takes SOFTMAX_AXES. */
_Static_assert(SOFTMAX_AXES == M3_MAX_RANK - 1, "a row has a place along every axis but the last");

static void emit_masked(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[M3_MASKED_SOFTMAX_X], *mask = node->in[M3_MASKED_SOFTMAX_MASK];
    const uint64_t mask_length = lower_last(mask);
    m3_shape rows = x->shape, mask_rows = mask->shape;
    const m3_shape *operand = &mask_rows;
    if (m3_tensor_count(x) == 0) return;
    rows.rank--;
    if (mask_rows.rank > 0) mask_rows.rank--;
    const lower_axes axes = lower_axes_of(&rows, &operand, 1);
    uint64_t dim[SOFTMAX_AXES], stride[SOFTMAX_AXES];
    for (uint32_t i = 0; i < SOFTMAX_AXES; i++) {
        dim[i] = i < axes.rank ? axes.dim[i] : 1;
        stride[i] = i < axes.rank ? axes.stride[0][i] * mask_length : 0;
    }
    lower_dispatch *d = LOWER(
        l, masked_softmax, CONSTANTS(axes.rank, mask_length == 1 ? 0 : 1), .x = lower_tensor(l, x),
        .mask = lower_tensor(l, mask), .y = lower_tensor(l, node->out[M3_MASKED_SOFTMAX_Y]), .rows = lower_row_count(x),
        .length = lower_last(x), .dim0 = dim[0], .dim1 = dim[1], .dim2 = dim[2], .dim3 = dim[3], .dim4 = dim[4],
        .stride0 = stride[0], .stride1 = stride[1], .stride2 = stride[2], .stride3 = stride[3], .stride4 = stride[4]);
    finish(d, x);
}

static void emit_loss(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[M3_SOFTMAX_CROSS_ENTROPY_LOGITS];
    if (m3_tensor_count(node->out[M3_SOFTMAX_CROSS_ENTROPY_LOSS]) == 0) return;
    lower_dispatch *d = LOWER(l, cross_entropy, CONSTANTS(1, 0), .x = lower_tensor(l, x),
                              .target = lower_tensor(l, node->in[M3_SOFTMAX_CROSS_ENTROPY_TARGET]),
                              .y = lower_tensor(l, node->out[M3_SOFTMAX_CROSS_ENTROPY_LOSS]),
                              .rows = lower_row_count(x), .length = lower_last(x));
    finish(d, x);
}

static void emit_slope(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[M3_SOFTMAX_CROSS_ENTROPY_GRAD_LOGITS];
    if (m3_tensor_count(x) == 0) return;
    lower_dispatch *d = LOWER(l, cross_entropy_grad, CONSTANTS(1, 0), .x = lower_tensor(l, x),
                              .target = lower_tensor(l, node->in[M3_SOFTMAX_CROSS_ENTROPY_GRAD_TARGET]),
                              .dloss = lower_tensor(l, node->in[M3_SOFTMAX_CROSS_ENTROPY_GRAD_DLOSS]),
                              .dx = lower_tensor(l, node->out[M3_SOFTMAX_CROSS_ENTROPY_GRAD_DLOGITS]),
                              .rows = lower_row_count(x), .length = lower_last(x));
    finish(d, x);
}

const lower_op lower_softmax_ops[] = {{"masked_softmax", supports, emit_masked},
                                      {"softmax_cross_entropy", supports, emit_loss},
                                      {"softmax_cross_entropy_grad", supports, emit_slope},
                                      {0}};
