/* ops_fused_values: what fused ops compute, by their decompositions, against the formulas written out in C. */
#include <math.h>

#include "core/base/philox.h"
#include "tests/support/trial.h"

static const double bound = 1e-12; /* double precision against double precision, in another order */

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double activate(double z, m3_activation activation)
{
    switch (activation) {
    case M3_ACT_RELU: return z > 0 ? z : 0;
    case M3_ACT_SILU: return z * sigmoid(z);
    case M3_ACT_SIGMOID: return sigmoid(z);
    case M3_ACT_TANH: return tanh(z);
    case M3_ACT_NONE: break;
    }
    return z;
}

static void activations(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(4), (const double[]){-2, 0, 3, -40});
    m3_tensor *relu = m3_relu(t.b, x), *silu = m3_silu(t.b, x);
    trial_run(&t);
    for (uint32_t i = 0; i < 4; i++) {
        double at = trial_data(&t, x)[i];
        assert_near(trial_value(&t, relu)[i], activate(at, M3_ACT_RELU), bound);
        assert_near(trial_value(&t, silu)[i], activate(at, M3_ACT_SILU), bound);
    }
    trial_end(&t);
}

static void smooth_activations(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(5), (const double[]){-2, 0, 3, -40, 800});
    m3_tensor *softplus = m3_softplus(t.b, x), *gelu = m3_gelu(t.b, x);
    trial_run(&t);
    for (uint32_t i = 0; i < 5; i++) {
        double at = trial_data(&t, x)[i];
        assert_near(trial_value(&t, softplus)[i], at > 30 ? at : log1p(exp(at)), bound);
        assert_near(trial_value(&t, gelu)[i], 0.5 * at * (1.0 + erf(at / sqrt(2.0))), bound);
    }
    trial_end(&t);
}

/* Two thirds is no f32: the type of `like` decides. */
static void a_constant_takes_the_type_of_another(void **state)
{
    (void)state;
    const double data[3] = {2.0 / 3.0, -1.0, 1e300};
    trial t = trial_begin();
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(1), (const double[]){0});
    m3_tensor *f32 = m3_cast(t.b, x, M3_F32);
    m3_tensor *wide = m3_copy(t.b, m3_constant_like(t.b, x, M3_SHAPE(3), data));
    m3_tensor *narrow = m3_copy(t.b, m3_constant_like(t.b, f32, M3_SHAPE(3), data));
    assert_int_equal(wide->dtype, M3_F64);
    assert_int_equal(narrow->dtype, M3_F32);
    trial_run(&t);
    for (uint32_t i = 0; i < 3; i++) {
        assert_near(trial_value(&t, wide)[i], data[i], 0);
        assert_true((float)trial_value(&t, narrow)[i] == (float)data[i]);
    }
    trial_end(&t);
}

static void sums_along_an_axis(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(2, 3), (const double[]){1, 2, 3, 10, 20, 30});
    m3_tensor *along = m3_cumsum(t.b, x, -1, false), *down = m3_cumsum(t.b, x, 0, false);
    m3_tensor *back = m3_cumsum(t.b, x, 1, true);
    trial_run(&t);
    const double rows[6] = {1, 3, 6, 10, 30, 60}, columns[6] = {1, 2, 3, 11, 22, 33}, rest[6] = {6, 5, 3, 60, 50, 30};
    for (uint32_t i = 0; i < 6; i++) {
        assert_near(trial_value(&t, along)[i], rows[i], 0);
        assert_near(trial_value(&t, down)[i], columns[i], 0);
        assert_near(trial_value(&t, back)[i], rest[i], 0);
    }
    trial_end(&t);
}

