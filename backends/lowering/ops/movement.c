/* movement: reshape, copy, transpose, broadcast, slice, pad and flip take a box of x: element (i, j, …) of y is x at
 * first + sum of (i - before) step, modulo 2^32, so that steps may be negative, or 0 where an index lies outside of
 * [before, before + within). Axes are joined as far as that stays true; where x is dense along another axis than y,
 * matrices are turned. concat passes over the rows of several inputs; iota reads nothing. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/contract.h"

#include <string.h>

#include "backends/lowering/ops/pieces.h"
#include "m3bsr/ops.h"

/* An axis of y, and what of it comes from x. */
typedef struct axis {
    uint64_t extent, before, within, step;
} axis;

typedef struct box {
    uint32_t rank;
    axis axis[M3_MAX_RANK];
    uint64_t first;
} box;

/* A box of y's shape that takes all of every axis, with the strides of a dense x of shape `of`. */
static box box_of(const m3_shape *y, const m3_shape *of)
{
    box b = {.rank = y->rank};
    const uint32_t lead = y->rank - of->rank;
    uint64_t step = 1;
    for (uint32_t i = y->rank; i-- > 0;) {
        const uint64_t extent = i < lead ? 1 : of->dim[i - lead];
        b.axis[i] = (axis){y->dim[i], 0, y->dim[i], step};
        step *= extent;
    }
    return b;
}

/* Join an axis with the one before it where the two are one to x. */
static void settle(box *b)
{
    const box old = *b;
    b->rank = 0;
    for (uint32_t i = 0; i < old.rank; i++) {
        const axis x = old.axis[i];
        axis *last = b->rank > 0 ? &b->axis[b->rank - 1] : NULL;
        if (x.extent == 1 && x.within == 1) continue;
        if (last != NULL && x.within == x.extent && last->step == x.step * x.extent)
            *last = (axis){last->extent * x.extent, last->before * x.extent, last->within * x.extent, x.step};
        else
            b->axis[b->rank++] = x;
    }
    if (b->rank == 0) b->axis[b->rank++] = (axis){1, 0, 1, 1};
}

static uint64_t element_bytes(const m3_tensor *x)
{
    return m3_dtype_bytes(x->dtype);
}

/* A processor's item turns a strip of as many rows as a vector has elements; other devices, and a processor
 * without vectors, turn tiles in local memory, a group each. */
static bool turns_strips(const lower_traits *traits)
{
    return traits->kind == LOWER_PROCESSOR && traits->vector > 1;
}

/* The axis before the last along which x is dense while it is not along the last: the two are a matrix to be turned.
 * The last axis itself where there is none, or where tiles would not pay. */
static uint32_t dense_axis(const lower_list *l, const m3_tensor *y, const box *b)
{
    enum { MIN = 8, MAX = 65535 }; /* of rows and columns; of groups along an axis, on any device */
    const uint32_t last = b->rank - 1;
    const axis columns = b->axis[last];
    bool whole = element_bytes(y) == 4 && columns.step > 1 && columns.extent >= MIN;
    uint32_t dense = last;
    for (uint32_t i = 0; i <= last; i++) {
        whole = whole && b->axis[i].within == b->axis[i].extent;
        if (i < last && b->axis[i].step == 1 && b->axis[i].extent >= MIN) dense = i;
    }
    const uint64_t matrix = columns.extent * b->axis[dense].extent;
    const bool fits = turns_strips(l->traits) ||
                      (columns.extent <= MAX && b->axis[dense].extent <= MAX && m3_tensor_count(y) / matrix <= MAX &&
                       l->traits->largest_group >= TURN_TILE * TURN_TILE_ROWS);
    return whole && fits ? dense : last;
}

/* Rows of four numbers; nothing where there are none. */
static lower_view table_of(lower_list *l, uint32_t (*row)[4], uint32_t rows)
{
    return rows == 0 ? (lower_view){.memory = LOWER_NOTHING} : lower_table(l, row, rows * sizeof row[0]);
}

