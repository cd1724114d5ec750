/* chain: elementwise nodes that read each other become one node, so that what passes between them never reaches memory.
 *
 * A group begins as one node and grows by the groups that make its operands, as long as
 *   - all its nodes have one number of elements, the same in memory whatever their shapes; or fewer, which repeat, when
 *     nobody else reads them;
 *   - nothing that a node reads from outside comes, through other nodes, from the group itself;
 *   - the op takes so many inputs, steps and outputs (ops.h), and the device the node.
 * Reshapes between its nodes vanish, and so does every broadcast before an elementwise node: operands repeat by
 * themselves. A node whose value is read elsewhere, too, is one more output. */
#include "core/ops/common/chain.h"

#include "core/base/alloc.h"
#include "core/graph/internal.h"
#include "core/ops/common/list.h"
#include "core/passes/pass.h"

static const uint32_t NONE = UINT32_MAX;

typedef struct group {
    uint32_t count;
    uint32_t node[M3_CHAIN_MAX_STEPS]; /* ascending */
} group;

/* A group as a node: what it reads, under which shape, and which values others read. */
typedef struct tape {
    const group *of;
    m3_shape shape; /* of the outputs */
    uint32_t inputs, outputs;
    const m3_tensor *source[M3_CHAIN_MAX_INPUTS];
    m3_tensor input[M3_CHAIN_MAX_INPUTS]; /* the source under the shape that the chain reads */
    const m3_tensor *result[M3_CHAIN_MAX_OUTPUTS];
    m3_attr attr[M3_CHAIN_ATTRS];
} tape;

typedef struct chainer {
    m3_rewrite rw;
    const m3_graph *in;
    const m3_pass_context *context;
    group *groups;            /* by node */
    uint32_t *leader;         /* the node that has a node's group; NONE: it is no part of a chain */
    uint32_t *first, *reader; /* nodes that read tensor t: reader[first[t]] to reader[first[t + 1]] */
    bool *kept;               /* tensors that are outputs of the graph, or values of updates */
    uint32_t *seen, *stack, round;
} chainer;

static bool is_alias(const m3_node *node)
{
    return (node->op->flags & M3_OP_ALIAS) != 0;
}

static bool is_chainable(const m3_node *node)
{
    return m3_chain_function_of(node->op) < M3_CHAIN_FUNCTIONS && node->out_count == 1;
}

/* The position of a node in a group, or its count. */
static uint32_t position_of(const group *g, const m3_node *node)
{
    uint32_t i = 0;
    while (i < g->count && g->node[i] != node->id) i++;
    return i;
}

/* Operands. */

/* What stands behind an operand. */
typedef struct origin {
    const m3_tensor *tensor;
    uint32_t member; /* the position of the node that makes it, or the group's count */
    bool reshaped;   /* aliases lie between */
} origin;

/* Follow x through aliases and repetitions to a node of the group; else to the last tensor that x is a mere repetition
 * of. */
static origin trace(const chainer *c, const group *g, const m3_tensor *x)
{
    origin found = {x, g->count, false};
    const m3_tensor *t = x;
    bool reshaped = false;
    while (t->producer != NULL) {
        const m3_node *node = t->producer;
        const uint32_t member = c->leader[node->id] == NONE ? g->count : position_of(g, node);
        if (member < g->count) return (origin){t, member, reshaped};
        const bool repeats = m3_chain_repeats(node->op);
        if (repeats && reshaped && m3_tensor_count(node->in[0]) != 1) break;
        if (!repeats && !is_alias(node)) break;
        reshaped = reshaped || !repeats;
        t = node->in[0];
        if (repeats) found = (origin){t, g->count, false};
    }
    return found;
}

/* The number of an input with this source and shape, added when it is new; NONE: there are too many. */
static uint32_t input_of(tape *t, const m3_tensor *source, const m3_shape *shape)
{
    uint32_t k = 0;
    while (k < t->inputs && (t->source[k] != source || !m3_shape_equal(&t->input[k].shape, shape))) k++;
    if (k < t->inputs) return k;
    if (k == M3_CHAIN_MAX_INPUTS) return NONE;
    t->inputs++;
    t->source[k] = source;
    t->input[k] = *source;
    t->input[k].shape = *shape;
    return k;
}

/* Operand x of a node of the group: its input, or NONE with the member that makes it. False: the chain cannot read it
 * as the node does. */
