/* recompute: compute again, just before it is read, what would lie in memory for long and is cheap to make.
 *
 *   y = f(x), …, the peak, …, g(y)   ->   y = f(x), …, the peak, …, y' = f(x), g(y')
 *
 * A training step keeps most of what the forward pass makes until the backward pass reads it. Here the place of the
 * peak is sought by lifetimes, then the node whose results lie there unread and cost the least work for each byte, and
 * what it needs that is gone by then is made again, too. So on until the peak has nothing left to give, or more work
 * would be done twice than is allowed. After Chen et al. 2016 (arXiv:1604.06174), who do so by layers.
 *
 * It is the last pass, so a node that runs again is the same node over the same values: results keep their bits. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/graph/internal.h"
#include "core/passes/pass.h"

enum {
    BALANCE = 16,      /* operations that a device does in the time in which it moves a byte */
    LEAST_PART = 1024, /* less than this part of the peak is not worth a node */
    SMALL_PART = 16,   /* an input so much smaller than what is gained is kept, not made again */
    MOST_NODES = 64,   /* that are made again for one reader, */
    MOST_INPUTS = 64   /* and inputs that each may have */
};

typedef struct value {
    const m3_tensor *like; /* of the old graph */
    uint32_t item;         /* that makes it, or NONE */
    uint32_t root;         /* what it is an alias of, or itself */
    uint32_t birth, death; /* of a root: places in the order; death UINT32_MAX where it is published */
    m3_tensor *now;
} value;

/* A node of the old graph, or the same again. */
typedef struct item {
    const m3_node *node;
    uint32_t *in; /* values, NONE where an input is absent */
    uint32_t out; /* the first of its values, which follow each other */
    uint32_t place;
    bool again;
} item;

typedef struct work {
    m3_rewrite rw;
    item *items;
    uint32_t *order; /* of the items */
    value *values;
    uint64_t *live; /* bytes by place; one more place behind the last */
    uint32_t *map;  /* by item: the item that is the same again, in what is being put in */
    uint32_t item_count, value_count, most_items, most_values;
    uint32_t ordered; /* entries of order */
    uint64_t budget, peak;
    uint32_t at; /* the place of the peak */
} work;

/* What it takes to make a node again. */
typedef struct price {
    uint64_t work, kept; /* kept: bytes of inputs that live longer */
    uint32_t nodes;
} price;

static const uint32_t NONE = UINT32_MAX;

static bool is_alias(const m3_node *node)
{
    return (node->op->flags & M3_OP_ALIAS) != 0;
}

static uint64_t work_of(const m3_node *node)
{
    return is_alias(node) ? 0 : m3_node_flops(node) + BALANCE * m3_node_traffic(node, NULL);
}

static bool is_temporary(const value *v)
{
    return v->like->kind == M3_TEMPORARY;
}

/* An item at the end of the list, not yet in the order, or NONE where there is no room. Its inputs are the caller's to
 * fill. */
static uint32_t add_item(work *w, const m3_node *node)
{
    if (w->item_count == w->most_items) return NONE;
    uint32_t *in = m3_graph_allocate(w->rw.graph, ((size_t)node->in_count + 1) * sizeof *in);
    if (in == NULL) return NONE;
    const uint32_t index = w->item_count++;
    w->items[index] = (item){.node = node, .in = in, .out = w->value_count};
    for (uint32_t k = 0; k < node->out_count; k++, w->value_count++)
        w->values[w->value_count] = (value){.like = node->out[k], .item = index, .root = w->value_count};
    return index;
}

static void set_roots(work *w, uint32_t index)
{
    const item *it = &w->items[index];
    if (is_alias(it->node)) w->values[it->out].root = w->values[it->in[0]].root;
}