/* Matrices turned, one under each index of the other axes. */
static void turn(lower_list *l, const m3_node *node, const box *b, uint32_t dense)
{
    const m3_tensor *y = node->out[0];
    const bool strips = turns_strips(l->traits);
    const axis rows = b->axis[dense], columns = b->axis[b->rank - 1];
    uint32_t other[M3_MAX_RANK][4], count = 0;
    uint64_t at = 1, row_at = 1, matrices = 1;
    for (uint32_t i = b->rank; i-- > 0; at *= b->axis[i].extent) {
        const axis a = b->axis[i];
        const uint32_t line[4] = {(uint32_t)a.extent, (uint32_t)a.step, (uint32_t)at, 0};
        if (i == dense) row_at = at;
        if (i == dense || i == b->rank - 1) continue;
        memcpy(other[count++], line, sizeof line);
        matrices *= a.extent;
    }
#define TURN                                                                                                           \
    .VECTOR = l->traits->vector, .SIZE = element_bytes(y), .x = lower_tensor(l, node->in[0]), .y = lower_tensor(l, y), \
    .axes = table_of(l, other, count), .outer = count, .first = b->first, .rows = rows.extent,                         \
    .columns = columns.extent, .step = columns.step, .row_at = row_at, .matrices = matrices
    lower_dispatch *d = strips ? LOWER(l, turn_strips, TURN) : LOWER(l, turn_tiles, TURN);
#undef TURN
    if (strips)
        lower_items(d,
                    lower_parts(rows.extent, l->traits->vector) * lower_parts(columns.extent, TURN_STRIP) * matrices);
    else
        lower_groups(d, lower_parts(columns.extent, TURN_TILE), lower_parts(rows.extent, TURN_TILE), matrices,
                     TURN_TILE, TURN_TILE_ROWS, 1);
}

static void take(lower_list *l, const m3_node *node, box *b)
{
    const m3_tensor *y = node->out[0];
    const uint64_t count = m3_tensor_count(y);
    uint32_t outer[M3_MAX_RANK][4], rows = 0;
    if (count == 0) return;
    settle(b);
    const axis last = b->axis[b->rank - 1];
    const uint32_t dense = dense_axis(l, y, b);
    if (dense < b->rank - 1) {
        turn(l, node, b, dense);
        return;
    }
    const uint64_t piece = lower_piece(l->traits, count, m3_dtype_bytes(y->dtype));
    for (uint32_t i = b->rank - 1; i-- > 0; rows++) {
        const axis a = b->axis[i];
        const uint32_t row[4] = {(uint32_t)a.extent, (uint32_t)a.before, (uint32_t)a.within, (uint32_t)a.step};
        memcpy(outer[rows], row, sizeof row);
    }
    lower_dispatch *d =
        LOWER(l, take, .VECTOR = l->traits->vector, .SIZE = element_bytes(y), .x = lower_tensor(l, node->in[0]),
              .y = lower_tensor(l, y), .axes = table_of(l, outer, rows), .count = count, .piece = piece, .outer = rows,
              .last = last.extent, .before = last.before, .within = last.within, .step = (uint32_t)last.step,
              .first = b->first);
    lower_items(d, lower_parts(count, piece));
}

/* A reshape in its place is done already. */
static void emit_copy(lower_list *l, const m3_node *node)
{
    const lower_view from = lower_tensor(l, node->in[0]), to = lower_tensor(l, node->out[0]);
    const m3_shape flat = {.rank = 1, .dim = {m3_tensor_count(node->out[0])}};
    box b = box_of(&flat, &flat);
    if (from.segment != to.segment || from.offset != to.offset) take(l, node, &b);
}

static void emit_transpose(lower_list *l, const m3_node *node)
{
    const box x = box_of(&node->in[0]->shape, &node->in[0]->shape);
    box b = {.rank = x.rank};
    for (uint32_t i = 0; i < b.rank; i++) b.axis[i] = x.axis[node->attr[M3_TRANSPOSE_PERM].i[i]];
    take(l, node, &b);
}

static void emit_broadcast(lower_list *l, const m3_node *node)
{
    const m3_shape *x = &node->in[0]->shape, *y = &node->out[0]->shape;
    const uint32_t lead = y->rank - x->rank;
    box b = box_of(y, x);
    for (uint32_t i = 0; i < y->rank; i++)
        if (i < lead || x->dim[i - lead] == 1) b.axis[i].step = 0;
    take(l, node, &b);
}

