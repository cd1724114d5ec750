/* verify: what a legal graph is, as a table of rules. A pass that breaks one is found at once. */
#include "core/graph/internal.h"

typedef m3_status (*rule_fn)(const m3_graph *graph, m3_error *err);

static m3_status ids_are_dense(const m3_graph *graph, m3_error *err)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->id != i)
            return M3_FAIL(err, M3_ERR_INTERNAL, "graph", "tensor at %u has id %u", i, graph->tensors[i]->id);
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->id != i)
            return M3_FAIL(err, M3_ERR_INTERNAL, "graph", "node at %u has id %u", i, graph->nodes[i]->id);
    return M3_OK;
}

static m3_status temporaries_have_one_producer(const m3_graph *graph, m3_error *err)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const m3_tensor *x = graph->tensors[i];
        const m3_node *p = x->producer;
        if ((x->kind == M3_TEMPORARY) != (p != NULL))
            return M3_FAIL(err, M3_ERR_INTERNAL, x->name, "tensor %u: only a temporary has a producer", i);
        if (p != NULL && (x->output >= p->out_count || p->out[x->output] != x))
            return M3_FAIL(err, M3_ERR_INTERNAL, x->name, "tensor %u is not what its producer %u makes", i, p->id);
        if ((x->kind == M3_CONSTANT) != (x->data != NULL))
            return M3_FAIL(err, M3_ERR_INTERNAL, x->name, "tensor %u: constants and only they carry data", i);
    }
    return M3_OK;
}

static m3_status nodes_follow_their_inputs(const m3_graph *graph, m3_error *err)
{
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const m3_node *node = graph->nodes[i];
        for (uint32_t k = 0; k < node->in_count; k++) {
            const m3_tensor *x = node->in[k];
            if (x == NULL && k >= node->op->min_inputs) continue;
            if (x == NULL || x->id >= graph->tensor_count || graph->tensors[x->id] != x ||
                (x->producer != NULL && x->producer->id >= i))
                return M3_FAIL_NODE(err, node, "input %u is missing, foreign or made later", k);
        }
    }
    return M3_OK;
}

static m3_status shapes_follow_the_rules(const m3_graph *graph, m3_error *err)
{
    enum { MANY = 64 };
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const m3_node *node = graph->nodes[i];
        m3_tensor_desc few[MANY];
        if (node->out_count > MANY) continue; /* the multi-tensor optimiser: as many outputs as parameters */
        m3_status st = node->op->infer(node, few, err);
        if (st != M3_OK) return st;
        for (uint32_t k = 0; k < node->out_count; k++)
            if (few[k].dtype != node->out[k]->dtype || !m3_shape_equal(&few[k].shape, &node->out[k]->shape))
                return M3_FAIL_NODE(err, node, "output %u is %s %s, its rule says %s %s", k,
                                    m3_dtype_name(node->out[k]->dtype), M3_SHAPE_TEXT(&node->out[k]->shape),
                                    m3_dtype_name(few[k].dtype), M3_SHAPE_TEXT(&few[k].shape));
    }
    return M3_OK;
}

static m3_status names_are_unique(const m3_graph *graph, m3_error *err)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const m3_tensor *x = graph->tensors[i];
        if (x->kind == M3_TEMPORARY || x->kind == M3_CONSTANT) continue;
        if (m3_graph_find(graph, x->name) != x)
            return M3_FAIL(err, M3_ERR_INTERNAL, x->name, "two inputs, parameters or states have this name");
    }
    return M3_OK;
}

static m3_status updates_fit(const m3_graph *graph, m3_error *err)
{
    for (uint32_t i = 0; i < graph->update_count; i++) {
        const m3_tensor *state = graph->updates[i].state, *value = graph->updates[i].value;
        if ((state->kind != M3_PARAMETER && state->kind != M3_STATE) || state->dtype != value->dtype ||
            !m3_shape_equal(&state->shape, &value->shape))
            return M3_FAIL(err, M3_ERR_INTERNAL, state->name, "its update does not fit it");
    }
    return M3_OK;
}

static const struct {
    const char *name;
    rule_fn check;
} rules[] = {
    {"ids are dense", ids_are_dense},
    {"temporaries have one producer", temporaries_have_one_producer},
    {"nodes follow their inputs", nodes_follow_their_inputs},
    {"shapes follow the rules", shapes_follow_the_rules},
    {"names are unique", names_are_unique},
    {"updates fit", updates_fit},
};

m3_status m3_graph_verify(const m3_graph *graph, m3_error *err)
{
    if (graph->error.code != M3_OK) return m3_builder_status(&graph->builder, err);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].check(graph, err) != M3_OK) return M3_ERR_INTERNAL;
    return M3_OK;
}
