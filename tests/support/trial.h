/* trial: a small graph with its values, for tests of ops: make leaves, build a formula, run it, look at the numbers.
 * Every failure ends the test. */
#ifndef M3_TESTS_TRIAL_H
#define M3_TESTS_TRIAL_H

#include "tests/support/interpret.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TRIAL_LEAVES = 16 };

typedef struct trial {
    m3_graph *graph;
    m3_builder *b;
    interpreter *run;
    uint32_t leaves;
    m3_tensor *leaf[TRIAL_LEAVES];
    double *data[TRIAL_LEAVES];
    uint64_t random;
} trial;

static inline void trial_check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static inline trial trial_begin(void)
{
    trial t = {.random = 20};
    m3_error err = {0};
    trial_check(m3_graph_create(NULL, &t.graph, &err), &err);
    t.b = m3_graph_builder(t.graph);
    return t;
}

static inline void trial_end(trial *t)
{
    interpret_free(t->run);
    m3_graph_free(t->graph);
    for (uint32_t i = 0; i < t->leaves; i++) free(t->data[i]);
}

/** Uniform in [-1, 1): Knuth's multiplicative generator, high bits. */
static inline double trial_random(trial *t)
{
    t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(t->random >> 11) / (double)(UINT64_C(1) << 52) - 1.0;
}

/** An input with these values; NULL: random ones in [-1, 1) for f32 and f64, zeros for other types. */
static inline m3_tensor *trial_leaf(trial *t, m3_dtype dtype, m3_shape shape, const double *values)
{
    char name[16];
    uint32_t at = t->leaves++;
    assert_true(at < TRIAL_LEAVES);
    (void)snprintf(name, sizeof name, "leaf%u", at);
    uint64_t count = m3_shape_count(&shape);
    t->data[at] = calloc(count + 1, sizeof(double));
    assert_non_null(t->data[at]);
    for (uint64_t i = 0; i < count; i++) {
        double value = values != NULL ? values[i] : m3_dtype_is_float(dtype) ? trial_random(t) : 0.0;
        t->data[at][i] = dtype == M3_F32 ? (double)(float)value : value;
    }
    return t->leaf[at] = m3_graph_input(t->b, name, dtype, shape);
}

/** A random f64 input. */
static inline m3_tensor *trial_f64(trial *t, m3_shape shape)
{
    return trial_leaf(t, M3_F64, shape, NULL);
}

/** The values of a leaf; change them and run again. */
static inline double *trial_data(trial *t, const m3_tensor *leaf)
{
    for (uint32_t i = 0; i < t->leaves; i++)
        if (t->leaf[i] == leaf) return t->data[i];
    fail_msg("no such leaf");
    return NULL;
}

static inline void trial_run(trial *t)
{
    m3_error err = {0};
    if (t->run == NULL) {
        trial_check(m3_builder_status(t->b, &err), &err);
        trial_check(m3_graph_verify(t->graph, &err), &err);
        trial_check(interpret_create(t->graph, &t->run, &err), &err);
        trial_check(m3_graph_verify(t->graph, &err), &err);
    }
    for (uint32_t i = 0; i < t->leaves; i++) interpret_set(t->run, t->leaf[i], t->data[i]);
    trial_check(interpret_run(t->run, &err), &err);
}

static inline const double *trial_value(const trial *t, const m3_tensor *x)
{
    return interpret_get(t->run, x);
}

/** |got - want| <= bound (1 + |want|); NaN fails. */
static inline void assert_near(double got, double want, double bound)
{
    double distance = got > want ? got - want : want - got, size = want < 0 ? -want : want;
    if (!(distance <= bound * (1.0 + size))) fail_msg("got %.17g, want %.17g within %g", got, want, bound);
}

#endif
