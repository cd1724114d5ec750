/* schedule: aliases become views, what is only joined is made where it is joined, and updates and outputs become places
 * or nodes `copy`.
 *
 * Order of the steps:  copies of leaves  |  the graph's nodes  |  copies into states and outputs
 *   An update writes `value` straight into the state's place when nothing reads the old value afterwards (its own node
 *   may, where it works in place); else a copy at the end does. Copies of leaves that are overwritten come first,
 *   so every read of the graph sees the old value. A copy into a state that is wanted early stands right behind the
 *   nodes that make the value and read the old one. */
#include "core/runtime/schedule.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/fallback.h"

typedef struct scheduler {
    m3_schedule *s;
    const m3_schedule_options *options;
    uint32_t node_count;   /* of the graph, without copies */
    uint32_t *last_reader; /* by root: the last node that reads it, or M3_NONE */
    bool *overwritten;     /* by tensor id: a state that an update changes */
    bool *published;       /* by tensor id: an output of the graph, or the value of an update */
    bool *joined;          /* by root: it is made by the nodes that make its parts */
    m3_tensor **front;     /* outputs of the copies before the nodes */
    m3_tensor **tail;      /* outputs of the copies behind the nodes */
    uint32_t *behind;      /* by copy in `tail`: the node that it may stand behind, or M3_NONE: all of them */
    uint32_t front_count, tail_count;
} scheduler;

static const m3_tensor *tensor_at(const m3_schedule *s, uint32_t id)
{
    return m3_graph_tensor(s->graph, id);
}

/* Aliases. */

/* Are the elements of a slice contiguous? They are when its axes are: extents of 1, then one cut axis, then whole
 * axes. *elements: how many lie before them. */
static bool contiguous_slice(const m3_node *node, uint64_t *elements)
{
    const m3_shape *x = &node->in[M3_SLICE_X]->shape, *y = &node->out[0]->shape;
    uint64_t stride = 1, at = 0;
    bool cut = false; /* an axis to the right is not whole */
    for (uint32_t i = x->rank; i-- > 0;) {
        if (cut && y->dim[i] != 1) return false;
        if (y->dim[i] != x->dim[i]) cut = true;
        at += (uint64_t)node->attr[M3_SLICE_START].i[i] * stride;
        stride *= x->dim[i];
    }
    *elements = at;
    return true;
}

static bool is_alias(const scheduler *m, const m3_node *node, uint64_t *bytes)
{
    const m3_schedule *s = m->s;
    uint64_t elements = 0;
    *bytes = 0;
    if ((node->op->flags & M3_OP_ALIAS) != 0) return true;
    if ((node->op->flags & M3_OP_SLICE) == 0 || !contiguous_slice(node, &elements)) return false;
    const m3_tensor *x = node->in[0];
    *bytes = elements * m3_dtype_bytes(x->dtype);
    return (s->offset[x->id] + *bytes) % s->devices[s->home[x->id]]->limits.offset_alignment == 0;
}

static void note_leaves(m3_schedule *s)
{
    for (uint32_t i = 0; i < s->tensor_count; i++) {
        s->root[i] = i;
        s->into[i] = M3_NONE;
    }
}

/* A model repeats its layers, so each op and reason is logged once. */
static bool is_new_reason(const m3_schedule *s, const m3_step *step)
{
    if (step->reason == NULL) return false;
    for (uint32_t i = 0; i < s->step_count; i++) {
        const m3_step *other = &s->steps[i];
        if (other->reason != NULL && other->node->op == step->node->op && strcmp(other->reason, step->reason) == 0)
            return false;
    }
    return true;
}

/* Joins. */

static void note_published(scheduler *m)
{
    const m3_graph *graph = m->s->graph;
    m3_tensor *value = NULL;
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++)
        m->published[m3_graph_output_at(graph, i, NULL)->id] = true;
    for (uint32_t i = 0; i < m3_graph_update_count(graph); i++) {
        (void)m3_graph_update_at(graph, i, &value);
        m->published[value->id] = true;
    }
}

/* May the node that makes x make it within another tensor? Then x fills a root of its own, which nobody wants in a
 * certain place. */
static bool is_movable(const scheduler *m, const m3_tensor *x)
{
    const m3_schedule *s = m->s;
    const m3_tensor *root = tensor_at(s, s->root[x->id]);
    return root->kind == M3_TEMPORARY && m3_tensor_bytes(root) > 0 && m3_tensor_bytes(root) == m3_tensor_bytes(x) &&
           s->offset[x->id] == 0 && !m->joined[root->id] && !m->published[root->id] && !m->published[x->id] &&
           (root->producer->op->flags & M3_OP_UPDATES) == 0;
}

