/* next: what a backend's author writes next. The training step of a model is made as for a device that runs every op,
 * and each node is offered to the device. Of one that it refuses, the decomposition says what becomes of it:
 *   here, in pieces  the device runs all that the op decomposes into
 *   elsewhere        a piece, or an op without pieces, is left for another device
 * The work of a node is the time that it would take on a device that does BALANCE operations while it moves a byte,
 * the larger of both: neither products nor long sums of small things are forgotten. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/alone.h"
#include "core/model/model.h"
#include "core/passes/pass.h"
#include "m3bsr/builder.h"
#include "m3bsr/conformance.h"

/* Processors and GPUs of today have 5 to 50. */
static const double BALANCE = 10.0;

enum { MISSING = 256 };

/* One op of the step. */
typedef struct tally {
    const m3_op *op;
    uint32_t nodes, refused;
    double refused_work, pieces_work; /* of the refused nodes; of what those that run here in pieces become */
    bool elsewhere, needed;
    char missing[MISSING], why[M3_ERROR_MESSAGE];
} tally;

typedef struct survey {
    m3_device *device;
    m3_graph *step;
    tally *ops;
    uint32_t count;
    double work, here, pieces, elsewhere;
} survey;

static double work_of(const m3_node *node)
{
    if ((node->op->flags & M3_OP_ALIAS) != 0) return 0;
    return fmax((double)m3_node_flops(node) / BALANCE, (double)m3_node_traffic(node, NULL));
}

static bool runs(void *device, const m3_node *node)
{
    m3_error why = {0};
    return (node->op->flags & M3_OP_ALIAS) != 0 || m3_device_supports(device, node, &why) == M3_OK;
}

static void note_missing(tally *t, const char *op)
{
    const size_t length = strlen(op), at = strlen(t->missing);
    for (const char *s = t->missing; (s = strstr(s, op)) != NULL; s += length)
        if ((s == t->missing || s[-1] == ' ') && (s[length] == ' ' || s[length] == '\0')) return;
    (void)snprintf(t->missing + at, sizeof t->missing - at, "%s%s", at > 0 ? " " : "", op);
}

/* What a refused node becomes. */
static m3_status take_apart(survey *s, tally *t, const m3_node *node, m3_error *err)
{
    const m3_pass_context context = {.supports = runs, .user = s->device};
    m3_graph *alone = NULL, *pieces = NULL;
    bool elsewhere = node->op->decompose == NULL;
    double work = 0;
    m3_status st = elsewhere ? M3_OK : m3_graph_of_node(node, m3_graph_lookup(s->step), &alone, err);
    if (st == M3_OK && !elsewhere) st = m3_pass_decompose.run(alone, &context, &pieces, err);
    for (uint32_t i = 0; st == M3_OK && pieces != NULL && i < m3_graph_node_count(pieces); i++) {
        const m3_node *piece = m3_graph_node(pieces, i);
        work += work_of(piece);
        if (runs(s->device, piece)) continue;
        note_missing(t, piece->op->name);
        elsewhere = true;
    }
    t->elsewhere = t->elsewhere || elsewhere;
    if (elsewhere) {
        s->elsewhere += work_of(node);
    } else {
        s->pieces += work_of(node);
        t->pieces_work += fmax(work - work_of(node), 0);
    }
    m3_graph_free(pieces);
    m3_graph_free(alone);
    return st;
}

static m3_status take(survey *s, const m3_node *node, m3_error *err)
{
    m3_error why = {0};
    uint32_t k = 0;
    if ((node->op->flags & M3_OP_ALIAS) != 0) return M3_OK;
    while (k < s->count && s->ops[k].op != node->op) k++;
    if (k == s->count) s->ops[s->count++].op = node->op;
    tally *t = &s->ops[k];
    t->nodes++;
    s->work += work_of(node);
    if (m3_device_supports(s->device, node, &why) == M3_OK) {
        s->here += work_of(node);
        return M3_OK;
    }
    if (t->refused++ == 0) (void)snprintf(t->why, sizeof t->why, "%s", why.message);
    t->refused_work += work_of(node);
    return take_apart(s, t, node, err);
}

