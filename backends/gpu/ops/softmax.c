/* softmax: masked_softmax, softmax_cross_entropy and its gradient, each over the rows of x [rows, length]. */
#include "ops/list.h"

#include "ops/share.h"

enum { WALKS = 3 }; /* over a row */

static m3_status supports(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    return share_check(traits, node, WALKS, why);
}

static void finish(gpu_dispatch *d, const m3_tensor *x)
{
    const uint64_t length = gpu_last(x);
    share_pieces(d, gpu_row_count(x), length, share_walks(d->list->traits, length, WALKS));
}

/* Rows of the mask stand still along the axes where it is broadcast: a row's mask starts at the sum of the strides
 * times the row's place along the axes, of which the kernel takes MAX_AXES. */
static void lower_masked(gpu_list *l, const m3_node *node)
{
    enum { MAX_AXES = M3_MAX_RANK - 1 };
    const m3_tensor *x = node->in[0], *mask = node->in[1];
    const uint64_t mask_length = gpu_last(mask);
    m3_shape rows = x->shape, mask_rows = mask->shape;
    const m3_shape *operand = &mask_rows;
    if (m3_tensor_count(x) == 0) return;
    rows.rank--;
    if (mask_rows.rank > 0) mask_rows.rank--;
    const gpu_axes axes = gpu_axes_of(&rows, &operand, 1);
    gpu_dispatch *d = gpu_begin(l, "softmax", "masked_softmax");
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_constant(d, "AXES", (int32_t)axes.rank);
    gpu_constant(d, "STEP", mask_length == 1 ? 0 : 1);
    gpu_read(d, x);
    gpu_read(d, mask);
    gpu_write(d, node->out[0]);
    gpu_u32(d, gpu_row_count(x));
    gpu_u32(d, gpu_last(x));
    for (uint32_t i = 0; i < MAX_AXES; i++) gpu_u32(d, i < axes.rank ? axes.dim[i] : 1);
    for (uint32_t i = 0; i < MAX_AXES; i++) gpu_u32(d, i < axes.rank ? axes.stride[0][i] * mask_length : 0);
    finish(d, x);
}

static void lower_loss(gpu_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    if (m3_tensor_count(node->out[0]) == 0) return;
    gpu_dispatch *d = gpu_begin(l, "softmax", "cross_entropy");
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_constant(d, "AXES", 1);
    gpu_constant(d, "STEP", 0);
    gpu_read(d, x);
    gpu_read(d, node->in[1]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, gpu_row_count(x));
    gpu_u32(d, gpu_last(x));
    finish(d, x);
}

static void lower_slope(gpu_list *l, const m3_node *node)
{
    const m3_tensor *x = node->in[0];
    if (m3_tensor_count(x) == 0) return;
    gpu_dispatch *d = gpu_begin(l, "softmax", "cross_entropy_grad");
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_constant(d, "AXES", 1);
    gpu_constant(d, "STEP", 0);
    gpu_read(d, x);
    gpu_read(d, node->in[1]);
    gpu_read(d, node->in[2]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, gpu_row_count(x));
    gpu_u32(d, gpu_last(x));
    finish(d, x);
}

const gpu_op gpu_softmax_ops[] = {{"masked_softmax", supports, lower_masked},
                                  {"softmax_cross_entropy", supports, lower_loss},
                                  {"softmax_cross_entropy_grad", supports, lower_slope},
                                  {0}};
