/* optim: adamw, adamw_rows, global_norm. adamw and global_norm take any number of tensors, so those whose places lie in
 * the same segments go into one dispatch, which sees each segment from the first of them to the last and reads in a
 * table where each lies. Where a device cannot see so much of a buffer, each tensor has a dispatch of its own. */
#include "backends/lowering/ops/list.h"

#include "backends/lowering/across.h"
#include "backends/lowering/contract.h"

#include <string.h>

#include "backends/lowering/ops/split.h"
#include "m3bsr/ops.h"

enum { EACH = M3_ADAMW_EACH, STATES = M3_ADAMW_STATES }; /* inputs and outputs of adamw for each tensor */
enum { CHUNK = 4096 };                                   /* elements */
_Static_assert(M3_ADAMW_STEP == (int)M3_ADAMW_ROWS_STEP && M3_ADAMW_SCALE == (int)M3_ADAMW_ROWS_SCALE &&
                   M3_ADAMW_BETA1 == (int)M3_ADAMW_ROWS_BETA1 && M3_ADAMW_BETA2 == (int)M3_ADAMW_ROWS_BETA2 &&
                   M3_ADAMW_EPS == (int)M3_ADAMW_ROWS_EPS && M3_ADAMW_WEIGHT_DECAY == (int)M3_ADAMW_ROWS_WEIGHT_DECAY,
               "adamw and adamw_rows have one rule");

#define CONSTANTS(lanes, subgroup) .VECTOR = l->traits->vector, .CHUNK = CHUNK, .LANES = (lanes), .SUBGROUP = (subgroup)

/* Many tensors. */

enum { MAX_ROLES = EACH + STATES, HEAD = TABLE_AT /* numbers of a table's line before the places */ };

/* What a node does with its tensors, each of which comes in some roles: p, m, v, g and p', m', v', or g alone. */
typedef struct many {
    lower_list *l;
    const m3_node *node;
    uint32_t count, roles; /* tensors, and tensors of the program for each */
    const m3_tensor *(*tensor)(const m3_node *node, uint32_t j, uint32_t role);
    /* Write the dispatch of some tensors. */
    void (*emit)(const struct many *job, lower_view table, const lower_view *view, uint32_t tensors, uint64_t chunks);
    lower_view sums; /* of global_norm */
    uint32_t *mine;  /* [count], numbers of the tensors of a dispatch */
    uint32_t *line;  /* [count, HEAD + roles], its table */
} many;

static uint64_t chunks_of(const many *job, uint32_t j)
{
    return lower_parts(m3_tensor_count(job->tensor(job->node, j, 0)), CHUNK);
}

static bool same_segments(const many *job, uint32_t i, uint32_t j)
{
    for (uint32_t role = 0; role < job->roles; role++)
        if (lower_tensor(job->l, job->tensor(job->node, i, role)).segment !=
            lower_tensor(job->l, job->tensor(job->node, j, role)).segment)
            return false;
    return true;
}

/* The part of a segment that tensors [0, n) of `mine` lie in. */
static lower_view span_of(const many *job, const uint32_t *mine, uint32_t n, uint32_t role)
{
    lower_view span = lower_tensor(job->l, job->tensor(job->node, mine[0], role));
    for (uint32_t i = 1; i < n; i++) {
        const lower_view view = lower_tensor(job->l, job->tensor(job->node, mine[i], role));
        const uint64_t end = span.offset + span.bytes, its_end = view.offset + view.bytes;
        span.offset = view.offset < span.offset ? view.offset : span.offset;
        span.bytes = (its_end > end ? its_end : end) - span.offset;
    }
    return span;
}

static uint64_t chunks_before(const many *job, uint32_t j)
{
    uint64_t chunks = 0;
    for (uint32_t i = 0; i < j; i++) chunks += chunks_of(job, i);
    return chunks;
}

/* The dispatch of tensors [0, n) of `mine`; false: the device sees too little of their segments, or they
 * lie farther from each other than the table's numbers count. */
