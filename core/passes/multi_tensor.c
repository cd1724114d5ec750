/* multi_tensor: nodes of a multi-tensor op with the same attributes and the same shared inputs become one node, so that
 * the updates of all parameters are one dispatch, not one a tensor. They move to the end of the graph, so nothing but
 * updates may read their results. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

/* The number of inputs that all nodes to be merged have in common. */
static uint32_t shared_of(const m3_node *node)
{
    return M3_OP_MEMBER(node->op, shared_inputs);
}

static bool is_multi_tensor(const m3_node *node)
{
    return (node->op->flags & M3_OP_MULTI_TENSOR) != 0 && node->in_count >= shared_of(node);
}

static bool attrs_equal(const m3_op *op, const m3_attr *a, const m3_attr *b)
{
    for (uint32_t i = 0; i < op->attr_count; i++)
        if (a[i].count != b[i].count || a[i].f != b[i].f || memcmp(a[i].i, b[i].i, sizeof a[i].i) != 0) return false;
    return true;
}

static bool is_alike(const m3_node *a, const m3_node *b)
{
    if (a->op != b->op || !attrs_equal(a->op, a->attr, b->attr)) return false;
    for (uint32_t i = 0; i < shared_of(a); i++)
        if (a->in[i] != b->in[i]) return false;
    return true;
}

/* May this node move to the end: does no other node read its outputs? */
static bool only_updates(const m3_graph *graph, const m3_node *node)
{
    for (uint32_t i = node->id + 1; i < m3_graph_node_count(graph); i++) {
        const m3_node *reader = m3_graph_node(graph, i);
        for (uint32_t k = 0; k < reader->in_count; k++)
            if (reader->in[k] != NULL && reader->in[k]->producer == node) return false;
    }
    return true;
}

/* One node for `first` and all later ones like it. */
static void emit_merged(m3_rewrite *rw, const m3_graph *in, const m3_node *first, bool *done)
{
    const uint32_t shared = shared_of(first), nodes = m3_graph_node_count(in);
    uint32_t count = shared, outputs = 0, at = 0, tensors = shared;
    for (uint32_t i = first->id; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        tensors += node->in_count + node->out_count;
    }
    m3_tensor **inputs = m3_calloc(2 * (size_t)tensors, sizeof(m3_tensor *)), **result = inputs + tensors;
    if (inputs == NULL) {
        rw->b->api->fail(rw->b, M3_ERR_MEMORY, "multi_tensor: out of memory");
        return;
    }
    for (uint32_t k = 0; k < shared; k++) inputs[k] = m3_rewrite_get(rw, first->in[k]);
    for (uint32_t i = first->id; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (done[i] || !is_alike(first, node)) continue;
        for (uint32_t k = shared; k < node->in_count; k++) inputs[count++] = m3_rewrite_get(rw, node->in[k]);
        outputs += node->out_count;
    }
    rw->b->api->emit(rw->b, first->op->name, inputs, count, first->attr, first->op->attr_count, result, outputs);
    for (uint32_t i = first->id; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (done[i] || !is_alike(first, node)) continue;
        for (uint32_t k = 0; k < node->out_count; k++) m3_rewrite_set(rw, node->out[k], result[at++]);
        done[i] = true;
    }
    m3_free(inputs);
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    uint32_t nodes = m3_graph_node_count(in);
    bool *done = m3_calloc(nodes, sizeof *done);
    if (done == NULL) rw.b->api->fail(rw.b, M3_ERR_MEMORY, "multi_tensor: out of memory");
    for (uint32_t i = 0; done != NULL && i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        done[i] = !is_multi_tensor(node) || !only_updates(in, node);
        if (done[i]) m3_rewrite_copy(&rw, node);
    }
    for (uint32_t i = 0; done != NULL && i < nodes; i++)
        if (!done[i]) emit_merged(&rw, in, m3_graph_node(in, i), done);
    m3_free(done);
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_multi_tensor = {"multi_tensor", run};
