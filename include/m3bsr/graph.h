/* graph: a static, typed, single-assignment program made through a builder, its gradients, checks and dumps.
 * Threads: one graph is built by one thread; a finished graph may be read by many. */
#ifndef M3BSR_GRAPH_H
#define M3BSR_GRAPH_H

#include "m3bsr/builder.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_graph m3_graph;

/** Where a graph finds custom ops; built-in ones are always there. */
typedef struct m3_op_lookup {
    const m3_op *(*find)(void *user, const char *name); /**< NULL result: unknown */
    void *user;
} m3_op_lookup;

/** @param lookup  Custom ops, or NULL. Copied; what it leads to must outlive the graph.
 * @param graph    The caller's on success; NULL on failure. Errors: M3_ERR_MEMORY. */
M3_API m3_status m3_graph_create(const m3_op_lookup *lookup, m3_graph **graph, m3_error *err);
M3_API void m3_graph_free(m3_graph *graph);

/** The builder that appends to this graph; borrowed, lives as long as the graph. */
M3_API m3_builder *m3_graph_builder(m3_graph *graph);

/** An input, by its full name (no scope is added). Names are unique over inputs, parameters and states. */
M3_API m3_tensor *m3_graph_input(m3_builder *b, const char *name, m3_dtype dtype, m3_shape shape);
/** A state, by its full name: kept in a store between runs, changed only by m3_graph_update. Asked twice with the
 * same type and shape it is the same tensor. */
M3_API m3_tensor *m3_graph_state(m3_builder *b, const char *name, m3_dtype dtype, m3_shape shape, m3_init init);
/** A parameter by its full name, ungrouped, outside any scope. */
M3_API m3_tensor *m3_graph_parameter(m3_builder *b, const char *name, m3_shape shape, m3_init init);
/** Publish a tensor as an output under a name. One tensor may have several names. */
M3_API void m3_graph_output(m3_builder *b, const char *name, m3_tensor *x);
/** After the run the parameter or state holds `value` (same type and shape). Reads in the graph see the old value. */
M3_API void m3_graph_update(m3_builder *b, m3_tensor *state, m3_tensor *value);

/** Parameters declared from now on are grouped: every shape gets a leading axis G; with index >= 0 the builder
 * returns the slice of that group instead (no leading axis). group 0 ends it. */
M3_API void m3_builder_set_group(m3_builder *b, uint32_t group, int64_t index);
/** What m3_dropout does from now on. rng u32 [3] as in builder.h; each call takes the next site. rate 0 or rng NULL:
 * nothing. */
M3_API void m3_builder_set_dropout(m3_builder *b, double rate, m3_tensor *rng, uint32_t first_site);
/** Behind m3_builder_set_dropout, until its next call: the graph has one part of a batch, of `samples` samples, and rng
 * is u32 [5] as in builder.h. x of m3_dropout begins with [repeats, samples] or with [samples], under these or other
 * extents; of another x, or one whose samples' elements are no multiple of 4, the draws are those of no larger batch.
 */
M3_API void m3_builder_set_dropout_part(m3_builder *b, uint32_t repeats, uint64_t samples);

/** The scope that the builder stands in, "" outside of all; valid until the next push, pop or error. */
M3_API const char *m3_builder_scope(const m3_builder *b);
/** Add to the text of the kept error what was being done: "while expert 'x' was built". Nothing without an error. */
M3_API void m3_builder_blame(m3_builder *b, const char *what);

/** Append the gradients of a scalar: grads[i] has wrt[i]'s type and shape (zeros where the loss does not depend on it).
 * Fails at once, with the op's name, when an op on the way cannot be differentiated.
 * Contributions of several gathers from one table become one scatter_add. */
M3_API void m3_gradients(m3_builder *b, m3_tensor *loss, m3_tensor *const *wrt, uint32_t count, m3_tensor **grads);

/* Reading. Indices are dense; nodes are in an order that respects dependence. Everything returned is borrowed. */
M3_API uint32_t m3_graph_node_count(const m3_graph *graph);
M3_API const m3_node *m3_graph_node(const m3_graph *graph, uint32_t index);
M3_API uint32_t m3_graph_tensor_count(const m3_graph *graph);
M3_API m3_tensor *m3_graph_tensor(const m3_graph *graph, uint32_t index);
/** An input, parameter or state by full name, or NULL. */
M3_API m3_tensor *m3_graph_find(const m3_graph *graph, const char *name);
M3_API uint32_t m3_graph_output_count(const m3_graph *graph);
M3_API m3_tensor *m3_graph_output_at(const m3_graph *graph, uint32_t index, const char **name);
M3_API m3_tensor *m3_graph_find_output(const m3_graph *graph, const char *name);
M3_API uint32_t m3_graph_update_count(const m3_graph *graph);
/** The state of update `index`; *value receives its new value. */
M3_API m3_tensor *m3_graph_update_at(const m3_graph *graph, uint32_t index, m3_tensor **value);
/** The ops lookup it was made with, for a graph derived from it. */
M3_API const m3_op_lookup *m3_graph_lookup(const m3_graph *graph);

/** Check everything a legal graph is: order, single assignment, shape rules again, updates, names. M3_ERR_INTERNAL
 * names the first node that breaks a rule. */
M3_API m3_status m3_graph_verify(const m3_graph *graph, m3_error *err);

/** One line a node, for people: id, outputs with types and shapes, op, attributes, inputs. */
M3_API void m3_graph_dump_text(const m3_graph *graph, FILE *to);
/** Graphviz. */
M3_API void m3_graph_dump_dot(const m3_graph *graph, FILE *to);

/** Floating-point operations of one node. */
M3_API uint64_t m3_node_flops(const m3_node *node);
/** Bytes that a run of one node moves: every input is read once and every output written once, unless the op counts
 * them itself (m3_op.bytes), as those do that touch some rows of a table; then what it writes is at most half.
 * @param written  Bytes of them that are written; may be NULL.
 * Returns what is read and written together; an alias moves nothing. Any thread. */
M3_API uint64_t m3_node_traffic(const m3_node *node, uint64_t *written);

#ifdef __cplusplus
}
#endif
#endif
