/* graph: storage, leaves, outputs, updates and reading. Appending nodes is builder.c. */
#include "core/graph/internal.h"

#include "core/base/alloc.h"

enum { ARENA_BLOCK = 64 * 1024 };

void *m3_graph_allocate(m3_graph *graph, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    m3_arena_block *block = graph->arena;
    if (block == NULL || block->capacity - block->used < bytes) {
        size_t capacity = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        block = m3_calloc(1, sizeof *block + capacity);
        if (block == NULL) {
            (void)M3_FAIL_MEMORY(&graph->error, "graph", capacity);
            return NULL;
        }
        block->capacity = capacity;
        block->next = graph->arena;
        graph->arena = block;
    }
    void *memory = block->bytes + block->used;
    block->used += bytes;
    return memory;
}

const char *m3_graph_text(m3_graph *graph, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = m3_graph_allocate(graph, bytes);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

bool m3_graph_grow(m3_graph *graph, void *array, uint32_t *capacity, uint32_t count, size_t element)
{
    if (count < *capacity) return true;
    uint32_t more = *capacity == 0 ? 64 : *capacity * 2;
    void **block = array;
    void *grown = m3_realloc(*block, more, element);
    if (grown == NULL) {
        (void)M3_FAIL_MEMORY(&graph->error, "graph", more * element);
        return false;
    }
    *block = grown;
    *capacity = more;
    return true;
}

static bool shape_is_sane(const m3_shape *shape)
{
    if (shape->rank > M3_MAX_RANK) return false;
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] > (UINT64_C(1) << 40)) return false;
        count *= shape->dim[i] != 0 ? shape->dim[i] : 1;
        if (count > (UINT64_C(1) << 44)) return false;
    }
    return true;
}

m3_tensor *m3_graph_append(m3_graph *graph, m3_tensor_kind kind, m3_dtype dtype, const m3_shape *shape,
                           const char *name)
{
    if (!shape_is_sane(shape) || m3_dtype_bytes(dtype) == 0) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name,
                      "type %d with rank %u is no legal tensor; give a known type and a rank of at most %d with at "
                      "most 2^44 elements",
                      (int)dtype, shape->rank, M3_MAX_RANK);
        return NULL;
    }
    if (!m3_graph_grow(graph, &graph->tensors, &graph->tensor_capacity, graph->tensor_count, sizeof(m3_tensor *)))
        return NULL;
    m3_tensor *x = m3_graph_allocate(graph, sizeof *x);
    if (x == NULL) return NULL;
    x->size = M3_STRUCT_SIZE(m3_tensor, data);
    x->id = graph->tensor_count;
    x->kind = kind;
    x->dtype = dtype;
    x->shape = *shape;
    for (uint32_t i = shape->rank; i < M3_MAX_RANK; i++) x->shape.dim[i] = 0;
    x->name = name[0] == 0 ? "" : m3_graph_text(graph, name);
    if (x->name == NULL) return NULL;
    graph->tensors[graph->tensor_count++] = x;
    return x;
}

m3_status m3_graph_create(const m3_op_lookup *lookup, m3_graph **graph, m3_error *err)
{
    m3_graph *made = *graph = m3_calloc(1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, "graph", sizeof *made);
    made->builder.api = &m3_graph_builder_api;
    made->group_index = -1;
    if (lookup != NULL) made->lookup = *lookup;
    return M3_OK;
}

void m3_graph_free(m3_graph *graph)
{
    if (graph == NULL) return;
    for (m3_arena_block *block = graph->arena, *next; block != NULL; block = next) {
        next = block->next;
        m3_free(block);
    }
    m3_free(graph->tensors);
    m3_free(graph->nodes);
    m3_free(graph->outputs);
    m3_free(graph->updates);
    m3_free(graph);
}

m3_builder *m3_graph_builder(m3_graph *graph)
{
    return &graph->builder;
}

m3_tensor *m3_graph_leaf(m3_graph *graph, m3_tensor_kind kind, const char *name, m3_dtype dtype, const m3_shape *shape,
                         m3_init init)
{
    if (graph->error.code != M3_OK) return NULL;
    m3_tensor *old = m3_graph_find(graph, name);
    if (old != NULL) {
        if (old->kind == kind && old->dtype == dtype && m3_shape_equal(&old->shape, shape) && kind != M3_INPUT)
            return old;
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name,
                      "the name is taken by a tensor of type %s and shape %s; asked now for %s %s: use another name",
                      m3_dtype_name(old->dtype), M3_SHAPE_TEXT(&old->shape), m3_dtype_name(dtype),
                      M3_SHAPE_TEXT(shape));
        return NULL;
    }
    if (name[0] == 0) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, "graph", "an input, parameter or state needs a name");
        return NULL;
    }
    m3_tensor *x = m3_graph_append(graph, kind, dtype, shape, name);
    if (x != NULL) x->init = init;
    return x;
}

