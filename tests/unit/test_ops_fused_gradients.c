/* ops_fused_gradients: the gradient graphs of fused ops against central differences, all in double precision.
 *   loss = sum_i c_i y_i with random c;  (loss(x + h) - loss(x - h)) / 2h  =  dloss/dx  for every element of every leaf
 */
#include <math.h>

#include "tests/support/trial.h"

enum { CASES_OF_LINEAR = 2 * 2 * 2 * 5 * 2 };

typedef struct subject {
    const char *name;
    m3_tensor *(*build)(trial *t, uint32_t variant);
    uint32_t variants;
} subject;

static m3_tensor *relu(trial *t, uint32_t variant)
{
    m3_tensor *x = trial_f64(t, M3_SHAPE(3, 4));
    return variant == 0 ? m3_relu(t->b, x) : m3_silu(t->b, x);
}

static m3_tensor *relu_grad(trial *t, uint32_t variant)
{
    (void)variant;
    m3_tensor *y = trial_f64(t, M3_SHAPE(5));
    return m3_relu_grad(t->b, y, trial_f64(t, M3_SHAPE(5)));
}

static m3_tensor *dropout(trial *t, uint32_t variant)
{
    const bool part = variant != 0; /* a batch of 3 in a shape that has it twice */
    m3_tensor *x = trial_f64(t, part ? M3_SHAPE(2, 3, 4) : M3_SHAPE(6, 5));
    m3_shape words = M3_SHAPE(part ? 5 : 3);
    m3_builder_set_dropout(t->b, 0.4, trial_leaf(t, M3_U32, words, (const double[]){1, 2, 3, 1, 4}), 0);
    if (part) m3_builder_set_dropout_part(t->b, 2, 3);
    return m3_dropout(t->b, x);
}

static m3_tensor *linear(trial *t, uint32_t variant)
{
    enum { G = 2, M = 3, K = 4, N = 2 };
    bool grouped = variant % 2 != 0, ta = variant / 2 % 2 != 0, tb = variant / 4 % 2 != 0, all = variant / 8 % 2 != 0;
    m3_activation activation = (m3_activation)(variant / 16);
    m3_shape x = ta ? M3_SHAPE(K, M) : M3_SHAPE(M, K), w = tb ? M3_SHAPE(N, K) : M3_SHAPE(K, N);
    m3_shape row = M3_SHAPE(N), y = M3_SHAPE(M, N);
    if (grouped) {
        x = M3_SHAPE(G, x.dim[0], x.dim[1]);
        w = M3_SHAPE(G, w.dim[0], w.dim[1]);
        row = M3_SHAPE(G, N);
        y = M3_SHAPE(G, M, N);
    }
    m3_tensor *in[5] = {trial_f64(t, x), trial_f64(t, w), NULL, NULL, NULL};
    if (all) in[2] = trial_f64(t, row), in[3] = trial_f64(t, y), in[4] = trial_f64(t, y);
    return m3_linear_node(t->b, in, ta, tb, activation);
}

static m3_tensor *layer_norm(trial *t, uint32_t variant)
{
    m3_tensor *x = trial_f64(t, variant == 2 ? M3_SHAPE(5) : M3_SHAPE(2, 3, 5));
    m3_shape vector = variant == 1 ? M3_SHAPE(2, 5) : M3_SHAPE(5);
    m3_tensor *gamma = trial_f64(t, vector);
    return m3_layer_norm(t->b, x, gamma, trial_f64(t, vector), 1e-3);
}

static m3_tensor *masked_softmax(trial *t, uint32_t variant)
{
    const double mask[12] = {1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1};
    m3_tensor *x = trial_f64(t, M3_SHAPE(3, 4));
    return m3_masked_softmax(t->b, x, trial_leaf(t, M3_BOOL, variant == 0 ? M3_SHAPE(3, 4) : M3_SHAPE(4), mask));
}

static m3_tensor *attention(trial *t, uint32_t variant)
{
    const double mask[9] = {1, 0, 1, 0, 0, 0, 1, 1, 1}; /* the middle row has no valid key */
    const uint32_t heads[3] = {1, 2, 4}, queries[3] = {2, 2, 1};
    m3_tensor *q = trial_f64(t, M3_SHAPE(3, queries[variant], 4));
    m3_tensor *k = trial_f64(t, M3_SHAPE(3, 3, 4)), *v = trial_f64(t, M3_SHAPE(3, 3, 4));
    return m3_attention(t->b, q, k, v, trial_leaf(t, M3_BOOL, M3_SHAPE(3, 3), mask), heads[variant]);
}

