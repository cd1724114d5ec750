/* builder: the table behind include/m3bsr/builder.h. Checks come first: a node that breaks a rule is never made. */
#include "core/graph/internal.h"

#include "core/ops/common/op.h"

static const char *scope_text(m3_graph *graph)
{
    if (graph->scope_text == NULL) graph->scope_text = graph->scope[0] == 0 ? "" : m3_graph_text(graph, graph->scope);
    return graph->scope_text;
}

static const m3_op *find_op(m3_graph *graph, const char *name)
{
    const m3_op *op = m3_op_find(name);
    if (op == NULL && graph->lookup.find != NULL) op = graph->lookup.find(graph->lookup.user, name);
    if (op == NULL)
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name,
                      "there is no op of this name; a custom op must be listed in its plugin's table");
    return op;
}

static bool inputs_are_legal(m3_graph *graph, const m3_node *node)
{
    const m3_op *op = node->op;
    char label[M3_ERROR_SUBJECT];
    (void)m3_node_label(node, label, sizeof label);
    if (node->in_count < op->min_inputs || node->in_count > op->max_inputs) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, label, "%u inputs given; the op takes %u to %u", node->in_count,
                      op->min_inputs, op->max_inputs);
        return false;
    }
    for (uint32_t i = 0; i < node->in_count; i++) {
        const m3_tensor *x = node->in[i];
        if (x == NULL && i >= op->min_inputs) continue;
        if (x == NULL || x->id >= graph->tensor_count || graph->tensors[x->id] != x) {
            (void)M3_FAIL(&graph->error, M3_ERR_INVALID, label, "input %u %s; give a tensor of this graph", i,
                          x == NULL ? "is missing" : "belongs to another graph");
            return false;
        }
    }
    return true;
}

/* The node before its outputs, in the graph's memory. */
static m3_node *prepare(m3_graph *graph, const m3_op *op, m3_tensor *const *in, uint32_t in_count, const m3_attr *attr)
{
    m3_node *node = m3_graph_allocate(graph, sizeof *node);
    m3_tensor **inputs = m3_graph_allocate(graph, in_count * sizeof(m3_tensor *));
    m3_attr *attrs = m3_graph_allocate(graph, op->attr_count * sizeof(m3_attr));
    const char *scope = scope_text(graph);
    if (node == NULL || inputs == NULL || attrs == NULL || scope == NULL) return NULL;
    if (in_count != 0) memcpy(inputs, in, in_count * sizeof(m3_tensor *));
    if (op->attr_count != 0) memcpy(attrs, attr, op->attr_count * sizeof(m3_attr));
    node->size = M3_STRUCT_SIZE(m3_node, attr);
    node->id = graph->node_count;
    node->op = op;
    node->scope = scope;
    node->in_count = in_count;
    node->in = inputs;
    node->attr = attrs;
    return node;
}

static bool append_outputs(m3_graph *graph, m3_node *node, uint32_t count)
{
    m3_tensor_desc *descs = m3_graph_allocate(graph, count * sizeof *descs);
    m3_tensor **out = m3_graph_allocate(graph, count * sizeof(m3_tensor *));
    if (descs == NULL || out == NULL) return false;
    if (node->op->infer(node, descs, &graph->error) != M3_OK) return false;
    uint32_t first = graph->tensor_count;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = m3_graph_append(graph, M3_TEMPORARY, descs[i].dtype, &descs[i].shape, "");
        if (out[i] == NULL) {
            graph->tensor_count = first;
            return false;
        }
        out[i]->producer = node;
        out[i]->output = i;
    }
    node->out = out;
    node->out_count = count;
    return true;
}

