/* rewrite: copy a graph node by node into a new one, changing some of them. Every pass is a loop over this:
 *
 *   m3_rewrite_begin(&rw, old, err);
 *   for each node of old: m3_rewrite_copy(&rw, node), or build something else with rw.b and m3_rewrite_set(...)
 *   m3_rewrite_end(&rw, &new, err);
 */
#ifndef M3_CORE_GRAPH_REWRITE_H
#define M3_CORE_GRAPH_REWRITE_H

#include "m3bsr/graph.h"

typedef struct m3_rewrite {
    const m3_graph *old;
    m3_graph *graph;
    m3_builder *b;   /* of the new graph */
    m3_tensor **map; /* new tensor by old id, NULL where not made yet */
} m3_rewrite;

m3_status m3_rewrite_begin(m3_rewrite *rw, const m3_graph *old, m3_error *err);
/** The new tensor for an old one. Inputs, constants, parameters and states are made at the first call; inputs,
 * parameters and states that no call names are not in the new graph. NULL for NULL. */
m3_tensor *m3_rewrite_get(m3_rewrite *rw, const m3_tensor *old);
void m3_rewrite_set(m3_rewrite *rw, const m3_tensor *old, m3_tensor *now);
/** Append the same node over mapped inputs and map its outputs. */
void m3_rewrite_copy(m3_rewrite *rw, const m3_node *node);
/** Carry outputs and updates over and hand out the new graph. Always frees the rest; on failure *graph is NULL. */
m3_status m3_rewrite_end(m3_rewrite *rw, m3_graph **graph, m3_error *err);

#endif