m3_tensor *m3_graph_input(m3_builder *b, const char *name, m3_dtype dtype, m3_shape shape)
{
    return m3_graph_leaf(m3_graph_of(b), M3_INPUT, name, dtype, &shape, (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
}

m3_tensor *m3_graph_state(m3_builder *b, const char *name, m3_dtype dtype, m3_shape shape, m3_init init)
{
    return m3_graph_leaf(m3_graph_of(b), M3_STATE, name, dtype, &shape, init);
}

m3_tensor *m3_graph_parameter(m3_builder *b, const char *name, m3_shape shape, m3_init init)
{
    return m3_graph_leaf(m3_graph_of(b), M3_PARAMETER, name, M3_F32, &shape, init);
}

void m3_graph_output(m3_builder *b, const char *name, m3_tensor *x)
{
    m3_graph *graph = m3_graph_of(b);
    if (graph->error.code != M3_OK || x == NULL) return;
    if (m3_graph_find_output(graph, name) != NULL) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, name, "there is an output of this name; use another name");
        return;
    }
    if (!m3_graph_grow(graph, &graph->outputs, &graph->output_capacity, graph->output_count, sizeof(m3_named))) return;
    const char *copy = m3_graph_text(graph, name);
    if (copy != NULL) graph->outputs[graph->output_count++] = (m3_named){copy, x};
}

void m3_graph_update(m3_builder *b, m3_tensor *state, m3_tensor *value)
{
    m3_graph *graph = m3_graph_of(b);
    if (graph->error.code != M3_OK || state == NULL || value == NULL) return;
    if (state->kind != M3_PARAMETER && state->kind != M3_STATE) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, state->name, "only a parameter or a state can be updated");
        return;
    }
    if (state->dtype != value->dtype || !m3_shape_equal(&state->shape, &value->shape)) {
        (void)M3_FAIL(&graph->error, M3_ERR_INVALID, state->name, "is %s %s, its new value %s %s: they must be equal",
                      m3_dtype_name(state->dtype), M3_SHAPE_TEXT(&state->shape), m3_dtype_name(value->dtype),
                      M3_SHAPE_TEXT(&value->shape));
        return;
    }
    for (uint32_t i = 0; i < graph->update_count; i++)
        if (graph->updates[i].state == state) {
            (void)M3_FAIL(&graph->error, M3_ERR_INVALID, state->name, "is updated twice; a graph updates a state once");
            return;
        }
    if (m3_graph_grow(graph, &graph->updates, &graph->update_capacity, graph->update_count, sizeof(m3_update)))
        graph->updates[graph->update_count++] = (m3_update){state, value};
}

uint32_t m3_graph_node_count(const m3_graph *graph)
{
    return graph->node_count;
}

const m3_node *m3_graph_node(const m3_graph *graph, uint32_t index)
{
    return graph->nodes[index];
}

uint32_t m3_graph_tensor_count(const m3_graph *graph)
{
    return graph->tensor_count;
}

m3_tensor *m3_graph_tensor(const m3_graph *graph, uint32_t index)
{
    return graph->tensors[index];
}

m3_tensor *m3_graph_find(const m3_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        m3_tensor *x = graph->tensors[i];
        if (x->kind != M3_TEMPORARY && x->kind != M3_CONSTANT && strcmp(x->name, name) == 0) return x;
    }
    return NULL;
}

uint32_t m3_graph_output_count(const m3_graph *graph)
{
    return graph->output_count;
}

m3_tensor *m3_graph_output_at(const m3_graph *graph, uint32_t index, const char **name)
{
    if (name != NULL) *name = graph->outputs[index].name;
    return graph->outputs[index].tensor;
}

m3_tensor *m3_graph_find_output(const m3_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0) return graph->outputs[i].tensor;
    return NULL;
}

uint32_t m3_graph_update_count(const m3_graph *graph)
{
    return graph->update_count;
}

m3_tensor *m3_graph_update_at(const m3_graph *graph, uint32_t index, m3_tensor **value)
{
    if (value != NULL) *value = graph->updates[index].value;
    return graph->updates[index].state;
}

const m3_op_lookup *m3_graph_lookup(const m3_graph *graph)
{
    return &graph->lookup;
}

uint64_t m3_node_flops(const m3_node *node)
{
    return node->op->flops != NULL ? node->op->flops(node) : m3_tensor_count(node->out[0]);
}

uint64_t m3_node_traffic(const m3_node *node, uint64_t *written)
{
    uint64_t reads = 0, writes = 0;
    if (written != NULL) *written = 0;
    if ((node->op->flags & M3_OP_ALIAS) != 0) return 0;
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL) reads += m3_tensor_bytes(node->in[i]);
    for (uint32_t i = 0; i < node->out_count; i++) writes += m3_tensor_bytes(node->out[i]);
    uint64_t all = reads + writes;
    if (M3_OP_MEMBER(node->op, bytes) != NULL) {
        all = node->op->bytes(node);
        if (writes > all / 2) writes = all / 2;
    }
    if (written != NULL) *written = writes;
    return all;
}