/* PyTorch's order: the last weight meets the place itself; channels do not mix, and neither do sequences. */
static void a_filter_sees_the_past_alone(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *x =
        trial_leaf(&t, M3_F64, M3_SHAPE(2, 3, 2), (const double[]){1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60});
    m3_tensor *w = trial_leaf(&t, M3_F64, M3_SHAPE(2, 2), (const double[]){100, 1, 0, 1});
    m3_tensor *past = m3_causal_conv(t.b, x, w, false), *future = m3_causal_conv(t.b, x, w, true);
    trial_run(&t);
    const double before[12] = {1, 10, 102, 20, 203, 30, 4, 40, 405, 50, 506, 60};
    const double after[12] = {201, 10, 302, 20, 3, 30, 504, 40, 605, 50, 6, 60};
    for (uint32_t i = 0; i < 12; i++) {
        assert_near(trial_value(&t, past)[i], before[i], 0);
        assert_near(trial_value(&t, future)[i], after[i], 0);
    }
    trial_end(&t);
}

static void a_closed_gate_keeps_nan_out(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *y = trial_leaf(&t, M3_F64, M3_SHAPE(4), (const double[]){-1, 0, 2, NAN});
    m3_tensor *dy = trial_leaf(&t, M3_F64, M3_SHAPE(4), (const double[]){NAN, NAN, 5, NAN});
    m3_tensor *dx = m3_relu_grad(t.b, y, dy);
    trial_run(&t);
    const double want[4] = {0, 0, 5, 0};
    for (uint32_t i = 0; i < 4; i++) assert_near(trial_value(&t, dx)[i], want[i], 0);
    trial_end(&t);
}

static double uniform_at(const double *rng, uint32_t site, uint32_t e)
{
    uint32_t word[4] = {e / 4, site, (uint32_t)rng[2], 0};
    m3_philox4x32_10(word, (const uint32_t[2]){(uint32_t)rng[0], (uint32_t)rng[1]}, word);
    return (word[e % 4] >> 8) * 0x1p-24;
}

static void draws_are_a_function_of_seed_step_site_and_element(void **state)
{
    (void)state;
    trial t = trial_begin();
    const double words[3] = {3405691582.0, 7.0, 41.0};
    m3_tensor *rng = trial_leaf(&t, M3_U32, M3_SHAPE(3), words);
    m3_tensor *u = m3_random_uniform(t.b, rng, M3_SHAPE(3, 5), 9);
    m3_tensor *odd = m3_random_normal(t.b, rng, M3_SHAPE(5, 3), 4000000000u);
    m3_tensor *none = m3_random_normal(t.b, rng, M3_SHAPE(2, 0), 1);
    trial_run(&t);
    assert_int_equal(m3_tensor_count(none), 0);
    for (uint32_t e = 0; e < 15; e++) {
        assert_true(trial_value(&t, u)[e] == uniform_at(words, 9, e));
        double first = uniform_at(words, 4000000000u, e / 2 * 2),
               second = uniform_at(words, 4000000000u, e / 2 * 2 + 1);
        double r = sqrt(-2 * log(1 - first)), angle = 2 * acos(-1.0) * second;
        assert_near(trial_value(&t, odd)[e], r * (e % 2 == 0 ? cos(angle) : sin(angle)), 2e-6); /* f32 inside */
    }
    trial_end(&t);
}

