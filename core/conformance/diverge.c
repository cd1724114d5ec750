/* diverge: one training step on two devices, value by value.
 *   1  both run the step with every result published and no pass, from the same parameters, inputs and draws
 *   2  the first result that is beyond its bound is computed once more on the device, alone, from the other's operands:
 *      wrong again, the op itself is at fault; right now, its operands had drifted, and the next result is looked at
 *   3  where all results agree, the device runs the step as it is trained, with passes, and what it gives is compared
 */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/alone.h"
#include "core/conformance/inputs.h"
#include "core/conformance/values.h"
#include "core/model/model.h"
#include "m3bsr/conformance.h"

static const double absolute_bound = 2e-5, relative_bound = 2e-4; /* as for vector files */
enum { SEED = 1, NAME = 64 };

/* A device with the step on it. */
typedef struct side {
    m3_device *device;
    m3_store *store;
    m3_executable *step;
} side;

typedef struct search {
    const m3_model_config *config;
    const m3_diverge_options *options;
    m3_graph *graph;     /* every result is published, as "node.output" */
    side a, b;           /* the device, and the one that it is held against */
    void **before;       /* [tensors] of b: parameters and states before the step, else NULL */
    double *have, *want; /* room for the largest tensor */
    m3_divergence *found;
} search;

static void side_fini(side *s)
{
    m3_executable_free(s->step);
    m3_store_free(s->store);
    *s = (side){0};
}

static void search_fini(search *s)
{
    for (uint32_t i = 0; s->before != NULL && i < m3_graph_tensor_count(s->graph); i++) m3_free(s->before[i]);
    m3_free((void *)s->before);
    m3_free(s->have);
    side_fini(&s->a);
    side_fini(&s->b);
    m3_graph_free(s->graph);
}

static m3_status side_make(const search *s, side *to, m3_device *device, const char *const *no_pass, m3_error *err)
{
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                        .name = "step",
                                        .no_pass = no_pass,
                                        .precision = m3_model_precision(s->config),
                                        .recompute = m3_model_recompute(s->config),
                                        .fallbacks = s->options->fallbacks};
    const m3_inputs in = {.config = s->config, .seed = SEED, .step = 1, .rows = (uint32_t)s->config->batch};
    m3_status st = m3_store_create(to->device = device, SEED, &to->store, err);
    if (st == M3_OK) st = m3_inputs_write_features(&in, to->store, err);
    if (st == M3_OK) st = m3_executable_create(device, to->store, s->graph, &options, &to->step, err);
    if (st == M3_OK) m3_inputs_write(&in, to->step);
    return st;
}

/* Building. */

static bool is_published(const m3_node *node)
{
    return (node->op->flags & M3_OP_UPDATES) == 0;
}

static void name_result(const m3_node *node, uint32_t output, char name[NAME])
{
    (void)snprintf(name, NAME, "result %u.%u", node->id, output);
}

static m3_status build(search *s, bool publish, const char *const *no_pass, m3_error *err)
{
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate), .no_pass = no_pass};
    m3_status st = m3_model_build_train(m3_device_engine(s->options->device), s->config, &options, &s->graph, err);
    const uint32_t nodes = st == M3_OK && publish ? m3_graph_node_count(s->graph) : 0;
    for (uint32_t i = 0; i < nodes; i++) {
        const m3_node *node = m3_graph_node(s->graph, i);
        for (uint32_t k = 0; k < node->out_count && is_published(node); k++) {
            char name[NAME];
            name_result(node, k, name);
            m3_graph_output(m3_graph_builder(s->graph), name, node->out[k]);
        }
    }
    return st == M3_OK ? m3_builder_status(m3_graph_builder(s->graph), err) : st;
}