/* Values of leaves come first, by tensor. */
static bool take_graph(work *w, const m3_graph *in, uint32_t part)
{
    const uint32_t tensors = m3_graph_tensor_count(in), nodes = m3_graph_node_count(in);
    uint32_t *of = m3_calloc(tensors, sizeof *of);
    if (of == NULL) return false;
    for (uint32_t i = 0; i < tensors; i++) {
        const m3_tensor *x = m3_graph_tensor(in, i);
        if (x->kind == M3_TEMPORARY) continue;
        of[i] = w->value_count;
        w->values[w->value_count] = (value){.like = x, .item = NONE, .root = w->value_count};
        w->value_count++;
    }
    for (uint32_t i = 0; i < nodes; i++) {
        const m3_node *node = m3_graph_node(in, i);
        const uint32_t index = add_item(w, node);
        if (index == NONE) break;
        for (uint32_t k = 0; k < node->in_count; k++)
            w->items[index].in[k] = node->in[k] != NULL ? of[node->in[k]->id] : NONE;
        for (uint32_t k = 0; k < node->out_count; k++) of[node->out[k]->id] = w->items[index].out + k;
        set_roots(w, index);
        w->order[w->ordered++] = index;
        w->budget += work_of(node) / part;
    }
    m3_free(of);
    return w->rw.graph->error.code == M3_OK;
}

static void publish(work *w, const m3_tensor *x)
{
    for (uint32_t i = 0; i < w->value_count; i++)
        if (w->values[i].like == x && (w->values[i].item == NONE || !w->items[w->values[i].item].again))
            w->values[w->values[i].root].death = UINT32_MAX;
}

static void find_lifetimes(work *w)
{
    const m3_graph *old = w->rw.old;
    for (uint32_t i = 0; i < w->ordered; i++) w->items[w->order[i]].place = i;
    for (uint32_t i = 0; i < w->value_count; i++) {
        value *v = &w->values[i];
        v->birth = v->death = v->item != NONE ? w->items[v->item].place : 0;
    }
    for (uint32_t i = 0; i < w->ordered; i++) {
        const item *it = &w->items[w->order[i]];
        for (uint32_t k = 0; k < it->node->in_count; k++)
            if (it->in[k] != NONE) w->values[w->values[it->in[k]].root].death = i;
    }
    for (uint32_t i = 0; i < m3_graph_output_count(old); i++) publish(w, m3_graph_output_at(old, i, NULL));
    for (uint32_t i = 0; i < m3_graph_update_count(old); i++) {
        m3_tensor *x = NULL;
        (void)m3_graph_update_at(old, i, &x);
        publish(w, x);
    }
}

static void find_peak(work *w)
{
    memset(w->live, 0, ((size_t)w->ordered + 1) * sizeof *w->live);
    for (uint32_t i = 0; i < w->value_count; i++) {
        const value *v = &w->values[i];
        if (!is_temporary(v) || v->root != i) continue;
        const uint64_t bytes = m3_tensor_bytes(v->like);
        w->live[v->birth] += bytes;
        if (v->death < w->ordered) w->live[v->death + 1] -= bytes; /* wraps, and back in the sum */
    }
    w->peak = 0;
    uint64_t now = 0;
    for (uint32_t i = 0; i < w->ordered; i++) {
        now += w->live[i];
        if (now <= w->peak) continue;
        w->peak = now;
        w->at = i;
    }
}

/* Is a value of `it` read at the peak? *next: the first place behind it where one is; *bytes: of those that are. */
static bool lies_unread(const work *w, uint32_t index, uint32_t *next, uint64_t *bytes)
{
    const item *it = &w->items[index];
    *next = NONE;
    *bytes = 0;
    for (uint32_t k = 0; k < it->node->out_count; k++) {
        const value *v = &w->values[it->out + k];
        if (v->death == UINT32_MAX) return false;
        if (v->death > w->at) *bytes += m3_tensor_bytes(v->like);
    }
    for (uint32_t i = w->at; *bytes > 0 && i < w->ordered; i++) {
        const item *reader = &w->items[w->order[i]];
        for (uint32_t k = 0; k < reader->node->in_count; k++) {
            if (reader->in[k] == NONE) continue;
            const uint32_t root = w->values[reader->in[k]].root;
            if (root < it->out || root >= it->out + it->node->out_count) continue;
            if (i == w->at) return false;
            *next = i;
            return true;
        }
    }
    return false;
}

