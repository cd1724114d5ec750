/* fuse: what follows a linear moves into its epilogue, where the result is still in registers:
 *
 *   add(y, r)          -> residual r      when y's linear has neither residual, activation nor gate
 *   relu(y), silu(y)…  -> activation      when it has no activation and no gate
 *   relu_grad(g, y)    -> gate g          when it has no gate
 *
 * y may be a reshape of the linear's result. Only this reader may see y, and the device must take the new node. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

enum { X, W, BIAS, RESIDUAL, GATE, INPUTS };

typedef struct fuser {
    m3_rewrite rw;
    const m3_pass_context *context;
    const uint32_t *readers;
} fuser;

/* The linear whose result x is, seen through reshapes, when nobody else reads it. */
static const m3_node *linear_behind(const fuser *f, const m3_tensor *x)
{
    const m3_node *node = x->producer;
    while (node != NULL && f->readers[x->id] == 1 && strcmp(node->op->name, "reshape") == 0) {
        x = node->in[0];
        node = x->producer;
    }
    bool found = node != NULL && f->readers[x->id] == 1 && strcmp(node->op->name, "linear") == 0;
    return found ? node : NULL;
}

static const m3_tensor *input_of(const m3_node *node, uint32_t index)
{
    return index < node->in_count ? node->in[index] : NULL;
}

/* Build the linear again with one more part. `extra` is an old tensor of the same count, or NULL. */
static bool rebuild(fuser *f, const m3_node *node, const m3_node *linear, uint32_t slot, const m3_tensor *extra,
                    m3_activation activation)
{
    m3_builder *b = f->rw.b;
    m3_tensor *in[INPUTS] = {NULL};
    for (uint32_t i = 0; i < INPUTS; i++) in[i] = m3_rewrite_get(&f->rw, input_of(linear, i));
    if (extra != NULL) in[slot] = m3_reshape(b, m3_rewrite_get(&f->rw, extra), linear->out[0]->shape);
    m3_tensor *y = m3_linear_node(b, in, linear->attr[0].i[0] != 0, linear->attr[1].i[0] != 0, activation);
    if (y == NULL) return false;
    if (f->context->supports != NULL && !f->context->supports(f->context->user, y->producer))
        return false; /* the node stays unread and the dead pass removes it */
    m3_rewrite_set(&f->rw, node->out[0], m3_reshape(b, y, node->out[0]->shape));
    return true;
}

static m3_activation activation_named(const char *op)
{
    static const struct {
        const char *op;
        m3_activation activation;
    } rows[] = {{"relu", M3_ACT_RELU}, {"silu", M3_ACT_SILU}, {"sigmoid", M3_ACT_SIGMOID}, {"tanh", M3_ACT_TANH}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(op, rows[i].op) == 0) return rows[i].activation;
    return M3_ACT_NONE;
}

static bool same_type(const m3_tensor *a, const m3_tensor *b)
{
    return a->dtype == b->dtype && m3_shape_equal(&a->shape, &b->shape);
}

static bool fuse_add(fuser *f, const m3_node *node)
{
    if (!same_type(node->in[0], node->in[1])) return false;
    for (uint32_t i = 2; i-- > 0;) { /* the later operand first: the other is there when the linear is built */
        const m3_node *linear = linear_behind(f, node->in[i]);
        if (linear == NULL || input_of(linear, RESIDUAL) != NULL || input_of(linear, GATE) != NULL ||
            linear->attr[2].i[0] != M3_ACT_NONE)
            continue;
        if (rebuild(f, node, linear, RESIDUAL, node->in[1 - i], M3_ACT_NONE)) return true;
    }
    return false;
}

static bool fuse_node(fuser *f, const m3_node *node)
{
    const char *op = node->op->name;
    if (strcmp(op, "add") == 0) return fuse_add(f, node);
    m3_activation activation = activation_named(op);
    if (activation != M3_ACT_NONE) {
        const m3_node *linear = linear_behind(f, node->in[0]);
        return linear != NULL && linear->attr[2].i[0] == M3_ACT_NONE && input_of(linear, GATE) == NULL &&
               rebuild(f, node, linear, RESIDUAL, NULL, activation);
    }
    if (strcmp(op, "relu_grad") == 0 && same_type(node->in[0], node->in[1])) {
        const m3_node *linear = linear_behind(f, node->in[1]);
        return linear != NULL && input_of(linear, GATE) == NULL &&
               rebuild(f, node, linear, GATE, node->in[0], (m3_activation)linear->attr[2].i[0]);
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
