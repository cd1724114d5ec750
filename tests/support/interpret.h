/* interpret: a graph run by the meaning of its ops: .evaluate of core ops, .decompose of fused ones, in double
 * precision and rounded to each tensor's type. For tests: as slow and as plain as can be.
 *
 *   interpreter *run = NULL;
 *   interpret_create(graph, &run, &err);            expands fused nodes into the same graph
 *   interpret_set(run, x, values);                  inputs, parameters and states
 *   interpret_run(run, &err);                       any number of times
 *   interpret_get(run, y)[i];
 *   interpret_free(run); */
#ifndef M3_TESTS_INTERPRET_H
#define M3_TESTS_INTERPRET_H

#include "m3bsr/graph.h"

typedef struct interpreter interpreter;

/** Of the nodes that the graph has now. The graph must outlive it. Fails when a decomposition does, or gives another
 * type or shape than the op's rule. */
m3_status interpret_create(m3_graph *graph, interpreter **run, m3_error *err);
void interpret_free(interpreter *run);
/** Copies m3_tensor_count(x) values. */
void interpret_set(interpreter *run, const m3_tensor *x, const double *values);
/** Inputs that were not set are zero. */
m3_status interpret_run(interpreter *run, m3_error *err);
/** The values of a tensor; borrowed, of the latest run. */
const double *interpret_get(const interpreter *run, const m3_tensor *x);

#endif