static bool read_operand(const chainer *c, tape *t, const m3_node *node, const m3_tensor *x, uint32_t *input,
                         uint32_t *member)
{
    const origin from = trace(c, t->of, x);
    const m3_shape *mine = &node->out[0]->shape;
    const uint64_t count = m3_tensor_count(from.tensor), all = m3_shape_count(&t->shape);
    const bool moved = m3_shape_count(mine) == all && !m3_shape_equal(mine, &t->shape);
    m3_shape shape = from.tensor->shape;
    *input = NONE;
    *member = from.member;
    if (from.member < t->of->count) return count == all || count == 1 || !(from.reshaped || moved);
    if (count == all)
        shape = t->shape;
    else if (count == 1)
        shape = (m3_shape){0};
    else if (moved)
        return false;
    *input = input_of(t, from.tensor, &shape);
    return *input != NONE;
}

/* Does anything outside of the group read x? */
static bool is_read_outside(const chainer *c, const group *g, const m3_tensor *x)
{
    if (c->kept[x->id]) return true;
    for (uint32_t i = c->first[x->id]; i < c->first[x->id + 1]; i++) {
        const m3_node *node = m3_graph_node(c->in, c->reader[i]);
        if (c->leader[node->id] != NONE && position_of(g, node) < g->count) continue;
        if (!is_alias(node) && !m3_chain_repeats(node->op)) return true;
        if (is_read_outside(c, g, node->out[0])) return true;
    }
    return false;
}

/* The tape. */

static void add_step(tape *t, uint32_t at, uint32_t function, const uint32_t operand[3])
{
    m3_attr *list = &t->attr[M3_CHAIN_STEPS + at / M3_MAX_RANK];
    list->i[list->count++] = m3_chain_pack(function, operand);
}

/* Functions that are worth more than to be computed for each repetition of a smaller operand. */
static bool is_costly(uint32_t function)
{
    return (function >= M3_CHAIN_EXP && function <= M3_CHAIN_TANH && function != M3_CHAIN_SQRT) ||
           function == M3_CHAIN_SIGMOID || (function >= M3_CHAIN_SILU && function <= M3_CHAIN_GELU) ||
           function == M3_CHAIN_POW;
}

/* Inputs come first, so steps are numbered when all inputs are known: operands are noted before. */
static bool write_steps(const chainer *c, tape *t)
{
    uint32_t input[M3_CHAIN_MAX_STEPS][3] = {{0}}, member[M3_CHAIN_MAX_STEPS][3] = {{0}};
    for (uint32_t i = 0; i < t->of->count; i++) {
        const m3_node *node = m3_graph_node(c->in, t->of->node[i]);
        const bool repeats = m3_tensor_count(node->out[0]) < m3_shape_count(&t->shape);
        if (repeats && is_costly(m3_chain_function_of(node->op))) return false;
        for (uint32_t k = 0; k < node->in_count; k++)
            if (!read_operand(c, t, node, node->in[k], &input[i][k], &member[i][k])) return false;
    }
    for (uint32_t i = 0; i < t->of->count; i++) {
        const m3_node *node = m3_graph_node(c->in, t->of->node[i]);
        const uint32_t function = m3_chain_function_of(node->op);
        uint32_t operand[3] = {0};
        for (uint32_t k = 0; k < node->in_count; k++)
            operand[k] = input[i][k] != NONE ? input[i][k] : t->inputs + member[i][k];
        if (function == M3_CHAIN_CAST) operand[1] = (uint32_t)m3_node_int(node, M3_CAST_DTYPE);
        add_step(t, i, function, operand);
    }
    return true;
}

static bool write_results(const chainer *c, tape *t)
{
    for (uint32_t i = 0; i < t->of->count; i++) {
        const m3_tensor *y = m3_graph_node(c->in, t->of->node[i])->out[0];
        if (!is_read_outside(c, t->of, y)) continue;
        if (t->outputs == M3_CHAIN_MAX_OUTPUTS || m3_tensor_count(y) != m3_shape_count(&t->shape)) return false;
        t->result[t->outputs++] = y;
        t->attr[M3_CHAIN_RESULTS].i[t->attr[M3_CHAIN_RESULTS].count++] = i;
    }
    return t->outputs > 0;
}

