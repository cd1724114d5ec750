/* random_graph: graphs that a seed makes up, and what they mean, computed without a runtime.
 * Every tensor is f32. Shapes come from the divisors of 48 and of its halves, so that most tensors can be reshaped,
 * cut and updated into one another; tanh and sin keep values small. */
#ifndef M3_TESTS_RANDOM_GRAPH_H
#define M3_TESTS_RANDOM_GRAPH_H

#include <stdlib.h>
#include <string.h>

#include "m3bsr/graph.h"

enum { RANDOM_LEAVES = 3, RANDOM_MOST = 512 };

typedef struct random_graph {
    m3_graph *graph;
    m3_tensor *pool[RANDOM_MOST]; /* what later nodes may read */
    uint32_t count;
    uint64_t state;
} random_graph;

static inline uint32_t random_below(random_graph *r, uint32_t bound)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(r->state >> 33) % bound;
}

static inline m3_tensor *random_pick(random_graph *r)
{
    /* mostly recent ones, so that lifetimes differ */
    uint32_t reach = random_below(r, 3) == 0 ? r->count : (r->count < 6 ? r->count : 6);
    return r->pool[r->count - 1 - random_below(r, reach)];
}

static inline m3_shape random_shape(random_graph *r, uint64_t count)
{
    uint64_t dim[3] = {1, 1, count};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t by = 2 + random_below(r, 3);
        if (dim[2] % by != 0) continue;
        dim[i] = by;
        dim[2] /= by;
    }
    uint32_t from = random_below(r, 3);
    if (from == 2 && dim[0] * dim[1] != 1) from = 0;
    if (from == 1 && dim[0] != 1) from = 0;
    return m3_shape_of(3 - from, dim + from);
}

static inline m3_tensor *random_as(m3_builder *b, m3_tensor *x, const m3_shape *shape)
{
    return m3_reshape(b, x, *shape);
}

static inline m3_tensor *random_node(random_graph *r, m3_builder *b)
{
    m3_tensor *x = random_pick(r), *y = random_pick(r);
    const uint64_t count = m3_tensor_count(x);
    switch (random_below(r, 12)) {
    case 0: return m3_neg(b, x);
    case 1: return m3_tanh(b, x);
    case 2: return m3_sin(b, x);
    case 3: return m3_add(b, x, x);
    case 4:
    case 5:
        if (m3_tensor_count(y) != count) return m3_tanh(b, y);
        return m3_tanh(b, m3_add(b, x, random_as(b, y, &x->shape)));
    case 6:
        if (m3_tensor_count(y) != count) return m3_sin(b, y);
        return m3_mul(b, random_as(b, x, &y->shape), y);
    case 7: return m3_reshape(b, x, random_shape(r, count));
    case 8:
    case 9: { /* the first axis in two: slices in one piece */
        m3_tensor *flat = m3_reshape(b, x, m3_shape_of(1, &count));
        if (count % 2 != 0 || count < 12) return m3_neg(b, x);
        return m3_slice(b, flat, 0, random_below(r, 2) * count / 2, count / 2);
    }
    case 10: { /* and in pieces that cannot be aliases */
        if (x->shape.rank < 2 || x->shape.dim[x->shape.rank - 1] % 2 != 0 || count < 12) return m3_tanh(b, x);
        return m3_slice(b, x, -1, 0, x->shape.dim[x->shape.rank - 1] / 2);
    }
    default: {
        if (m3_tensor_count(y) != count || count > 48) return m3_sin(b, x);
        m3_tensor *both[2] = {m3_reshape(b, x, m3_shape_of(1, &count)), m3_reshape(b, y, m3_shape_of(1, &count))};
        return m3_concat(b, both, 2, 0);
    }
    }
}

