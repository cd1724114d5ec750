/* precision: activations and the operands of layers in 16 bits. Runs over the whole step, after differentiation and
 * fusion, and places casts; what an op computes stays f32 (m3_op.halves).
 *
 * Of 16 bits: operands and results of fused ops that declare `halves` (linear, attention, layer_norm, their gradients),
 * and what only moves such elements (reshape, slice, concat, ...).
 *
 * Of f32: parameters, moments, sums and all else that a store keeps; gradients of parameters; inputs and outputs of the
 * graph; biases, gamma and beta; elementwise ops, between casts; softmax, reductions and losses; and matmul, which
 * makes scores and similarities, of which exponentials are taken.
 *
 * A tensor is rounded once, where it is made, and all its readers see the rounded one. A parameter is cast once a run;
 * a cast back to f32 is repeated at each reader (pass dedupe leaves it), because keeping its result would cost what 16
 * bits save. Without a precision this pass only copies. */
#include "core/base/alloc.h"
#include "core/graph/internal.h"
#include "core/passes/pass.h"

typedef struct placer {
    m3_rewrite rw;
    const m3_graph *in;
    m3_dtype half;
    bool *runs, *moves;        /* by node: takes 16 bits; only moves elements, of any type */
    bool *kept, *marked;       /* by tensor: stays f32; has 16 bits */
    uint32_t *same;            /* by tensor: another whose elements it shares, or itself */
    m3_tensor **full, **small; /* by tensor: in the new graph, of f32 and of 16 bits */
} placer;

static bool is_temporary(const m3_tensor *x)
{
    return x != NULL && x->kind == M3_TEMPORARY && x->dtype == M3_F32;
}

/* What a node gives when the inputs of f32 in `mask` are of 16 bits; false: its op does not take them. */
static bool infer_halves(const placer *p, const m3_node *node, uint32_t mask, m3_tensor_desc *out)
{
    bool any = false;
    m3_tensor *copies = m3_calloc(node->in_count, sizeof *copies);
    m3_tensor **in = m3_calloc(node->in_count, sizeof(m3_tensor *));
    for (uint32_t i = 0; copies != NULL && in != NULL && i < node->in_count; i++) {
        if (node->in[i] == NULL) continue;
        copies[i] = *node->in[i];
        in[i] = &copies[i];
        if (copies[i].dtype != M3_F32 || (i < 32 && (mask >> i & 1u) == 0)) continue;
        copies[i].dtype = p->half;
        any = true;
    }
    m3_node here = *node;
    here.in = in;
    any = any && node->op->infer(&here, out, NULL) == M3_OK;
    m3_free(copies);
    m3_free(in);
    return any;
}

static bool gives_halves(const placer *p, const m3_node *node, uint32_t mask)
{
    m3_tensor_desc *out = m3_calloc(node->out_count, sizeof *out);
    bool all = out != NULL && infer_halves(p, node, mask, out);
    for (uint32_t i = 0; all && i < node->out_count; i++) all = out[i].dtype == p->half;
    m3_free(out);
    return all;
}

/* Elements of a parameter are moved in f32, and rounded where they are read. */
static bool is_movement(const placer *p, const m3_node *node)
{
    if (M3_OP_MEMBER(node->op, halves) != 0 || node->out_count != 1) return false;
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL && (node->in[i]->kind == M3_PARAMETER || node->in[i]->kind == M3_STATE)) return false;
    return is_temporary(node->out[0]) && gives_halves(p, node, UINT32_MAX);
}

