/* attention, attention_packed and their gradients. A unit of work is a row and a head, which an item of a processor
 * takes alone. On a GPU a group takes a unit's gradient, or a block of a unit's queries; how large its blocks are
 * follows from the shape, from the memory that a group shares and from its size. Where a processor plays a GPU, an item
 * takes a block of a unit's queries, or of its keys for their gradients. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/across.h"
#include "backends/lowering/contract.h"
#include "backends/lowering/matmul_plan.h"

#include <math.h>
#include <string.h>

#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { SIDE = 4 /* of a tile of sums */, LARGEST = 32 /* block */ };

/* Operands and results, packed or not. */
typedef struct shape {
    uint64_t rows, queries, keys, heads, width;
    const m3_tensor *q, *k, *v, *mask, *dy, *y, *dq, *dk, *dv; /* of packed ones some are the same */
    uint64_t q_row, kv_row, k_first, v_first;                  /* words of the contract */
} shape;

_Static_assert(M3_ATTENTION_Q == (int)M3_ATTENTION_GRAD_Q && M3_ATTENTION_K == (int)M3_ATTENTION_GRAD_K &&
                   M3_ATTENTION_V == (int)M3_ATTENTION_GRAD_V && M3_ATTENTION_MASK == (int)M3_ATTENTION_GRAD_MASK &&
                   M3_ATTENTION_PACKED_Q == (int)M3_ATTENTION_PACKED_GRAD_Q &&
                   M3_ATTENTION_PACKED_KV == (int)M3_ATTENTION_PACKED_GRAD_KV &&
                   M3_ATTENTION_PACKED_MASK == (int)M3_ATTENTION_PACKED_GRAD_MASK &&
                   M3_ATTENTION_HEADS == (int)M3_ATTENTION_GRAD_HEADS &&
                   M3_ATTENTION_HEADS == (int)M3_ATTENTION_PACKED_HEADS &&
                   M3_ATTENTION_HEADS == (int)M3_ATTENTION_PACKED_GRAD_HEADS,
               "all ops begin alike");

static bool is_packed(const m3_node *node)
{
    return strncmp(node->op->name, "attention_packed", strlen("attention_packed")) == 0;
}

static bool is_gradient(const m3_node *node)
{
    return node->in_count == (is_packed(node) ? (uint32_t)M3_ATTENTION_PACKED_GRAD_INPUTS : M3_ATTENTION_GRAD_INPUTS);
}

static const m3_tensor *output(const m3_node *node, uint32_t i)
{
    return i < node->out_count ? node->out[i] : NULL;
}

static void find_operands(const m3_node *node, shape *s)
{
    const bool gradient = is_gradient(node);
    s->q = node->in[M3_ATTENTION_Q];
    s->k = node->in[M3_ATTENTION_K];
    s->v = node->in[M3_ATTENTION_V];
    s->mask = node->in[M3_ATTENTION_MASK];
    s->q_row = lower_last(s->q);
    s->kv_row = lower_last(s->k);
    s->y = gradient ? NULL : output(node, M3_ATTENTION_Y);
    s->dy = gradient ? node->in[M3_ATTENTION_GRAD_DY] : NULL;
    s->dq = gradient ? output(node, M3_ATTENTION_GRAD_DQ) : NULL;
    s->dk = gradient ? output(node, M3_ATTENTION_GRAD_DK) : NULL;
    s->dv = gradient ? output(node, M3_ATTENTION_GRAD_DV) : NULL;
}

