/* norm: layer_norm and layer_norm_grad over x [groups, rows, width], gamma and beta [groups, width].
 * The gradient's sums over rows run in parts of a number of rows that shape and traits decide: each part sums by
 * itself, and a second dispatch adds the parts in order. */
#include "ops/list.h"

#include "ops/share.h"

enum { WALKS = 5 }; /* over a row, and one to spare */

typedef struct norm {
    uint64_t groups, rows, width; /* rows of a group */
    float eps;
} norm;

static norm norm_of(const m3_node *node)
{
    const m3_tensor *x = node->in[0], *gamma = node->in[1];
    norm n = {.groups = 1, .width = gpu_last(x), .eps = (float)node->attr[0].f};
    if (gamma->shape.rank == 2) n.groups = gamma->shape.dim[0];
    n.rows = n.groups == 0 ? 0 : gpu_row_count(x) / n.groups;
    return n;
}

static m3_status supports(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    return share_check(traits, node, WALKS, why);
}

/* The same constants for each kernel, so that a processor compiles the source once. */
static gpu_dispatch *begin(gpu_list *l, const char *entry, uint64_t columns, uint32_t slices)
{
    gpu_dispatch *d = gpu_begin(l, "norm", entry);
    gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_constant(d, "COLUMNS", (int32_t)columns);
    gpu_constant(d, "SLICES", (int32_t)slices);
    return d;
}

static void lower(gpu_list *l, const m3_node *node)
{
    const norm n = norm_of(node);
    if (n.groups * n.rows == 0) return;
    gpu_dispatch *d = begin(l, "layer_norm", 1, 1);
    gpu_read(d, node->in[0]);
    gpu_read(d, node->in[1]);
    gpu_read(d, node->in[2]);
    gpu_write(d, node->out[0]);
    gpu_u32(d, n.groups);
    gpu_u32(d, n.rows);
    gpu_u32(d, n.width);
    gpu_f32(d, n.eps);
    share_pieces(d, n.groups * n.rows, n.width, share_walks(l->traits, n.width, WALKS));
}

/* Rows of a part, which `lanes` items take. */
static uint64_t part_of(const gpu_traits *traits, const norm *n, uint32_t lanes)
{
    enum { ROWS_ALONE = 32, ROWS_SHARED = 8, PARTS_ALONE = 256, PARTS_OF_UNIT = 8 }; /* least rows, most parts */
    enum { BETWEEN = 128 };                                                          /* turns between lanes, of a row */
    const uint64_t part = lanes == 1 ? gpu_parts(n->rows, PARTS_ALONE)
                                     : gpu_parts(n->groups * n->rows, PARTS_OF_UNIT * (uint64_t)traits->units);
    const uint64_t least = lanes == 1 ? ROWS_ALONE : ROWS_SHARED;
    const uint64_t most = share_turns(traits) / (WALKS * gpu_parts(n->width, lanes) + (lanes > 1 ? BETWEEN : 1));
    const uint64_t wanted = part > least ? part : least;
    return wanted < most ? wanted : most > 1 ? most : 1;
}

/* The rows of parts: dx, and of each part its sums. */
static void lower_parts(gpu_list *l, const m3_node *node, const norm *n, uint64_t part, uint64_t parts, gpu_view sums)
{
    const uint32_t lanes = share_walks(l->traits, n->width, WALKS);
    gpu_dispatch *d = begin(l, "layer_norm_grad", lanes > 1 ? gpu_parts(n->width, lanes) : 1, 1);
    gpu_read(d, node->in[0]);
    gpu_read(d, node->in[1]);
    gpu_read(d, node->in[2]);
    gpu_write(d, node->out[0]);
    gpu_bind(d, sums, true, true);
    gpu_u32(d, n->groups);
    gpu_u32(d, n->rows);
    gpu_u32(d, n->width);
    gpu_f32(d, n->eps);
    gpu_u32(d, parts);
    gpu_u32(d, part);
    share_pieces(d, n->groups * parts, part * n->width, lanes);
}

static void lower_grad(gpu_list *l, const m3_node *node)
{
    const norm n = norm_of(node);
    const gpu_traits *traits = l->traits;
    const uint32_t lanes = traits->lanes > 1 ? traits->group : 1;
    const uint64_t part = part_of(traits, &n, share_walks(traits, n.width, WALKS)), parts = gpu_parts(n.rows, part);
    if (n.groups == 0) return;
    gpu_view sums = {.memory = GPU_NOTHING};
    if (parts > 0) {
        sums = gpu_scratch(l, n.groups * parts * 2 * n.width * sizeof(float));
        lower_parts(l, node, &n, part, parts, sums);
    }
    const uint32_t slices = lanes > 1 ? share_slices(traits, lanes, parts, n.width) : 1;
    const uint64_t pieces = n.groups * gpu_parts(n.width, lanes > 1 ? lanes / slices : traits->vector);
    gpu_dispatch *d = begin(l, "layer_norm_sums", 1, slices);
    gpu_bind(d, sums, true, false);
    gpu_write(d, node->out[1]);
    gpu_write(d, node->out[2]);
    gpu_u32(d, n.groups);
    gpu_u32(d, n.width);
    gpu_u32(d, parts);
    share_pieces(d, pieces, 2 * parts * traits->vector, lanes);
}

const gpu_op gpu_norm_ops[] = {{"layer_norm", supports, lower}, {"layer_norm_grad", supports, lower_grad}, {0}};