/* Parts of a batch, each by itself, are what one draw for all of it gives. */
static void parts_make_the_whole(void **state)
{
    enum { B = 3, PARTS = 5, N = 7, WIDTH = 4, ALL = B * PARTS * N * WIDTH };
    const uint64_t n = N, width = WIDTH;
    (void)state;
    trial t = trial_begin();
    m3_tensor *words = trial_leaf(&t, M3_U32, M3_SHAPE(3), (const double[]){3, 4, 5}),
              *x = trial_f64(&t, M3_SHAPE(ALL));
    m3_shape whole = M3_SHAPE(B, PARTS * n, width), one = M3_SHAPE(B, n, width);
    m3_tensor *normal = m3_random_normal(t.b, words, whole, 6), *uniform = m3_random_uniform(t.b, words, whole, 7);
    x = m3_reshape(t.b, x, whole);
    m3_tensor *kept = m3_dropout_node(t.b, x, words, 0.4, 8), *first = NULL;
    m3_tensor *parts[3][PARTS];
    for (uint32_t p = 0; p < PARTS; p++) {
        m3_tensor *rng = trial_leaf(&t, M3_U32, M3_SHAPE(5), (const double[]){3, 4, 5, p, PARTS});
        parts[0][p] = m3_random_normal_part(t.b, rng, one, 6, B);
        parts[1][p] = m3_random_uniform_part(t.b, rng, one, 7, B);
        m3_tensor *mine = m3_slice(t.b, x, 1, p * n, n);
        m3_builder_set_dropout(t.b, 0.4, rng, 8);
        m3_builder_set_dropout_part(t.b, B, n);
        parts[2][p] = m3_dropout(t.b, mine);
        if (p != 0) continue;
        m3_builder_set_dropout(t.b, 0.4, rng, 8);
        m3_builder_set_dropout_part(t.b, B, n);
        first = m3_dropout(t.b, m3_reshape(t.b, mine, M3_SHAPE(B * n, width)));
    }
    trial_run(&t);
    const double *want[3] = {trial_value(&t, normal), trial_value(&t, uniform), trial_value(&t, kept)};
    for (uint32_t e = 0; e < ALL; e++) {
        const uint32_t o = e / (PARTS * N * WIDTH), row = e / WIDTH % (PARTS * N), p = row / N;
        const uint32_t at = (o * N + row % N) * WIDTH + e % WIDTH;
        for (uint32_t k = 0; k < 3; k++) assert_true(trial_value(&t, parts[k][p])[at] == want[k][e]);
        if (p == 0) assert_true(trial_value(&t, first)[at] == want[2][e]);
    }
    trial_end(&t);
}

static void normal_draws_have_mean_0_and_variance_1(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    trial t = trial_begin();
    m3_tensor *rng = trial_leaf(&t, M3_U32, M3_SHAPE(3), (const double[]){1, 2, 3});
    m3_tensor *x = m3_random_normal(t.b, rng, M3_SHAPE(COUNT), 0);
    trial_run(&t);
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        sum += trial_value(&t, x)[i];
        squares += trial_value(&t, x)[i] * trial_value(&t, x)[i];
    }
    assert_near(sum / COUNT, 0, 5 / sqrt(COUNT)); /* five deviations */
    assert_near(squares / COUNT, 1, 5 * sqrt(2.0 / COUNT));
    trial_end(&t);
}

static void dropout_keeps_by_the_draw_and_scales_what_it_keeps(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    trial t = trial_begin();
    const double words[3] = {5, 6, 7};
    m3_tensor *x = trial_f64(&t, M3_SHAPE(COUNT));
    m3_tensor *in[2] = {x, trial_leaf(&t, M3_U32, M3_SHAPE(3), words)};
    uint32_t dropped = 0;
    while (uniform_at(words, 11, dropped) >= 0.25) dropped++;
    trial_data(&t, x)[dropped] = NAN; /* is selected away, not multiplied by 0 */
    m3_attr attr[2] = {m3_attr_float(0.25), m3_attr_int(11)};
    m3_tensor *y = m3_emit(t.b, "dropout", in, 2, attr, 2);
    trial_run(&t);
    uint32_t kept = 0;
    for (uint32_t e = 0; e < COUNT; e++) {
        bool keep = uniform_at(words, 11, e) >= 0.25;
        if (isnan(trial_data(&t, x)[e]) && keep)
            assert_true(isnan(trial_value(&t, y)[e]));
        else
            assert_near(trial_value(&t, y)[e], keep ? trial_data(&t, x)[e] / 0.75 : 0, bound);
        kept += keep;
    }
    assert_in_range(kept, 680, 820);
    trial_end(&t);
}

