/* dedupe: equal ops with equal attributes over equal inputs are one node; equal constants are one constant.
 * Draws carry their site as an attribute, so two draws of one site are the same draw. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

/* Open addressing over pointers; capacity is a power of two above twice the number of entries. */
typedef struct table {
    const void **slot;
    size_t mask;
} table;

static bool table_init(table *t, size_t entries)
{
    size_t capacity = 16;
    while (capacity < 2 * entries + 2) capacity *= 2;
    t->slot = m3_calloc(capacity, sizeof(void *));
    t->mask = capacity - 1;
    return t->slot != NULL;
}

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t value)
{
    return mix(hash, &value, sizeof value);
}

static bool attrs_equal(const m3_op *op, const m3_attr *a, const m3_attr *b)
{
    for (uint32_t i = 0; i < op->attr_count; i++) {
        if (a[i].count != b[i].count || memcmp(a[i].i, b[i].i, sizeof a[i].i) != 0) return false;
        if (memcmp(&a[i].f, &b[i].f, sizeof a[i].f) != 0) return false;
    }
    return true;
}

static const m3_tensor *same_constant(table *t, const m3_tensor *x)
{
    size_t bytes = (size_t)m3_tensor_bytes(x);
    uint64_t hash = mix_number(UINT64_C(0xcbf29ce484222325), (uint64_t)x->dtype);
    hash = mix(mix(hash, x->shape.dim, sizeof x->shape.dim), x->data, bytes);
    for (size_t at = (size_t)hash & t->mask;; at = (at + 1) & t->mask) {
        const m3_tensor *old = t->slot[at];
        if (old == NULL) return t->slot[at] = x;
        if (old->dtype == x->dtype && m3_shape_equal(&old->shape, &x->shape) && memcmp(old->data, x->data, bytes) == 0)
            return old;
    }
}

static bool same_node(const m3_rewrite *rw, const m3_node *a, const m3_node *b)
{
    if (a->op != b->op || a->in_count != b->in_count || !attrs_equal(a->op, a->attr, b->attr)) return false;
    for (uint32_t i = 0; i < a->in_count; i++) {
        const m3_tensor *x = a->in[i] == NULL ? NULL : rw->map[a->in[i]->id];
        const m3_tensor *y = b->in[i] == NULL ? NULL : rw->map[b->in[i]->id];
        if (x != y) return false;
    }
    return true;
}

/* An earlier old node that this one repeats, or NULL when it is the first of its kind. */
static const m3_node *find_same(table *t, const m3_rewrite *rw, const m3_node *node)
{
    uint64_t hash = mix_number(UINT64_C(0xcbf29ce484222325), (uint64_t)(uintptr_t)node->op);
    for (uint32_t i = 0; i < node->op->attr_count; i++) {
        hash = mix(hash, node->attr[i].i, sizeof node->attr[i].i);
        hash = mix(hash, &node->attr[i].f, sizeof node->attr[i].f);
    }
    for (uint32_t i = 0; i < node->in_count; i++)
        hash = mix_number(hash, node->in[i] == NULL ? 0 : (uint64_t)(uintptr_t)rw->map[node->in[i]->id]);
    for (size_t at = (size_t)hash & t->mask;; at = (at + 1) & t->mask) {
        const m3_node *old = t->slot[at];
        if (old == NULL) {
            t->slot[at] = node;
            return NULL;
        }
        if (same_node(rw, old, node)) return old;
    }
}

/* A cast to more bits is cheaper to repeat than its result is to keep from one reader to the next. */
static bool is_widening(const m3_node *node)
{
    return (node->op->flags & M3_OP_ELEMENTWISE) != 0 && node->in_count == 1 && m3_dtype_is_half(node->in[0]->dtype) &&
           node->out[0]->dtype == M3_F32;
}

static void merge(m3_rewrite *rw, table *constants, table *nodes, const m3_graph *in)
{
    for (uint32_t i = 0; i < m3_graph_tensor_count(in); i++) {
        const m3_tensor *x = m3_graph_tensor(in, i);
        if (x->kind != M3_CONSTANT) continue;
        m3_rewrite_set(rw, x, m3_rewrite_get(rw, same_constant(constants, x)));
    }
    for (uint32_t i = 0; i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        for (uint32_t k = 0; k < node->in_count; k++) (void)m3_rewrite_get(rw, node->in[k]);
        const m3_node *old = is_widening(node) ? NULL : find_same(nodes, rw, node);
        if (old == NULL) {
            m3_rewrite_copy(rw, node);
            continue;
        }
        for (uint32_t k = 0; k < node->out_count; k++) m3_rewrite_set(rw, node->out[k], rw->map[old->out[k]->id]);
    }
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    table constants = {0}, nodes = {0};
    if (table_init(&constants, m3_graph_tensor_count(in)) && table_init(&nodes, m3_graph_node_count(in)))
        merge(&rw, &constants, &nodes, in);
    else
        rw.b->api->fail(rw.b, M3_ERR_MEMORY, "dedupe: out of memory");
    m3_free(constants.slot);
    m3_free(nodes.slot);
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_dedupe = {"dedupe", run};