/* Gradients of parameters, and what they are the sums of. */
static void keep_gradients(placer *p)
{
    for (uint32_t i = 0; i < m3_graph_update_count(p->in); i++) {
        m3_tensor *value = NULL;
        (void)m3_graph_update_at(p->in, i, &value);
        p->kept[value->id] = true;
    }
    for (uint32_t n = m3_graph_node_count(p->in); n-- > 0;) {
        const m3_node *node = m3_graph_node(p->in, n);
        bool keep = (node->op->flags & M3_OP_UPDATES) != 0;
        for (uint32_t k = 0; k < node->out_count && !keep; k++)
            keep = p->kept[node->out[k]->id] && ((node->op->flags & M3_OP_ELEMENTWISE) != 0 || p->moves[n]);
        for (uint32_t k = 0; keep && k < node->in_count; k++)
            if (node->in[k] != NULL) p->kept[node->in[k]->id] = true;
    }
}

/* A fused op that declares it, unless a result has to stay f32. */
static bool takes_halves(const placer *p, const m3_node *node)
{
    const uint32_t halves = M3_OP_MEMBER(node->op, halves);
    if (halves == 0 || node->op->decompose == NULL) return false;
    m3_tensor_desc *out = m3_calloc(node->out_count, sizeof *out);
    bool takes = out != NULL && infer_halves(p, node, halves, out);
    for (uint32_t k = 0; takes && k < node->out_count; k++)
        takes = out[k].dtype != p->half || !p->kept[node->out[k]->id];
    for (uint32_t k = 0; takes && k < node->out_count; k++)
        if (out[k].dtype == p->half) p->marked[node->out[k]->id] = true;
    for (uint32_t i = 0; takes && i < node->in_count && i < 32; i++)
        if ((halves >> i & 1u) != 0 && is_temporary(node->in[i])) p->marked[node->in[i]->id] = true;
    m3_free(out);
    return takes;
}

static uint32_t first_of(placer *p, uint32_t id)
{
    while (p->same[id] != id) id = p->same[id] = p->same[p->same[id]];
    return id;
}

/* What shares elements with a tensor of 16 bits has them too. */
static void mark_moved(placer *p)
{
    const uint32_t tensors = m3_graph_tensor_count(p->in);
    for (uint32_t i = 0; i < tensors; i++) p->same[i] = i;
    for (uint32_t n = 0; n < m3_graph_node_count(p->in); n++) {
        const m3_node *node = m3_graph_node(p->in, n);
        for (uint32_t i = 0; p->moves[n] && i < node->in_count; i++)
            if (is_temporary(node->in[i])) p->same[first_of(p, node->in[i]->id)] = first_of(p, node->out[0]->id);
    }
    for (uint32_t i = 0; i < tensors; i++)
        if (p->marked[i]) p->marked[first_of(p, i)] = true;
    for (uint32_t i = 0; i < tensors; i++)
        p->marked[i] = p->marked[first_of(p, i)] && !p->kept[i] && is_temporary(m3_graph_tensor(p->in, i));
}

/* Building. */

static m3_tensor *full_of(placer *p, const m3_tensor *x)
{
    if (x->dtype != M3_F32) return m3_rewrite_get(&p->rw, x);
    if (p->full[x->id] != NULL) return p->full[x->id];
    if (p->small[x->id] != NULL && p->marked[x->id]) return m3_cast(p->rw.b, p->small[x->id], M3_F32);
    return p->full[x->id] = m3_rewrite_get(&p->rw, x);
}

static m3_tensor *small_of(placer *p, const m3_tensor *x)
{
    if (p->small[x->id] == NULL) p->small[x->id] = m3_cast(p->rw.b, full_of(p, x), p->half);
    return p->small[x->id];
}

static void take_result(placer *p, const m3_tensor *x, m3_tensor *now)
{
    if (now == NULL || x->dtype != M3_F32) {
        m3_rewrite_set(&p->rw, x, now);
    } else if (now->dtype == p->half) {
        p->small[x->id] = now;
    } else if (p->marked[x->id]) {
        p->small[x->id] = m3_cast(p->rw.b, now, p->half);
    } else {
        p->full[x->id] = now;
    }
}

