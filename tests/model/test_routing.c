/* routing: the normed router and the contrast with targets, against their formulas written out (MODEL.md 9, 10), and
 * that an expert to which the router gives nothing still has a gradient. On the reference backend. */
#include "m3bsr/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { B = 2, L = 3, N = 9, D = 4, K_DIM = 3, G = 4, V = G + 1, ROWS = 6 };
static const double temperature = 0.5;

static m3_engine *engine;
static m3_device *device;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static void set(m3_model_config *c, const char *key, const char *value)
{
    m3_error err = {0};
    check(m3_model_set(c, key, value, &err), &err);
}

static m3_model_config small(void)
{
    static const char *const keys[][2] = {{"behaviors", "2"},
                                          {"modalities", "[3]"},
                                          {"length", "3"},
                                          {"items", "9"},
                                          {"width", "4"},
                                          {"heads", "2"},
                                          {"ffn_mult", "2"},
                                          {"dropout", "0"},
                                          {"fusion", "none"},
                                          {"router", "normed"},
                                          {"contrast", "targets"},
                                          {"temperature", "0.5"},
                                          {"w_contrast", "0.1"},
                                          {"modality_denoise", "no"},
                                          {"behavior_denoise", "false"},
                                          {"expert_layers", "1"}};
    m3_model_config c;
    m3_model_defaults(&c);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) set(&c, keys[i][0], keys[i][1]);
    return c;
}

/* A step over a store of its own. */
typedef struct trainee {
    m3_store *store;
    m3_executable *step;
} trainee;

static trainee train(const m3_model_config *c)
{
    trainee t = {0};
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate),
                                      .batch = ROWS,
                                      .publish = M3_PUBLISH_GATE | M3_PUBLISH_SPECIFIC | M3_PUBLISH_COMMON |
                                                 M3_PUBLISH_USER | M3_PUBLISH_GRADIENTS};
    const m3_compile_options compile = {
        .size = M3_STRUCT_SIZE(m3_compile_options, fallbacks), .name = "test", .strict = true};
    const m3_shape table = M3_SHAPE(N + 1, K_DIM);
    float features[N + 1][K_DIM] = {{0}};
    m3_graph *graph = NULL;
    m3_error err = {0};
    for (int i = 1; i <= N; i++)
        for (int k = 0; k < K_DIM; k++) features[i][k] = sinf((float)(i * 7 + k * 3));
    check(m3_store_create(device, 5, &t.store, &err), &err);
    check(m3_store_write(t.store, "features0", M3_F32, &table, features, &err), &err);
    check(m3_model_build_train(engine, c, &options, &graph, &err), &err);
    check(m3_executable_create(device, t.store, graph, &compile, &t.step, &err), &err);
    m3_graph_free(graph);
    return t;
}

static void end(trainee *t)
{
    m3_executable_free(t->step);
    m3_store_free(t->store);
}

/* The first two rows have the same target, the third has no history, the last is padding. */
static const int32_t targets[ROWS] = {2, 2, 5, 7, 3, 0};

static void run(const trainee *t)
{
    m3_error err = {0};
    int32_t *ids = m3_executable_input(t->step, "ids", NULL);
    memset(ids, 0, sizeof *ids * B * ROWS * L);
    for (int i = 0; i < ROWS - 1; i++)
        for (int b = 0; b < B && i != 2; b++)
            for (int l = (i + b) % (L + 1); l < L; l++) ids[(b * ROWS + i) * L + l] = 1 + (i * 3 + b + l * 2) % N;
    memcpy(m3_executable_input(t->step, "target", NULL), targets, sizeof targets);
    *(float *)m3_executable_input(t->step, "valid", NULL) = ROWS - 1;
    uint32_t *rng = m3_executable_input(t->step, "rng", NULL);
    if (rng != NULL) memcpy(rng, (uint32_t[]){1, 2, 3}, 3 * sizeof *rng);
    memcpy(m3_executable_input(t->step, "step", NULL), (float[]){0.0F, 0.1F, 0.001F}, 3 * sizeof(float)); /* lr 0 */
    check(m3_executable_run(t->step, &err), &err);
}

static const float *output(const trainee *t, const char *name)
{
    const float *value = m3_executable_output(t->step, name, NULL);
    if (value == NULL) fail_msg("there is no output %s", name);
    return value;
}

static void write_parameter(const trainee *t, const char *name, m3_shape shape, const float *data)
{
    m3_error err = {0};
    check(m3_store_write(t->store, name, M3_F32, &shape, data, &err), &err);
}

/* A router with the same r for everybody. */
static void fix_router(const trainee *t, const float r[V])
{
    const float zeros[V * D] = {0};
    write_parameter(t, "router.gate.weight", M3_SHAPE(V, D), zeros);
    write_parameter(t, "router.gate.bias", M3_SHAPE(V), r);
}

/* Has the user's history g an item? */
static bool is_there(const trainee *t, int g, int user)
{
    const int32_t *ids = m3_executable_input(t->step, "ids", NULL);
    return ids[((g / (G / B)) * ROWS + user) * L + L - 1] != 0;
}

/* u = gate_0 h + sum_g gate_(g+1) s_g, h the mean of c_g over histories that are not empty. */
static void assert_users(const trainee *t, const float *gate)
{
    const float *user = output(t, "user"), *s = output(t, "specific"), *c = output(t, "common");
    for (int a = 0; a < ROWS; a++)
        for (int j = 0; j < D; j++) {
            double h = 0.0, sum = 0.0;
            int there = 0;
            for (int g = 0; g < G; g++) {
                sum += (double)gate[a * V + g + 1] * (double)s[(g * ROWS + a) * D + j];
                h += is_there(t, g, a) ? (double)c[(g * ROWS + a) * D + j] : 0.0;
                there += is_there(t, g, a);
            }
            if (there > 0) sum += (double)gate[a * V] * h / there;
            assert_true(fabs((double)user[a * D + j] - sum) < 1e-5);
        }
}