/* One case of linear against loops. */
static void linear_case(uint64_t groups, bool ta, bool tb, m3_activation activation, bool all)
{
    enum { M = 3, K = 4, N = 2 };
    trial t = trial_begin();
    uint64_t g = groups == 0 ? 1 : groups;
    m3_shape x_shape = ta ? M3_SHAPE(g, K, M) : M3_SHAPE(g, M, K), w_shape = tb ? M3_SHAPE(g, N, K) : M3_SHAPE(g, K, N);
    m3_shape row = M3_SHAPE(g, N), y_shape = M3_SHAPE(g, M, N);
    m3_shape *shapes[4] = {&x_shape, &w_shape, &row, &y_shape};
    for (uint32_t i = 0; groups == 0 && i < 4; i++) {
        memmove(shapes[i]->dim, shapes[i]->dim + 1, (M3_MAX_RANK - 1) * sizeof(uint64_t));
        shapes[i]->rank--;
    }
    m3_tensor *in[5] = {trial_f64(&t, x_shape), trial_f64(&t, w_shape), NULL, NULL, NULL};
    if (all) in[2] = trial_f64(&t, row), in[3] = trial_f64(&t, y_shape), in[4] = trial_f64(&t, y_shape);
    m3_tensor *y = m3_linear_node(t.b, in, ta, tb, activation);
    trial_run(&t);
    const double *x = trial_data(&t, in[0]), *w = trial_data(&t, in[1]);
    for (uint64_t at = 0; at < g * M * N; at++) {
        uint64_t group = at / (M * N), m = at / N % M, n = at % N;
        double z = 0;
        for (uint64_t k = 0; k < K; k++)
            z += x[group * M * K + (ta ? k * M + m : m * K + k)] * w[group * K * N + (tb ? n * K + k : k * N + n)];
        if (all) z += trial_data(&t, in[2])[group * N + n] + trial_data(&t, in[3])[at];
        double want = activate(z, activation);
        if (all && trial_data(&t, in[4])[at] <= 0) want = 0;
        assert_near(trial_value(&t, y)[at], want, bound);
    }
    trial_end(&t);
}

static void linear_multiplies_in_every_layout(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * 2 * 2 * 2 * 5; i++)
        linear_case(i / 40 * 3, (i / 20 % 2) != 0, (i / 10 % 2) != 0, (m3_activation)(i % 5), (i / 5 % 2) != 0);
}

static void layer_norm_case(bool grouped, double offset)
{
    enum { A = 2, B = 3, D = 5 };
    trial t = trial_begin();
    m3_tensor *x = trial_f64(&t, M3_SHAPE(A, B, D));
    m3_shape vector = grouped ? M3_SHAPE(A, D) : M3_SHAPE(D);
    m3_tensor *gamma = trial_f64(&t, vector), *beta = trial_f64(&t, vector);
    for (uint32_t i = 0; i < A * B * D; i++) trial_data(&t, x)[i] += offset;
    m3_tensor *y = m3_layer_norm(t.b, x, gamma, beta, 1e-5);
    trial_run(&t);
    for (uint32_t r = 0; r < A * B; r++) {
        const double *in = trial_data(&t, x) + (size_t)r * D, *out = trial_value(&t, y) + (size_t)r * D;
        double mean = 0, variance = 0;
        for (uint32_t j = 0; j < D; j++) mean += in[j] / D;
        for (uint32_t j = 0; j < D; j++) variance += (in[j] - mean) * (in[j] - mean) / D;
        for (uint32_t j = 0; j < D; j++) {
            uint32_t at = (grouped ? r / B * D : 0) + j;
            double want = (in[j] - mean) / sqrt(variance + 1e-5) * trial_data(&t, gamma)[at] + trial_data(&t, beta)[at];
            assert_near(out[j], want, offset != 0 ? 1e-7 : bound);
        }
    }
    trial_end(&t);
}