/* A value for a state of 48 elements out of any tensor. */
static inline m3_tensor *random_value(m3_builder *b, m3_tensor *x, const m3_shape *shape)
{
    uint64_t want = m3_shape_count(shape), count = m3_tensor_count(x);
    if (count > want) x = m3_slice(b, m3_reshape(b, x, m3_shape_of(1, &count)), 0, count - want, want);
    for (count = m3_tensor_count(x); count < want; count *= 2) {
        m3_tensor *twice[2] = {m3_reshape(b, x, m3_shape_of(1, &count)), m3_reshape(b, x, m3_shape_of(1, &count))};
        x = m3_concat(b, twice, 2, 0);
    }
    return m3_reshape(b, x, *shape);
}

/* Inputs "i0" .., states "s0" .., parameter "p"; outputs "o0" ..; every state is updated. */
static inline m3_status random_graph_make(random_graph *r, uint64_t seed, uint32_t nodes, m3_error *err)
{
    memset(r, 0, sizeof *r);
    r->state = seed * 2654435761u + 1;
    m3_status st = m3_graph_create(NULL, &r->graph, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(r->graph);
    m3_tensor *states[RANDOM_LEAVES];
    char name[16];
    for (uint32_t i = 0; i < RANDOM_LEAVES; i++) {
        (void)snprintf(name, sizeof name, "i%u", i);
        r->pool[r->count++] = m3_graph_input(b, name, M3_F32, random_shape(r, 48));
        (void)snprintf(name, sizeof name, "s%u", i);
        const m3_init init = {M3_INIT_NORMAL, 0.5F, i};
        r->pool[r->count++] = states[i] = m3_graph_state(b, name, M3_F32, random_shape(r, 48), init);
    }
    r->pool[r->count++] = m3_graph_parameter(b, "p", random_shape(r, 24), (m3_init){M3_INIT_NORMAL, 1.0F, 0});
    float data[24];
    const m3_shape shape = random_shape(r, 24);
    for (uint32_t i = 0; i < 24; i++) data[i] = (float)i / 24.0F - 0.5F;
    r->pool[r->count++] = m3_constant(b, M3_F32, &shape, data);
    for (; r->count < nodes; r->count++)
        if ((r->pool[r->count] = random_node(r, b)) == NULL) return m3_builder_status(b, err);
    for (uint32_t i = 0; i < RANDOM_LEAVES; i++) {
        (void)snprintf(name, sizeof name, "o%u", i);
        m3_graph_output(b, name, random_pick(r));
    }
    for (uint32_t i = 0; i < RANDOM_LEAVES; i++)
        m3_graph_update(b, states[i], random_value(b, random_pick(r), &states[i]->shape));
    return m3_builder_status(b, err);
}

/* Meaning: every tensor in memory of its own. values[id] is NULL until it is known; leaves are set by the caller. */
static inline m3_status random_graph_evaluate(const m3_graph *graph, double **values, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) {
        const m3_tensor *x = m3_graph_tensor(graph, i);
        if (values[i] == NULL) values[i] = calloc(m3_tensor_count(x) + 1, sizeof(double));
        if (x->kind == M3_CONSTANT)
            for (uint64_t k = 0; k < m3_tensor_count(x); k++) values[i][k] = (double)((const float *)x->data)[k];
    }
    for (uint32_t i = 0; i < m3_graph_node_count(graph) && st == M3_OK; i++) {
        const m3_node *node = m3_graph_node(graph, i);
        const double *in[8] = {NULL};
        double *out[2] = {NULL};
        for (uint32_t k = 0; k < node->in_count; k++) in[k] = values[node->in[k]->id];
        for (uint32_t k = 0; k < node->out_count; k++) out[k] = values[node->out[k]->id];
        st = node->op->evaluate(node, in, out, err);
        for (uint32_t k = 0; k < node->out_count; k++)
            for (uint64_t e = 0; e < m3_tensor_count(node->out[k]); e++) out[k][e] = (double)(float)out[k][e];
    }
    return st;
}

#endif
