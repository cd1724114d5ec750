/* fuse: an elementwise node moves into the epilogue of the node whose result it reads, where this result is still in
 * registers. What a node is there its op says (m3_op.epilogue), and the op before it whether it has a place for that
 * (m3_op.absorb). Of a linear:
 *
 *   add(y, r)          -> residual r      when it has neither residual, activation nor gate
 *   relu(y), silu(y)…  -> activation      when it has no activation and no gate
 *   relu_grad(g, y)    -> gate g          when it has no gate
 *
 * y may be an alias of the result. Only this reader may see y, and the device must take the new node. Other results of
 * the node before it are then made where this one stands, so nothing in between may read them. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

typedef struct fuser {
    m3_rewrite rw;
    const m3_pass_context *context;
    const uint32_t *readers;
} fuser;

/* The node with an epilogue whose result x is, seen through aliases, when nobody else reads it. */
static const m3_node *host_behind(const fuser *f, const m3_tensor *x)
{
    const m3_node *node = x->producer;
    while (node != NULL && f->readers[x->id] == 1 && (node->op->flags & M3_OP_ALIAS) != 0) {
        x = node->in[0];
        node = x->producer;
    }
    bool found = node != NULL && f->readers[x->id] == 1 && x->output == 0 && M3_OP_MEMBER(node->op, absorb) != NULL;
    return found ? node : NULL;
}

/* Does a node between these two read another result of the first than the one that is absorbed into? */
static bool read_between(const fuser *f, const m3_node *host, const m3_node *node)
{
    for (uint32_t i = host->id + 1; host->out_count > 1 && i < node->id; i++) {
        const m3_node *reader = m3_graph_node(f->rw.old, i);
        for (uint32_t k = 0; k < reader->in_count; k++)
            if (reader->in[k] != NULL && reader->in[k]->producer == host && reader->in[k]->output != 0) return true;
    }
    return false;
}

/* Build the host of `result` again with this node in its epilogue. `operand` is an old tensor of the same count, or
 * NULL. */
static bool absorb(fuser *f, const m3_node *node, const m3_tensor *result, const m3_tensor *operand)
{
    enum { FEW = 8 };
    m3_tensor *in[FEW], *with = NULL;
    m3_builder *b = f->rw.b;
    const m3_node *host = host_behind(f, result);
    if (host == NULL || host->in_count > FEW || read_between(f, host, node)) return false;
    for (uint32_t i = 0; i < host->in_count; i++) in[i] = m3_rewrite_get(&f->rw, host->in[i]);
    if (operand != NULL) with = m3_reshape(b, m3_rewrite_get(&f->rw, operand), host->out[0]->shape);
    m3_node here = *host;
    here.in = in;
    m3_tensor *y = host->op->absorb(b, &here, node->op->epilogue, with);
    if (y == NULL) return false; /* a reshape of the operand that is not read goes with the dead pass */
    if (f->context->supports != NULL && !f->context->supports(f->context->user, y->producer))
        return false; /* the same with the node */
    m3_rewrite_set(&f->rw, node->out[0], m3_reshape(b, y, node->out[0]->shape));
    for (uint32_t k = 1; k < host->out_count; k++) m3_rewrite_set(&f->rw, host->out[k], y->producer->out[k]);
    return true;
}

static bool same_type(const m3_tensor *a, const m3_tensor *b)
{
    return a->dtype == b->dtype && m3_shape_equal(&a->shape, &b->shape);
}

static bool fuse_node(fuser *f, const m3_node *node)
{
    switch (M3_OP_MEMBER(node->op, epilogue)) {
    case M3_EPILOGUE_NONE: break;
    case M3_EPILOGUE_RELU:
    case M3_EPILOGUE_SILU:
    case M3_EPILOGUE_SIGMOID:
    case M3_EPILOGUE_TANH: return absorb(f, node, node->in[0], NULL);
    case M3_EPILOGUE_GATE: return same_type(node->in[0], node->in[1]) && absorb(f, node, node->in[1], node->in[0]);
    case M3_EPILOGUE_RESIDUAL: /* the later operand first: the other is there when the host is built */
        return same_type(node->in[0], node->in[1]) &&
               (absorb(f, node, node->in[1], node->in[0]) || absorb(f, node, node->in[0], node->in[1]));
    }
    return false;
}

/* A sum of linears, add(add(a, b), c), fuses link by link: b takes a as its residual, c takes that. */
static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    fuser f = {.context = context};
    m3_status st = m3_rewrite_begin(&f.rw, in, err);
    if (st != M3_OK) return st;
    uint32_t *readers = m3_count_readers(in);
    if (readers == NULL) f.rw.b->api->fail(f.rw.b, M3_ERR_MEMORY, "fuse: out of memory");
    f.readers = readers;
    for (uint32_t i = 0; readers != NULL && i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        if (!fuse_node(&f, node)) m3_rewrite_copy(&f.rw, node);
    }
    m3_free(readers);
    return m3_rewrite_end(&f.rw, out, err);
}

const m3_pass m3_pass_fuse = {"fuse", run};
