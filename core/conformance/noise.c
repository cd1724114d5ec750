/* noise: y = op(x) becomes y' = y f, f an input with a factor for each element. Results of one shape take their turn
 * with a few such inputs: a graph of thousands would spend its time on finding them by name. */
#include "core/conformance/noise.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/graph/rewrite.h"

enum { NAME = 32, OF_A_SHAPE = 7 };

/* These move, choose or count, and round nothing. */
static const char *const exact[] = {
    "abs",   "broadcast", "cast",  "concat",    "copy",       "detach", "flip",      "gather",  "iota",
    "max",   "min",       "neg",   "pad",       "reduce_max", "relu",   "relu_grad", "reshape", "scatter_rows",
    "slice", "sort",      "top_k", "transpose", "where",      "floor",  "group_rows"};

static bool is_exact(const m3_op *op)
{
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++)
        if (strcmp(exact[i], op->name) == 0) return true;
    return false;
}

/* A result that steps: noise would not move it by a little, but to the next whole number. */
static bool steps(const m3_node *node)
{
    return strcmp(node->op->name, "floor") == 0 ||
           (strcmp(node->op->name, "cast") == 0 && m3_dtype_is_float(node->in[0]->dtype) &&
            !m3_dtype_is_float(node->out[0]->dtype));
}

/* Mark what leads to a step, by tensor. */
static void mark_steps(const m3_graph *graph, bool *marked)
{
    for (uint32_t i = m3_graph_node_count(graph); i-- > 0;) {
        const m3_node *node = m3_graph_node(graph, i);
        bool any = steps(node);
        for (uint32_t k = 0; k < node->out_count; k++) any = any || marked[node->out[k]->id];
        for (uint32_t k = 0; k < node->in_count && any; k++)
            if (node->in[k] != NULL) marked[node->in[k]->id] = true;
    }
}

/* The next factor for a result of this shape. */
static m3_tensor *factor_for(m3_noisy *noisy, m3_builder *b, const m3_tensor *y)
{
    uint32_t there = 0, at = noisy->input_count;
    char name[NAME];
    for (uint32_t i = 0; i < noisy->input_count; i++) {
        if (!m3_shape_equal(&noisy->inputs[i].tensor->shape, &y->shape)) continue;
        there++;
        if (at == noisy->input_count || noisy->inputs[i].uses < noisy->inputs[at].uses) at = i;
    }
    if (there < OF_A_SHAPE) {
        (void)snprintf(name, sizeof name, "noise %u", noisy->input_count);
        m3_tensor *made = m3_graph_input(b, name, y->dtype, y->shape);
        if (made == NULL) return NULL;
        at = noisy->input_count++;
        noisy->inputs[at] = (struct m3_noise_input){.tensor = made, .count = m3_tensor_count(y)};
    }
    noisy->inputs[at].uses++;
    return noisy->inputs[at].tensor;
}

static void add_noise(m3_noisy *noisy, m3_rewrite *rw, const m3_tensor *y)
{
    m3_rewrite_set(rw, y, m3_mul(rw->b, m3_rewrite_get(rw, y), factor_for(noisy, rw->b, y)));
}

static m3_status rewrite(m3_noisy *noisy, const m3_graph *graph, const bool *steps_after, m3_graph **out, m3_error *err)
{
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, graph, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++) {
        const m3_node *node = m3_graph_node(graph, i);
        m3_rewrite_copy(&rw, node);
        for (uint32_t k = 0; k < node->out_count && !is_exact(node->op); k++)
            if (node->out[k]->dtype == M3_F32 && !steps_after[node->out[k]->id]) add_noise(noisy, &rw, node->out[k]);
    }
    return m3_rewrite_end(&rw, out, err);
}

static m3_status compile(m3_noisy *noisy, m3_device *device, m3_store *store, const m3_graph *graph, m3_error *err)
{
    const m3_compile_options options = {
        .size = M3_STRUCT_SIZE(m3_compile_options, fallbacks), .name = "with noise", .no_pass = m3_pass_names()};
    m3_status st = m3_executable_create(device, store, graph, &options, &noisy->executable, err);
    for (uint32_t i = 0; st == M3_OK && i < noisy->input_count; i++) {
        char name[NAME];
        (void)snprintf(name, sizeof name, "noise %u", i);
        noisy->inputs[i].factor = m3_executable_input(noisy->executable, name, NULL);
        noisy->inputs[i].tensor = NULL; /* its graph is freed */
    }
    return st;
}

m3_status m3_noisy_init(m3_noisy *noisy, m3_device *device, m3_store *store, const m3_graph *graph, m3_error *err)
{
    const size_t tensors = (size_t)m3_graph_tensor_count(graph) + 1;
    m3_graph *changed = NULL;
    *noisy = (m3_noisy){.inputs = m3_calloc(tensors, sizeof *noisy->inputs)};
    if (noisy->inputs == NULL) return M3_FAIL_MEMORY(err, "noise", tensors * sizeof *noisy->inputs);
    bool *steps_after = m3_calloc(tensors, sizeof *steps_after);
    if (steps_after == NULL) return M3_FAIL_MEMORY(err, "noise", tensors);
    mark_steps(graph, steps_after);
    m3_status st = rewrite(noisy, graph, steps_after, &changed, err);
    if (st == M3_OK) st = compile(noisy, device, store, changed, err);
    m3_graph_free(changed);
    m3_free(steps_after);
    return st;
}

void m3_noisy_fini(m3_noisy *noisy)
{
    m3_executable_free(noisy->executable);
    m3_free(noisy->inputs);
    *noisy = (m3_noisy){0};
}

/* SplitMix64 (Steele, Lea, Flood 2014): a model takes some million numbers. */
static double next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)(z >> 33) * 0x1p-30 - 1.0;
}

void m3_noisy_draw(m3_noisy *noisy, double size, uint64_t seed)
{
    uint64_t state = seed;
    for (uint32_t i = 0; i < noisy->input_count; i++)
        for (uint64_t k = 0; noisy->inputs[i].factor != NULL && k < noisy->inputs[i].count; k++)
            noisy->inputs[i].factor[k] = (float)(1.0 + size * next(&state));
}
