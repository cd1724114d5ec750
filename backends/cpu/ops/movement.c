/* movement: reshape, copy, transpose, broadcast, slice, pad, flip, concat, iota. All but the last are strided copies of
 * boxes: the element at (i, j, …) goes from sum of i * from_stride to sum of i * to_stride. A broadcast and the zeros
 * of a pad have strides of 0 on the side of `from`, the axis of a flip has a negative one. Axes are coalesced as far as
 * both sides allow; then the last axis decides how to copy. */
#include "backends/cpu/ops/movement.h"

#include <string.h>

#include "m3bsr/ops.h"

static const uint32_t zero = 0; /* what pads are filled from */

typedef struct axis {
    ptrdiff_t dim, from, to; /* strides in elements */
} axis;

typedef struct box {
    uint32_t rank;
    axis axis[M3_MAX_RANK];
    const unsigned char *from;
    unsigned char *to;
    size_t bytes;    /* of an element: 1, 2 or 4 */
    bool transposed; /* the last two axes are copied as a matrix, by the transpose kernel */
} box;

typedef struct movement_args {
    const cpu_movement_kernels *kernels;
    uint32_t count;
    box box[];
} movement_args;

/* Boxes. */

static void strides_of(const m3_shape *shape, ptrdiff_t stride[M3_MAX_RANK])
{
    ptrdiff_t step = 1;
    for (uint32_t i = shape->rank; i-- > 0; step *= (ptrdiff_t)shape->dim[i]) stride[i] = step;
}

/* Coalesce the axes of a box. Of a transposition, bring the axis along which `from` is dense next to the last. */
static void coalesce(box *b)
{
    box out = *b;
    out.rank = 0;
    for (uint32_t i = 0; i < b->rank; i++) {
        axis x = b->axis[i], *last = out.rank > 0 ? &out.axis[out.rank - 1] : NULL;
        if (x.dim == 1) continue;
        if (last != NULL && last->from == x.from * x.dim && last->to == x.to * x.dim)
            *last = (axis){last->dim * x.dim, x.from, x.to};
        else
            out.axis[out.rank++] = x;
    }
    if (out.rank == 0) out.axis[out.rank++] = (axis){1, 1, 1};
    for (uint32_t i = 0; i < b->rank; i++)
        if (b->axis[i].dim == 0) out.axis[0].dim = 0;
    const axis last = out.axis[out.rank - 1];
    for (uint32_t i = 0; i + 1 < out.rank && last.to == 1 && last.from > 1 && b->bytes == 4; i++) {
        if (out.axis[i].from != 1) continue;
        axis dense = out.axis[i];
        memmove(&out.axis[i], &out.axis[i + 1], (out.rank - 2 - i) * sizeof dense);
        out.axis[out.rank - 2] = dense;
        out.transposed = true;
        break;
    }
    *b = out;
}

/* Copying. A unit of work is a part of the last axis (of a matrix: of the last but one), for one index of each axis
 * before it. */

enum { PART = 8192, MATRIX_PART = 64 };

static uint32_t split_axis(const box *b)
{
    return b->rank - (b->transposed ? 2 : 1);
}

static size_t parts_of(const box *b)
{
    const size_t part = b->transposed ? MATRIX_PART : PART;
    return ((size_t)b->axis[split_axis(b)].dim + part - 1) / part;
}

#define COPY_RUN(type)                                                                                                 \
    for (ptrdiff_t i = 0; i < x.dim; i++)                                                                              \
    ((type *)(void *)to)[i * x.to] = ((const type *)(const void *)from)[i * x.from]

/* One run along an axis. */
static void copy_run(unsigned char *to, const unsigned char *from, axis x, size_t bytes)
{
    if (x.from == 1 && x.to == 1)
        memmove(to, from, (size_t)x.dim * bytes);
    else if (bytes == 1)
        COPY_RUN(uint8_t);
    else if (bytes == 2)
        COPY_RUN(uint16_t);
    else if (x.from == 0 && x.to == 1)
        for (size_t i = 0; i < (size_t)x.dim; i++) memcpy(to + i * sizeof zero, from, sizeof zero);
    else
        COPY_RUN(uint32_t);
}