static void layer_norm_normalises_rows(void **state)
{
    (void)state;
    layer_norm_case(false, 0);
    layer_norm_case(true, 0);
}

static void layer_norm_keeps_its_digits_under_a_large_mean(void **state)
{
    (void)state;
    layer_norm_case(false, 1e8); /* squares of x would lose the whole variance */
}

static void softmax_is_over_valid_entries_alone(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(3, 4),
                              (const double[]){1, 2, NAN, 3, NAN, NAN, NAN, NAN, -900, -901, INFINITY, -1e30});
    m3_tensor *mask = trial_leaf(&t, M3_BOOL, M3_SHAPE(3, 4), (const double[]){1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 1});
    m3_tensor *y = m3_masked_softmax(t.b, x, mask);
    m3_tensor *row = m3_masked_softmax(t.b, trial_leaf(&t, M3_F64, M3_SHAPE(2, 2), (const double[]){5, 9, 7, 0}),
                                       trial_leaf(&t, M3_BOOL, M3_SHAPE(2), (const double[]){0, 1}));
    trial_run(&t);
    double e1 = exp(-2), e2 = exp(-1), sum = e1 + e2 + 1, f = 1 / (1 + exp(-1));
    const double want[12] = {e1 / sum, e2 / sum, 0, 1 / sum, 0, 0, 0, 0, f, 1 - f, 0, 0};
    for (uint32_t i = 0; i < 12; i++) assert_near(trial_value(&t, y)[i], want[i], bound);
    for (uint32_t i = 0; i < 4; i++) assert_near(trial_value(&t, row)[i], i % 2, 0);
    trial_end(&t);
}

enum { ROWS = 3, QUERIES = 4, KEYS = 5, WIDTH = 6 };

/* Attention of row r, query i, column c of d, by its definition. */
static double attend(const double *q, const double *k, const double *v, const double *mask, uint32_t heads, uint32_t r,
                     uint32_t i, uint32_t c)
{
    uint32_t w = WIDTH / heads, from = c / w * w;
    double sum = 0, mix = 0;
    for (uint32_t j = 0; j < KEYS; j++) {
        double score = 0;
        if (mask[r * KEYS + j] == 0) continue;
        for (uint32_t x = from; x < from + w; x++)
            score += q[(r * QUERIES + i) * WIDTH + x] * k[(r * KEYS + j) * WIDTH + x];
        double e = exp(score / sqrt(w));
        sum += e;
        mix += e * v[(r * KEYS + j) * WIDTH + c];
    }
    return sum > 0 ? mix / sum : 0;
}

/* Row 1 has no valid key. */
static const double key_mask[ROWS * KEYS] = {1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1};

static void attention_attends_to_valid_keys_alone(void **state)
{
    (void)state;
    const uint32_t heads[3] = {1, 2, 6};
    for (uint32_t h = 0; h < 3; h++) {
        trial t = trial_begin();
        m3_tensor *q = trial_f64(&t, M3_SHAPE(1, ROWS, 1, 1, QUERIES, WIDTH));
        m3_tensor *k = trial_f64(&t, M3_SHAPE(1, ROWS, 1, 1, KEYS, WIDTH));
        m3_tensor *v = trial_f64(&t, M3_SHAPE(1, ROWS, 1, 1, KEYS, WIDTH));
        m3_tensor *mask = trial_leaf(&t, M3_BOOL, M3_SHAPE(1, ROWS, 1, 1, KEYS), key_mask);
        for (uint32_t i = 0; i < ROWS * KEYS * WIDTH; i++)
            if (key_mask[i / WIDTH] == 0) trial_data(&t, k)[i] = trial_data(&t, v)[i] = NAN;
        m3_tensor *y = m3_attention(t.b, q, k, v, mask, heads[h]);
        m3_tensor *in[5] = {q, k, v, mask, trial_f64(&t, q->shape)}, *grad[3];
        m3_attr attr = m3_attr_int(heads[h]);
        t.b->api->emit(t.b, "attention_grad", in, 5, &attr, 1, grad, 3);
        trial_run(&t);
        for (uint32_t at = 0; at < ROWS * QUERIES * WIDTH; at++) {
            double want = attend(trial_data(&t, q), trial_data(&t, k), trial_data(&t, v), key_mask, heads[h],
                                 at / (QUERIES * WIDTH), at / WIDTH % QUERIES, at % WIDTH);
            assert_near(trial_value(&t, y)[at], want, bound);
            assert_true(isfinite(trial_value(&t, grad[0])[at]));
            if (at / (QUERIES * WIDTH) == 1) assert_near(trial_value(&t, grad[0])[at], 0, 0);
        }
        for (uint32_t at = 0; at < ROWS * KEYS * WIDTH; at++) {
            for (uint32_t g = 1; g < 3; g++) {
                assert_true(isfinite(trial_value(&t, grad[g])[at]));
                if (key_mask[at / WIDTH] == 0) assert_near(trial_value(&t, grad[g])[at], 0, 0);
            }
        }
        trial_end(&t);
    }
}

