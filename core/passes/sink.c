/* sink: row sinking. Who reads only rows [start, start + count) of an axis need not compute the others: demand for rows
 * flows backwards from slices through the ops that work row by row, and what is demanded in part is computed in part.
 *
 *   slice(f(x, y))                     -> f(slice(x), slice(y))       f elementwise; broadcast inputs stay whole
 *   slice(layer_norm(x))               -> layer_norm(slice(x))        not along the normalised axis
 *   slice(attention(q, k, v))          -> attention(slice(q), k, v)   along the axis of queries
 *   slice(reshape(linear(reshape(x)))) -> reshape(linear(reshape(slice(x))))   along any axis but the last
 *
 * The experts read only position L-1 (MODEL.md 7), so their last layer computes its query, output and feed-forward rows
 * for that position alone. A dropout that moves draws for the rows that are left: the same law, other draws. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

typedef enum extent { NOTHING = 0, PART, WHOLE } extent;

/* Which rows of a tensor its readers want. */
typedef struct demand {
    extent extent;
    uint32_t axis;
    uint64_t start, count;
} demand;

typedef struct sinker {
    m3_rewrite rw;
    const m3_graph *in;
    uint32_t *readers; /* by id of the old graph, as the next two */
    demand *wanted;
    m3_tensor **part; /* the wanted rows in the new graph, where only they were computed */
} sinker;

/* How demand for part of a node's result moves on to its inputs. */
typedef enum rule { STOPS, ELEMENTWISE, LAYER_NORM, ATTENTION, DROPOUT, LINEAR } rule;

static void want(sinker *s, const m3_tensor *x, demand d)
{
    if (x == NULL) return;
    demand *now = &s->wanted[x->id];
    if (now->extent == NOTHING)
        *now = d;
    else if (d.extent == WHOLE || now->axis != d.axis || now->start != d.start || now->count != d.count)
        now->extent = WHOLE;
}

static bool slices_one_axis(const m3_node *node, demand *d)
{
    if (strcmp(node->op->name, "slice") != 0) return false;
    const m3_shape *from = &node->in[0]->shape, *to = &node->out[0]->shape;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < from->rank; i++) {
        if (from->dim[i] == to->dim[i]) continue;
        *d = (demand){PART, i, (uint64_t)node->attr[0].i[i], to->dim[i]};
        axes++;
    }
    return axes == 1;
}

/* The linear behind reshape(linear(reshape(x))) where both reshapes only flatten and restore the leading axes. */
static const m3_node *flattened_linear(const sinker *s, const m3_node *reshape, uint32_t axis)
{
    const m3_tensor *flat = reshape->in[0], *y = reshape->out[0];
    const m3_node *linear = flat->producer;
    if (linear == NULL || strcmp(linear->op->name, "linear") != 0 || s->readers[flat->id] != 1) return NULL;
    for (uint32_t i = 3; i < linear->in_count; i++)
        if (linear->in[i] != NULL) return NULL; /* residual and gate come later than this pass */
    if (linear->attr[0].i[0] != 0) return NULL; /* x is transposed */
    const m3_node *down = linear->in[0]->producer;
    if (down == NULL || strcmp(down->op->name, "reshape") != 0) return NULL;
    const m3_shape *x = &down->in[0]->shape;
    if (x->rank != y->shape.rank || axis + 1 >= x->rank || y->shape.dim[axis] == 0) return NULL;
    for (uint32_t i = 0; i + 1 < x->rank; i++)
        if (x->dim[i] != y->shape.dim[i]) return NULL;
    if (linear->in[1]->shape.rank == 3 && (axis == 0 || x->dim[0] != linear->in[1]->shape.dim[0])) return NULL;
    return linear;
}

static rule rule_of(const sinker *s, const m3_node *node, uint32_t axis)
{
    static const char *const elementwise[] = {
        "neg",  "abs", "exp", "log", "sqrt", "sin", "cos", "tanh",  "sigmoid", "floor",      "not", "relu", "silu",
        "cast", "add", "sub", "mul", "div",  "max", "min", "equal", "less",    "less_equal", "and", "or",   "where"};
    const char *op = node->op->name;
    uint32_t rank = node->out[0]->shape.rank;
    for (size_t i = 0; i < sizeof elementwise / sizeof elementwise[0]; i++)
        if (strcmp(op, elementwise[i]) == 0) return ELEMENTWISE;
    if (strcmp(op, "dropout") == 0) return DROPOUT;
    if (strcmp(op, "attention") == 0) return axis + 2 == rank ? ATTENTION : STOPS;
    if (strcmp(op, "reshape") == 0) return flattened_linear(s, node, axis) != NULL ? LINEAR : STOPS;
    if (strcmp(op, "layer_norm") == 0)
        return axis + 1 < rank && (node->in[1]->shape.rank == 1 || axis > 0) ? LAYER_NORM : STOPS;
    return STOPS;
}

/* The rows of input i that an elementwise op needs for d; whole where the input is repeated along the axis. */
static demand through_broadcast(const m3_node *node, uint32_t i, demand d)
{
    const m3_shape *x = &node->in[i]->shape;
    uint32_t missing = node->out[0]->shape.rank - x->rank;
    if (d.axis < missing || x->dim[d.axis - missing] == 1) return (demand){.extent = WHOLE};
    d.axis -= missing;
    return d;
}