typedef struct copy_args {
    const box *box;
    const cpu_movement_kernels *kernels;
} copy_args;

static void copy_units(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const copy_args *c = args;
    const box *b = c->box;
    const uint32_t split = split_axis(b);
    const size_t parts = parts_of(b);
    const ptrdiff_t part = b->transposed ? MATRIX_PART : PART, bytes = (ptrdiff_t)b->bytes;
    for (size_t unit = begin; unit < end; unit++) {
        ptrdiff_t row = (ptrdiff_t)(unit / parts);
        const ptrdiff_t first = (ptrdiff_t)(unit % parts) * part;
        axis x = b->axis[split];
        ptrdiff_t from = first * x.from, to = first * x.to;
        x.dim = x.dim - first < part ? x.dim - first : part;
        for (uint32_t i = split; i-- > 0; row /= b->axis[i].dim) {
            from += row % b->axis[i].dim * b->axis[i].from;
            to += row % b->axis[i].dim * b->axis[i].to;
        }
        unsigned char *target = b->to + to * bytes;
        const unsigned char *source = b->from + from * bytes;
        if (b->transposed)
            c->kernels->transpose((float *)(void *)target, (size_t)x.to, (const float *)(const void *)source,
                                  (size_t)b->axis[b->rank - 1].from, (size_t)x.dim, (size_t)b->axis[b->rank - 1].dim);
        else
            copy_run(target, source, x, b->bytes);
    }
}

static void run_boxes(const void *args, const cpu_run *cpu)
{
    const movement_args *a = args;
    for (uint32_t i = 0; i < a->count; i++) {
        const box *b = &a->box[i];
        size_t units = parts_of(b), elements = 1;
        if (b->from == b->to) continue; /* a reshape in its place */
        for (uint32_t k = 0; k < split_axis(b); k++) units *= (size_t)b->axis[k].dim;
        for (uint32_t k = 0; k < b->rank; k++) elements *= (size_t)b->axis[k].dim;
        copy_args c = {b, a->kernels};
        if (elements > 0) cpu_for(cpu, units, elements / units, copy_units, &c);
    }
}

/* Preparing. */

static movement_args *boxes(const cpu_node *at, cpu_step *step, size_t count, m3_error *err)
{
    movement_args *a = cpu_step_args(at, step, run_boxes, sizeof *a + count * sizeof a->box[0], err);
    if (a != NULL) a->kernels = CPU_CHOOSE(at->machine->isa, cpu_movement_kernels);
    return a;
}

/* The next box: of a shape, with no strides yet. */
static box *add_box(movement_args *a, const cpu_node *at, const void *from, const m3_shape *shape)
{
    box *b = &a->box[a->count++];
    b->rank = shape->rank;
    b->bytes = m3_dtype_bytes(at->node->out[0]->dtype);
    b->from = from;
    b->to = at->out[0];
    for (uint32_t i = 0; i < shape->rank; i++) b->axis[i].dim = (ptrdiff_t)shape->dim[i];
    return b;
}

static m3_status prepare_reshape(const cpu_node *at, cpu_step *step, m3_error *err)
{
    movement_args *a = boxes(at, step, 1, err);
    if (a == NULL) return M3_ERR_MEMORY;
    m3_shape flat = {.rank = 1, .dim = {m3_tensor_count(at->node->out[0])}};
    box *b = add_box(a, at, at->in[0], &flat);
    b->axis[0].from = b->axis[0].to = 1;
    coalesce(b);
    return M3_OK;
}

