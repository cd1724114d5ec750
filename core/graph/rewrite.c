/* rewrite: a new graph made from an old one, node by node. */
#include "core/graph/rewrite.h"

#include "core/base/alloc.h"
#include "core/graph/internal.h"

m3_status m3_rewrite_begin(m3_rewrite *rw, const m3_graph *old, m3_error *err)
{
    *rw = (m3_rewrite){.old = old};
    rw->map = m3_calloc(old->tensor_count, sizeof(m3_tensor *));
    if (rw->map == NULL) return M3_FAIL_MEMORY(err, "graph", old->tensor_count * sizeof(m3_tensor *));
    m3_status st = m3_graph_create(&old->lookup, &rw->graph, err);
    if (st != M3_OK) {
        m3_free(rw->map);
        rw->map = NULL;
        return st;
    }
    rw->b = m3_graph_builder(rw->graph);
    return M3_OK;
}

m3_tensor *m3_rewrite_get(m3_rewrite *rw, const m3_tensor *old)
{
    if (old == NULL) return NULL;
    if (rw->map[old->id] != NULL) return rw->map[old->id];
    m3_tensor *now = NULL;
    if (old->kind == M3_CONSTANT) {
        now = m3_constant(rw->b, old->dtype, &old->shape, old->data);
    } else if (old->kind != M3_TEMPORARY) {
        now = m3_graph_leaf(rw->graph, old->kind, old->name, old->dtype, &old->shape, old->init);
    } else if (rw->graph->error.code == M3_OK) {
        (void)M3_FAIL(&rw->graph->error, M3_ERR_INTERNAL, old->producer->op->name,
                      "a pass used tensor %u before it was carried over", old->id);
    }
    rw->map[old->id] = now;
    return now;
}

void m3_rewrite_set(m3_rewrite *rw, const m3_tensor *old, m3_tensor *now)
{
    rw->map[old->id] = now;
}

void m3_rewrite_copy(m3_rewrite *rw, const m3_node *node)
{
    enum { FEW = 16 };
    m3_tensor *few[2 * FEW];
    uint32_t total = node->in_count + node->out_count;
    m3_tensor **in = total <= 2 * FEW ? few : m3_graph_allocate(rw->graph, total * sizeof(m3_tensor *));
    if (in == NULL) return;
    m3_tensor **out = in + node->in_count;
    for (uint32_t i = 0; i < node->in_count; i++) in[i] = m3_rewrite_get(rw, node->in[i]);
    m3_graph_set_scope(rw->graph, node->scope);
    rw->b->api->emit(rw->b, node->op->name, in, node->in_count, node->attr, node->op->attr_count, out, node->out_count);
    for (uint32_t i = 0; i < node->out_count; i++) rw->map[node->out[i]->id] = out[i];
}

m3_status m3_rewrite_end(m3_rewrite *rw, m3_graph **graph, m3_error *err)
{
    *graph = NULL;
    const m3_graph *old = rw->old;
    for (uint32_t i = 0; i < old->output_count; i++)
        m3_graph_output(rw->b, old->outputs[i].name, m3_rewrite_get(rw, old->outputs[i].tensor));
    for (uint32_t i = 0; i < old->update_count; i++)
        m3_graph_update(rw->b, m3_rewrite_get(rw, old->updates[i].state), m3_rewrite_get(rw, old->updates[i].value));
    m3_graph_set_scope(rw->graph, "");
    m3_status st = m3_builder_status(rw->b, err);
    if (st == M3_OK) {
        *graph = rw->graph;
        rw->graph = NULL;
    }
    m3_graph_free(rw->graph);
    m3_free(rw->map);
    *rw = (m3_rewrite){0};
    return st;
}