/* k lies behind q, or begins kv; v lies behind k. */
static void find_packed(const m3_node *node, shape *s)
{
    const m3_tensor *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    const bool gradient = is_gradient(node);
    s->q = node->in[M3_ATTENTION_PACKED_Q];
    s->k = s->v = kv != NULL ? kv : s->q;
    s->mask = node->in[M3_ATTENTION_PACKED_MASK];
    s->q_row = lower_last(s->q);
    s->kv_row = lower_last(s->k);
    const uint64_t d = kv != NULL ? s->q_row : s->q_row / 3;
    s->k_first = kv != NULL ? 0 : d;
    s->v_first = s->k_first + d;
    s->y = gradient ? NULL : output(node, M3_ATTENTION_PACKED_Y);
    s->dy = gradient ? node->in[M3_ATTENTION_PACKED_GRAD_DY] : NULL;
    s->dq = gradient ? output(node, M3_ATTENTION_PACKED_GRAD_DQ) : NULL;
    s->dk = s->dv =
        gradient ? output(node, kv != NULL ? M3_ATTENTION_PACKED_GRAD_DKV : M3_ATTENTION_PACKED_GRAD_DQ) : NULL;
}

static shape shape_of(const m3_node *node)
{
    shape s = {.heads = (uint64_t)m3_node_int(node, M3_ATTENTION_HEADS), .rows = 1};
    if (is_packed(node))
        find_packed(node, &s);
    else
        find_operands(node, &s);
    s.queries = s.q->shape.dim[s.q->shape.rank - 2];
    s.keys = s.k->shape.dim[s.k->shape.rank - 2];
    for (uint32_t i = 0; i + 2 < s.q->shape.rank; i++) s.rows *= s.q->shape.dim[i];
    s.width = (s.v_first > s.k_first ? s.v_first - s.k_first : s.q_row) / s.heads;
    return s;
}

/* How a unit is cut. */
typedef struct blocks {
    uint32_t lanes, vector, queries, keys, tile; /* tile: queries of a tile of sums */
} blocks;

static uint32_t round_up(uint64_t x, uint32_t step, uint32_t max)
{
    const uint64_t whole = x == 0 ? step : lower_parts(x, step) * step;
    return whole < max ? (uint32_t)whole : max;
}

/* What the gradient keeps in local memory; attention keeps less. */
static uint64_t local_bytes(const blocks *b)
{
    const uint64_t sides = 2 * (b->queries + b->keys) * (ATTEND_COLUMNS + 1), scores = 2 * b->queries * (b->keys + 1);
    return (sides + scores + 4 * b->queries) * sizeof(float);
}

static uint32_t tiles(const blocks *b)
{
    return b->queries / b->tile * (b->keys / SIDE);
}

static blocks blocks_of(const lower_traits *traits, const shape *s)
{
    enum { ALONE = 64 /* keys that a processor's item takes at once */ };
    blocks b = {
        .lanes = 1, .vector = traits->vector > SIDE ? traits->vector : SIDE, .queries = 1, .keys = ALONE, .tile = 1};
    if (traits->kind == LOWER_PROCESSOR) return b;
    const uint32_t max = lower_power_below(traits->largest_group);
    b.vector = 1;
    b.tile = s->queries > 1 ? SIDE : 1;
    b.queries = round_up(s->queries, b.tile, s->queries > 1 ? LARGEST : 1);
    b.keys = round_up(s->keys, SIDE, LARGEST);
    while (b.queries > b.tile && (local_bytes(&b) > traits->local_bytes || tiles(&b) > max))
        b.queries = round_up(b.queries / 2, b.tile, LARGEST);
    while (b.keys > SIDE && (local_bytes(&b) > traits->local_bytes || tiles(&b) > max))
        b.keys = round_up(b.keys / 2, SIDE, LARGEST);
    b.lanes = traits->lanes;
    while (b.lanes < tiles(&b) || b.lanes < b.queries) b.lanes *= 2;
    return b;
}

#define SHAPE(s)                                                                                                       \
    .units = (s)->rows * (s)->heads, .heads = (s)->heads, .queries = (s)->queries, .keys = (s)->keys,                  \
    .q_row = (s)->q_row, .kv_row = (s)->kv_row, .k_first = (s)->k_first, .v_first = (s)->v_first,                      \
    .scale = (float)(1.0 / sqrt((double)(s)->width))