/* Can what is read as x be read at place `next` as well, at most by keeping something small until then? */
static bool is_there(const work *w, uint32_t x, uint32_t next, uint64_t gain, uint64_t *kept)
{
    const value *v = &w->values[x], *root = &w->values[v->root];
    if (!is_temporary(root) || root->death >= next) return true;
    if (v->root != x || m3_tensor_bytes(v->like) > gain / SMALL_PART) return false;
    *kept += m3_tensor_bytes(v->like);
    return true;
}

/* Of making item `index` again at place `next`; false when it cannot be. */
static bool find_price(const work *w, uint32_t index, uint32_t next, uint64_t gain, price *p)
{
    const item *it = &w->items[index];
    if ((it->node->op->flags & M3_OP_UPDATES) != 0 || it->node->in_count > MOST_INPUTS) return false;
    if (++p->nodes > MOST_NODES) return false;
    p->work += work_of(it->node);
    for (uint32_t k = 0; k < it->node->in_count; k++)
        if (it->in[k] != NONE && !is_there(w, it->in[k], next, gain, &p->kept) &&
            !find_price(w, w->values[it->in[k]].item, next, gain, p))
            return false;
    return true;
}

/* A node whose results are given up at the peak. */
typedef struct choice {
    uint32_t item, next; /* next: the place where they are made again */
    uint64_t gain, work; /* bytes that they have at the peak */
} choice;

static bool choose(const work *w, choice *best)
{
    double most = 0.0;
    for (uint32_t i = 0; i < w->item_count; i++) {
        price p = {0};
        choice c = {.item = i};
        if (w->items[i].place >= w->at || is_alias(w->items[i].node)) continue;
        if (!lies_unread(w, i, &c.next, &c.gain) || !find_price(w, i, c.next, c.gain, &p)) continue;
        if (p.work > w->budget || c.gain < p.kept + w->peak / LEAST_PART + 1) continue;
        const double each = (double)(c.gain - p.kept) / (double)(p.work + 1);
        if (each <= most) continue;
        most = each;
        c.work = p.work;
        *best = c;
    }
    return most > 0.0;
}

/* Put item `index` into the order once more, at *place, behind what it needs; *place moves on. NONE: no room. */
static uint32_t make_again(work *w, const choice *c, uint32_t index, uint32_t *place)
{
    uint64_t kept = 0;
    if (w->map[index] != NONE) return w->map[index];
    const m3_node *node = w->items[index].node;
    const uint32_t made = add_item(w, node);
    if (made == NONE) return NONE;
    w->items[made].again = true;
    for (uint32_t k = 0; k < node->in_count; k++) {
        uint32_t x = w->items[index].in[k];
        if (x != NONE && !is_there(w, x, c->next, c->gain, &kept)) {
            const uint32_t from = w->values[x].item, source = make_again(w, c, from, place);
            if (source == NONE) return NONE;
            x = w->items[source].out + (x - w->items[from].out);
        }
        w->items[made].in[k] = x;
    }
    set_roots(w, made);
    memmove(w->order + *place + 1, w->order + *place, (w->ordered - *place) * sizeof *w->order);
    w->order[(*place)++] = made;
    w->ordered++;
    w->map[index] = made;
    return made;
}