static void emit(m3_builder *b, const char *name, m3_tensor *const *in, uint32_t in_count, const m3_attr *attr,
                 uint32_t attr_count, m3_tensor **out, uint32_t out_count)
{
    m3_graph *graph = m3_graph_of(b);
    for (uint32_t i = 0; i < out_count; i++) out[i] = NULL;
    if (graph->error.code != M3_OK) return;
    const m3_op *op = find_op(graph, name);
    if (op == NULL) return;
    if (attr_count != op->attr_count) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name, "%u attributes given; the op has %u", attr_count,
                      op->attr_count);
        return;
    }
    m3_node *node = prepare(graph, op, in, in_count, attr);
    if (node == NULL || !inputs_are_legal(graph, node)) return;
    uint32_t outputs = op->count_outputs != NULL ? op->count_outputs(node) : op->outputs;
    if (out_count > outputs) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name, "%u outputs asked; the op has %u", out_count, outputs);
        return;
    }
    if (!m3_graph_grow(graph, &graph->nodes, &graph->node_capacity, graph->node_count, sizeof(m3_node *))) return;
    if (!append_outputs(graph, node, outputs)) {
        if (graph->error.code == M3_OK)
            (void)M3_FAIL(&graph->error, M3_ERR_INTERNAL, name, "the shape rule failed without a message");
        return;
    }
    graph->nodes[graph->node_count++] = node;
    for (uint32_t i = 0; i < out_count; i++) out[i] = node->out[i];
}

static m3_tensor *constant(m3_builder *b, m3_dtype dtype, const m3_shape *shape, const void *data)
{
    m3_graph *graph = m3_graph_of(b);
    if (graph->error.code != M3_OK) return NULL;
    m3_tensor *x = m3_graph_append(graph, M3_CONSTANT, dtype, shape, "");
    if (x == NULL) return NULL;
    size_t bytes = (size_t)m3_tensor_bytes(x);
    void *copy = m3_graph_allocate(graph, bytes != 0 ? bytes : 1);
    if (copy == NULL) return NULL;
    if (bytes != 0) memcpy(copy, data, bytes);
    x->data = copy;
    return x;
}

static m3_tensor *parameter(m3_builder *b, const char *name, const m3_shape *shape, m3_init init)
{
    m3_graph *graph = m3_graph_of(b);
    if (graph->error.code != M3_OK) return NULL;
    char full[M3_SCOPE_MAX + 128];
    int length = snprintf(full, sizeof full, "%s%s%s", graph->scope, graph->scope[0] != 0 ? "." : "", name);
    if (length < 0 || (size_t)length >= sizeof full || shape->rank + (graph->group > 0) > M3_MAX_RANK) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name, "the parameter's full name or rank is too long");
        return NULL;
    }
    if (graph->group == 0) return m3_graph_leaf(graph, M3_PARAMETER, full, M3_F32, shape, init);
    m3_shape grouped = {.rank = shape->rank + 1, .dim = {graph->group}};
    for (uint32_t i = 0; i < shape->rank; i++) grouped.dim[i + 1] = shape->dim[i];
    m3_tensor *all = m3_graph_leaf(graph, M3_PARAMETER, full, M3_F32, &grouped, init);
    if (graph->group_index < 0 || all == NULL) return all;
    m3_tensor *one = m3_slice(b, all, 0, (uint64_t)graph->group_index, 1);
    return one == NULL ? NULL : m3_reshape(b, one, *shape);
}

static void push(m3_builder *b, const char *scope)
{
    m3_graph *graph = m3_graph_of(b);
    size_t length = strlen(graph->scope), more = strlen(scope) + (length != 0);
    if (graph->scope_depth == M3_SCOPE_DEPTH || length + more >= M3_SCOPE_MAX) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, scope, "scopes nest too deep; at most %d and %d characters",
                      M3_SCOPE_DEPTH, M3_SCOPE_MAX);
        return;
    }
    graph->scope_ends[graph->scope_depth++] = length;
    (void)snprintf(graph->scope + length, M3_SCOPE_MAX - length, "%s%s", length != 0 ? "." : "", scope);
    graph->scope_text = NULL;
}

