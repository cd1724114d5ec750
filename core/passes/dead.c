/* dead: keep the nodes that an output or an update needs. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

static void mark_live(const m3_graph *graph, bool *live)
{
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) live[m3_graph_output_at(graph, i, NULL)->id] = true;
    for (uint32_t i = 0; i < m3_graph_update_count(graph); i++) {
        m3_tensor *value = NULL;
        live[m3_graph_update_at(graph, i, &value)->id] = true;
        live[value->id] = true;
    }
    for (uint32_t i = m3_graph_node_count(graph); i-- > 0;) {
        const m3_node *node = m3_graph_node(graph, i);
        bool needed = false;
        for (uint32_t k = 0; k < node->out_count; k++) needed |= live[node->out[k]->id];
        for (uint32_t k = 0; needed && k < node->in_count; k++)
            if (node->in[k] != NULL) live[node->in[k]->id] = true;
    }
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    bool *live = m3_calloc(m3_graph_tensor_count(in), sizeof *live);
    if (live == NULL) {
        rw.b->api->fail(rw.b, M3_ERR_MEMORY, "dead code: out of memory");
    } else {
        mark_live(in, live);
        for (uint32_t i = 0; i < m3_graph_node_count(in); i++) {
            const m3_node *node = m3_graph_node(in, i);
            bool needed = false;
            for (uint32_t k = 0; k < node->out_count; k++) needed |= live[node->out[k]->id];
            if (needed) m3_rewrite_copy(&rw, node);
        }
    }
    m3_free(live);
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_dead = {"dead", run};