static void build(placer *p, const m3_node *node, uint32_t mask)
{
    m3_tensor **in = m3_calloc((size_t)node->in_count + node->out_count, sizeof(m3_tensor *));
    if (in == NULL) {
        p->rw.b->api->fail(p->rw.b, M3_ERR_MEMORY, "precision: out of memory");
        return;
    }
    m3_tensor **out = in + node->in_count;
    m3_graph_set_scope(p->rw.graph, node->scope);
    for (uint32_t i = 0; i < node->in_count; i++) {
        const m3_tensor *x = node->in[i];
        if (x == NULL) continue;
        uint32_t again = 0; /* an earlier input is the same tensor */
        while (again < i && node->in[again] != x) again++;
        const bool half = x->dtype == M3_F32 && (i >= 32 ? mask == UINT32_MAX : (mask >> i & 1u) != 0);
        in[i] = half ? small_of(p, x) : again < i && in[again]->dtype == x->dtype ? in[again] : full_of(p, x);
        if (in[i] == NULL) break; /* the builder keeps an error */
    }
    p->rw.b->api->emit(p->rw.b, node->op->name, in, node->in_count, node->attr, node->op->attr_count, out,
                       node->out_count);
    for (uint32_t i = 0; i < node->out_count; i++) take_result(p, node->out[i], out[i]);
    m3_free(in);
}

/* Outputs and updates read f32. */
static void finish(placer *p)
{
    for (uint32_t i = 0; i < m3_graph_output_count(p->in); i++) {
        const m3_tensor *x = m3_graph_output_at(p->in, i, NULL);
        m3_rewrite_set(&p->rw, x, p->full[x->id] = full_of(p, x));
    }
    for (uint32_t i = 0; i < m3_graph_update_count(p->in); i++) {
        m3_tensor *value = NULL;
        (void)m3_graph_update_at(p->in, i, &value);
        m3_rewrite_set(&p->rw, value, full_of(p, value));
    }
}

static void rewrite(placer *p)
{
    const uint32_t nodes = m3_graph_node_count(p->in);
    for (uint32_t n = 0; n < nodes; n++) p->moves[n] = is_movement(p, m3_graph_node(p->in, n));
    keep_gradients(p);
    for (uint32_t n = 0; n < nodes; n++) p->runs[n] = takes_halves(p, m3_graph_node(p->in, n));
    mark_moved(p);
    for (uint32_t n = 0; n < nodes; n++) {
        const m3_node *node = m3_graph_node(p->in, n);
        const bool moves = p->moves[n] && p->marked[node->out[0]->id];
        build(p, node, p->runs[n] ? node->op->halves : moves ? UINT32_MAX : 0);
    }
    finish(p);
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    placer p = {.in = in, .half = context->precision};
    const size_t tensors = m3_graph_tensor_count(in), nodes = m3_graph_node_count(in);
    m3_status st = m3_rewrite_begin(&p.rw, in, err);
    if (st != M3_OK) return st;
    if (!m3_dtype_is_half(p.half)) {
        for (uint32_t n = 0; n < nodes; n++) m3_rewrite_copy(&p.rw, m3_graph_node(in, n));
        return m3_rewrite_end(&p.rw, out, err);
    }
    p.runs = m3_calloc(2 * nodes, sizeof *p.runs);
    p.kept = m3_calloc(2 * tensors, sizeof *p.kept);
    p.same = m3_calloc(tensors, sizeof *p.same);
    p.full = m3_calloc(2 * tensors, sizeof(m3_tensor *));
    if (p.runs != NULL && p.kept != NULL && p.same != NULL && p.full != NULL) {
        p.moves = p.runs + nodes;
        p.marked = p.kept + tensors;
        p.small = p.full + tensors;
        rewrite(&p);
    } else {
        p.rw.b->api->fail(p.rw.b, M3_ERR_MEMORY, "precision: out of memory");
    }
    m3_free(p.runs);
    m3_free(p.kept);
    m3_free(p.same);
    m3_free(p.full);
    return m3_rewrite_end(&p.rw, out, err);
}

const m3_pass m3_pass_precision = {"precision", run};