static void emit_slice(lower_list *l, const m3_node *node)
{
    box b = box_of(&node->out[0]->shape, &node->in[0]->shape);
    for (uint32_t i = 0; i < b.rank; i++) b.first += (uint64_t)node->attr[M3_SLICE_START].i[i] * b.axis[i].step;
    take(l, node, &b);
}

static void emit_pad(lower_list *l, const m3_node *node)
{
    const m3_shape *x = &node->in[0]->shape;
    box b = box_of(&node->out[0]->shape, x);
    for (uint32_t i = 0; i < b.rank; i++) {
        b.axis[i].before = (uint64_t)node->attr[M3_PAD_BEFORE].i[i];
        b.axis[i].within = x->dim[i];
    }
    take(l, node, &b);
}

static void emit_flip(lower_list *l, const m3_node *node)
{
    const m3_shape *x = &node->in[M3_FLIP_X]->shape;
    box b = box_of(x, x);
    axis *along = &b.axis[m3_node_int(node, M3_FLIP_AXIS)];
    b.first = (along->extent - 1) * along->step;
    along->step = 0 - along->step;
    take(l, node, &b);
}

/* A dispatch joins JOIN_INPUTS inputs; with more, each dispatch leaves alone what the others write. */
static void emit_concat(lower_list *l, const m3_node *node)
{
    const m3_tensor *y = node->out[0];
    const uint32_t along = (uint32_t)m3_node_int(node, M3_CONCAT_AXIS);
    const uint64_t count = m3_tensor_count(y), piece = lower_piece(l->traits, count, m3_dtype_bytes(y->dtype));
    uint64_t inner = 1, end = 0;
    if (count == 0) return;
    for (uint32_t i = along + 1; i < y->shape.rank; i++) inner *= y->shape.dim[i];
    for (uint32_t k = 0; k < node->in_count; k += JOIN_INPUTS) {
        lower_view x[JOIN_INPUTS];
        uint64_t ends[JOIN_INPUTS];
        const uint64_t first = end;
        for (uint32_t i = 0; i < JOIN_INPUTS; i++) {
            const m3_tensor *input = k + i < node->in_count ? node->in[k + i] : NULL;
            if (input != NULL) end += input->shape.dim[along] * inner;
            x[i] = lower_tensor(l, input);
            ends[i] = end;
        }
        lower_dispatch *d =
            LOWER(l, join, .VECTOR = l->traits->vector, .SIZE = element_bytes(y), .x0 = x[0], .x1 = x[1], .x2 = x[2],
                  .x3 = x[3], .x4 = x[4], .x5 = x[5], .x6 = x[6], .x7 = x[7], .y = lower_tensor(l, y), .count = count,
                  .piece = piece, .width = y->shape.dim[along] * inner, .first = first, .e0 = ends[0], .e1 = ends[1],
                  .e2 = ends[2], .e3 = ends[3], .e4 = ends[4], .e5 = ends[5], .e6 = ends[6], .e7 = ends[7]);
        lower_items(d, lower_parts(count, piece));
    }
}

static void emit_iota(lower_list *l, const m3_node *node)
{
    const m3_tensor *y = node->out[0];
    const uint32_t along = (uint32_t)m3_node_int(node, M3_IOTA_AXIS);
    const uint64_t count = m3_tensor_count(y), piece = lower_piece(l->traits, count, sizeof(int32_t));
    uint64_t inner = 1;
    if (count == 0) return;
    for (uint32_t i = along + 1; i < y->shape.rank; i++) inner *= y->shape.dim[i];
    lower_dispatch *d = LOWER(l, iota, .VECTOR = l->traits->vector, .SIZE = sizeof(int32_t), .y = lower_tensor(l, y),
                              .count = count, .piece = piece, .inner = inner, .extent = y->shape.dim[along]);
    lower_items(d, lower_parts(count, piece));
}

const lower_op lower_movement_ops[] = {
    {"reshape", NULL, emit_copy},
    {"detach", NULL, emit_copy},
    {"copy", NULL, emit_copy},
    {"transpose", NULL, emit_transpose},
    {"broadcast", NULL, emit_broadcast},
    {"slice", NULL, emit_slice},
    {"pad", NULL, emit_pad},
    {"flip", NULL, emit_flip},
    {"concat", NULL, emit_concat},
    {"iota", NULL, emit_iota},
    {0},
};
