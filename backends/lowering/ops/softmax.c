/* softmax: masked_softmax, softmax_cross_entropy and its gradient, each over the rows of x [rows, length]. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/ops/share.h"

enum { WALKS = 3 }; /* over a row */

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    return share_check(traits, node, WALKS, why);
}

static void finish(lower_dispatch *d, const m3_tensor *x)
{
    const uint64_t length = lower_last(x);
    share_pieces(d, lower_row_count(x), length, share_walks(d->list->traits, length, WALKS));
}

/* Rows of the mask stand still along the axes where it is broadcast: a row's mask starts at the sum of the strides
 * times the row's place along the axes, of which the kernel takes MAX_AXES. */
static void emit_masked(lower_list *l, const m3_node *node)
{
    enum { MAX_AXES = M3_MAX_RANK - 1 };
    const m3_tensor *x = node->in[0], *mask = node->in[1];
    const uint64_t mask_length = lower_last(mask);
    m3_shape rows = x->shape, mask_rows = mask->shape;
    const m3_shape *operand = &mask_rows;
    if (m3_tensor_count(x) == 0) return;
    rows.rank--;
    if (mask_rows.rank > 0) mask_rows.rank--;
    const lower_axes axes = lower_axes_of(&rows, &operand, 1);
    lower_dispatch *d = lower_begin(l, "softmax", "masked_softmax");
    lower_constant(d, "VECTOR", l->traits->vector);
    lower_constant(d, "AXES", axes.rank);
    lower_constant(d, "STEP", mask_length == 1 ? 0 : 1);
    lower_read(d, x);
    lower_read(d, mask);
    lower_write(d, node->out[0]);
    lower_u32(d, lower_row_count(x));
    lower_u32(d, lower_last(x));
    for (uint32_t i = 0; i < MAX_AXES; i++) lower_u32(d, i < axes.rank ? axes.dim[i] : 1);
    for (uint32_t i = 0; i < MAX_AXES; i++) lower_u32(d, i < axes.rank ? axes.stride[0][i] * mask_length : 0);
    finish(d, x);
}

static void emit_loss(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    if (m3_tensor_count(node->out[0]) == 0) return;
    lower_dispatch *d = lower_begin(l, "softmax", "cross_entropy");
    lower_constant(d, "VECTOR", l->traits->vector);
    lower_constant(d, "AXES", 1);
    lower_constant(d, "STEP", 0);
    lower_read(d, x);
    lower_read(d, node->in[1]);
    lower_write(d, node->out[0]);
    lower_u32(d, lower_row_count(x));
    lower_u32(d, lower_last(x));
    finish(d, x);
}

static void emit_slope(lower_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    if (m3_tensor_count(x) == 0) return;
    lower_dispatch *d = lower_begin(l, "softmax", "cross_entropy_grad");
    lower_constant(d, "VECTOR", l->traits->vector);
    lower_constant(d, "AXES", 1);
    lower_constant(d, "STEP", 0);
    lower_read(d, x);
    lower_read(d, node->in[1]);
    lower_read(d, node->in[2]);
    lower_write(d, node->out[0]);
    lower_u32(d, lower_row_count(x));
    lower_u32(d, lower_last(x));
    finish(d, x);
}

const lower_op lower_softmax_ops[] = {{"masked_softmax", supports, emit_masked},
                                      {"softmax_cross_entropy", supports, emit_loss},
                                      {"softmax_cross_entropy_grad", supports, emit_slope},
                                      {0}};