static void one_query_attends_as_many_do(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *q = trial_f64(&t, M3_SHAPE(ROWS, QUERIES, WIDTH));
    m3_tensor *k = trial_f64(&t, M3_SHAPE(ROWS, KEYS, WIDTH)), *v = trial_f64(&t, M3_SHAPE(ROWS, KEYS, WIDTH));
    m3_tensor *mask = trial_leaf(&t, M3_BOOL, M3_SHAPE(ROWS, KEYS), key_mask);
    m3_tensor *all = m3_slice(t.b, m3_attention(t.b, q, k, v, mask, 3), 1, QUERIES - 1, 1);
    m3_tensor *last = m3_attention(t.b, m3_slice(t.b, q, 1, QUERIES - 1, 1), k, v, mask, 3);
    trial_run(&t);
    for (uint32_t i = 0; i < ROWS * WIDTH; i++) assert_near(trial_value(&t, last)[i], trial_value(&t, all)[i], bound);
    trial_end(&t);
}

static void gru_cell_steps_where_valid_and_stays_elsewhere(void **state)
{
    (void)state;
    enum { N = 3, D = 4 };
    trial t = trial_begin();
    m3_tensor *xi = trial_f64(&t, M3_SHAPE(N, 3 * D)), *hh = trial_f64(&t, M3_SHAPE(N, 3 * D));
    m3_tensor *h = trial_f64(&t, M3_SHAPE(N, D));
    m3_tensor *mask = trial_leaf(&t, M3_BOOL, M3_SHAPE(N), (const double[]){1, 0, 1});
    for (uint32_t j = 0; j < 3 * D; j++) trial_data(&t, xi)[3 * D + j] = NAN; /* the padded row */
    m3_tensor *y = m3_gru_cell(t.b, xi, hh, h, mask);
    trial_run(&t);
    for (uint32_t i = 0; i < N * D; i++) {
        const double *x = trial_data(&t, xi) + (size_t)(i / D) * 3 * D + i % D;
        const double *u = trial_data(&t, hh) + (size_t)(i / D) * 3 * D + i % D;
        double old = trial_data(&t, h)[i];
        double r = sigmoid(x[0] + u[0]), z = sigmoid(x[D] + u[D]), n = tanh(x[2 * D] + r * u[2 * D]);
        assert_near(trial_value(&t, y)[i], i / D == 1 ? old : (1 - z) * n + z * old, bound);
    }
    trial_end(&t);
}