static bool dispatch(const many *job, const uint32_t *mine, uint32_t n)
{
    lower_view view[MAX_ROLES];
    uint64_t chunks = 0;
    uint32_t *line = job->line;
    for (uint32_t role = 0; role < job->roles; role++) {
        view[role] = span_of(job, mine, n, role);
        if (view[role].bytes > job->l->traits->largest_binding || view[role].bytes / sizeof(float) > UINT32_MAX)
            return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t j = mine[i];
        line[TABLE_FIRST] = (uint32_t)chunks;
        line[TABLE_COUNT] = (uint32_t)m3_tensor_count(job->tensor(job->node, j, 0));
        line[TABLE_ORDER] = (uint32_t)chunks_before(job, j);
        for (uint32_t role = 0; role < job->roles; role++) {
            const lower_view place = lower_tensor(job->l, job->tensor(job->node, j, role));
            line[TABLE_AT + role] = (uint32_t)((place.offset - view[role].offset) / sizeof(float));
        }
        line += HEAD + job->roles;
        chunks += chunks_of(job, j);
    }
    const uint64_t bytes = (uint64_t)(line - job->line) * sizeof *line;
    job->emit(job, lower_table(job->l, job->line, bytes), view, n, chunks);
    return true;
}

/* The first tensor of the same segments leads; it gathers the others. */
static void dispatch_with(const many *job, uint32_t leader)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < leader; j++)
        if (chunks_of(job, j) > 0 && same_segments(job, j, leader)) return;
    for (uint32_t j = leader; j < job->count; j++)
        if (chunks_of(job, j) > 0 && same_segments(job, j, leader)) job->mine[n++] = j;
    if (dispatch(job, job->mine, n)) return;
    for (uint32_t i = 0; i < n; i++) (void)dispatch(job, job->mine + i, 1);
}

static void run(many *job)
{
    const m3_host *host = job->l->host;
    const uint64_t numbers = (uint64_t)job->count * (1 + HEAD + job->roles);
    job->mine = host->allocate(host->user, (size_t)numbers, sizeof *job->mine);
    if (job->mine == NULL) {
        lower_fail_memory(job->l, numbers * sizeof *job->mine);
        return;
    }
    job->line = job->mine + job->count;
    for (uint32_t j = 0; j < job->count; j++)
        if (chunks_of(job, j) > 0) dispatch_with(job, j);
    host->release(host->user, job->mine);
}

/* adamw. */

#define RULE(node)                                                                                                     \
    .beta1 = (float)m3_node_float(node, M3_ADAMW_BETA1), .rest1 = (float)(1.0 - m3_node_float(node, M3_ADAMW_BETA1)),  \
    .beta2 = (float)m3_node_float(node, M3_ADAMW_BETA2), .rest2 = (float)(1.0 - m3_node_float(node, M3_ADAMW_BETA2)),  \
    .eps = (float)m3_node_float(node, M3_ADAMW_EPS), .decay = (float)m3_node_float(node, M3_ADAMW_WEIGHT_DECAY)

static const m3_tensor *of_adamw(const m3_node *node, uint32_t j, uint32_t role)
{
    return role < EACH ? node->in[M3_ADAMW_P + EACH * j + role] : node->out[M3_ADAMW_NEXT_P + STATES * j + role - EACH];
}

static void emit_adamw_chunks(const many *job, lower_view table, const lower_view *view, uint32_t tensors,
                              uint64_t chunks)
{
    lower_list *l = job->l;
    const m3_node *node = job->node;
    const uint32_t lanes = lower_pass_lanes(l->traits, CHUNK, 1);
    lower_dispatch *d = LOWER(
        l, adamw, CONSTANTS(lanes, 0), .table = table, .step = lower_tensor(l, node->in[M3_ADAMW_STEP]),
        .scale = lower_tensor(l, node->in[M3_ADAMW_SCALE]), .p = view[0], .m = view[1], .v = view[2], .g = view[3],
        .new_p = view[4], .new_m = view[5], .new_v = view[6], .tensors = tensors, .chunks = chunks, RULE(node));
    lower_pieces(d, chunks, CHUNK, lanes);
}

static void emit_adamw(lower_list *l, const m3_node *node)
{
    many job = {.l = l,
                .node = node,
                .count = (node->in_count - M3_ADAMW_P) / EACH,
                .roles = EACH + STATES,
                .tensor = of_adamw,
                .emit = emit_adamw_chunks};
    run(&job);
}

