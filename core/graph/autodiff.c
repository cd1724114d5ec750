/* autodiff: reverse-mode differentiation that appends ops to the graph.
 * Each tensor collects the contributions of its readers, newest reader first, and their sum is its gradient. An op may
 * add up several of its results with less work (m3_op.accumulate): rows of one table, slices that fill their tensor. */
#include "core/base/alloc.h"
#include "core/graph/internal.h"

typedef struct contribution {
    m3_tensor *grad;
    struct contribution *next;
} contribution;

typedef struct tape {
    m3_graph *graph;
    m3_builder *b;
    uint32_t tensors;        /* when differentiation began */
    bool *wanted;            /* by tensor id: a path leads from a wrt to it */
    contribution **incoming; /* by tensor id, in the order of arrival */
} tape;

/* The gradients that meet at a tensor, in the order of arrival. */
typedef struct meeting {
    uint32_t count;
    m3_tensor **grad;
    bool *added; /* by place in `grad` */
    /* For accumulate_alike: */
    const m3_node **nodes;
    uint32_t *place;
    bool *taken;
} meeting;

static bool meeting_init(tape *t, const contribution *list, uint32_t count, meeting *m)
{
    *m = (meeting){.count = count,
                   .grad = m3_graph_allocate(t->graph, count * sizeof *m->grad),
                   .added = m3_graph_allocate(t->graph, count * sizeof *m->added),
                   .nodes = m3_graph_allocate(t->graph, count * sizeof(m3_node *)),
                   .place = m3_graph_allocate(t->graph, count * sizeof *m->place),
                   .taken = m3_graph_allocate(t->graph, count * sizeof *m->taken)};
    if (m->grad == NULL || m->added == NULL || m->nodes == NULL || m->place == NULL || m->taken == NULL) return false;
    for (uint32_t i = 0; i < count; i++, list = list->next) m->grad[i] = list->grad;
    return true;
}

static const m3_op *op_of(const m3_tensor *x)
{
    return x->producer != NULL && x->output == 0 ? x->producer->op : NULL;
}

/* What the op of gradient `first` makes of all gradients by nodes of this op; NULL when it has no better way than to
 * add them, and for all but the first of them. */
static m3_tensor *accumulate_alike(tape *t, meeting *m, uint32_t first)
{
    const m3_op *op = op_of(m->grad[first]);
    uint32_t count = 0;
    if (op == NULL || M3_OP_MEMBER(op, accumulate) == NULL) return NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        if (op_of(m->grad[i]) != op) continue;
        if (i < first) return NULL;
        m->nodes[count] = m->grad[i]->producer;
        m->taken[count] = false;
        m->place[count++] = i;
    }
    m3_tensor *sum = count > 1 ? op->accumulate(t->b, m->nodes, count, m->taken) : NULL;
    for (uint32_t k = 0; sum != NULL && k < count; k++) m->added[m->place[k]] |= m->taken[k];
    return sum;
}

static m3_tensor *sum_of(tape *t, const m3_tensor *x)
{
    const contribution *list = t->incoming[x->id];
    uint32_t count = 0;
    meeting m;
    for (const contribution *c = list; c != NULL; c = c->next) count++;
    if (count < 2) return list != NULL ? list->grad : NULL;
    if (!meeting_init(t, list, count, &m)) return NULL;
    m3_tensor *sum = NULL;
    for (uint32_t i = 0; i < count; i++) {
        m3_tensor *alike = accumulate_alike(t, &m, i);
        if (alike != NULL) sum = sum == NULL ? alike : m3_add(t->b, sum, alike);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!m.added[i]) sum = sum == NULL ? m.grad[i] : m3_add(t->b, sum, m.grad[i]);
    return sum;
}

static void contribute(tape *t, const m3_node *node, const m3_tensor *x, m3_tensor *grad)
{
    if (grad->dtype != x->dtype || !m3_shape_equal(&grad->shape, &x->shape)) {
        (void)M3_FAIL(&t->graph->error, M3_ERR_INTERNAL, node->op->name,
                      "its gradient rule gives %s %s for an input that is %s %s", m3_dtype_name(grad->dtype),
                      M3_SHAPE_TEXT(&grad->shape), m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape));
        return;
    }
    contribution *c = m3_graph_allocate(t->graph, sizeof *c);
    if (c == NULL) return;
    c->grad = grad;
    contribution **end = &t->incoming[x->id];
    while (*end != NULL) end = &(*end)->next;
    *end = c;
}