/* Ask the op's own rule, and the device. */
static bool is_taken(const chainer *c, const tape *t)
{
    m3_tensor in_memory[M3_CHAIN_MAX_INPUTS], out_memory[M3_CHAIN_MAX_OUTPUTS] = {{0}};
    m3_tensor *in[M3_CHAIN_MAX_INPUTS], *out[M3_CHAIN_MAX_OUTPUTS];
    m3_tensor_desc desc[M3_CHAIN_MAX_OUTPUTS];
    m3_node node = {.size = M3_STRUCT_SIZE(m3_node, attr),
                    .op = &m3_op_chain,
                    .scope = "",
                    .in_count = t->inputs,
                    .in = in,
                    .out = out,
                    .attr = t->attr};
    for (uint32_t k = 0; k < t->inputs; k++) {
        in_memory[k] = t->input[k];
        in[k] = &in_memory[k];
    }
    if (node.op->infer(&node, desc, NULL) != M3_OK) return false;
    for (uint32_t i = 0; i < t->outputs; i++) {
        if (!m3_shape_equal(&desc[i].shape, &t->shape) || desc[i].dtype != t->result[i]->dtype) return false;
        out_memory[i] = *t->result[i];
        out_memory[i].shape = t->shape;
        out[i] = &out_memory[i];
    }
    node.out_count = t->outputs;
    return c->context->supports == NULL || c->context->supports(c->context->user, &node);
}

/* The group's tape under a shape; false: there is none. */
static bool write_tape(const chainer *c, const group *g, const m3_shape *shape, tape *t)
{
    *t = (tape){.of = g, .shape = *shape};
    return write_steps(c, t) && write_results(c, t) && is_taken(c, t);
}

/* Under whichever shape of its nodes it has one. */
static bool find_tape(const chainer *c, const group *g, tape *t)
{
    const m3_shape *tried = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const uint64_t count = m3_tensor_count(m3_graph_node(c->in, g->node[i])->out[0]);
        most = count > most ? count : most;
    }
    for (uint32_t i = g->count; i-- > 0;) {
        const m3_shape *shape = &m3_graph_node(c->in, g->node[i])->out[0]->shape;
        if (m3_shape_count(shape) != most || (tried != NULL && m3_shape_equal(tried, shape))) continue;
        if (write_tape(c, g, shape, t)) return true;
        tried = shape;
    }
    return false;
}

/* Groups. */

static bool push(chainer *c, uint32_t *depth, const group *g, const m3_tensor *x)
{
    const m3_node *node = x == NULL ? NULL : x->producer;
    if (node == NULL || c->seen[node->id] == c->round) return true;
    if (position_of(g, node) < g->count) return false;
    c->seen[node->id] = c->round;
    c->stack[(*depth)++] = node->id;
    return true;
}

/* Does something that the group reads come from the group itself? A node of another group waits for all that this
 * group reads. */
static bool reads_itself(chainer *c, const tape *t)
{
    uint32_t depth = 0;
    c->round++;
    for (uint32_t k = 0; k < t->inputs; k++)
        if (!push(c, &depth, t->of, t->source[k])) return true;
    while (depth > 0) {
        const uint32_t at = c->stack[--depth];
        const group one = {1, {at}}, *g = c->leader[at] != NONE ? &c->groups[c->leader[at]] : &one;
        for (uint32_t i = 0; i < g->count; i++) {
            const m3_node *node = m3_graph_node(c->in, g->node[i]);
            c->seen[node->id] = c->round;
            for (uint32_t k = 0; k < node->in_count; k++)
                if (!push(c, &depth, t->of, node->in[k])) return true;
        }
    }
    return false;
}

/* Make one group of two, if they may be one. */
static void join(chainer *c, uint32_t a, uint32_t b)
{
    const group *x = &c->groups[a], *y = &c->groups[b];
    group both = {0};
    tape t;
    if (a == b || x->count + y->count > M3_CHAIN_MAX_STEPS) return;
    for (uint32_t i = 0, k = 0; i < x->count || k < y->count;) {
        const bool left = k == y->count || (i < x->count && x->node[i] < y->node[k]);
        both.node[both.count++] = left ? x->node[i++] : y->node[k++];
    }
    if (!find_tape(c, &both, &t) || reads_itself(c, &t)) return;
    const uint32_t kept = a < b ? a : b;
    c->groups[kept] = both;
    for (uint32_t i = 0; i < both.count; i++) c->leader[both.node[i]] = kept;
}