static m3_tensor *gru_cell(trial *t, uint32_t variant)
{
    m3_tensor *xi = trial_f64(t, M3_SHAPE(3, 6)), *hh = trial_f64(t, M3_SHAPE(3, 6)), *h = trial_f64(t, M3_SHAPE(3, 2));
    m3_tensor *mask = trial_leaf(t, M3_BOOL, M3_SHAPE(3), (const double[]){1, 0, 1});
    m3_tensor *y = m3_gru_cell(t->b, xi, hh, h, mask);
    return variant == 0 ? y : m3_gru_cell(t->b, xi, hh, y, mask); /* two steps: h has two readers */
}

static m3_tensor *softmax_cross_entropy(trial *t, uint32_t variant)
{
    (void)variant;
    m3_tensor *x = trial_f64(t, M3_SHAPE(4, 5));
    return m3_softmax_cross_entropy(t->b, x, trial_leaf(t, M3_I32, M3_SHAPE(4), (const double[]){2, 4, -1, 5}));
}

static m3_tensor *global_norm(trial *t, uint32_t variant)
{
    (void)variant;
    m3_tensor *in[2] = {trial_f64(t, M3_SHAPE(2, 3)), trial_f64(t, M3_SHAPE(4))};
    return m3_emit(t->b, "global_norm", in, 2, NULL, 0);
}

static const subject subjects[] = {
    {"relu and silu", relu, 2},
    {"relu_grad, by dy", relu_grad, 1},
    {"dropout, by the same draw, of a part too", dropout, 2},
    {"linear, in every layout, with and without all that rides on its end", linear, CASES_OF_LINEAR},
    {"layer_norm, plain, grouped, of one row", layer_norm, 3},
    {"masked_softmax, with an empty row, with a broadcast mask", masked_softmax, 2},
    {"attention, with one head, several, and one query", attention, 3},
    {"gru_cell, one step and two", gru_cell, 2},
    {"softmax_cross_entropy, with targets outside", softmax_cross_entropy, 1},
    {"global_norm, of two tensors", global_norm, 1},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static void check(const subject *op, uint32_t variant)
{
    static const double h = 1e-5, bound = 1e-8; /* the difference is off by h^2 and by 1e-16 / h */
    trial t = trial_begin();
    m3_tensor *wrt[TRIAL_LEAVES], *grad[TRIAL_LEAVES];
    uint32_t count = 0;
    m3_tensor *y = op->build(&t, variant);
    assert_non_null(y);
    for (uint32_t i = 0; i < t.leaves; i++)
        if (t.leaf[i]->dtype == M3_F64) wrt[count++] = t.leaf[i];
    m3_tensor *loss = m3_sum_all(t.b, m3_mul(t.b, y, trial_f64(&t, y->shape)));
    m3_gradients(t.b, loss, wrt, count, grad);
    trial_run(&t);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t elements = m3_tensor_count(wrt[i]);
        double *x = trial_data(&t, wrt[i]), *got = calloc(elements + 1, sizeof *got);
        assert_non_null(got);
        trial_run(&t);
        memcpy(got, trial_value(&t, grad[i]), elements * sizeof *got);
        for (uint64_t e = 0; e < elements; e++) {
            double at = x[e];
            x[e] = at + h;
            trial_run(&t);
            double up = trial_value(&t, loss)[0];
            x[e] = at - h;
            trial_run(&t);
            double want = (up - trial_value(&t, loss)[0]) / (2 * h);
            x[e] = at;
            if (fabs(got[e] - want) > bound * (1 + fabs(want)))
                print_error("variant %u, leaf %u, element %u\n", variant, i, (unsigned)e);
            assert_near(got[e], want, bound);
        }
        free(got);
    }
    trial_end(&t);
}

static void agrees(void **state)
{
    const subject *op = *state;
    for (uint32_t variant = 0; variant < op->variants; variant++) check(op, variant);
}

int main(void)
{
    struct CMUnitTest tests[SUBJECTS];
    for (size_t i = 0; i < SUBJECTS; i++) {
        union {
            const subject *op;
            void *state;
        } at = {&subjects[i]};
        tests[i] = (struct CMUnitTest){subjects[i].name, agrees, NULL, NULL, at.state};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
