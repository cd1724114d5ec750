/* autodiff: reverse-mode differentiation that appends ops to the graph.
 * Each tensor collects the contributions of its readers, newest reader first, and their sum is its gradient. Rows of
 * one table are summed once; slices that fill their tensor are joined. */
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

static bool is_row_sum(const m3_tensor *x)
{
    return x->producer != NULL && strcmp(x->producer->op->name, "scatter_add") == 0 &&
           x->producer->in[0]->shape.rank == 1;
}

/* Row gradients of one table: ids and rows joined, so that the table is swept once and each row is summed in order. */
static m3_tensor *join_row_sums(tape *t, const contribution *list, uint32_t count)
{
    m3_tensor **ids = m3_graph_allocate(t->graph, 2 * count * sizeof(m3_tensor *));
    if (ids == NULL) return NULL;
    m3_tensor **rows = ids + count;
    const m3_node *first = NULL;
    uint32_t k = 0;
    for (const contribution *c = list; c != NULL; c = c->next) {
        if (!is_row_sum(c->grad)) continue;
        const m3_node *node = c->grad->producer;
        if (first == NULL) first = node;
        ids[k] = node->in[0];
        rows[k++] = node->in[1];
    }
    if (first == NULL) return NULL;
    return m3_scatter_add(t->b, m3_concat(t->b, ids, k, 0), m3_concat(t->b, rows, k, 0), (uint64_t)first->attr[0].i[0],
                          first->attr[1].i[0]);
}

/* Is x a part of a tensor with zeros around it along one axis, as a slice's gradient is? */
static bool is_part(const m3_tensor *x, uint32_t *axis)
{
    if (x->producer == NULL || strcmp(x->producer->op->name, "pad") != 0) return false;
    const m3_shape *part = &x->producer->in[0]->shape;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < part->rank; i++) {
        if (part->dim[i] == x->shape.dim[i]) continue;
        *axis = i;
        axes++;
    }
    return axes == 1;
}

/* Parts along one axis that lie side by side and fill it are joined, instead of adding zeros to each other. NULL when
 * they do not. *axis receives theirs. */
static m3_tensor *join_parts(tape *t, const contribution *list, uint32_t count, uint32_t *axis)
{
    m3_tensor **parts = m3_graph_allocate(t->graph, count * sizeof(m3_tensor *));
    uint32_t found = 0, its = 0;
    uint64_t filled = 0;
    if (parts == NULL) return NULL;
    for (const contribution *c = list; c != NULL; c = c->next) {
        if (!is_part(c->grad, &its) || (found != 0 && its != *axis)) continue;
        *axis = its;
        uint32_t at = found++;
        for (; at > 0 && parts[at - 1]->producer->attr[0].i[its] > c->grad->producer->attr[0].i[its]; at--)
            parts[at] = parts[at - 1];
        parts[at] = c->grad;
    }
    if (found < 2) return NULL;
    uint64_t extent = parts[0]->shape.dim[*axis];
    for (uint32_t i = 0; i < found; i++) {
        const m3_node *pad = parts[i]->producer;
        if ((uint64_t)pad->attr[0].i[*axis] != filled) return NULL;
        filled += pad->in[0]->shape.dim[*axis];
        parts[i] = pad->in[0];
    }
    return filled == extent ? m3_concat(t->b, parts, found, (int)*axis) : NULL;
}

static m3_tensor *sum_of(tape *t, const m3_tensor *x)
{
    const contribution *list = t->incoming[x->id];
    uint32_t row_sums = 0, count = 0, axis = 0, its = 0;
    int64_t skip = 0;
    for (const contribution *c = list; c != NULL; c = c->next, count++) {
        if (!is_row_sum(c->grad)) continue;
        int64_t skipped = c->grad->producer->attr[1].i[0];
        if (row_sums++ == 0) skip = skipped;
        if (skipped != skip) row_sums = UINT32_MAX / 2; /* different padding rows: add them as they are */
    }
    bool join = row_sums > 1 && row_sums < UINT32_MAX / 2;
    m3_tensor *sum = join ? join_row_sums(t, list, row_sums) : NULL;
    m3_tensor *whole = count > 1 ? join_parts(t, list, count, &axis) : NULL;
    if (whole != NULL) sum = sum == NULL ? whole : m3_add(t->b, sum, whole);
    for (const contribution *c = list; c != NULL; c = c->next) {
        if (join && is_row_sum(c->grad)) continue;
        if (whole != NULL && is_part(c->grad, &its) && its == axis) continue;
        sum = sum == NULL ? c->grad : m3_add(t->b, sum, c->grad);
    }
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
                      "the op (node %u in '%s') lies on the way from the loss to a parameter and has no gradient; give "
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