/* One node's demand passed on to its inputs. */
static void pass_on(sinker *s, const m3_node *node)
{
    const demand whole = {.extent = WHOLE};
    demand d = s->wanted[node->out[0]->id];
    bool any = false;
    for (uint32_t k = 0; k < node->out_count; k++) any |= s->wanted[node->out[k]->id].extent != NOTHING;
    if (!any) return;
    demand cut;
    if (slices_one_axis(node, &cut)) {
        want(s, node->in[0], cut);
        s->wanted[node->out[0]->id].extent = WHOLE; /* of the slice */
        return;
    }
    rule r = node->out_count == 1 && d.extent == PART ? rule_of(s, node, d.axis) : STOPS;
    const m3_node *linear = r == LINEAR ? flattened_linear(s, node, d.axis) : NULL;
    if (linear != NULL) {
        want(s, linear->in[0]->producer->in[0], d);
        for (uint32_t i = 1; i < linear->in_count; i++) want(s, linear->in[i], whole);
        return;
    }
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (node->in[i] == NULL) continue;
        if (r == ELEMENTWISE)
            want(s, node->in[i], through_broadcast(node, i, d));
        else
            want(s, node->in[i], r != STOPS && i == 0 ? d : whole);
    }
}

/* Rows d of x in the new graph. */
static m3_tensor *rows_of(sinker *s, const m3_tensor *x, demand d)
{
    if (d.extent == WHOLE) return m3_rewrite_get(&s->rw, x);
    if (s->part[x->id] != NULL) return s->part[x->id];
    m3_tensor *whole = m3_rewrite_get(&s->rw, x);
    return whole == NULL ? NULL : m3_slice(s->rw.b, whole, (int)d.axis, d.start, d.count);
}

static m3_tensor *linear_rows(sinker *s, const m3_node *reshape, demand d)
{
    const m3_node *linear = flattened_linear(s, reshape, d.axis);
    m3_tensor *x = rows_of(s, linear->in[0]->producer->in[0], d);
    if (x == NULL) return NULL;
    m3_shape flat = linear->in[0]->shape, out = reshape->out[0]->shape;
    flat.dim[flat.rank - 2] = flat.dim[flat.rank - 2] / out.dim[d.axis] * d.count;
    out.dim[d.axis] = d.count;
    m3_tensor *in[5] = {m3_reshape(s->rw.b, x, flat), NULL, NULL, NULL, NULL};
    for (uint32_t i = 1; i < linear->in_count; i++) in[i] = m3_rewrite_get(&s->rw, linear->in[i]);
    m3_tensor *y = m3_emit(s->rw.b, "linear", in, linear->in_count, linear->attr, linear->op->attr_count);
    return y == NULL ? NULL : m3_reshape(s->rw.b, y, out);
}

/* Build the wanted part of a node; false when its op computes all or nothing. */
static bool build_part(sinker *s, const m3_node *node)
{
    demand d = s->wanted[node->out[0]->id];
    if (node->out_count != 1 || d.extent != PART) return false;
    rule r = rule_of(s, node, d.axis);
    if (r == STOPS) return false;
    m3_tensor *y = NULL, *in[4] = {NULL};
    if (r == LINEAR) {
        y = linear_rows(s, node, d);
    } else {
        for (uint32_t i = 0; i < node->in_count; i++) {
            demand whole = {.extent = WHOLE};
            demand di = r == ELEMENTWISE ? through_broadcast(node, i, d) : i == 0 ? d : whole;
            in[i] = rows_of(s, node->in[i], di);
        }
        y = m3_emit(s->rw.b, node->op->name, in, node->in_count, node->attr, node->op->attr_count);
    }
    s->part[node->out[0]->id] = y;
    return true;
}

static void rewrite(sinker *s)
{
    const demand whole = {.extent = WHOLE};
    for (uint32_t i = 0; i < m3_graph_output_count(s->in); i++) want(s, m3_graph_output_at(s->in, i, NULL), whole);
    for (uint32_t i = 0; i < m3_graph_update_count(s->in); i++) {
        m3_tensor *value = NULL;
        want(s, m3_graph_update_at(s->in, i, &value), whole);
        want(s, value, whole);
    }
    for (uint32_t i = m3_graph_node_count(s->in); i-- > 0;) pass_on(s, m3_graph_node(s->in, i));
    for (uint32_t i = 0; i < m3_graph_node_count(s->in); i++) {
        const m3_node *node = m3_graph_node(s->in, i);
        bool any = false;
        for (uint32_t k = 0; k < node->out_count; k++) any |= s->wanted[node->out[k]->id].extent != NOTHING;
        demand cut;
        if (!any) continue; /* dead, or a linear whose reshape builds it anew */
        if (slices_one_axis(node, &cut))
            m3_rewrite_set(&s->rw, node->out[0], rows_of(s, node->in[0], cut));
        else if (!build_part(s, node))
            m3_rewrite_copy(&s->rw, node);
    }
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    sinker s = {.in = in};
    m3_status st = m3_rewrite_begin(&s.rw, in, err);
    if (st != M3_OK) return st;
    uint32_t tensors = m3_graph_tensor_count(in);
    s.readers = m3_count_readers(in);
    s.wanted = m3_calloc(tensors, sizeof *s.wanted);
    s.part = m3_calloc(tensors, sizeof *s.part);
    if (s.readers != NULL && s.wanted != NULL && s.part != NULL)
        rewrite(&s);
    else
        s.rw.b->api->fail(s.rw.b, M3_ERR_MEMORY, "sink: out of memory");
    m3_free(s.readers);
    m3_free(s.wanted);
    m3_free(s.part);
    return m3_rewrite_end(&s.rw, out, err);
}

const m3_pass m3_pass_sink = {"sink", run};
