/* sink: row sinking. Who reads only rows [start, start + count) of an axis need not compute the others: demand for rows
 * flows backwards from slices through the ops whose rows do not depend on each other, and what is demanded in part is
 * computed in part. Which ops these are they declare themselves (M3_OP_ELEMENTWISE, m3_op.row_axis):
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
    if ((node->op->flags & M3_OP_SLICE) == 0) return false;
    const m3_shape *from = &node->in[M3_SLICE_X]->shape, *to = &node->out[0]->shape;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < from->rank; i++) {
        if (from->dim[i] == to->dim[i]) continue;
        *d = (demand){PART, i, (uint64_t)node->attr[M3_SLICE_START].i[i], to->dim[i]};
        axes++;
    }
    return axes == 1;
}

/* m3_op.row_axis, with its answer for elementwise ops. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    if (M3_OP_MEMBER(node->op, row_axis) != NULL) return node->op->row_axis(node, axis, input);
    if ((node->op->flags & M3_OP_ELEMENTWISE) == 0) return M3_ROWS_MIXED;
    const m3_shape *x = &node->in[input]->shape;
    const uint32_t missing = node->out[0]->shape.rank - x->rank;
    return axis < missing || x->dim[axis - missing] == 1 ? M3_ROWS_ALL : (int32_t)(axis - missing);
}

/* Are the rows of the only output made each on its own, and from rows of some input? */
static bool has_rows(const m3_node *node, uint32_t axis)
{
    bool any = false;
    if (node->out_count != 1) return false;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const int32_t its = node->in[i] != NULL ? row_axis(node, axis, i) : M3_ROWS_ALL;
        if (its == M3_ROWS_MIXED) return false;
        any |= its >= 0;
    }
    return any;
}

/* The rows of input i that rows d of the result need. */
static demand rows_needed(const m3_node *node, uint32_t i, demand d)
{
    const int32_t axis = row_axis(node, d.axis, i);
    return axis < 0 ? (demand){.extent = WHOLE} : (demand){PART, (uint32_t)axis, d.start, d.count};
}

/* An alias that gradients pass. */
static bool reshapes(const m3_node *node)
{
    return (node->op->flags & M3_OP_ALIAS) != 0 && !node->op->zero_gradient;
}

/* The node f behind reshape(f(reshape(x))) where both reshapes only flatten and restore leading axes, and f has rows
 * along the flattened one, made from rows of its first input and nothing else that has rows. */
static const m3_node *flattened(const sinker *s, const m3_node *up, uint32_t axis)
{
    if (!reshapes(up)) return NULL;
    const m3_tensor *flat = up->in[0], *y = up->out[0];
    const m3_node *f = flat->producer;
    if (f == NULL || s->readers[flat->id] != 1 || flat->shape.rank < 2) return NULL;
    const uint32_t rows = flat->shape.rank - 2; /* the axis of f's rows; axes before it are not flattened */
    if (f->in_count == 0 || f->in[0] == NULL || !has_rows(f, rows) || row_axis(f, rows, 0) != (int32_t)rows)
        return NULL;
    for (uint32_t i = 1; i < f->in_count; i++)
        if (f->in[i] != NULL && row_axis(f, rows, i) >= 0) return NULL;
    const m3_node *down = f->in[0]->producer;
    if (down == NULL || !reshapes(down)) return NULL;
    const m3_shape *x = &down->in[0]->shape;
    if (x->rank != y->shape.rank || axis + 1 >= x->rank || axis < rows || y->shape.dim[axis] == 0) return NULL;
    for (uint32_t i = 0; i + 1 < x->rank; i++)
        if (x->dim[i] != y->shape.dim[i]) return NULL;
    for (uint32_t i = 0; i < rows; i++)
        if (x->dim[i] != flat->shape.dim[i]) return NULL;
    return x->dim[x->rank - 1] == f->in[0]->shape.dim[rows + 1] ? f : NULL;
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
    const bool part = node->out_count == 1 && d.extent == PART;
    const m3_node *f = part ? flattened(s, node, d.axis) : NULL;
    if (f != NULL) {
        want(s, f->in[0]->producer->in[0], d);
        for (uint32_t i = 1; i < f->in_count; i++) want(s, f->in[i], whole);
        return;
    }
    const bool rows = part && has_rows(node, d.axis);
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL) want(s, node->in[i], rows ? rows_needed(node, i, d) : whole);
}

/* Rows d of x in the new graph. */
static m3_tensor *rows_of(sinker *s, const m3_tensor *x, demand d)
{
    if (d.extent == WHOLE) return m3_rewrite_get(&s->rw, x);
    if (s->part[x->id] != NULL) return s->part[x->id];
    m3_tensor *whole = m3_rewrite_get(&s->rw, x);
    return whole == NULL ? NULL : m3_slice(s->rw.b, whole, (int)d.axis, d.start, d.count);
}

static m3_tensor *flattened_rows(sinker *s, const m3_node *up, const m3_node *f, demand d)
{
    m3_tensor *x = rows_of(s, f->in[0]->producer->in[0], d);
    m3_tensor **in = m3_calloc(f->in_count, sizeof *in), *y = NULL;
    if (in == NULL) s->rw.b->api->fail(s->rw.b, M3_ERR_MEMORY, "sink: out of memory");
    if (in == NULL || x == NULL) goto done;
    m3_shape flat = f->in[0]->shape, out = up->out[0]->shape;
    flat.dim[flat.rank - 2] = flat.dim[flat.rank - 2] / out.dim[d.axis] * d.count;
    out.dim[d.axis] = d.count;
    in[0] = m3_reshape(s->rw.b, x, flat);
    for (uint32_t i = 1; i < f->in_count; i++) in[i] = m3_rewrite_get(&s->rw, f->in[i]);
    y = m3_emit(s->rw.b, f->op->name, in, f->in_count, f->attr, f->op->attr_count);
    if (y != NULL) y = m3_reshape(s->rw.b, y, out);
done:
    m3_free(in);
    return y;
}

static m3_tensor *node_rows(sinker *s, const m3_node *node, demand d)
{
    m3_tensor **in = m3_calloc(node->in_count, sizeof *in), *y = NULL;
    if (in == NULL) {
        s->rw.b->api->fail(s->rw.b, M3_ERR_MEMORY, "sink: out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL) in[i] = rows_of(s, node->in[i], rows_needed(node, i, d));
    y = m3_emit(s->rw.b, node->op->name, in, node->in_count, node->attr, node->op->attr_count);
    m3_free(in);
    return y;
}

/* Build the wanted part of a node; false when its op computes all or nothing. */
static bool build_part(sinker *s, const m3_node *node)
{
    demand d = s->wanted[node->out[0]->id];
    if (node->out_count != 1 || d.extent != PART) return false;
    const m3_node *f = flattened(s, node, d.axis);
    if (f == NULL && !has_rows(node, d.axis)) return false;
    s->part[node->out[0]->id] = f != NULL ? flattened_rows(s, node, f, d) : node_rows(s, node, d);
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
        if (!any) continue; /* dead, or what is behind a reshape that builds it anew */
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