/* Do the inputs of a node lie one behind the other in its output, each where a tensor may begin, and may each be made
 * there? Then there is nothing left to run. */
static bool is_join(const scheduler *m, const m3_node *node)
{
    const m3_schedule *s = m->s;
    const m3_shape *y = &node->out[0]->shape;
    uint64_t at = 0;
    if ((node->op->flags & M3_OP_CONCAT) == 0 || m->published[node->out[0]->id]) return false;
    for (int64_t i = 0; i < node->attr[M3_CONCAT_AXIS].i[0]; i++)
        if (y->dim[i] != 1) return false;
    for (uint32_t k = 0; k < node->in_count; k++) {
        const m3_tensor *x = node->in[k];
        if (!is_movable(m, x) || s->home[x->id] != s->home[node->in[0]->id]) return false;
        if (at % s->devices[s->home[x->id]]->limits.offset_alignment != 0) return false;
        for (uint32_t i = 0; i < k; i++)
            if (s->root[node->in[i]->id] == s->root[x->id]) return false;
        at += m3_tensor_bytes(x);
    }
    return true;
}

/* Views of the parts become views of the whole. */
static void join(scheduler *m, const m3_node *node)
{
    m3_schedule *s = m->s;
    const uint32_t y = node->out[0]->id;
    uint64_t at = 0;
    for (uint32_t k = 0; k < node->in_count; k++) {
        const uint32_t root = s->root[node->in[k]->id];
        for (uint32_t i = 0; i < s->tensor_count; i++) {
            if (s->root[i] != root) continue;
            s->root[i] = y;
            s->offset[i] += at;
        }
        at += m3_tensor_bytes(node->in[k]);
    }
    s->home[y] = s->home[node->in[0]->id];
    m->joined[y] = true;
}

/* Give each node its device, and each tensor its root. */
static m3_status assign(scheduler *m, m3_error *err)
{
    m3_schedule *s = m->s;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < m->node_count && st == M3_OK; i++) {
        const m3_node *node = m3_graph_node(s->graph, i);
        uint64_t bytes = 0;
        if (is_alias(m, node, &bytes)) {
            uint32_t x = node->in[0]->id, y = node->out[0]->id;
            s->root[y] = s->root[x];
            s->offset[y] = s->offset[x] + bytes;
            s->home[y] = s->home[x];
            continue;
        }
        if (is_join(m, node)) {
            join(m, node);
            continue;
        }
        m3_step step = {node, 0, NULL};
        st = m3_fallback_choose(s->devices, s->device_count, m->options->strict, node, &step.device, &step.reason, err);
        if (st != M3_OK) break;
        if (is_new_reason(s, &step)) m3_fallback_log(s->devices, step.device, node, step.reason);
        s->steps[s->step_count++] = step;
        for (uint32_t j = 0; j < node->out_count; j++) s->home[node->out[j]->id] = step.device;
        for (uint32_t j = 0; j < node->in_count; j++)
            if (node->in[j] != NULL) m->last_reader[s->root[node->in[j]->id]] = i;
    }
    return st;
}

bool m3_schedule_in_place(const m3_schedule *s, const m3_node *node, uint32_t device, uint32_t out, uint32_t under)
{
    const m3_tensor *y = node->out[out];
    const bool elementwise = (node->op->flags & M3_OP_INPLACE) != 0;
    int32_t only = -1;
    if ((node->op->flags & M3_OP_UPDATES) != 0 && node->op->update_of != NULL) only = node->op->update_of(node, out);
    for (uint32_t i = 0; i < node->in_count; i++) {
        const m3_tensor *x = node->in[i];
        if (x == NULL || m3_schedule_root(s, x, device) != under) continue;
        if (!elementwise && (int64_t)i != only) return false;
        if (m3_schedule_offset(s, x, device) != 0 || x->dtype != y->dtype || !m3_shape_equal(&x->shape, &y->shape))
            return false;
    }
    return true;
}

/* Copies. */

