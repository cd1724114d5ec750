/* adamw: the updates of many tensors with the same rates become one node, so that a step launches one kernel, not one
 * a tensor. They move to the end of the graph; nothing but updates may read their results. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

enum { SHARED = 2, EACH_IN = 4, EACH_OUT = 3 }; /* inputs step, scale; then p, m, v, g a tensor; outputs p, m, v */

static bool is_adamw(const m3_node *node)
{
    return strcmp(node->op->name, "adamw") == 0;
}

static bool same_rates(const m3_node *a, const m3_node *b)
{
    for (uint32_t i = 0; i < a->op->attr_count; i++)
        if (a->attr[i].f != b->attr[i].f) return false;
    return a->in[0] == b->in[0] && a->in[1] == b->in[1];
}

/* May this node move to the end: is every reader of its outputs an update? */
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
    uint32_t nodes = m3_graph_node_count(in), tensors = 0;
    for (uint32_t i = first->id; i < nodes; i++) tensors += m3_graph_node(in, i)->in_count;
    m3_tensor **inputs = m3_calloc(2 * (size_t)tensors + SHARED, sizeof(m3_tensor *));
    if (inputs == NULL) {
        rw->b->api->fail(rw->b, M3_ERR_MEMORY, "adamw: out of memory");
        return;
    }
    uint32_t count = SHARED, outputs = 0;
    for (uint32_t k = 0; k < SHARED; k++) inputs[k] = m3_rewrite_get(rw, first->in[k]);
    m3_tensor **result = inputs + tensors + SHARED;
    for (uint32_t i = first->id; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (done[i] || !is_adamw(node) || !same_rates(first, node)) continue;
        for (uint32_t k = SHARED; k < node->in_count; k++) inputs[count++] = m3_rewrite_get(rw, node->in[k]);
        outputs += node->out_count;
    }
    rw->b->api->emit(rw->b, "adamw", inputs, count, first->attr, first->op->attr_count, result, outputs);
    uint32_t at = 0;
    for (uint32_t i = first->id; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (done[i] || !is_adamw(node) || !same_rates(first, node)) continue;
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
    if (done == NULL) rw.b->api->fail(rw.b, M3_ERR_MEMORY, "adamw: out of memory");
    for (uint32_t i = 0; done != NULL && i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        done[i] = !is_adamw(node) || !only_updates(in, node);
        if (done[i]) m3_rewrite_copy(&rw, node);
    }
    for (uint32_t i = 0; done != NULL && i < nodes; i++)
        if (!done[i]) emit_merged(&rw, in, m3_graph_node(in, i), done);
    m3_free(done);
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_adamw = {"adamw", run};
