/* norm: layer_norm, layer_norm_grad and layer_norm_grad_add over x [groups, rows, width], gamma and beta [groups,
 * width]. The gradient's sums over rows run in parts of a number of rows that shape and traits decide: each part sums
 * by itself, and a second dispatch adds the parts in order. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/across.h"
#include "backends/lowering/contract.h"
#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { PASSES = 5 }; /* over a row, and one to spare */

typedef struct norm {
    uint64_t groups, rows, width; /* rows of a group */
    float eps;
} norm;

_Static_assert(M3_LAYER_NORM_X == (int)M3_LAYER_NORM_GRAD_X && M3_LAYER_NORM_GAMMA == (int)M3_LAYER_NORM_GRAD_GAMMA &&
                   M3_LAYER_NORM_EPS == (int)M3_LAYER_NORM_GRAD_EPS,
               "all ops begin alike");

static norm norm_of(const m3_node *node)
{
    const m3_tensor *x = node->in[M3_LAYER_NORM_X], *gamma = node->in[M3_LAYER_NORM_GAMMA];
    norm n = {.groups = 1, .width = lower_last(x), .eps = (float)m3_node_float(node, M3_LAYER_NORM_EPS)};
    if (gamma->shape.rank == 2) n.groups = gamma->shape.dim[0];
    n.rows = n.groups == 0 ? 0 : lower_row_count(x) / n.groups;
    return n;
}

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const m3_status st = lower_check_pairs(traits, node, why);
    return st == M3_OK ? lower_check_rows(traits, node, PASSES, why) : st;
}

/* The same constants for each kernel, so that a processor compiles the source once. */
#define CONSTANTS(columns, slices, lanes, subgroup)                                                                    \
    .VECTOR = l->traits->vector, .COLUMNS = (columns), .SLICES = (slices), .LANES = (lanes),                           \
    .HALVES = lower_halves(node->in[M3_LAYER_NORM_X]), .SUBGROUP = (subgroup)

static void lower(lower_list *l, const m3_node *node)
{
    const norm n = norm_of(node);
    if (n.groups * n.rows == 0) return;
    const uint32_t lanes = lower_pass_lanes(l->traits, n.width, PASSES);
    lower_dispatch *d =
        LOWER(l, layer_norm, CONSTANTS(1, 1, lanes, lower_across(l, lanes)),
              .x = lower_tensor(l, node->in[M3_LAYER_NORM_X]), .gamma = lower_tensor(l, node->in[M3_LAYER_NORM_GAMMA]),
              .beta = lower_tensor(l, node->in[M3_LAYER_NORM_BETA]), .y = lower_tensor(l, node->out[M3_LAYER_NORM_Y]),
              .groups = n.groups, .rows = n.rows, .width = n.width, .eps = n.eps);
    lower_pieces(d, n.groups * n.rows, n.width, lanes);
}

/* Rows of a part, which `lanes` items take. */
static uint64_t part_of(const lower_traits *traits, const norm *n, uint32_t lanes)
{
    enum { ROWS_ALONE = 32, ROWS_OF_GROUP = 8, PARTS_ALONE = 256, PARTS_OF_UNIT = 8 }; /* min rows, max parts */
    enum { BETWEEN = 128 }; /* iterations between lanes, of a row */
    const uint64_t part = lanes == 1 ? lower_parts(n->rows, PARTS_ALONE)
                                     : lower_parts(n->groups * n->rows, PARTS_OF_UNIT * (uint64_t)traits->units);
    const uint64_t min = lanes == 1 ? ROWS_ALONE : ROWS_OF_GROUP;
    const uint64_t max =
        lower_max_iterations(traits) / (PASSES * lower_parts(n->width, lanes) + (lanes > 1 ? BETWEEN : 1));
    const uint64_t wanted = part > min ? part : min;
    return wanted < max ? wanted : max > 1 ? max : 1;
}

/* The rows of parts: dx, and of each part its sums. */
static void emit_parts(lower_list *l, const m3_node *node, const norm *n, uint64_t part, uint64_t parts,
                       lower_view sums)
{
    const m3_tensor *residual = m3_node_input(node, M3_LAYER_NORM_GRAD_ADD_RESIDUAL);
    const uint32_t lanes = lower_pass_lanes(l->traits, n->width, PASSES);
    const uint32_t side = m3_dtype_is_half(node->in[M3_LAYER_NORM_GRAD_X]->dtype) ? 2 : 1; /* columns of a word */
    const uint64_t columns = lanes > 1 ? side * lower_parts(n->width / side, lanes) : 1;
    lower_dispatch *d = LOWER(
        l, layer_norm_grad, CONSTANTS(columns, 1, lanes, lower_across(l, lanes)),
        .x = lower_tensor(l, node->in[M3_LAYER_NORM_GRAD_X]),
        .gamma = lower_tensor(l, node->in[M3_LAYER_NORM_GRAD_GAMMA]),
        .dy = lower_tensor(l, node->in[M3_LAYER_NORM_GRAD_DY]), .residual = lower_tensor(l, residual),
        .dx = lower_tensor(l, node->out[M3_LAYER_NORM_GRAD_DX]), .sums = sums, .groups = n->groups, .rows = n->rows,
        .width = n->width, .eps = n->eps, .parts = parts, .part = part, .adds = residual != NULL);
    lower_pieces(d, n->groups * parts, part * n->width, lanes);
}

static void emit_grad(lower_list *l, const m3_node *node)
{
    const norm n = norm_of(node);
    const lower_traits *traits = l->traits;
    const uint32_t lanes = traits->kind != LOWER_PROCESSOR ? traits->group : 1;
    const uint64_t part = part_of(traits, &n, lower_pass_lanes(traits, n.width, PASSES)),
                   parts = lower_parts(n.rows, part);
    if (n.groups == 0) return;
    lower_view sums = {.memory = LOWER_NOTHING};
    if (parts > 0) {
        sums = lower_scratch(l, n.groups * parts * 2 * n.width * sizeof(float));
        emit_parts(l, node, &n, part, parts, sums);
    }
    const uint32_t slices = lanes > 1 ? lower_slices(traits, lanes, parts, n.width) : 1;
    const uint64_t pieces = n.groups * lower_parts(n.width, lanes > 1 ? lanes / slices : traits->vector);
    lower_dispatch *d = LOWER(l, layer_norm_sums, CONSTANTS(1, slices, lanes, 0), .sums = sums,
                              .dgamma = lower_tensor(l, node->out[M3_LAYER_NORM_GRAD_DGAMMA]),
                              .dbeta = lower_tensor(l, node->out[M3_LAYER_NORM_GRAD_DBETA]), .groups = n.groups,
                              .width = n.width, .parts = parts);
    lower_pieces(d, pieces, 2 * parts * traits->vector, lanes);
}

uint32_t lower_norm_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    const norm n = norm_of(node);
    if (n.groups * n.rows == 0) return 0;
    return lower_across_variants(traits, node, lower_pass_lanes(traits, n.width, PASSES), class_text, names);
}

const lower_op lower_norm_ops[] = {{"layer_norm", supports, lower},
                                   {"layer_norm_grad", supports, emit_grad},
                                   {"layer_norm_grad_add", supports, emit_grad},
                                   {0}};