static void cross_entropy_is_the_log_of_the_targets_share(void **state)
{
    (void)state;
    enum { N = 5, C = 3 };
    trial t = trial_begin();
    const double logits[N * C] = {1, 2, 3, 1000, -1000, 999, 0, 0, 0, NAN, NAN, NAN, 5, 5, 5};
    const double target[N] = {2, 1, 0, -1, 3};
    m3_tensor *x = trial_leaf(&t, M3_F64, M3_SHAPE(N, C), logits);
    m3_tensor *at = trial_leaf(&t, M3_I32, M3_SHAPE(N), target);
    m3_tensor *in[3] = {x, at, trial_leaf(&t, M3_F64, M3_SHAPE(N), (const double[]){1, 2, 3, 4, 5})};
    m3_tensor *y = m3_softmax_cross_entropy(t.b, x, at);
    m3_tensor *dx = m3_emit(t.b, "softmax_cross_entropy_grad", in, 3, NULL, 0);
    trial_run(&t);
    double s = exp(-2) + exp(-1) + 1, p = 1 / (1 + exp(-1));
    const double want[N] = {log(s), 2000 - log(p), log(3), 0, 0}; /* the last two targets are no classes */
    const double slope[N * C] = {exp(-2) / s, exp(-1) / s, 1 / s - 1, 2 * p, -2, 2 * (1 - p), -2, 1,
                                 1,           0,           0,         0,     0,  0,           0};
    for (uint32_t i = 0; i < N; i++) assert_near(trial_value(&t, y)[i], want[i], bound);
    for (uint32_t i = 0; i < N * C; i++) assert_near(trial_value(&t, dx)[i], slope[i], bound);
    trial_end(&t);
}

static void the_norm_is_over_all_elements_of_all_inputs(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *in[3] = {trial_f64(&t, M3_SHAPE(2, 3)), trial_f64(&t, M3_SHAPE(0)), trial_f64(&t, m3_shape_of(0, NULL))};
    m3_tensor *y = m3_emit(t.b, "global_norm", in, 3, NULL, 0);
    trial_run(&t);
    double sum = trial_data(&t, in[2])[0] * trial_data(&t, in[2])[0];
    for (uint32_t i = 0; i < 6; i++) sum += trial_data(&t, in[0])[i] * trial_data(&t, in[0])[i];
    assert_near(trial_value(&t, y)[0], sqrt(sum), bound);
    trial_end(&t);
}

typedef struct adam {
    double beta1, beta2, eps, decay, lr, scale;
    int t;
} adam;

static void adam_step(const adam *a, double *p, double *m, double *v, double grad)
{
    double g = grad * a->scale;
    *m = a->beta1 * *m + (1 - a->beta1) * g;
    *v = a->beta2 * *v + (1 - a->beta2) * g * g;
    double mean = *m / (1 - pow(a->beta1, a->t)), spread = sqrt(*v / (1 - pow(a->beta2, a->t)));
    *p = *p * (1 - a->lr * a->decay) - a->lr * mean / (spread + a->eps);
}

/* step, scale and the attributes of an update; powers of two where f32 must hold them exactly. */
static const adam rule = {0.9, 0.999, 1e-3, 0.5, 0x1p-6, 0.25, 3};

static void adam_inputs(trial *t, m3_tensor *in[2], m3_attr attr[4])
{
    const double step[3] = {rule.lr, 1 - pow(rule.beta1, rule.t), 1 - pow(rule.beta2, rule.t)};
    in[0] = trial_leaf(t, M3_F32, M3_SHAPE(3), step);
    in[1] = trial_leaf(t, M3_F32, m3_shape_of(0, NULL), &rule.scale);
    const double values[4] = {rule.beta1, rule.beta2, rule.eps, rule.decay};
    for (uint32_t i = 0; i < 4; i++) attr[i] = m3_attr_float(values[i]);
}

static void second_moments(trial *t, const m3_tensor *v)
{
    for (uint64_t i = 0; i < m3_tensor_count(v); i++) trial_data(t, v)[i] = fabs(trial_data(t, v)[i]);
}