#define INPUTS                                                                                                         \
    .q = lower_tensor(l, s->q), .k = lower_tensor(l, s->k), .v = lower_tensor(l, s->v), .mask = lower_tensor(l, s->mask)
#define TYPES(r)        .HALVES = lower_halves(s->q), .Y_HALVES = (r).halves
#define OUTPUT(r)       .y = result_of(&(r), node, s->y)
#define SLOPE           .dy = lower_tensor(l, s->dy)
#define GRADIENT_Q(r)   .dq = result_of(&(r), node, s->dq)
#define GRADIENTS_KV(r) .dk = result_of(&(r), node, s->dk), .dv = result_of(&(r), node, s->dv)

/* Where the kernels write: to the node's outputs, or where those of 16 bits are sums of blocks, to memory of f32, which
 * is rounded at the end. */
typedef struct results {
    uint32_t halves; /* constant Y_HALVES */
    bool rounded;
    lower_view view[M3_ATTENTION_GRAD_OUTPUTS]; /* by output of the node */
} results;

static results open_results(lower_list *l, const m3_node *node, bool one_block)
{
    results r = {.halves = one_block ? lower_halves(node->out[0]) : (uint32_t)M3_F32};
    r.rounded = !one_block && m3_dtype_is_half(node->out[0]->dtype);
    for (uint32_t i = 0; i < node->out_count; i++) {
        const uint64_t count = m3_tensor_count(node->out[i]);
        r.view[i] = r.rounded && count > 0 ? lower_scratch(l, count * sizeof(float)) : lower_tensor(l, node->out[i]);
    }
    return r;
}

static lower_view result_of(const results *r, const m3_node *node, const m3_tensor *output)
{
    for (uint32_t i = 0; i < node->out_count; i++)
        if (node->out[i] == output) return r->view[i];
    return (lower_view){.memory = LOWER_NOTHING};
}

static void close_results(lower_list *l, const m3_node *node, const results *r)
{
    for (uint32_t i = 0; i < node->out_count && r->rounded; i++) lower_round(l, r->view[i], node->out[i]);
}

static void emit_shared(lower_list *l, const m3_node *node, const shape *s)
{
    const bool gradient = is_gradient(node);
    const blocks b = blocks_of(l->traits, s);
    const uint64_t parts = gradient || b.lanes == 1 ? 1 : lower_parts(s->queries, b.queries);
    const results r = open_results(l, node, s->keys <= b.keys && (!gradient || s->queries <= b.queries));
#define BLOCKS                                                                                                         \
    .VECTOR = b.vector, .WIDTH = s->width, .QUERIES = b.queries, .KEYS = b.keys, .TILE = b.tile,                       \
    .AGAIN = s->keys > b.keys, .GRADIENT = gradient, .LANES = b.lanes, TYPES(r), .SUBGROUP = lower_across(l, b.lanes)
    lower_dispatch *d = gradient
                            ? LOWER(l, attend_grad, BLOCKS, INPUTS, SLOPE, GRADIENT_Q(r), GRADIENTS_KV(r), SHAPE(s))
                            : LOWER(l, attend, BLOCKS, INPUTS, OUTPUT(r), SHAPE(s));
#undef BLOCKS
    lower_pieces(d, s->rows * s->heads * parts, UINT64_MAX, b.lanes);
    close_results(l, node, &r);
}

/* A processor that plays a GPU. */

enum { MINE = 10, OTHERS = 20 }; /* queries or keys that an item takes, and of the other kind at a time */

/* Equal parts of n, none above max. */
static uint32_t part_of(uint64_t n, uint32_t max)
{
    return n == 0 ? 1 : (uint32_t)lower_parts(n, lower_parts(n, max));
}

/* Queries and keys of an item. */
typedef struct part {
    uint64_t queries, keys;
} part;

static part part_of_shape(const shape *s, uint32_t max_queries, uint32_t max_keys)
{
    return (part){part_of(s->queries, max_queries), part_of(s->keys, max_keys)};
}

