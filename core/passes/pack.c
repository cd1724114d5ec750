/* pack: products of one input by rows of one weight that follow each other become one product, where the op that reads
 * their results takes these side by side:
 *
 *   attention(x Wq, x Wk, x Wv)  -> attention_packed(x [Wq Wk Wv])
 *   attention(z Wq, x Wk, x Wv)  -> attention_packed(z Wq, x [Wk Wv])
 *
 * The input is read once, and the gradients are one product each as well, with nothing to add up or to join. What may
 * be one node, and which operands lie side by side, the ops say themselves (m3_op.join, m3_op.side_by_side). Runs
 * before differentiation and after row sinking, which may have left q other rows than k and v. */
#include "core/base/alloc.h"
#include "core/graph/internal.h"
#include "core/passes/pass.h"

enum { MOST = 4 /* operands that are looked at */ };

typedef struct packer {
    m3_rewrite rw;
    const uint32_t *readers;
} packer;

/* The node behind x, seen through aliases that leave its last axis, when nobody else reads its result. */
static const m3_node *source_of(const packer *p, const m3_tensor *x)
{
    const uint64_t last = x->shape.rank > 0 ? x->shape.dim[x->shape.rank - 1] : 0;
    while (x->producer != NULL && p->readers[x->id] == 1 && (x->producer->op->flags & M3_OP_ALIAS) != 0 &&
           !x->producer->op->zero_gradient)
        x = x->producer->in[0];
    const bool found = x->producer != NULL && p->readers[x->id] == 1 && x->producer->out_count == 1 &&
                       x->shape.rank > 0 && x->shape.dim[x->shape.rank - 1] == last &&
                       M3_OP_MEMBER(x->producer->op, join) != NULL;
    return found ? x->producer : NULL;
}

/* Inputs `first` to `last` of a node as one tensor of the new graph, or NULL. */
static m3_tensor *join(packer *p, const m3_node *node, uint32_t first, uint32_t last)
{
    m3_node copies[MOST];
    m3_tensor *in[MOST][MOST * 2];
    const m3_node *nodes[MOST];
    const uint32_t count = last - first + 1;
    uint64_t width = 0;
    for (uint32_t i = 0; i < count; i++) {
        const m3_tensor *x = node->in[first + i];
        const m3_node *source = x != NULL ? source_of(p, x) : NULL;
        if (source == NULL || source->in_count > MOST * 2) return NULL;
        if (i > 0 && source->op != copies[0].op) return NULL;
        for (uint32_t k = 0; k < source->in_count; k++) {
            in[i][k] = m3_rewrite_get(&p->rw, source->in[k]);
            if (in[i][k] == NULL && source->in[k] != NULL) return NULL; /* the builder keeps an error */
        }
        for (uint32_t k = 0; k + 1 < x->shape.rank; k++)
            if (x->shape.rank != node->in[first]->shape.rank || x->shape.dim[k] != node->in[first]->shape.dim[k])
                return NULL;
        copies[i] = *source;
        copies[i].in = in[i];
        nodes[i] = &copies[i];
        width += x->shape.dim[x->shape.rank - 1];
    }
    m3_tensor *joined = copies[0].op->join(p->rw.b, nodes, count);
    if (joined == NULL) return NULL;
    m3_shape shape = node->in[first]->shape;
    shape.dim[shape.rank - 1] = width;
    return m3_reshape(p->rw.b, joined, shape);
}

/* The longest runs of operands first. What was begun for a run that the op does not take goes with the dead pass. */
static bool pack_node(packer *p, const m3_node *node)
{
    m3_tensor *in[MOST * 2];
    if (M3_OP_MEMBER(node->op, side_by_side) == NULL || node->in_count > MOST * 2) return false;
    const uint32_t operands = node->in_count < MOST ? node->in_count : MOST;
    m3_node here = *node;
    here.in = in;
    m3_graph_set_scope(p->rw.graph, node->scope);
    for (uint32_t i = 0; i < node->in_count; i++) in[i] = m3_rewrite_get(&p->rw, node->in[i]);
    for (uint32_t count = operands; count > 1; count--)
        for (uint32_t first = 0; first + count <= operands; first++) {
            m3_tensor *joined = join(p, node, first, first + count - 1);
            m3_tensor *y =
                joined != NULL ? node->op->side_by_side(p->rw.b, &here, first, first + count - 1, joined) : NULL;
            if (y == NULL) continue;
            m3_rewrite_set(&p->rw, node->out[0], y);
            return true;
        }
    return false;
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    packer p = {0};
    m3_status st = m3_rewrite_begin(&p.rw, in, err);
    if (st != M3_OK) return st;
    uint32_t *readers = m3_count_readers(in);
    if (readers == NULL) p.rw.b->api->fail(p.rw.b, M3_ERR_MEMORY, "pack: out of memory");
    p.readers = readers;
    for (uint32_t i = 0; readers != NULL && i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (!pack_node(&p, node)) m3_rewrite_copy(&p.rw, node);
    }
    m3_free(readers);
    return m3_rewrite_end(&p.rw, out, err);
}

const m3_pass m3_pass_pack = {"pack", run};