static m3_status prepare_transpose(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    ptrdiff_t from[M3_MAX_RANK], to[M3_MAX_RANK];
    movement_args *a = boxes(at, step, 1, err);
    if (a == NULL) return M3_ERR_MEMORY;
    box *b = add_box(a, at, at->in[0], &node->out[0]->shape);
    strides_of(&node->in[0]->shape, from);
    strides_of(&node->out[0]->shape, to);
    for (uint32_t i = 0; i < b->rank; i++) {
        b->axis[i].from = from[node->attr[M3_TRANSPOSE_PERM].i[i]];
        b->axis[i].to = to[i];
    }
    coalesce(b);
    return M3_OK;
}

static m3_status prepare_broadcast(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_shape *x = &at->node->in[0]->shape, *y = &at->node->out[0]->shape;
    ptrdiff_t from[M3_MAX_RANK], to[M3_MAX_RANK];
    movement_args *a = boxes(at, step, 1, err);
    if (a == NULL) return M3_ERR_MEMORY;
    box *b = add_box(a, at, at->in[0], y);
    strides_of(x, from);
    strides_of(y, to);
    uint32_t lead = y->rank - x->rank;
    for (uint32_t i = 0; i < y->rank; i++) {
        b->axis[i].from = i < lead || x->dim[i - lead] == 1 ? 0 : from[i - lead];
        b->axis[i].to = to[i];
    }
    coalesce(b);
    return M3_OK;
}

static m3_status prepare_slice(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    ptrdiff_t from[M3_MAX_RANK], to[M3_MAX_RANK];
    movement_args *a = boxes(at, step, 1, err);
    if (a == NULL) return M3_ERR_MEMORY;
    box *b = add_box(a, at, at->in[0], &node->out[0]->shape);
    strides_of(&node->in[0]->shape, from);
    strides_of(&node->out[0]->shape, to);
    for (uint32_t i = 0; i < b->rank; i++) {
        b->axis[i].from = from[i];
        b->axis[i].to = to[i];
        if (m3_tensor_count(node->out[0]) != 0)
            b->from += (ptrdiff_t)node->attr[M3_SLICE_START].i[i] * from[i] * (ptrdiff_t)b->bytes;
    }
    coalesce(b);
    return M3_OK;
}

static m3_status prepare_flip(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_shape *x = &at->node->in[M3_FLIP_X]->shape;
    const uint32_t along = (uint32_t)m3_node_int(at->node, M3_FLIP_AXIS);
    ptrdiff_t stride[M3_MAX_RANK];
    movement_args *a = boxes(at, step, 1, err);
    if (a == NULL) return M3_ERR_MEMORY;
    box *b = add_box(a, at, at->in[M3_FLIP_X], x);
    strides_of(x, stride);
    for (uint32_t i = 0; i < b->rank; i++) {
        b->axis[i].to = stride[i];
        b->axis[i].from = i == along ? -stride[i] : stride[i];
    }
    if (m3_shape_count(x) != 0) b->from += (b->axis[along].dim - 1) * stride[along] * (ptrdiff_t)b->bytes;
    coalesce(b);
    return M3_OK;
}

/* A box of zeros before or behind x along an axis: the axes before it have x's extent, those after it all. */
static void add_zeros(movement_args *a, const cpu_node *at, uint32_t along, bool behind)
{
    const m3_node *node = at->node;
    const m3_shape *x = &node->in[0]->shape, *y = &node->out[0]->shape;
    const int64_t *before = node->attr[M3_PAD_BEFORE].i;
    ptrdiff_t to[M3_MAX_RANK];
    box *b = add_box(a, at, &zero, y);
    strides_of(y, to);
    for (uint32_t i = 0; i < b->rank; i++) {
        ptrdiff_t start = i < along ? (ptrdiff_t)before[i] : 0;
        if (i < along) b->axis[i].dim = (ptrdiff_t)x->dim[i];
        if (i == along) {
            const ptrdiff_t front = (ptrdiff_t)before[i], used = front + (ptrdiff_t)x->dim[i];
            b->axis[i].dim = behind ? (ptrdiff_t)y->dim[i] - used : front;
            start = behind ? used : 0;
        }
        b->axis[i].to = to[i];
        if (m3_tensor_count(node->out[0]) != 0) b->to += start * to[i] * (ptrdiff_t)b->bytes;
    }
    coalesce(b);
}