/* The step as it is built has no copy, but with other devices beside this one it will. */
static m3_status take_copy(survey *s, m3_error *err)
{
    m3_graph *graph = NULL;
    m3_error why = {0};
    m3_status st = m3_graph_create(m3_graph_lookup(s->step), &graph, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *y = m3_copy(b, m3_graph_input(b, "x", M3_F32, M3_SHAPE(8)));
    st = m3_builder_status(b, err);
    if (st == M3_OK && y != NULL && s->ops != NULL && m3_device_supports(s->device, y->producer, &why) != M3_OK) {
        tally *t = &s->ops[s->count++];
        *t = (tally){.op = y->producer->op, .nodes = 1, .refused = 1, .elsewhere = true, .needed = true};
        (void)snprintf(t->why, sizeof t->why,
                       "states and outputs that another device computes need it before all else; %.900s", why.message);
    }
    m3_graph_free(graph);
    return st;
}

/* First what leaves the device, by its work; then what pieces cost beyond the op itself. */
static int by_benefit(const void *a, const void *b)
{
    const tally *x = a, *y = b;
    if (x->needed != y->needed) return x->needed ? -1 : 1;
    if ((x->refused > 0) != (y->refused > 0)) return x->refused > 0 ? -1 : 1;
    if (x->elsewhere != y->elsewhere) return x->elsewhere ? -1 : 1;
    const double u = x->elsewhere ? x->refused_work : x->pieces_work;
    const double v = y->elsewhere ? y->refused_work : y->pieces_work;
    if (u > v || u < v) return u > v ? -1 : 1;
    return strcmp(x->op->name, y->op->name);
}

static m3_status make_step(survey *s, const m3_model_config *config, m3_error *err)
{
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate)};
    const m3_pass_context everything = {0};
    m3_graph *built = NULL;
    m3_status st = m3_model_build_train(m3_device_engine(s->device), config, &options, &built, err);
    if (st == M3_OK) st = m3_passes_run(built, &everything, &s->step, err);
    m3_graph_free(built);
    return st;
}

static void tell(const survey *s, void (*each)(void *user, const m3_lacking *lacking), void *user,
                 m3_lacking_report *report)
{
    const double whole = s->work > 0 ? s->work : 1;
    *report = (m3_lacking_report){.size = M3_STRUCT_SIZE(m3_lacking_report, elsewhere),
                                  .ops = s->count,
                                  .here = s->here / whole,
                                  .pieces = s->pieces / whole,
                                  .elsewhere = s->elsewhere / whole};
    for (uint32_t i = 0; i < s->count && s->ops[i].refused > 0; i++) {
        const tally *t = &s->ops[i];
        const m3_lacking lacking = {.size = M3_STRUCT_SIZE(m3_lacking, why),
                                    .op = t->op->name,
                                    .nodes = t->refused,
                                    .elsewhere = t->elsewhere,
                                    .share = t->refused_work / whole,
                                    .saves = t->elsewhere ? t->refused_work / whole : t->pieces_work / whole,
                                    .missing = t->missing,
                                    .why = t->why};
        report->lacking++;
        if (each != NULL) each(user, &lacking);
    }
}

m3_status m3_conformance_next(m3_device *device, const m3_model_config *config,
                              void (*each)(void *user, const m3_lacking *lacking), void *user,
                              m3_lacking_report *report, m3_error *err)
{
    survey s = {.device = device};
    m3_status st = make_step(&s, config, err);
    const uint32_t nodes = st == M3_OK ? m3_graph_node_count(s.step) : 0;
    if (st == M3_OK && (s.ops = m3_calloc((size_t)nodes + 2, sizeof *s.ops)) == NULL)
        st = M3_FAIL_MEMORY(err, "step", nodes * sizeof *s.ops);
    for (uint32_t i = 0; st == M3_OK && i < nodes; i++) st = take(&s, m3_graph_node(s.step, i), err);
    if (st == M3_OK && s.ops != NULL) st = take_copy(&s, err);
    if (st == M3_OK && s.ops != NULL) {
        qsort(s.ops, s.count, sizeof *s.ops, by_benefit);
        tell(&s, each, user, report);
    }
    m3_free(s.ops);
    m3_graph_free(s.step);
    return st;
}