static void adamw_steps_every_tensor(void **state)
{
    (void)state;
    trial t = trial_begin();
    m3_tensor *in[10], *out[6];
    m3_attr attr[4];
    adam_inputs(&t, in, attr);
    for (uint32_t i = 2; i < 10; i++) in[i] = trial_f64(&t, i < 6 ? M3_SHAPE(2, 3) : M3_SHAPE(4));
    second_moments(&t, in[4]);
    second_moments(&t, in[8]);
    t.b->api->emit(t.b, "adamw", in, 10, attr, 4, out, 6);
    trial_run(&t);
    for (uint32_t j = 0; j < 2; j++) {
        for (uint64_t i = 0; i < m3_tensor_count(in[2 + 4 * j]); i++) {
            double s[4];
            for (uint32_t c = 0; c < 4; c++) s[c] = trial_data(&t, in[2 + 4 * j + c])[i];
            adam_step(&rule, &s[0], &s[1], &s[2], s[3]);
            for (uint32_t c = 0; c < 3; c++) assert_near(trial_value(&t, out[3 * j + c])[i], s[c], 1e-7); /* f32 step */
        }
    }
    trial_end(&t);
}

static void adamw_rows_steps_the_rows_of_ids_and_no_other(void **state)
{
    (void)state;
    enum { N = 6, D = 2, R = 4 };
    trial t = trial_begin();
    m3_tensor *in[7], *out[3];
    m3_attr attr[4];
    const double ids[R] = {1, 4, -1, -1};
    adam_inputs(&t, in, attr);
    for (uint32_t c = 2; c < 5; c++) in[c] = trial_f64(&t, M3_SHAPE(N, D));
    second_moments(&t, in[4]);
    in[5] = trial_leaf(&t, M3_I32, M3_SHAPE(R), ids);
    in[6] = trial_f64(&t, M3_SHAPE(R, D));
    t.b->api->emit(t.b, "adamw_rows", in, 7, attr, 4, out, 3);
    trial_run(&t);
    for (uint32_t i = 0; i < N * D; i++) {
        double s[3];
        for (uint32_t c = 0; c < 3; c++) s[c] = trial_data(&t, in[2 + c])[i];
        for (uint32_t r = 0; r < 2; r++)
            if (ids[r] == i / D) adam_step(&rule, &s[0], &s[1], &s[2], trial_data(&t, in[6])[r * D + i % D]);
        for (uint32_t c = 0; c < 3; c++) assert_near(trial_value(&t, out[c])[i], s[c], 1e-7);
    }
    trial_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),
        cmocka_unit_test(smooth_activations),
        cmocka_unit_test(a_constant_takes_the_type_of_another),
        cmocka_unit_test(sums_along_an_axis),
        cmocka_unit_test(a_filter_sees_the_past_alone),
        cmocka_unit_test(a_closed_gate_keeps_nan_out),
        cmocka_unit_test(draws_are_a_function_of_seed_step_site_and_element),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(normal_draws_have_mean_0_and_variance_1),
        cmocka_unit_test(dropout_keeps_by_the_draw_and_scales_what_it_keeps),
        cmocka_unit_test(linear_multiplies_in_every_layout),
        cmocka_unit_test(layer_norm_normalises_rows),
        cmocka_unit_test(layer_norm_keeps_its_digits_under_a_large_mean),
        cmocka_unit_test(softmax_is_over_valid_entries_alone),
        cmocka_unit_test(attention_attends_to_valid_keys_alone),
        cmocka_unit_test(one_query_attends_as_many_do),
        cmocka_unit_test(gru_cell_steps_where_valid_and_stays_elsewhere),
        cmocka_unit_test(cross_entropy_is_the_log_of_the_targets_share),
        cmocka_unit_test(the_norm_is_over_all_elements_of_all_inputs),
        cmocka_unit_test(adamw_steps_every_tensor),
        cmocka_unit_test(adamw_rows_steps_the_rows_of_ids_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
