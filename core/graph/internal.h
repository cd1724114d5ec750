/* internal: how a graph is stored. Only core/graph and core/passes include this. */
#ifndef M3_CORE_GRAPH_INTERNAL_H
#define M3_CORE_GRAPH_INTERNAL_H

#include "m3bsr/graph.h"

enum { M3_SCOPE_MAX = 512, M3_SCOPE_DEPTH = 32, M3_SITE_STEP = 1 };

/* Memory that lives as long as the graph: tensors and nodes never move. */
typedef struct m3_arena_block {
    struct m3_arena_block *next;
    size_t used, capacity;
    unsigned char bytes[];
} m3_arena_block;

typedef struct m3_named {
    const char *name;
    m3_tensor *tensor;
} m3_named;

typedef struct m3_update {
    m3_tensor *state, *value;
} m3_update;

struct m3_graph {
    m3_builder builder; /* first: a builder is its graph */
    m3_op_lookup lookup;
    m3_error error; /* the first one; code M3_OK when there is none */

    char scope[M3_SCOPE_MAX];
    size_t scope_ends[M3_SCOPE_DEPTH]; /* length of the scope before each push */
    uint32_t scope_depth;
    const char *scope_text; /* the scope in the arena, or NULL when it changed since */

    uint32_t group;
    int64_t group_index;
    double dropout_rate;
    m3_tensor *dropout_rng;
    uint32_t dropout_site;
    uint64_t dropout_repeats, dropout_samples; /* what tensors of samples begin with */

    m3_arena_block *arena;
    m3_tensor **tensors;
    uint32_t tensor_count, tensor_capacity;
    m3_node **nodes;
    uint32_t node_count, node_capacity;
    m3_named *outputs;
    uint32_t output_count, output_capacity;
    m3_update *updates;
    uint32_t update_count, update_capacity;
};

static inline m3_graph *m3_graph_of(m3_builder *b)
{
    return (m3_graph *)b;
}

/* Zeroed memory of the graph; NULL keeps a memory error. */
void *m3_graph_allocate(m3_graph *graph, size_t bytes);
const char *m3_graph_text(m3_graph *graph, const char *text);
/* Grow an array to a capacity for one more element; false keeps a memory error. */
bool m3_graph_grow(m3_graph *graph, void *array, uint32_t *capacity, uint32_t count, size_t element);
/* Append a tensor; NULL keeps an error. name is copied. */
m3_tensor *m3_graph_append(m3_graph *graph, m3_tensor_kind kind, m3_dtype dtype, const m3_shape *shape,
                           const char *name);
/* An input, parameter or state under its full name; the existing one when type and shape agree. */
m3_tensor *m3_graph_leaf(m3_graph *graph, m3_tensor_kind kind, const char *name, m3_dtype dtype, const m3_shape *shape,
                         m3_init init);
/* Stand in a scope as a whole, for nodes that a rewrite or a gradient adds; open pushes stay open. */
void m3_graph_set_scope(m3_graph *graph, const char *scope);
/* The table that graphs put into their builders. */
extern const m3_builder_api m3_graph_builder_api;

#endif
