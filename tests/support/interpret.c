/* interpret: a graph run by the meaning of its ops. */
#include "tests/support/interpret.h"

#include <stdlib.h>

/* A core node, or the end of a fused one: its output is what its decomposition made. */
typedef struct step {
    const m3_node *node;
    const m3_tensor *from, *to;
} step;

struct interpreter {
    m3_graph *graph;
    step *steps;
    uint32_t step_count, step_capacity;
    double **values; /* by tensor id */
    uint32_t value_count;
};

static m3_status add_step(interpreter *run, step what, m3_error *err)
{
    if (run->step_count == run->step_capacity) {
        uint32_t more = run->step_capacity * 2 + 64;
        step *grown = realloc(run->steps, more * sizeof *grown);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "interpreter", more * sizeof *grown);
        run->steps = grown;
        run->step_capacity = more;
    }
    run->steps[run->step_count++] = what;
    return M3_OK;
}

static m3_status expand(interpreter *run, const m3_node *node, m3_error *err)
{
    m3_builder *b = m3_graph_builder(run->graph);
    m3_status st;
    if (node->op->evaluate != NULL) return add_step(run, (step){node, NULL, NULL}, err);
    if (node->op->decompose == NULL) return M3_FAIL_NODE(err, node, "has neither a meaning nor a decomposition");
    uint32_t from = m3_graph_node_count(run->graph);
    m3_tensor **y = calloc(node->out_count, sizeof(m3_tensor *));
    if (y == NULL) return M3_FAIL_MEMORY(err, "interpreter", node->out_count * sizeof(m3_tensor *));
    node->op->decompose(b, node, y);
    st = m3_builder_status(b, err);
    uint32_t to = m3_graph_node_count(run->graph);
    for (uint32_t i = from; i < to && st == M3_OK; i++) st = expand(run, m3_graph_node(run->graph, i), err);
    for (uint32_t j = 0; j < node->out_count && st == M3_OK; j++) {
        if (y[j] == NULL || y[j]->dtype != node->out[j]->dtype || !m3_shape_equal(&y[j]->shape, &node->out[j]->shape))
            st = M3_FAIL_NODE(err, node, "its decomposition gives another type or shape for output %u", j);
        else
            st = add_step(run, (step){NULL, y[j], node->out[j]}, err);
    }
    free(y);
    return st;
}

static double constant_at(const m3_tensor *x, uint64_t i)
{
    switch (x->dtype) {
    case M3_F32: return (double)((const float *)x->data)[i];
    case M3_F64: return ((const double *)x->data)[i];
    case M3_I32: return ((const int32_t *)x->data)[i];
    case M3_U32: return ((const uint32_t *)x->data)[i];
    case M3_U8:
    case M3_BOOL: return ((const uint8_t *)x->data)[i];
    case M3_F16:
    case M3_BF16: break;
    }
    return 0.0;
}

m3_status interpret_create(m3_graph *graph, interpreter **out, m3_error *err)
{
    m3_status st = M3_OK;
    *out = NULL;
    interpreter *run = calloc(1, sizeof *run);
    if (run == NULL) return M3_FAIL_MEMORY(err, "interpreter", sizeof *run);
    run->graph = graph;
    uint32_t nodes = m3_graph_node_count(graph);
    for (uint32_t i = 0; i < nodes && st == M3_OK; i++) st = expand(run, m3_graph_node(graph, i), err);
    if (st != M3_OK) goto done;
    uint32_t tensors = m3_graph_tensor_count(graph);
    run->values = calloc(tensors + 1, sizeof(double *));
    if (run->values == NULL) {
        st = M3_FAIL_MEMORY(err, "interpreter", tensors * sizeof(double *));
        goto done;
    }
    for (; run->value_count < tensors; run->value_count++) {
        const m3_tensor *x = m3_graph_tensor(graph, run->value_count);
        uint64_t count = m3_tensor_count(x);
        double *values = run->values[run->value_count] = calloc(count + 1, sizeof(double));
        if (values == NULL) {
            st = M3_FAIL_MEMORY(err, "interpreter", count * sizeof(double));
            goto done;
        }
        for (uint64_t i = 0; x->data != NULL && i < count; i++) values[i] = constant_at(x, i);
    }
    *out = run;
    run = NULL;
done:
    interpret_free(run);
    return st;
}

void interpret_free(interpreter *run)
{
    if (run == NULL) return;
    for (uint32_t i = 0; run->values != NULL && i < run->value_count; i++) free(run->values[i]);
    free(run->values);
    free(run->steps);
    free(run);
}

void interpret_set(interpreter *run, const m3_tensor *x, const double *values)
{
    memcpy(run->values[x->id], values, m3_tensor_count(x) * sizeof *values);
}

const double *interpret_get(const interpreter *run, const m3_tensor *x)
{
    return run->values[x->id];
}

static m3_status evaluate(interpreter *run, const m3_node *node, m3_error *err)
{
    m3_status st = M3_ERR_MEMORY;
    const double **in = calloc(node->in_count + 1, sizeof(double *));
    double **out = calloc(node->out_count + 1, sizeof(double *));
    if (in != NULL && out != NULL) {
        for (uint32_t i = 0; i < node->in_count; i++) in[i] = node->in[i] == NULL ? NULL : run->values[node->in[i]->id];
        for (uint32_t j = 0; j < node->out_count; j++) out[j] = run->values[node->out[j]->id];
        st = node->op->evaluate(node, in, out, err);
        for (uint32_t j = 0; j < node->out_count; j++)
            for (uint64_t i = 0; node->out[j]->dtype == M3_F32 && i < m3_tensor_count(node->out[j]); i++)
                out[j][i] = (double)(float)out[j][i];
    }
    free(in);
    free(out);
    return st;
}

m3_status interpret_run(interpreter *run, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < run->step_count && st == M3_OK; i++) {
        const step *s = &run->steps[i];
        if (s->node != NULL)
            st = evaluate(run, s->node, err);
        else
            interpret_set(run, s->to, run->values[s->from->id]);
    }
    return st;
}