/* adamw_rows. */

static bool moves(const lower_view in[STATES], const lower_view out[STATES])
{
    for (uint32_t c = 0; c < STATES; c++)
        if (in[c].segment != out[c].segment || in[c].offset != out[c].offset) return true;
    return false;
}

static void emit_rows(lower_list *l, const m3_node *node)
{
    const m3_tensor *p = node->in[M3_ADAMW_ROWS_P];
    const uint64_t count = m3_tensor_count(p), ids = m3_tensor_count(node->in[M3_ADAMW_ROWS_IDS]);
    if (count == 0) return;
    const uint64_t rows = p->shape.dim[0], size = count / rows;
    lower_view in[STATES], out[STATES];
    for (uint32_t c = 0; c < STATES; c++) {
        in[c] = lower_tensor(l, node->in[M3_ADAMW_ROWS_P + c]);
        out[c] = lower_tensor(l, node->out[M3_ADAMW_ROWS_NEXT_P + c]);
    }
    if (moves(in, out)) {
        const uint64_t chunks = lower_parts(count, CHUNK);
        const uint32_t lanes = lower_pass_lanes(l->traits, CHUNK, 1);
        lower_dispatch *d = LOWER(l, adamw_copy, CONSTANTS(lanes, 0), .p = in[0], .m = in[1], .v = in[2],
                                  .new_p = out[0], .new_m = out[1], .new_v = out[2], .count = count, .chunks = chunks);
        lower_pieces(d, chunks, CHUNK, lanes);
    }
    if (ids == 0) return;
    const uint32_t lanes = lower_pass_lanes(l->traits, size, 1);
    lower_dispatch *d =
        LOWER(l, adamw_rows, CONSTANTS(lanes, 0), .step = lower_tensor(l, node->in[M3_ADAMW_ROWS_STEP]),
              .scale = lower_tensor(l, node->in[M3_ADAMW_ROWS_SCALE]), .p = in[0], .m = in[1], .v = in[2],
              .ids = lower_tensor(l, node->in[M3_ADAMW_ROWS_IDS]), .g = lower_tensor(l, node->in[M3_ADAMW_ROWS_ROWS]),
              .new_p = out[0], .new_m = out[1], .new_v = out[2], .count = ids, .rows = rows, .size = size, RULE(node));
    lower_pieces(d, ids, size, lanes);
}

/* global_norm. */

static const m3_tensor *of_norm(const m3_node *node, uint32_t j, uint32_t role)
{
    (void)role;
    return node->in[j];
}

static void emit_norm_chunks(const many *job, lower_view table, const lower_view *view, uint32_t tensors,
                             uint64_t chunks)
{
    lower_list *l = job->l;
    const uint32_t lanes = lower_pass_lanes(l->traits, CHUNK, 1);
    lower_dispatch *d = LOWER(l, squares, CONSTANTS(lanes, lower_across(l, lanes)), .table = table, .g = view[0],
                              .sums = job->sums, .tensors = tensors, .chunks = chunks);
    lower_pieces(d, chunks, CHUNK, lanes);
}

static void emit_norm(lower_list *l, const m3_node *node)
{
    many job = {.l = l, .node = node, .count = node->in_count, .roles = 1, .tensor = of_norm, .emit = emit_norm_chunks};
    const uint64_t sums = chunks_before(&job, job.count);
    if (sums > 0) job.sums = lower_scratch(l, sums * sizeof(float));
    run(&job);
    const uint32_t lanes = lower_pass_lanes(l->traits, sums, 1);
    lower_dispatch *d = LOWER(l, norm, CONSTANTS(lanes, lower_across(l, lanes)), .sums = job.sums,
                              .y = lower_tensor(l, node->out[0]), .count = sums);
    lower_pieces(d, 1, sums, lanes);
}

uint32_t lower_optim_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    return lower_across_variants(traits, node, lower_pass_lanes(traits, CHUNK, 1), class_text, names);
}

const lower_op lower_optim_ops[] = {
    {"adamw", NULL, emit_adamw}, {"adamw_rows", NULL, emit_rows}, {"global_norm", NULL, emit_norm}, {0}};