static m3_status make_room(search *s, m3_error *err)
{
    const uint32_t tensors = m3_graph_tensor_count(s->graph);
    uint64_t largest = 1;
    for (uint32_t i = 0; i < tensors; i++) {
        const uint64_t count = m3_tensor_count(m3_graph_tensor(s->graph, i));
        if (count > largest) largest = count;
    }
    s->before = m3_calloc(tensors, sizeof *s->before);
    s->have = m3_calloc(2 * largest, sizeof *s->have);
    if (s->before == NULL || s->have == NULL) return M3_FAIL_MEMORY(err, "diverge", 2 * largest * sizeof *s->have);
    s->want = s->have + largest;
    return M3_OK;
}

/* What an op reads of parameters and states is what they were before the step. */
static m3_status keep_stored(search *s, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_tensor_count(s->graph); i++) {
        const m3_tensor *x = m3_graph_tensor(s->graph, i);
        m3_store_entry entry;
        if ((x->kind != M3_PARAMETER && x->kind != M3_STATE) || !m3_store_find(s->b.store, x->name, &entry)) continue;
        if ((s->before[i] = m3_calloc(m3_tensor_bytes(x) + 1, 1)) == NULL)
            return M3_FAIL_MEMORY(err, x->name, m3_tensor_bytes(x));
        st = m3_store_read(s->b.store, x->name, s->before[i], m3_tensor_bytes(x), err);
    }
    return st;
}

/* Comparing. */

static bool compare(search *s, const m3_tensor *x, const void *have, const void *want)
{
    m3_divergence *f = s->found;
    const uint64_t count = m3_tensor_count(x);
    const bool real = m3_dtype_is_float(x->dtype);
    double largest = 0.0, worst = -1.0;
    m3_values_decode(x->dtype, have, count, s->have);
    m3_values_decode(x->dtype, want, count, s->want);
    for (uint64_t i = 0; i < count; i++)
        if (isfinite(s->want[i])) largest = fmax(largest, fabs(s->want[i]));
    const double bound = real ? absolute_bound + relative_bound * largest : 0.0;
    uint64_t wrong = 0, at = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double a = s->have[i], b = s->want[i];
        double error = a == b || (isnan(a) && isnan(b)) ? 0.0 : fabs(a - b);
        if (isnan(error)) error = INFINITY;
        wrong += error > bound;
        if (error > worst) {
            worst = error;
            at = i;
        }
    }
    f->compared++;
    if (worst / (bound > 0.0 ? bound : 1.0) > f->share && real) f->share = worst / bound;
    if (wrong == 0) return true;
    f->index = at;
    f->count = wrong;
    f->elements = count;
    f->got = s->have[at];
    f->want = s->want[at];
    f->error = worst;
    f->bound = bound;
    return false;
}

static void name_node(m3_divergence *f, const m3_node *node, uint32_t output)
{
    f->node = node->id;
    f->output = output;
    (void)snprintf(f->op, sizeof f->op, "%s", node->op->name);
    (void)snprintf(f->scope, sizeof f->scope, "%s", node->scope);
    (void)snprintf(f->tensor, sizeof f->tensor, "%s", node->out[output]->name);
    (void)m3_shape_text(&node->out[output]->shape, f->shape, sizeof f->shape);
}

/* The other device's operand; NULL: not known. */
static const void *operand(const search *s, const m3_tensor *x)
{
    char name[NAME];
    switch (x->kind) {
    case M3_CONSTANT: return x->data;
    case M3_INPUT: return m3_executable_input(s->b.step, x->name, NULL);
    case M3_PARAMETER:
    case M3_STATE: return s->before[x->id];
    case M3_TEMPORARY: break;
    }
    name_result(x->producer, x->output, name);
    return m3_executable_output(s->b.step, name, NULL);
}