#define PART(p)                                                                                                        \
    .WIDTH = s->width, .QUERIES = (p).queries, .KEYS = (p).keys, .AGAIN = s->keys > (p).keys, .LANES = 1, TYPES(r)

static void emit_alone(lower_list *l, const m3_node *node, const shape *s)
{
    const uint64_t units = s->rows * s->heads;
    const part by_queries = part_of_shape(s, MINE, OTHERS), by_keys = part_of_shape(s, OTHERS, MINE);
    const uint64_t query_parts = units * lower_parts(s->queries, by_queries.queries);
    const results r =
        open_results(l, node, s->keys <= by_queries.keys && (!is_gradient(node) || s->queries <= by_keys.queries));
    if (!is_gradient(node)) {
        lower_pieces(LOWER(l, attend_alone, PART(by_queries), INPUTS, OUTPUT(r), SHAPE(s)), query_parts, UINT64_MAX, 1);
        close_results(l, node, &r);
        return;
    }
    const lower_view stats = s->queries == 0 ? (lower_view){.memory = LOWER_NOTHING}
                                             : lower_scratch(l, units * s->queries * 3 * sizeof(float));
    if (s->queries > 0)
        lower_pieces(LOWER(l, attend_queries, PART(by_queries), INPUTS, SLOPE, GRADIENT_Q(r), .stats = stats, SHAPE(s)),
                     query_parts, UINT64_MAX, 1);
    if (s->keys > 0)
        lower_pieces(LOWER(l, attend_keys, PART(by_keys), INPUTS, SLOPE, .stats = stats, GRADIENTS_KV(r), SHAPE(s)),
                     units * lower_parts(s->keys, by_keys.keys), UINT64_MAX, 1);
    close_results(l, node, &r);
}

/* Pairs of columns are words. */
static m3_status supports_halves(const lower_traits *traits, const m3_node *node, const shape *s, m3_error *why)
{
    const uint64_t longest = traits->largest_binding / sizeof(float); /* results may be kept in f32 */
    if (!m3_node_has_halves(node) || traits->kind == LOWER_PROCESSOR) return lower_check_full(node, why);
    for (uint32_t i = 0; i < node->out_count; i++)
        if (m3_tensor_count(node->out[i]) > longest) return lower_check_full(node, why);
    if (s->width % 2 == 0) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "heads of width %llu in 16 bits; the kernels take an even width", (unsigned long long)s->width);
}

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const shape s = shape_of(node);
    const uint64_t longer = s.queries > s.keys ? s.queries : s.keys;
    const uint64_t iterations = (lower_parts(longer, OTHERS) + 1) * 3 * s.width; /* of loops, at most */
    if (traits->kind != LOWER_SIMULATED_GPU || iterations <= lower_max_iterations(traits))
        return supports_halves(traits, node, &s, why);
    return M3_FAIL(
        why, M3_ERR_UNSUPPORTED, node->op->name,
        "%llu queries, %llu keys, heads of width %llu: more than this device, which is simulated, does in one "
        "kernel: use a shorter history",
        (unsigned long long)s.queries, (unsigned long long)s.keys, (unsigned long long)s.width);
}

static void lower(lower_list *l, const m3_node *node)
{
    const shape s = shape_of(node);
    const bool empty = s.queries == 0 && (s.keys == 0 || !is_gradient(node));
    if (s.rows * s.heads == 0 || empty) return;
    if (l->traits->kind == LOWER_SIMULATED_GPU)
        emit_alone(l, node, &s);
    else
        emit_shared(l, node, &s);
}

uint32_t lower_attention_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    const shape s = shape_of(node);
    if (traits->kind != LOWER_GPU || s.rows * s.heads * s.queries * s.keys == 0) return 0;
    return lower_across_variants(traits, node, blocks_of(traits, &s).lanes, class_text, names);
}

const lower_op lower_attention_ops[] = {{"attention", supports, lower},
                                        {"attention_grad", supports, lower},
                                        {"attention_packed", supports, lower},
                                        {"attention_packed_grad", supports, lower},
                                        {0}};
