/* overlap: what only leads to states that are wanted early, in buckets (buckets.h), stands right behind what it reads,
 * so that a bucket is ready as early as it can be. All else keeps its order, and no node computes anything else. */
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/passes/buckets.h"
#include "core/passes/pass.h"

typedef struct place {
    m3_early early;
    uint32_t node;
} place;

/* Behind one node: those of an earlier bucket first. None of another bucket is read by them. */
static int before(const void *a, const void *b)
{
    const place *x = a, *y = b;
    const bool stands = x->early.behind == x->node;
    if (x->early.behind != y->early.behind) return x->early.behind < y->early.behind ? -1 : 1;
    if (stands != (y->early.behind == y->node)) return stands ? -1 : 1;
    if (x->early.group != y->early.group) return x->early.group < y->early.group ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static place *put_in_order(const m3_graph *in, const m3_buckets *buckets)
{
    const uint32_t nodes = m3_graph_node_count(in), updates = m3_graph_update_count(in);
    m3_tensor *value = NULL;
    m3_early *early = NULL;
    uint32_t *bucket = m3_calloc(updates, sizeof *bucket);
    place *order = m3_calloc(nodes, sizeof *order);
    for (uint32_t i = 0; i < updates && bucket != NULL; i++)
        bucket[i] = m3_buckets_find(buckets, m3_graph_update_at(in, i, &value)->name);
    if (bucket != NULL && order != NULL) early = m3_buckets_early(in, bucket);
    if (early != NULL) {
        for (uint32_t i = 0; i < nodes; i++) order[i] = (place){early[i], i};
        qsort(order, nodes, sizeof *order, before);
    } else {
        m3_free(order);
        order = NULL;
    }
    m3_free(early);
    m3_free(bucket);
    return order;
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    place *order = put_in_order(in, context->buckets);
    if (order == NULL) rw.b->api->fail(rw.b, M3_ERR_MEMORY, "overlap: out of memory");
    for (uint32_t i = 0; i < m3_graph_node_count(in) && order != NULL; i++)
        m3_rewrite_copy(&rw, m3_graph_node(in, order[i].node));
    m3_free(order);
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_overlap = {"overlap", run};