/* A node alone on the device, over the other's operands. */
static m3_status run_alone(const search *s, const m3_node *node, side *alone, m3_error *err)
{
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, fallbacks),
                                        .name = "alone",
                                        .no_pass = m3_pass_names(),
                                        .fallbacks = s->options->fallbacks};
    m3_graph *graph = NULL;
    m3_status st = m3_graph_of_node(node, m3_graph_lookup(s->graph), &graph, err);
    if (st == M3_OK) st = m3_store_create(s->a.device, SEED, &alone->store, err);
    if (st == M3_OK) st = m3_executable_create(s->a.device, alone->store, graph, &options, &alone->step, err);
    for (uint32_t k = 0; st == M3_OK && k < node->in_count; k++) {
        char name[NAME];
        const void *from = node->in[k] != NULL ? operand(s, node->in[k]) : NULL;
        (void)snprintf(name, sizeof name, "in%u", k);
        void *to = m3_executable_input(alone->step, name, NULL);
        if (to != NULL && from != NULL) memcpy(to, from, m3_tensor_bytes(node->in[k]));
    }
    if (st == M3_OK) st = m3_executable_run(alone->step, err);
    m3_graph_free(graph);
    return st;
}

static m3_status is_right_alone(search *s, const m3_node *node, bool *right, m3_error *err)
{
    side alone = {0};
    m3_status st = run_alone(s, node, &alone, err);
    *right = true;
    for (uint32_t k = 0; st == M3_OK && *right && k < node->out_count; k++) {
        char own[NAME], name[NAME];
        (void)snprintf(own, sizeof own, "out%u", k);
        name_result(node, k, name);
        const void *have = m3_executable_output(alone.step, own, NULL);
        const void *want = m3_executable_output(s->b.step, name, NULL);
        if (have == NULL || want == NULL || compare(s, node->out[k], have, want)) continue;
        *right = false;
        name_node(s->found, node, k);
    }
    side_fini(&alone);
    return st;
}

static m3_status compare_results(search *s, m3_error *err)
{
    m3_status st = M3_OK;
    m3_divergence first = {0};
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_node_count(s->graph); i++) {
        const m3_node *node = m3_graph_node(s->graph, i);
        bool near = true, right = true;
        for (uint32_t k = 0; k < node->out_count && near && is_published(node); k++) {
            char name[NAME];
            name_result(node, k, name);
            const void *have = m3_executable_output(s->a.step, name, NULL);
            const void *want = m3_executable_output(s->b.step, name, NULL);
            near = have == NULL || want == NULL || compare(s, node->out[k], have, want);
            if (!near) name_node(s->found, node, k);
        }
        s->found->nodes++;
        if (near) continue;
        if (s->found->kind == M3_DIVERGES_NOT) first = *s->found;
        s->found->kind = M3_DIVERGES_BY_OPERANDS;
        if ((st = is_right_alone(s, node, &right, err)) != M3_OK) return st;
        if (right) continue;
        s->found->kind = M3_DIVERGES_AT_OP;
        return M3_OK;
    }
    if (s->found->kind == M3_DIVERGES_BY_OPERANDS) { /* each op is right: what is told is where it began */
        first.kind = M3_DIVERGES_BY_OPERANDS;
        first.nodes = s->found->nodes;
        first.compared = s->found->compared;
        first.share = s->found->share;
        *s->found = first;
    }
    return st;
}

static bool compare_output(search *s, const char *name)
{
    const m3_tensor *x = m3_executable_output_tensor(s->a.step, name);
    const void *have = m3_executable_output(s->a.step, name, NULL), *want = m3_executable_output(s->b.step, name, NULL);
    if (x == NULL || have == NULL || want == NULL || compare(s, x, have, want)) return true;
    (void)snprintf(s->found->tensor, sizeof s->found->tensor, "%s", name);
    (void)m3_shape_text(&x->shape, s->found->shape, sizeof s->found->shape);
    return false;
}