/* The node's group with those that make its operands. */
static void grow(chainer *c, const m3_node *node)
{
    for (uint32_t k = 0; k < node->in_count; k++) {
        const m3_tensor *x = node->in[k];
        while (x->producer != NULL && (is_alias(x->producer) || m3_chain_repeats(x->producer->op)))
            x = x->producer->in[0];
        if (x->producer != NULL && c->leader[x->producer->id] != NONE)
            join(c, c->leader[x->producer->id], c->leader[node->id]);
    }
}

/* Emission: a node comes when its last operand has come, at the latest where it stood before; aliases and repetitions
 * where they are read. */

static void ensure(chainer *c, const m3_tensor *x);

static void emit_chain(chainer *c, const group *g)
{
    m3_tensor *in[M3_CHAIN_MAX_INPUTS], *out[M3_CHAIN_MAX_OUTPUTS];
    tape *t = m3_graph_allocate(c->rw.graph, sizeof *t);
    if (t == NULL) return;
    if (!find_tape(c, g, t)) {
        c->rw.b->api->fail(c->rw.b, M3_ERR_INTERNAL, "chain: a group has no tape any more");
        return;
    }
    for (uint32_t k = 0; k < t->inputs; k++) ensure(c, t->source[k]);
    m3_graph_set_scope(c->rw.graph, m3_graph_node(c->in, g->node[g->count - 1])->scope);
    for (uint32_t k = 0; k < t->inputs; k++)
        in[k] = m3_reshape(c->rw.b, m3_rewrite_get(&c->rw, t->source[k]), t->input[k].shape);
    c->rw.b->api->emit(c->rw.b, m3_op_chain.name, in, t->inputs, t->attr, M3_CHAIN_ATTRS, out, t->outputs);
    for (uint32_t i = 0; i < t->outputs; i++)
        m3_rewrite_set(&c->rw, t->result[i], m3_reshape(c->rw.b, out[i], t->result[i]->shape));
}

/* A node alone, which still need not read what only repeats. */
static void emit_alone(chainer *c, const m3_node *node)
{
    m3_tensor *in[3], seen[3], *old[3];
    m3_tensor_desc desc;
    const group *g = &c->groups[c->leader[node->id]];
    for (uint32_t k = 0; k < node->in_count; k++) {
        const m3_tensor *from = trace(c, g, node->in[k]).tensor;
        seen[k] = *from;
        if (m3_tensor_count(from) == 1) seen[k].shape = (m3_shape){0};
        in[k] = &seen[k];
        old[k] = from == node->in[k] ? NULL : (m3_tensor *)from;
    }
    m3_node here = *node;
    here.in = in;
    const bool fits = here.op->infer(&here, &desc, NULL) == M3_OK &&
                      m3_shape_equal(&desc.shape, &node->out[0]->shape) &&
                      (c->context->supports == NULL || c->context->supports(c->context->user, &here));
    for (uint32_t k = 0; k < node->in_count; k++) {
        const m3_tensor *x = fits && old[k] != NULL ? old[k] : node->in[k];
        ensure(c, x);
        in[k] = m3_rewrite_get(&c->rw, x);
        if (x != node->in[k]) in[k] = m3_reshape(c->rw.b, in[k], seen[k].shape);
    }
    m3_graph_set_scope(c->rw.graph, node->scope);
    m3_rewrite_set(&c->rw, node->out[0],
                   m3_emit(c->rw.b, node->op->name, in, node->in_count, node->attr, node->op->attr_count));
}

static void ensure(chainer *c, const m3_tensor *x)
{
    if (x == NULL || x->producer == NULL || c->rw.map[x->id] != NULL || c->rw.graph->error.code != M3_OK) return;
    const m3_node *node = x->producer;
    const group *g = c->leader[node->id] != NONE ? &c->groups[c->leader[node->id]] : NULL;
    if (g != NULL && g->count > 1) {
        emit_chain(c, g);
    } else if (g != NULL) {
        emit_alone(c, node);
    } else {
        for (uint32_t k = 0; k < node->in_count; k++) ensure(c, node->in[k]);
        m3_rewrite_copy(&c->rw, node);
    }
}

static const m3_tensor *any_result(const chainer *c, const group *g)
{
    uint32_t i = 0;
    while (i + 1 < g->count && !is_read_outside(c, g, m3_graph_node(c->in, g->node[i])->out[0])) i++;
    return m3_graph_node(c->in, g->node[i])->out[0];
}

