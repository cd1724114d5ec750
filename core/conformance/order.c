/* order: which cases of the list take part, in the order of dependence.
 *   level(op) = 0 for what makes temporaries and outputs, 1 for what does not decompose, else 1 + the largest level of
 * its pieces
 */
#include "core/conformance/order.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/ops/common/op.h"
#include "core/passes/pass.h"

enum { MAX_DEPTH = 8, NOT_KNOWN = 0xff }; /* decompositions nest less deeply */

/* An op that has cases, with the first of them. */
typedef struct ranked {
    char op[64];
    uint32_t first, level;
} ranked;

typedef struct ranking {
    ranked *ops;
    uint32_t count, capacity;
    const m3_op_lookup *lookup;
} ranking;

static ranked *find(const ranking *r, const char *op)
{
    for (uint32_t i = r->count; i-- > 0;) /* cases of one op stand together */
        if (strcmp(r->ops[i].op, op) == 0) return &r->ops[i];
    return NULL;
}

static m3_status add_op(ranking *r, const m3_case *c, uint32_t index, m3_error *err)
{
    if (find(r, c->op) != NULL) return M3_OK;
    if (r->count == r->capacity) {
        uint32_t capacity = r->capacity + 64;
        void *grown = m3_realloc(r->ops, capacity, sizeof *r->ops);
        if (grown == NULL) return M3_FAIL_MEMORY(err, c->op, capacity * sizeof *r->ops);
        r->ops = grown;
        r->capacity = capacity;
    }
    ranked *op = &r->ops[r->count++];
    *op = (ranked){.first = index, .level = NOT_KNOWN};
    memcpy(op->op, c->op, sizeof op->op);
    return M3_OK;
}

static bool is_other(void *user, const m3_node *node)
{
    return strcmp(node->op->name, user) != 0;
}

static uint32_t level_of(ranking *r, const char *name, uint32_t depth);

/* The largest level of what the op's first case decomposes into. A case that cannot be built says so when it runs. */
static uint32_t level_of_pieces(ranking *r, ranked *op, uint32_t depth)
{
    m3_case c;
    m3_case_graph built = {0};
    m3_graph *pieces = NULL;
    uint32_t level = 0;
    const m3_pass_context context = {.supports = is_other, .user = op->op, .precision = M3_F32};
    if (m3_case_at(op->first, &c, NULL) == M3_OK &&
        m3_case_build(&c, r->lookup, M3_CASE_PLAIN, &built, NULL) == M3_OK &&
        m3_pass_decompose.run(built.graph, &context, &pieces, NULL) == M3_OK)
        for (uint32_t i = 0; i < m3_graph_node_count(pieces); i++) {
            const uint32_t piece = level_of(r, m3_graph_node(pieces, i)->op->name, depth + 1);
            if (piece > level) level = piece;
        }
    m3_graph_free(pieces);
    m3_case_graph_free(&built);
    return level;
}

static uint32_t level_of(ranking *r, const char *name, uint32_t depth)
{
    static const char *const first[] = {"mul", "and", "copy"};
    const m3_op *op = m3_op_find(name);
    ranked *known = find(r, name);
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        if (strcmp(first[i], name) == 0) return 0;
    if (known == NULL || depth > MAX_DEPTH || (op != NULL && op->decompose == NULL)) return 1;
    if (known->level == NOT_KNOWN) known->level = 1 + level_of_pieces(r, known, depth);
    return known->level;
}

m3_status m3_case_order_make(m3_case_order *order, uint32_t layer, const m3_op_lookup *lookup, const char *pattern,
                             bool full, m3_error *err)
{
    const uint32_t all = m3_case_count_of(full, pattern);
    ranking r = {.lookup = lookup};
    uint32_t levels = 0, taken = 0;
    m3_status st = M3_OK;
    *order = (m3_case_order){.index = m3_calloc((size_t)all + 1, sizeof *order->index)};
    uint8_t *level = m3_calloc((size_t)all + 1, sizeof *level);
    if (order->index == NULL || level == NULL) st = M3_FAIL_MEMORY(err, "conformance", all * sizeof *order->index);
    for (uint32_t i = 0; level != NULL && i < all && st == M3_OK; i++) {
        m3_case c;
        level[i] = NOT_KNOWN;
        if ((st = m3_case_at(i, &c, err)) != M3_OK) break;
        if ((st = add_op(&r, &c, i, err)) != M3_OK) break;
        if ((c.layers & layer) == 0 || (pattern != NULL && !m3_case_matches(&c, pattern))) continue;
        order->index[order->count++] = i;
    }
    for (uint32_t k = 0; k < order->count && st == M3_OK; k++) {
        m3_case c;
        if ((st = m3_case_at(order->index[k], &c, err)) != M3_OK) break;
        uint32_t of = level_of(&r, c.op, 0);
        level[order->index[k]] = (uint8_t)of;
        if (of > levels) levels = of;
    }
    for (uint32_t of = 0; level != NULL && of <= levels && st == M3_OK; of++)
        for (uint32_t i = 0; i < all; i++)
            if (level[i] == of) order->index[taken++] = i;
    m3_free(r.ops);
    m3_free(level);
    return st;
}

void m3_case_order_fini(m3_case_order *order)
{
    m3_free(order->index);
    *order = (m3_case_order){0};
}