static bool reads_wanted(const tape *t, const m3_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL && t->wanted[node->in[i]->id]) return true;
    return false;
}

static void differentiate(tape *t, const m3_node *node)
{
    bool reached = false;
    for (uint32_t i = 0; i < node->out_count; i++) reached |= t->incoming[node->out[i]->id] != NULL;
    if (!reached || !reads_wanted(t, node) || node->op->zero_gradient) return;
    if (node->op->gradient == NULL) {
        (void)M3_FAIL(&t->graph->error, M3_ERR_UNSUPPORTED, node->op->name,
                      "the op (node %u in '%s') lies between the loss and a parameter and has no gradient; give "
                      "it one, or build the formula from other ops",
                      node->id, node->scope);
        return;
    }
    m3_tensor **dy = m3_graph_allocate(t->graph, (node->out_count + node->in_count) * sizeof(m3_tensor *));
    if (dy == NULL) return;
    m3_tensor **dx = dy + node->out_count;
    m3_graph_set_scope(t->graph, node->scope);
    for (uint32_t i = 0; i < node->out_count; i++) dy[i] = sum_of(t, node->out[i]);
    node->op->gradient(t->b, node, dy, dx);
    if (t->graph->error.code != M3_OK) return;
    for (uint32_t i = 0; i < node->in_count; i++)
        if (dx[i] != NULL && node->in[i] != NULL && t->wanted[node->in[i]->id]) contribute(t, node, node->in[i], dx[i]);
}

static void mark_wanted(tape *t, m3_tensor *const *wrt, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) t->wanted[wrt[i]->id] = true;
    for (uint32_t i = 0; i < t->graph->node_count; i++) {
        const m3_node *node = t->graph->nodes[i];
        if (!reads_wanted(t, node)) continue;
        for (uint32_t j = 0; j < node->out_count; j++) t->wanted[node->out[j]->id] = true;
    }
}

void m3_gradients(m3_builder *b, m3_tensor *loss, m3_tensor *const *wrt, uint32_t count, m3_tensor **grads)
{
    m3_graph *graph = m3_graph_of(b);
    for (uint32_t i = 0; i < count; i++) grads[i] = NULL;
    bool complete = graph->error.code == M3_OK && loss != NULL;
    for (uint32_t i = 0; complete && i < count; i++) complete = wrt[i] != NULL;
    if (!complete) return;
    if (loss->shape.rank != 0 || !m3_dtype_is_float(loss->dtype)) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, "gradients", "the loss is %s %s; it must be a floating scalar",
                      m3_dtype_name(loss->dtype), M3_SHAPE_TEXT(&loss->shape));
        return;
    }
    tape t = {.graph = graph, .b = b, .tensors = graph->tensor_count};
    t.wanted = m3_calloc(t.tensors, sizeof(bool));
    t.incoming = m3_calloc(t.tensors, sizeof(contribution *));
    if (t.wanted == NULL || t.incoming == NULL) {
        (void)M3_FAIL_MEMORY(&graph->error, "gradients", t.tensors * sizeof(contribution *));
    } else {
        char scope[M3_SCOPE_MAX];
        (void)snprintf(scope, sizeof scope, "%s", graph->scope);
        mark_wanted(&t, wrt, count);
        contribution seed = {m3_scalar_like(b, loss, 1.0), NULL};
        t.incoming[loss->id] = &seed;
        for (uint32_t i = graph->node_count; i-- > 0 && graph->error.code == M3_OK;) differentiate(&t, graph->nodes[i]);
        m3_graph_set_scope(graph, scope);
        for (uint32_t i = 0; i < count && graph->error.code == M3_OK; i++) {
            grads[i] = sum_of(&t, wrt[i]);
            if (grads[i] == NULL) grads[i] = m3_broadcast(b, m3_scalar_like(b, wrt[i], 0.0), wrt[i]->shape);
        }
    }
    m3_free(t.wanted);
    m3_free(t.incoming);
}