static void emit_all(chainer *c)
{
    for (uint32_t i = 0; i < m3_graph_node_count(c->in); i++) {
        const m3_node *node = m3_graph_node(c->in, i);
        const group *g = c->leader[i] != NONE ? &c->groups[c->leader[i]] : NULL;
        if (is_alias(node) || m3_chain_repeats(node->op)) continue;
        if (g != NULL && g->node[g->count - 1] != i) continue;
        ensure(c, g != NULL ? any_result(c, g) : node->out[0]);
    }
    for (uint32_t i = 0; i < m3_graph_output_count(c->in); i++) ensure(c, m3_graph_output_at(c->in, i, NULL));
    for (uint32_t i = 0; i < m3_graph_update_count(c->in); i++) {
        m3_tensor *value = NULL;
        (void)m3_graph_update_at(c->in, i, &value);
        ensure(c, value);
    }
}

/* Readers of each tensor, and what the graph itself keeps. `first` counts one further on until they are listed. */
static void list_readers(chainer *c)
{
    const uint32_t nodes = m3_graph_node_count(c->in), tensors = m3_graph_tensor_count(c->in);
    for (uint32_t i = 0; i < nodes; i++) {
        const m3_node *node = m3_graph_node(c->in, i);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) c->first[node->in[k]->id + 2]++;
    }
    for (uint32_t t = 0; t < tensors; t++) c->first[t + 2] += c->first[t + 1];
    for (uint32_t i = 0; i < nodes; i++) {
        const m3_node *node = m3_graph_node(c->in, i);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) c->reader[c->first[node->in[k]->id + 1]++] = i;
    }
    for (uint32_t i = 0; i < m3_graph_output_count(c->in); i++) c->kept[m3_graph_output_at(c->in, i, NULL)->id] = true;
    for (uint32_t i = 0; i < m3_graph_update_count(c->in); i++) {
        m3_tensor *value = NULL;
        (void)m3_graph_update_at(c->in, i, &value);
        c->kept[value->id] = true;
    }
}

static bool allocate(chainer *c)
{
    const uint32_t nodes = m3_graph_node_count(c->in), tensors = m3_graph_tensor_count(c->in);
    uint32_t reads = 0;
    for (uint32_t i = 0; i < nodes; i++) reads += m3_graph_node(c->in, i)->in_count;
    c->groups = m3_calloc(nodes, sizeof *c->groups);
    c->leader = m3_calloc(nodes, sizeof *c->leader);
    c->first = m3_calloc(tensors + 2, sizeof *c->first);
    c->reader = m3_calloc(reads, sizeof *c->reader);
    c->kept = m3_calloc(tensors, sizeof *c->kept);
    c->seen = m3_calloc(nodes, sizeof *c->seen);
    c->stack = m3_calloc(nodes, sizeof *c->stack);
    return c->groups != NULL && c->leader != NULL && c->first != NULL && c->reader != NULL && c->kept != NULL &&
           c->seen != NULL && c->stack != NULL;
}

static void find_groups(chainer *c)
{
    enum { ROUNDS = 2 }; /* what a node read elsewhere held back may join when its readers have */
    const uint32_t nodes = m3_graph_node_count(c->in);
    for (uint32_t i = 0; i < nodes; i++) {
        c->leader[i] = is_chainable(m3_graph_node(c->in, i)) ? i : NONE;
        c->groups[i] = (group){1, {i}};
    }
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (uint32_t i = 0; i < nodes; i++)
            if (c->leader[i] != NONE) grow(c, m3_graph_node(c->in, i));
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    chainer c = {.in = in, .context = context};
    m3_status st = m3_rewrite_begin(&c.rw, in, err);
    if (st != M3_OK) return st;
    if (allocate(&c)) {
        list_readers(&c);
        find_groups(&c);
        emit_all(&c);
    } else {
        c.rw.b->api->fail(c.rw.b, M3_ERR_MEMORY, "chain: out of memory");
    }
    void *const blocks[] = {c.groups, c.leader, c.first, c.reader, c.kept, c.seen, c.stack};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) m3_free(blocks[i]);
    return m3_rewrite_end(&c.rw, out, err);
}

const m3_pass m3_pass_chain = {"chain", run};