/* Who reads a value of the choice behind the peak reads one that was made again. */
static void apply(work *w, const choice *c)
{
    const uint32_t items = w->item_count;
    uint32_t place = c->next;
    for (uint32_t i = 0; i < items; i++) w->map[i] = NONE;
    for (uint32_t k = 0; k < w->items[c->item].node->out_count; k++)
        w->values[w->items[c->item].out + k].death = w->at; /* so that nobody finds it there */
    for (uint32_t i = 0; i < items; i++) {
        if (w->items[i].place < c->next) continue;
        for (uint32_t k = 0; k < w->items[i].node->in_count; k++) {
            const uint32_t x = w->items[i].in[k];
            if (x == NONE || w->values[w->values[x].root].item != c->item) continue;
            const uint32_t from = w->values[x].item,
                           made = w->items[from].place < c->next ? make_again(w, c, from, &place) : from;
            if (made == NONE) return;
            w->items[i].in[k] = w->items[made].out + (x - w->items[from].out);
        }
    }
    for (uint32_t i = 0; i < w->ordered; i++) set_roots(w, w->order[i]);
    w->budget -= c->work;
}

static void emit(work *w, const item *it)
{
    m3_rewrite *rw = &w->rw;
    value *values = w->values;
    const m3_node *node = it->node;
    m3_tensor **in = m3_graph_allocate(rw->graph, ((size_t)node->in_count + node->out_count + 1) * sizeof *in);
    if (in == NULL) return;
    m3_tensor **out = in + node->in_count;
    for (uint32_t k = 0; k < node->in_count; k++) {
        const value *x = it->in[k] != NONE ? &values[it->in[k]] : NULL;
        if (x != NULL) in[k] = x->item == NONE ? m3_rewrite_get(rw, x->like) : x->now;
    }
    m3_graph_set_scope(rw->graph, node->scope);
    rw->b->api->emit(rw->b, node->op->name, in, node->in_count, node->attr, node->op->attr_count, out, node->out_count);
    for (uint32_t k = 0; k < node->out_count; k++) {
        values[it->out + k].now = out[k];
        if (!it->again) m3_rewrite_set(rw, node->out[k], out[k]);
    }
}

static bool make_room(work *w, const m3_graph *in)
{
    uint32_t outputs = 0;
    for (uint32_t i = 0; i < m3_graph_node_count(in); i++)
        if (m3_graph_node(in, i)->out_count > outputs) outputs = m3_graph_node(in, i)->out_count;
    w->most_items = 2 * m3_graph_node_count(in) + MOST_NODES;
    w->most_values = m3_graph_tensor_count(in) + (w->most_items - m3_graph_node_count(in)) * outputs;
    w->items = m3_calloc(w->most_items, sizeof *w->items);
    w->order = m3_calloc(w->most_items, sizeof *w->order);
    w->map = m3_calloc(w->most_items, sizeof *w->map);
    w->live = m3_calloc((size_t)w->most_items + 1, sizeof *w->live);
    w->values = m3_calloc(w->most_values, sizeof *w->values);
    return w->items != NULL && w->order != NULL && w->map != NULL && w->live != NULL && w->values != NULL;
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    work w = {0};
    choice c = {0};
    m3_status st = m3_rewrite_begin(&w.rw, in, err);
    if (st != M3_OK) return st;
    if (!make_room(&w, in) || !take_graph(&w, in, context->recompute)) {
        w.rw.b->api->fail(w.rw.b, M3_ERR_MEMORY, "recompute: out of memory");
        w.item_count = w.most_items;
        w.ordered = 0;
    }
    while (w.item_count + MOST_NODES <= w.most_items && w.rw.graph->error.code == M3_OK) {
        find_lifetimes(&w);
        find_peak(&w);
        if (!choose(&w, &c)) break;
        apply(&w, &c);
    }
    for (uint32_t i = 0; i < w.ordered && w.rw.graph->error.code == M3_OK; i++) emit(&w, &w.items[w.order[i]]);
    m3_free(w.items);
    m3_free(w.order);
    m3_free(w.map);
    m3_free(w.live);
    m3_free(w.values);
    m3_graph *made = NULL;
    if ((st = m3_rewrite_end(&w.rw, &made, err)) != M3_OK) return st;
    st = m3_pass_dead.run(made, context, out, err); /* what is read behind the peak alone is made there alone */
    m3_graph_free(made);
    return st;
}

const m3_pass m3_pass_recompute = {"recompute", run};
