/* alone: one node of a graph as a graph of its own. */
#ifndef M3_CORE_CONFORMANCE_ALONE_H
#define M3_CORE_CONFORMANCE_ALONE_H

#include "m3bsr/graph.h"

/** A graph with this node alone. Its operands become inputs "in0", "in1", ..., its results outputs "out0", ...
 * @param lookup  Of the graph that the node is from.
 * @param graph   Yours, m3_graph_free(); NULL on failure. */
m3_status m3_graph_of_node(const m3_node *node, const m3_op_lookup *lookup, m3_graph **graph, m3_error *err);

#endif
