/* decompose: what the device refuses is built again from simpler ops, until it takes every node or a node has no
 * decomposition; such a node is left for another device (core/runtime/partition.c). A node over operands of 16 bits
 * (m3_op.halves) becomes casts around the same op of f32. */
#include "core/graph/internal.h"
#include "core/passes/pass.h"

enum { ROUNDS = 8 }; /* how deep decompositions may nest */

static bool is_refused(const m3_pass_context *context, const m3_node *node)
{
    const bool is_built_of_others = node->op->decompose != NULL || m3_node_has_halves(node);
    return is_built_of_others && context->supports != NULL && !context->supports(context->user, node);
}

/* The node in f32: operands of 16 bits are widened, and what it gives is rounded to its type. */
static void widen(m3_rewrite *rw, const m3_node *node, m3_tensor **in, m3_tensor **y)
{
    for (uint32_t i = 0; i < node->in_count; i++)
        if (in[i] != NULL && m3_dtype_is_half(in[i]->dtype)) in[i] = m3_cast(rw->b, in[i], M3_F32);
    rw->b->api->emit(rw->b, node->op->name, in, node->in_count, node->attr, node->op->attr_count, y, node->out_count);
    for (uint32_t i = 0; i < node->out_count; i++)
        if (y[i] != NULL && y[i]->dtype != node->out[i]->dtype) y[i] = m3_cast(rw->b, y[i], node->out[i]->dtype);
}

/* The op's decomposition reads the node's inputs, which must be those of the new graph. */
static void expand(m3_rewrite *rw, const m3_node *node)
{
    m3_tensor **in = m3_graph_allocate(rw->graph, (node->in_count + node->out_count) * sizeof(m3_tensor *));
    if (in == NULL) return;
    m3_tensor **y = in + node->in_count;
    for (uint32_t i = 0; i < node->in_count; i++) in[i] = m3_rewrite_get(rw, node->in[i]);
    m3_node here = *node;
    here.in = in;
    m3_graph_set_scope(rw->graph, node->scope);
    if (rw->graph->error.code == M3_OK && m3_node_has_halves(node))
        widen(rw, node, in, y);
    else if (rw->graph->error.code == M3_OK)
        node->op->decompose(rw->b, &here, y);
    for (uint32_t i = 0; i < node->out_count; i++) {
        const m3_tensor *want = node->out[i];
        if (rw->graph->error.code == M3_OK &&
            (y[i] == NULL || y[i]->dtype != want->dtype || !m3_shape_equal(&y[i]->shape, &want->shape)))
            (void)M3_FAIL(&rw->graph->error, M3_ERR_INTERNAL, node->op->name,
                          "its decomposition does not give output %u as %s %s", i, m3_dtype_name(want->dtype),
                          M3_SHAPE_TEXT(&want->shape));
        m3_rewrite_set(rw, want, y[i]);
    }
}

static m3_status one_round(const m3_graph *in, const m3_pass_context *context, m3_graph **out, bool *changed,
                           m3_error *err)
{
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    *changed = false;
    for (uint32_t i = 0; i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (is_refused(context, node)) {
            expand(&rw, node);
            *changed = true;
        } else {
            m3_rewrite_copy(&rw, node);
        }
    }
    return m3_rewrite_end(&rw, out, err);
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    m3_graph *now = NULL;
    bool changed = true;
    for (int round = 0; changed && round < ROUNDS; round++) {
        m3_graph *next = NULL;
        m3_status st = one_round(now != NULL ? now : in, context, &next, &changed, err);
        m3_graph_free(now);
        *out = now = next;
        if (st != M3_OK) return st;
    }
    return M3_OK;
}

const m3_pass m3_pass_decompose = {"decompose", run};