static m3_status copy(scheduler *m, m3_tensor *x, bool front, m3_tensor **y, m3_error *err)
{
    m3_builder *b = m3_graph_builder(m->s->graph);
    *y = m3_copy(b, x);
    m3_status st = m3_builder_status(b, err);
    if (st != M3_OK) return st;
    m3_schedule *s = m->s;
    const uint32_t id = (*y)->id;
    s->root[id] = id;
    s->into[id] = M3_NONE;
    if (front)
        m->front[m->front_count++] = *y;
    else
        m->tail[m->tail_count++] = *y;
    m3_error why = {0};
    st = m3_device_supports(s->devices[0], (*y)->producer, &why);
    if (st == M3_OK) return M3_OK;
    return M3_FAIL(err, st, s->devices[0]->name,
                   "states and outputs lie on the chosen device, which therefore has to run copy of %s %s: %s",
                   m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape), why.message);
}

/* Does x fill all of its root? */
static bool covers(const m3_schedule *s, const m3_tensor *x)
{
    return s->offset[x->id] == 0 && m3_tensor_bytes(tensor_at(s, s->root[x->id])) == m3_tensor_bytes(x);
}

/* May the value be computed in the place of the state? */
static bool fits(const scheduler *m, const m3_tensor *state, const m3_tensor *value)
{
    const m3_schedule *s = m->s;
    const m3_tensor *root = tensor_at(s, s->root[value->id]);
    if (root->kind != M3_TEMPORARY || s->home[root->id] != 0) return false;
    if (!covers(s, value) || s->into[root->id] != M3_NONE || m->joined[root->id]) return false;
    const m3_node *node = root->producer;
    const uint32_t last = m->last_reader[state->id];
    if (last == M3_NONE || last < node->id) return true;
    return last == node->id && m3_schedule_in_place(s, node, 0, root->output, state->id);
}

/* The node that the copy of a value into its state may stand behind. */
static uint32_t copied_behind(const scheduler *m, const m3_tensor *state, const m3_tensor *value)
{
    const m3_tensor *root = tensor_at(m->s, m->s->root[value->id]);
    const uint32_t last = m->last_reader[state->id];
    if (root->kind != M3_TEMPORARY || m3_buckets_find(m->options->buckets, state->name) == M3_NO_BUCKET) return M3_NONE;
    return last == M3_NONE || last < root->producer->id ? root->producer->id : last;
}

static m3_status resolve_update(scheduler *m, m3_tensor *state, m3_tensor *value, m3_error *err)
{
    m3_schedule *s = m->s;
    m3_status st = M3_OK;
    if (fits(m, state, value)) {
        s->into[s->root[value->id]] = state->id;
        return M3_OK;
    }
    const uint32_t behind = copied_behind(m, state, value);
    if (m->overwritten[s->root[value->id]]) st = copy(m, value, true, &value, err);
    if (st == M3_OK) st = copy(m, value, false, &value, err);
    if (st != M3_OK) return st;
    m->behind[m->tail_count - 1] = behind;
    s->into[value->id] = state->id;
    return M3_OK;
}

static m3_status resolve_updates(scheduler *m, m3_error *err)
{
    m3_schedule *s = m->s;
    m3_tensor *value = NULL;
    m3_status st = M3_OK;
    const uint32_t count = m3_graph_update_count(s->graph);
    for (uint32_t i = 0; i < count; i++) {
        const m3_tensor *state = m3_graph_update_at(s->graph, i, &value);
        m->overwritten[state->id] = s->root[value->id] != state->id || s->offset[value->id] != 0;
    }
    for (uint32_t i = 0; i < count && st == M3_OK; i++) {
        m3_tensor *state = m3_graph_update_at(s->graph, i, &value);
        if (m->overwritten[state->id]) st = resolve_update(m, state, value, err);
    }
    return st;
}

/* An output is computed in the output block when nothing else claims its bytes, else copied there. */
static m3_status resolve_output(scheduler *m, uint32_t index, m3_error *err)
{
    m3_schedule *s = m->s;
    m3_tensor *x = m3_graph_output_at(s->graph, index, NULL), *y = x;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < index; i++)
        if (m3_graph_output_at(s->graph, i, NULL) == x) {
            s->outputs[index] = s->outputs[i];
            return M3_OK;
        }
    const m3_tensor *root = tensor_at(s, s->root[x->id]);
    if (root->kind != M3_TEMPORARY)
        st = copy(m, x, true, &y, err);
    else if (s->home[x->id] != 0 || s->into[root->id] != M3_NONE || !covers(s, x))
        st = copy(m, x, false, &y, err);
    if (st != M3_OK) return st;
    s->output[s->root[y->id]] = true;
    s->outputs[index] = y;
    return M3_OK;
}