static void pop(m3_builder *b)
{
    m3_graph *graph = m3_graph_of(b);
    if (graph->scope_depth == 0) return;
    graph->scope[graph->scope_ends[--graph->scope_depth]] = 0;
    graph->scope_text = NULL;
}

void m3_graph_set_scope(m3_graph *graph, const char *scope)
{
    (void)snprintf(graph->scope, sizeof graph->scope, "%s", scope);
    graph->scope_text = NULL;
}

static void fail(m3_builder *b, m3_status code, const char *message)
{
    m3_graph *graph = m3_graph_of(b);
    (void)M3_FAIL(&graph->error, code == M3_OK ? M3_ERR_INTERNAL : code, graph->scope, "%s", message);
}

static m3_status status(const m3_builder *b, m3_error *err)
{
    const m3_graph *graph = (const m3_graph *)b;
    if (graph->error.code != M3_OK && err != NULL && err->code == M3_OK) *err = graph->error;
    return graph->error.code;
}

/* How often the samples stand in x: as was said where it begins with [repeats, samples], under these or other extents,
 * and blocks of a draw end with them; else once. */
static uint32_t repeats_in(const m3_graph *graph, const m3_shape *x)
{
    enum { BLOCK = 4 };
    const uint64_t repeats = graph->dropout_repeats, samples = graph->dropout_samples;
    uint64_t before = 1;
    bool begins = false;
    if (x->rank > 0 && x->dim[0] == samples && repeats != samples) return 1;
    for (uint32_t i = 0; i < x->rank && !begins && before != 0; i++)
        begins = (before *= x->dim[i]) == repeats * samples;
    return begins && m3_shape_count(x) % (repeats * BLOCK) == 0 ? (uint32_t)repeats : 1;
}

static m3_tensor *dropout(m3_builder *b, m3_tensor *x)
{
    m3_graph *graph = m3_graph_of(b);
    m3_tensor *rng = graph->dropout_rng;
    if (rng == NULL || graph->dropout_rate <= 0.0 || x == NULL) return x;
    if (graph->dropout_samples == 0) return m3_dropout_node(b, x, rng, graph->dropout_rate, graph->dropout_site++);
    return m3_dropout_part_node(b, x, rng, graph->dropout_rate, graph->dropout_site++, repeats_in(graph, &x->shape));
}

static uint32_t group(const m3_builder *b)
{
    const m3_graph *graph = (const m3_graph *)b;
    return graph->group_index < 0 ? graph->group : 0;
}

void m3_builder_set_group(m3_builder *b, uint32_t count, int64_t index)
{
    m3_graph *graph = m3_graph_of(b);
    graph->group = count;
    graph->group_index = index;
}

void m3_builder_set_dropout(m3_builder *b, double rate, m3_tensor *rng, uint32_t first_site)
{
    m3_graph *graph = m3_graph_of(b);
    graph->dropout_rate = rate;
    graph->dropout_rng = rng;
    graph->dropout_site = first_site;
    graph->dropout_repeats = graph->dropout_samples = 0;
}

void m3_builder_set_dropout_part(m3_builder *b, uint32_t repeats, uint64_t samples)
{
    m3_graph *graph = m3_graph_of(b);
    graph->dropout_repeats = repeats;
    graph->dropout_samples = samples;
}

const char *m3_builder_scope(const m3_builder *b)
{
    return ((const m3_graph *)b)->scope;
}

void m3_builder_blame(m3_builder *b, const char *what)
{
    m3_error *err = &m3_graph_of(b)->error;
    size_t length = strlen(err->message);
    if (err->code != M3_OK) (void)snprintf(err->message + length, sizeof err->message - length, " (%s)", what);
}

const m3_builder_api m3_graph_builder_api = {.size = M3_STRUCT_SIZE(m3_builder_api, group),
                                             .emit = emit,
                                             .constant = constant,
                                             .parameter = parameter,
                                             .push = push,
                                             .pop = pop,
                                             .fail = fail,
                                             .status = status,
                                             .dropout = dropout,
                                             .group = group};