/* What the step leaves in the stores. */
static m3_status compare_stores(search *s, bool *near, m3_error *err)
{
    m3_status st = M3_OK;
    *near = true;
    for (uint32_t i = 0; st == M3_OK && *near && i < m3_store_count(s->a.store); i++) {
        m3_store_entry entry, there;
        m3_store_at(s->a.store, i, &entry);
        if (!m3_store_find(s->b.store, entry.name, &there)) continue;
        const uint64_t bytes = m3_shape_count(&entry.shape) * m3_dtype_bytes(entry.dtype);
        const m3_tensor x = {.dtype = entry.dtype, .shape = entry.shape};
        unsigned char *both = m3_calloc(2 * bytes + 1, 1);
        if (both == NULL) return M3_FAIL_MEMORY(err, entry.name, 2 * bytes);
        if ((st = m3_store_read(s->a.store, entry.name, both, bytes, err)) == M3_OK)
            st = m3_store_read(s->b.store, entry.name, both + bytes, bytes, err);
        if (st == M3_OK) *near = compare(s, &x, both, both + bytes);
        if (!*near) {
            (void)snprintf(s->found->tensor, sizeof s->found->tensor, "%s", entry.name);
            (void)m3_shape_text(&entry.shape, s->found->shape, sizeof s->found->shape);
        }
        m3_free(both);
    }
    return st;
}

/* Build the step without published results, compile it for a device, and run it. */
static m3_status run_step(search *s, side *to, m3_device *device, const char *const *no_pass, m3_error *err)
{
    m3_graph_free(s->graph);
    s->graph = NULL;
    side_fini(to);
    m3_status st = build(s, false, no_pass, err);
    if (st == M3_OK) st = side_make(s, to, device, no_pass, err);
    return st == M3_OK ? m3_executable_run(to->step, err) : st;
}

/* Step 3. */
static m3_status compare_step(search *s, m3_error *err)
{
    static const char *const outputs[] = {"loss",          "loss_recommend", "loss_modality",
                                          "loss_behavior", "loss_contrast",  "grad_norm"};
    const m3_model_config *given = s->config;
    m3_model_config still = *given;
    bool near = true;
    m3_status st = m3_model_set(&still, "dropout", "0", err);
    if (st == M3_OK) st = m3_model_set(&still, "dropout_encoder", "0", err);
    /* Where a gradient is 0 but for rounding, AdamW would make a whole step of the rounding. */
    if (st == M3_OK && still.adam_eps < 1e-4) st = m3_model_set(&still, "adam_eps", "1e-4", err);
    s->config = &still;
    if (st == M3_OK) st = run_step(s, &s->b, s->options->against, m3_pass_names(), err);
    if (st == M3_OK) st = run_step(s, &s->a, s->options->device, s->options->no_pass, err);
    for (size_t i = 0; st == M3_OK && near && i < sizeof outputs / sizeof outputs[0]; i++)
        near = compare_output(s, outputs[i]);
    if (st == M3_OK && near) st = compare_stores(s, &near, err);
    if (st == M3_OK && !near) s->found->kind = M3_DIVERGES_WITH_PASSES;
    s->config = given;
    return st;
}

/* Steps 1 and 2. */
static m3_status compare_published(search *s, m3_error *err)
{
    m3_status st;
    if ((st = build(s, true, m3_pass_names(), err)) != M3_OK) return st;
    if ((st = make_room(s, err)) != M3_OK) return st;
    if ((st = side_make(s, &s->b, s->options->against, m3_pass_names(), err)) != M3_OK) return st;
    if ((st = side_make(s, &s->a, s->options->device, m3_pass_names(), err)) != M3_OK) return st;
    if ((st = keep_stored(s, err)) != M3_OK) return st;
    if ((st = m3_executable_run(s->b.step, err)) != M3_OK) return st;
    if ((st = m3_executable_run(s->a.step, err)) != M3_OK) return st;
    st = compare_results(s, err);
    for (uint32_t i = 0; i < m3_graph_tensor_count(s->graph); i++) m3_free(s->before[i]);
    m3_free((void *)s->before);
    s->before = NULL;
    return st;
}

m3_status m3_diverge(const m3_model_config *config, const m3_diverge_options *options, m3_divergence *found,
                     m3_error *err)
{
    m3_divergence made = {.size = M3_STRUCT_SIZE(m3_divergence, shape)};
    search s = {.config = config, .options = options, .found = &made};
    m3_status st = compare_published(&s, err);
    if (st == M3_OK && made.kind == M3_DIVERGES_NOT) st = compare_step(&s, err);
    if (st == M3_OK) *found = made;
    search_fini(&s);
    return st;
}