static void normed_weights_are_softmax_over_their_length(void **state)
{
    (void)state;
    static const float r[][V] = {{0, 0, 0, 0, 0}, {0, 1, -1, 2, 0.5F}, {40, 0, 0, 0, 0}};
    const m3_model_config c = small();
    trainee t = train(&c);
    for (size_t k = 0; k < sizeof r / sizeof r[0]; k++) {
        double square = 0.0;
        fix_router(&t, r[k]);
        run(&t);
        const float *gate = output(&t, "gate");
        for (int i = 0; i < V; i++) square += exp(2.0 * (double)r[k][i]);
        for (int a = 0; a < ROWS; a++)
            for (int i = 0; i < V; i++) {
                const double want = exp((double)r[k][i]) / (sqrt(square) * sqrt(V));
                assert_true(fabs((double)gate[a * V + i] - want) < 1e-6);
            }
        assert_users(&t, gate);
    }
    end(&t);
}

/* P(v). */
static void project(const trainee *t, const float *v, double p[D])
{
    float weight[2][D][D], bias[2][D];
    double hidden[D], square = 1e-12;
    m3_error err = {0};
    for (int k = 0; k < 2; k++) {
        check(m3_store_read(t->store, k == 0 ? "contrast.proj1.weight" : "contrast.proj2.weight", weight[k],
                            sizeof weight[k], &err),
              &err);
        check(m3_store_read(t->store, k == 0 ? "contrast.proj1.bias" : "contrast.proj2.bias", bias[k], sizeof bias[k],
                            &err),
              &err);
    }
    for (int i = 0; i < D; i++) {
        hidden[i] = (double)bias[0][i];
        for (int j = 0; j < D; j++) hidden[i] += (double)weight[0][i][j] * (double)v[j];
        hidden[i] = fmax(hidden[i], 0.0);
    }
    for (int i = 0; i < D; i++) {
        p[i] = (double)bias[1][i];
        for (int j = 0; j < D; j++) p[i] += (double)weight[1][i][j] * hidden[j];
        square += p[i] * p[i];
    }
    for (int i = 0; i < D; i++) p[i] /= sqrt(square);
}

/* One interest v of user a: -log of the share of the own target. */
static double term(const trainee *t, const float *items, const float *v, int a)
{
    double p[D], wanted[D], sum = 0.0, own = 0.0;
    project(t, v, p);
    for (int x = 0; x < ROWS; x++) {
        double cosine = 0.0;
        if (targets[x] == 0 || (x != a && targets[x] == targets[a])) continue;
        project(t, items + (size_t)targets[x] * D, wanted);
        for (int i = 0; i < D; i++) cosine += p[i] * wanted[i];
        sum += exp(cosine / temperature);
        if (x == a) own = cosine / temperature;
    }
    return log(sum) - own;
}

static void targets_are_told_from_those_of_others(void **state)
{
    static const struct kind {
        const char *interests;
        bool common, specific;
    } kinds[] = {{"both", true, true}, {"common", true, false}, {"specific", false, true}};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        m3_model_config c = small();
        m3_error err = {0};
        float items[(N + 1) * D];
        double sum = 0.0;
        int count = 0;
        set(&c, "interests", kinds[k].interests);
        trainee t = train(&c);
        run(&t);
        check(m3_store_read(t.store, "item.weight", items, sizeof items, &err), &err);
        for (int g = 0; g < G; g++)
            for (int a = 0; a < ROWS; a++) {
                if (targets[a] == 0 || !is_there(&t, g, a)) continue;
                if (kinds[k].common) sum += term(&t, items, output(&t, "common") + (g * ROWS + a) * D, a), count++;
                if (kinds[k].specific) sum += term(&t, items, output(&t, "specific") + (g * ROWS + a) * D, a), count++;
            }
        assert_true(count > 8);
        assert_true(fabs((double)*output(&t, "loss_contrast") - sum / count) < 1e-5);
        end(&t);
    }
}

/* Largest entry of the gradient of expert g's last norm. */
static double gradient_of(const trainee *t, int g)
{
    double most = 0.0;
    const float *d = output(t, "grad.experts.specific.norm.weight");
    for (int i = 0; i < D; i++) most = fmax(most, fabs((double)d[g * D + i]));
    return most;
}

static void experts_without_weight_learn_from_the_targets(void **state)
{
    static const float common_alone[V] = {40, -40, -40, -40, -40};
    (void)state;
    for (int with = 0; with < 2; with++) {
        m3_model_config c = small();
        if (!with) set(&c, "w_contrast", "0");
        trainee t = train(&c);
        fix_router(&t, common_alone);
        run(&t);
        for (int g = 0; g < G; g++) assert_true(with ? gradient_of(&t, g) > 1e-5 : gradient_of(&t, g) < 1e-12);
        end(&t);
    }
}

static int start(void **state)
{
    (void)state;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &engine, NULL) != M3_OK) return -1;
    return m3_device_open(engine, "reference", (m3_span){0}, &device, NULL) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normed_weights_are_softmax_over_their_length),
        cmocka_unit_test(targets_are_told_from_those_of_others),
        cmocka_unit_test(experts_without_weight_learn_from_the_targets),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