/* The graph's nodes are in steps already; put the copies around them. */
static void arrange(scheduler *m)
{
    m3_schedule *s = m->s;
    memmove(s->steps + m->front_count, s->steps, s->step_count * sizeof *s->steps);
    s->step_count += m->front_count;
    for (uint32_t i = 0; i < m->front_count; i++) s->steps[i] = (m3_step){m->front[i]->producer, 0, NULL};
    for (uint32_t i = 0; i < m->tail_count; i++) {
        uint32_t at = s->step_count++;
        for (; m->behind[i] < m->node_count && at > m->front_count; at--) { /* past nodes that come later */
            const uint32_t other = s->steps[at - 1].node->id;
            if (other <= m->behind[i]) break;
            s->steps[at] = s->steps[at - 1];
        }
        s->steps[at] = (m3_step){m->tail[i]->producer, 0, NULL};
    }
    s->tensor_count = m3_graph_tensor_count(s->graph);
}

static m3_status allocate(scheduler *m, m3_error *err)
{
    m3_schedule *s = m->s;
    const size_t copies = (size_t)m3_graph_output_count(s->graph) + 2 * (size_t)m3_graph_update_count(s->graph);
    const size_t tensors = s->tensor_count + copies;
    s->steps = m3_calloc(m->node_count + copies, sizeof *s->steps);
    s->root = m3_calloc(tensors, sizeof *s->root);
    s->offset = m3_calloc(tensors, sizeof *s->offset);
    s->home = m3_calloc(tensors, sizeof *s->home);
    s->into = m3_calloc(tensors, sizeof *s->into);
    s->output = m3_calloc(tensors, sizeof *s->output);
    s->outputs = m3_calloc(m3_graph_output_count(s->graph), sizeof *s->outputs);
    m->last_reader = m3_calloc(tensors, sizeof *m->last_reader);
    m->overwritten = m3_calloc(tensors, sizeof *m->overwritten);
    m->published = m3_calloc(tensors, sizeof *m->published);
    m->joined = m3_calloc(tensors, sizeof *m->joined);
    m->front = m3_calloc(copies, sizeof *m->front);
    m->tail = m3_calloc(copies, sizeof *m->tail);
    m->behind = m3_calloc(copies, sizeof *m->behind);
    if (s->steps == NULL || s->root == NULL || s->offset == NULL || s->home == NULL || s->into == NULL ||
        s->output == NULL || s->outputs == NULL || m->last_reader == NULL || m->overwritten == NULL ||
        m->published == NULL || m->joined == NULL || m->front == NULL || m->tail == NULL || m->behind == NULL)
        return M3_FAIL_MEMORY(err, "schedule", tensors * sizeof *s->offset);
    for (size_t i = 0; i < tensors; i++) m->last_reader[i] = M3_NONE;
    for (size_t i = 0; i < copies; i++) m->behind[i] = M3_NONE;
    return M3_OK;
}

m3_status m3_schedule_make(m3_schedule *s, m3_graph *graph, const m3_schedule_options *options, m3_error *err)
{
    scheduler m = {.s = s, .options = options, .node_count = m3_graph_node_count(graph)};
    m3_status st;
    *s = (m3_schedule){.graph = graph,
                       .devices = options->devices,
                       .device_count = options->device_count,
                       .tensor_count = m3_graph_tensor_count(graph)};
    if ((st = allocate(&m, err)) != M3_OK) goto done;
    note_leaves(s);
    note_published(&m);
    if ((st = assign(&m, err)) != M3_OK) goto done;
    if ((st = resolve_updates(&m, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < m3_graph_output_count(graph) && st == M3_OK; i++) st = resolve_output(&m, i, err);
    if (st != M3_OK) goto done;
    arrange(&m);
done:
    m3_free(m.last_reader);
    m3_free(m.overwritten);
    m3_free(m.published);
    m3_free(m.joined);
    m3_free(m.front);
    m3_free(m.tail);
    m3_free(m.behind);
    return st; /* the caller calls m3_schedule_fini either way */
}

void m3_schedule_fini(m3_schedule *s)
{
    for (uint32_t i = 0; i < s->step_count; i++) m3_free(s->steps[i].reason);
    m3_free(s->steps);
    m3_free(s->partitions);
    m3_free(s->transfers);
    m3_free(s->root);
    m3_free(s->offset);
    m3_free(s->home);
    m3_free(s->into);
    m3_free(s->output);
    m3_free(s->outputs);
    memset(s, 0, sizeof *s);
}