static m3_status prepare_pad(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_shape *x = &node->in[0]->shape;
    ptrdiff_t from[M3_MAX_RANK], to[M3_MAX_RANK];
    movement_args *a = boxes(at, step, 1 + 2 * (size_t)x->rank, err);
    if (a == NULL) return M3_ERR_MEMORY;
    box *b = add_box(a, at, at->in[0], x);
    strides_of(x, from);
    strides_of(&node->out[0]->shape, to);
    for (uint32_t i = 0; i < b->rank; i++) {
        b->axis[i].from = from[i];
        b->axis[i].to = to[i];
        if (m3_tensor_count(node->out[0]) != 0)
            b->to += (ptrdiff_t)node->attr[M3_PAD_BEFORE].i[i] * to[i] * (ptrdiff_t)b->bytes;
    }
    coalesce(b);
    for (uint32_t i = 0; i < x->rank; i++) {
        add_zeros(a, at, i, false);
        add_zeros(a, at, i, true);
    }
    return M3_OK;
}

static m3_status prepare_concat(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const uint32_t along = (uint32_t)m3_node_int(node, M3_CONCAT_AXIS);
    ptrdiff_t from[M3_MAX_RANK] = {0}, to[M3_MAX_RANK] = {0}, start = 0;
    movement_args *a = boxes(at, step, node->in_count, err);
    if (a == NULL) return M3_ERR_MEMORY;
    strides_of(&node->out[0]->shape, to);
    for (uint32_t k = 0; k < node->in_count; k++) {
        const m3_shape *x = &node->in[k]->shape;
        box *b = add_box(a, at, at->in[k], x);
        strides_of(x, from);
        for (uint32_t i = 0; i < b->rank; i++) {
            b->axis[i].from = from[i];
            b->axis[i].to = to[i];
        }
        if (m3_tensor_count(node->out[0]) != 0) b->to += start * to[along] * (ptrdiff_t)b->bytes;
        start += (ptrdiff_t)x->dim[along];
        coalesce(b);
    }
    return M3_OK;
}

/* iota. */

typedef struct iota_args {
    int32_t *y;
    size_t count, inner, length; /* elements; elements of one index; indices */
} iota_args;

static void fill_indices(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const iota_args *a = args;
    size_t index = begin / a->inner % a->length, left = a->inner - begin % a->inner;
    for (size_t i = begin; i < end; i++) {
        a->y[i] = (int32_t)index;
        if (--left > 0) continue;
        left = a->inner;
        if (++index == a->length) index = 0;
    }
}

static void run_iota(const void *args, const cpu_run *cpu)
{
    const iota_args *a = args;
    cpu_for(cpu, a->count, 1, fill_indices, a);
}

static m3_status prepare_iota(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_shape *y = &at->node->out[0]->shape;
    const uint32_t along = (uint32_t)m3_node_int(at->node, M3_IOTA_AXIS);
    iota_args *a = cpu_step_args(at, step, run_iota, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (iota_args){at->out[0], (size_t)m3_shape_count(y), 1, (size_t)y->dim[along]};
    for (uint32_t i = along + 1; i < y->rank; i++) a->inner *= (size_t)y->dim[i];
    return M3_OK;
}

/* clang-format off */
const cpu_op cpu_movement_ops[] = {
    {"reshape",   NULL, prepare_reshape},
    {"copy",      NULL, prepare_reshape},
    {"detach",    NULL, prepare_reshape},
    {"transpose", NULL, prepare_transpose},
    {"broadcast", NULL, prepare_broadcast},
    {"slice",     NULL, prepare_slice},
    {"pad",       NULL, prepare_pad},
    {"flip",      NULL, prepare_flip},
    {"concat",    NULL, prepare_concat},
    {"iota",      NULL, prepare_iota},
    {0},
};
/* clang-format on */
