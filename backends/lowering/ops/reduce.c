/* reduce: reduce_sum and reduce_max over one axis: x [outer, length, inner] -> y [outer, inner].
 * Few outputs of long sums are split into parts along the axis, whose results a second dispatch of the same kernel
 * reduces in order. Shape and traits decide the parts, so the same device gives the same bits twice. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/across.h"
#include "backends/lowering/contract.h"

#include <string.h>

#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

typedef struct reduction {
    uint32_t kind; /* REDUCE_SUM_F32 … */
    uint64_t outer, length, inner;
    uint64_t parts, part; /* of the axis; so long is each but the last */
    uint32_t strip;       /* vectors of columns that a processor's item takes */
    uint32_t slices;      /* items of a group that share a column or row */
} reduction;

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Pieces that can run at the same time while the axis stays whole. */
static uint64_t pieces_of(const reduction *r, const lower_traits *traits)
{
    uint64_t pieces = r->outer;
    if (traits->kind != LOWER_PROCESSOR)
        pieces = lower_parts(r->outer * r->inner, r->slices > 0 ? traits->group / r->slices : 1);
    else if (r->inner > 1)
        pieces = r->outer * lower_parts(r->inner, (uint64_t)r->strip * traits->vector);
    return pieces > 0 ? pieces : 1;
}

/* Rows of x are read as a whole where registers hold their sums. */
static uint32_t strip_of(const lower_traits *traits, uint64_t inner)
{
    enum { WIDEST = 8 };
    return lower_power_below(min_of(lower_parts(inner, traits->vector), WIDEST));
}

/* Enough of them to keep the device busy, as long as each is worth its start. */
static void choose_parts(reduction *r, const lower_traits *traits)
{
    enum { MIN = 1 << 14, EACH = 8 }; /* elements worth an item of a processor, and one of a group */
    enum { MANY = 4 };                /* groups that keep a unit busy */
    enum { NEAR = 256 }; /* rows that a cache keeps until the next columns of a simulated group are summed */
    const uint64_t pieces = pieces_of(r, traits), wanted = MANY * (uint64_t)traits->units;
    const uint64_t max = traits->kind != LOWER_PROCESSOR ? r->length / (EACH * r->slices)
                                                         : r->outer * r->length * r->inner / (MIN * pieces);
    const uint64_t iterations =
        lower_max_iterations(traits) - lower_max_iterations(traits) / 64; /* the rest: loops over blocks */
    const uint64_t near =
        lower_parts(r->length, iterations) > NEAR ? lower_parts(r->length, iterations) : NEAR; /* as few parts */
    const uint64_t longest = traits->kind == LOWER_SIMULATED_GPU && r->inner > 1 ? near : iterations * r->slices;
    const uint64_t needed = lower_parts(r->length, longest);
    uint64_t parts = pieces < wanted ? min_of(max, lower_parts(wanted, pieces)) : 1;
    if (parts < needed) parts = needed;
    r->part = parts > 1 ? lower_parts(r->length, parts) : r->length;
    r->parts = parts > 1 ? lower_parts(r->length, r->part) : 1;
}

/* Do neighbouring items of a group work on one row? */
static bool shares_rows(const reduction *r)
{
    return r->inner == 1 && r->slices > 1;
}

static void dispatch(lower_list *l, const reduction *r, lower_view x, lower_view y)
{
    const lower_traits *traits = l->traits;
    const uint32_t lanes = traits->kind != LOWER_PROCESSOR ? traits->group : 1;
    const uint64_t pieces = pieces_of(r, traits) * r->parts;
#define REDUCTION                                                                                                      \
    .VECTOR = traits->vector, .KIND = r->kind, .STRIP = r->strip, .SLICES = r->slices, .LANES = lanes,                 \
    .SUBGROUP = shares_rows(r) ? lower_across(l, lanes) : 0, .x = x, .y = y, .outer = r->outer, .length = r->length,   \
    .inner = r->inner, .parts = r->parts, .part = r->part
    lower_dispatch *d = r->inner == 1 ? LOWER(l, reduce_rows, REDUCTION) : LOWER(l, reduce_columns, REDUCTION);
#undef REDUCTION
    lower_pieces(d, pieces, pieces > 0 ? r->outer * r->length * r->inner / pieces : 0, lanes);
}

static uint32_t kind_of(const m3_node *node)
{
    const bool max = strcmp(node->op->name, "reduce_max") == 0;
    if (node->in[0]->dtype == M3_F32) return max ? REDUCE_MAX_F32 : REDUCE_SUM_F32;
    return max ? REDUCE_MAX_I32 : REDUCE_SUM_I32;
}

static reduction reduction_of(const lower_traits *traits, const m3_node *node)
{
    const m3_shape *x = &node->in[0]->shape;
    const uint32_t axis = (uint32_t)m3_node_int(node, M3_REDUCE_AXIS);
    reduction r = {.kind = kind_of(node), .outer = 1, .length = x->dim[axis], .inner = 1, .strip = 1, .slices = 1};
    for (uint32_t i = 0; i < axis; i++) r.outer *= x->dim[i];
    for (uint32_t i = axis + 1; i < x->rank; i++) r.inner *= x->dim[i];
    if (traits->kind != LOWER_PROCESSOR)
        r.slices = lower_slices(traits, traits->group, r.length, r.inner);
    else
        r.strip = strip_of(traits, r.inner);
    return r;
}

uint32_t lower_reduce_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    if (m3_tensor_count(node->in[0]) == 0) return 0;
    const reduction r = reduction_of(traits, node);
    return shares_rows(&r) ? lower_across_variants(traits, node, traits->group, class_text, names) : 0;
}

static void lower(lower_list *l, const m3_node *node)
{
    if (m3_tensor_count(node->out[0]) == 0) return;
    reduction r = reduction_of(l->traits, node);
    choose_parts(&r, l->traits);
    if (r.parts == 1) {
        dispatch(l, &r, lower_tensor(l, node->in[0]), lower_tensor(l, node->out[0]));
        return;
    }
    const lower_view between = lower_scratch(l, r.outer * r.parts * r.inner * sizeof(float));
    dispatch(l, &r, lower_tensor(l, node->in[0]), between);
    r.length = r.part = r.parts;
    r.parts = 1;
    dispatch(l, &r, between, lower_tensor(l, node->out[0]));
}

const lower_op lower_reduce_ops[] = {{"reduce_sum", NULL, lower}, {"reduce_max", NULL, lower}, {0}};
