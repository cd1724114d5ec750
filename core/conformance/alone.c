/* alone: one node of a graph as a graph of its own. */
#include "core/conformance/alone.h"

#include "core/base/alloc.h"

static void emit(m3_builder *b, const m3_node *node, m3_tensor **in, m3_tensor **out)
{
    char name[16];
    for (uint32_t k = 0; k < node->in_count; k++) {
        if (node->in[k] == NULL) continue;
        (void)snprintf(name, sizeof name, "in%u", k);
        in[k] = m3_graph_input(b, name, node->in[k]->dtype, node->in[k]->shape);
    }
    b->api->emit(b, node->op->name, in, node->in_count, node->attr, node->op->attr_count, out, node->out_count);
    for (uint32_t k = 0; k < node->out_count && out[k] != NULL; k++) {
        (void)snprintf(name, sizeof name, "out%u", k);
        m3_graph_output(b, name, out[k]);
    }
}

m3_status m3_graph_of_node(const m3_node *node, const m3_op_lookup *lookup, m3_graph **graph, m3_error *err)
{
    m3_graph *made = NULL;
    const size_t operands = (size_t)node->in_count + node->out_count;
    m3_tensor **in = m3_calloc(operands, sizeof(m3_tensor *));
    *graph = NULL;
    if (in == NULL) return M3_FAIL_MEMORY(err, node->op->name, operands * sizeof(m3_tensor *));
    m3_status st = m3_graph_create(lookup, &made, err);
    if (st == M3_OK) {
        emit(m3_graph_builder(made), node, in, in + node->in_count);
        st = m3_builder_status(m3_graph_builder(made), err);
    }
    if (st == M3_OK)
        *graph = made;
    else
        m3_graph_free(made);
    m3_free((void *)in);
    return st;
}
