/* step: what a training step promises beside the vector files: padding counts for nothing, accumulated batches make
 * one step, the lazy rule, draws that follow the seed, dropout, gradients that overflow in f16. On the reference
 * backend. */
#include "core/model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { B = 2, L = 3, N = 9, D = 4, K_DIM = 3, NEGATIVES = 2, ROWS = 6 };

static m3_engine *engine;
static m3_device *device;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static m3_model_config small(void)
{
    static const char *const keys[][2] = {
        {"behaviors", "2"},       {"modalities", "[3]"}, {"length", "3"},        {"items", "9"},
        {"width", "4"},           {"heads", "2"},        {"ffn_mult", "2"},      {"dropout", "0"},
        {"diffusion_steps", "8"}, {"infer_start", "4"},  {"negatives", "2"},     {"expert_layers", "1"},
        {"adam_eps", "1e-4"},     {"lr", "0.05"},        {"denoise", "replace"}, {"fusion", "none"}};
    m3_model_config c;
    m3_error err = {0};
    m3_model_defaults(&c);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        check(m3_model_set(&c, keys[i][0], keys[i][1], &err), &err);
    return c;
}

static void set(m3_model_config *c, const char *key, const char *value)
{
    m3_error err = {0};
    check(m3_model_set(c, key, value, &err), &err);
}

/* A model in training: a store and what runs over it. */
typedef struct trainee {
    m3_model_config config;
    uint32_t batch;
    m3_store *store;
    m3_executable *step, *accumulate, *apply;
    float loss, norm;
} trainee;

static m3_executable *compile(trainee *t, m3_graph *graph)
{
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                        .name = "test",
                                        .strict = true,
                                        .precision = m3_model_precision(&t->config),
                                        .recompute = m3_model_recompute(&t->config)};
    m3_executable *run = NULL;
    m3_error err = {0};
    check(m3_executable_create(device, t->store, graph, &options, &run, &err), &err);
    m3_graph_free(graph);
    return run;
}

static trainee train(m3_model_config config, uint32_t batch)
{
    trainee t = {.config = config, .batch = batch};
    m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate), .batch = batch};
    const m3_shape table = M3_SHAPE(N + 1, K_DIM);
    float features[N + 1][K_DIM] = {{0}};
    m3_graph *graph = NULL;
    m3_error err = {0};
    for (int i = 1; i <= N; i++)
        for (int k = 0; k < K_DIM; k++) features[i][k] = sinf((float)(i * 7 + k * 3));
    check(m3_store_create(device, 5, &t.store, &err), &err);
    check(m3_store_write(t.store, "features0", M3_F32, &table, features, &err), &err);
    check(m3_model_build_train(engine, &t.config, &options, &graph, &err), &err);
    t.step = compile(&t, graph);
    options.accumulate = true;
    check(m3_model_build_train(engine, &t.config, &options, &graph, &err), &err);
    t.accumulate = compile(&t, graph);
    check(m3_model_build_apply(engine, &t.config, &options, &graph, &err), &err);
    t.apply = compile(&t, graph);
    return t;
}

static void end(trainee *t)
{
    m3_executable_free(t->step);
    m3_executable_free(t->accumulate);
    m3_executable_free(t->apply);
    m3_store_free(t->store);
}

/* Rows of different lengths and items; `used` of them, the rest padding. */
static void feed(trainee *t, m3_executable *run, uint32_t used, uint32_t draw, int shift)
{
    int32_t *ids = m3_executable_input(run, "ids", NULL), *target = m3_executable_input(run, "target", NULL);
    int32_t *negatives = m3_executable_input(run, "negatives", NULL);
    uint64_t bytes = 0;
    uint32_t *rng = m3_executable_input(run, "rng", &bytes);
    float *valid = m3_executable_input(run, "valid", NULL);
    memset(ids, 0, sizeof *ids * B * t->batch * L);
    memset(target, 0, sizeof *target * t->batch);
    if (negatives != NULL) memset(negatives, 0, sizeof *negatives * t->batch * NEGATIVES);
    for (uint32_t i = 0; i < used; i++) {
        for (uint32_t b = 0; b < B; b++)
            for (uint32_t l = (i + b) % (L + 1); l < L; l++)
                ids[(b * t->batch + i) * L + l] = (int32_t)(1 + (i * 3 + b + l * 2 + (uint32_t)shift) % 5);
        target[i] = (int32_t)(1 + (i + (uint32_t)shift) % 5);
        for (uint32_t k = 0; negatives != NULL && k < NEGATIVES; k++)
            negatives[i * NEGATIVES + k] = (int32_t)(1 + (i + k * 2) % 6);
    }
    if (rng != NULL) memcpy(rng, (uint32_t[]){1, 2, draw, 0, 1}, bytes);
    *valid = (float)used;
}

static void feed_step(const trainee *t, m3_executable *run, int number)
{
    float *step = m3_executable_input(run, "step", NULL);
    step[0] = (float)t->config.lr;
    step[1] = (float)(1.0 - pow(t->config.beta1, number));
    step[2] = (float)(1.0 - pow(t->config.beta2, number));
}

static void run(trainee *t, m3_executable *what)
{
    m3_error err = {0};
    check(m3_executable_run(what, &err), &err);
    const float *loss = m3_executable_output(what, "loss", NULL), *norm = m3_executable_output(what, "grad_norm", NULL);
    if (loss != NULL) t->loss = *loss;
    if (norm != NULL) t->norm = *norm;
}

static void step(trainee *t, int number, uint32_t used, uint32_t draw, int shift)
{
    feed(t, t->step, used, draw, shift);
    feed_step(t, t->step, number);
    run(t, t->step);
}

static void assert_close(float a, float b)
{
    if (!(fabsf(a - b) <= 2e-6F + 2e-5F * fabsf(b))) fail_msg("%.9g is not %.9g", (double)a, (double)b);
}

static void read_all(const trainee *t, const char *name, float *data, uint64_t bytes)
{
    m3_error err = {0};
    check(m3_store_read(t->store, name, data, bytes, &err), &err);
}

static void assert_same_parameters(const trainee *a, const trainee *b)
{
    static float x[4096], y[4096];
    uint32_t compared = 0;
    for (uint32_t i = 0; i < m3_store_count(a->store); i++) {
        m3_store_entry entry;
        m3_store_at(a->store, i, &entry);
        uint64_t count = m3_shape_count(&entry.shape);
        if (entry.kind != M3_PARAMETER) continue;
        assert_true(count <= 4096);
        read_all(a, entry.name, x, count * sizeof *x);
        read_all(b, entry.name, y, count * sizeof *y);
        for (uint64_t k = 0; k < count; k++)
            if (!(fabsf(x[k] - y[k]) <= 2e-6F + 2e-5F * fabsf(y[k])))
                fail_msg("%s[%llu]: %.9g is not %.9g", entry.name, (unsigned long long)k, (double)x[k], (double)y[k]);
        compared++;
    }
    assert_true(compared > 30);
}

static m3_model_config without_draws(const char *loss)
{
    m3_model_config c = small();
    set(&c, "contrast", "targets"); /* it reads targets, those of padded rows too */
    set(&c, "w_contrast", "0.5");
    set(&c, "modality_denoise", "false");
    set(&c, "behavior_denoise", "false");
    set(&c, "loss", loss);
    set(&c, "lazy", "off");
    return c;
}

static void padded_rows_count_for_nothing(void **state)
{
    const char *loss = *state;
    trainee full = train(without_draws(loss), 4), padded = train(without_draws(loss), ROWS);
    step(&full, 1, 4, 0, 0);
    step(&padded, 1, 4, 0, 0);
    assert_close(padded.loss, full.loss);
    assert_close(padded.norm, full.norm);
    assert_same_parameters(&padded, &full);
    end(&full);
    end(&padded);
}

static void accumulated_batches_make_one_step(void **state)
{
    (void)state;
    trainee once = train(without_draws("full"), 4), parts = train(without_draws("full"), 4);
    step(&once, 1, 4, 0, 0);
    for (int i = 0; i < 3; i++) { /* the mean of three equal batches is the batch */
        feed(&parts, parts.accumulate, 4, 0, 0);
        run(&parts, parts.accumulate);
        assert_close(parts.loss, once.loss);
    }
    feed_step(&parts, parts.apply, 1);
    *(float *)m3_executable_input(parts.apply, "count", NULL) = 3.0F;
    run(&parts, parts.apply);
    assert_close(parts.norm, once.norm);
    assert_same_parameters(&parts, &once);
    float sum[(N + 1) * D];
    read_all(&parts, "accum.item.weight", sum, sizeof sum);
    for (size_t i = 0; i < sizeof sum / sizeof sum[0]; i++) assert_true(sum[i] == 0.0F);
    end(&once);
    end(&parts);
}

static void lazy_rows_equal_dense_rows_while_moments_are_zero(void **state)
{
    (void)state;
    m3_model_config c = small();
    set(&c, "loss", "sampled");
    set(&c, "contrast", "targets"); /* it reads rows of the table, too */
    trainee lazy = train(c, ROWS);
    set(&c, "lazy", "off");
    trainee dense = train(c, ROWS);
    step(&lazy, 1, ROWS, 3, 0);
    step(&dense, 1, ROWS, 3, 0);
    assert_close(lazy.norm, dense.norm);
    assert_same_parameters(&lazy, &dense);
    end(&lazy);
    end(&dense);
}

static void lazy_rows_that_are_not_used_stand_still(void **state)
{
    (void)state;
    m3_model_config c = small();
    float before[N + 1][D], after[N + 1][D], moment[N + 1][D];
    set(&c, "loss", "sampled");
    set(&c, "weight_decay", "0.5");
    trainee t = train(c, ROWS);
    step(&t, 1, ROWS, 1, 0);
    read_all(&t, "item.weight", before[0], sizeof before);
    step(&t, 2, ROWS, 2, 1);
    read_all(&t, "item.weight", after[0], sizeof after);
    read_all(&t, "adam.m.item.weight", moment[0], sizeof moment);
    for (int i = 0; i <= N; i++) {
        bool used = i >= 1 && i <= 6, moved = memcmp(before[i], after[i], sizeof before[i]) != 0;
        assert_int_equal(moved, used);
        assert_int_equal(moment[i][0] != 0.0F, used);
    }
    end(&t);
}

/* The place of item i in a window of the items 1 .. 6, and the item of place i: rows lie in any order. */
static int32_t turned(int32_t i)
{
    return i >= 1 && i <= 6 ? 7 - i : 0;
}

static void turn(m3_executable *run, const char *name, uint64_t count)
{
    int32_t *ids = m3_executable_input(run, name, NULL);
    for (uint64_t i = 0; i < count; i++) ids[i] = turned(ids[i]);
}

/* A trainee whose step in two halves sees `rows` of the table, and how it is filled: NULL where it is all of it. */
static trainee train_window(m3_model_config config, uint32_t rows, m3_executable **fill)
{
    trainee t = train(config, ROWS);
    m3_graph *graph = NULL;
    m3_error err = {0};
    const m3_build_options options = {
        .size = M3_STRUCT_SIZE(m3_build_options, elsewhere), .batch = ROWS, .accumulate = true, .window = rows};
    m3_executable_free(t.accumulate);
    m3_executable_free(t.apply);
    check(m3_model_build_train(engine, &t.config, &options, &graph, &err), &err);
    t.accumulate = compile(&t, graph);
    check(m3_model_build_apply(engine, &t.config, &options, &graph, &err), &err);
    t.apply = compile(&t, graph);
    *fill = NULL;
    if (rows == N + 1) return t;
    check(m3_model_build_window(engine, &t.config, &options, &graph, &err), &err);
    *fill = compile(&t, graph);
    return t;
}

/* Two batches that are the same, so that their mean is the gradient of one. */
static void step_window(trainee *t, m3_executable *fill, int number, uint32_t draw, int shift, uint32_t rows)
{
    int32_t *ids = m3_executable_input(t->apply, "ids", NULL);
    for (uint32_t i = 0; i < rows; i++) {
        const int32_t item = fill != NULL ? turned((int32_t)i) : i <= 6 ? (int32_t)i : 0;
        ids[i] = item > 0 ? item : -1;
    }
    if (fill != NULL) memcpy(m3_executable_input(fill, "ids", NULL), ids, rows * sizeof *ids);
    if (fill != NULL) run(t, fill);
    feed(t, t->accumulate, ROWS, draw, shift);
    if (fill != NULL) turn(t->accumulate, "ids", (uint64_t)B * ROWS * L);
    if (fill != NULL) turn(t->accumulate, "target", ROWS);
    if (fill != NULL) turn(t->accumulate, "negatives", (uint64_t)ROWS * NEGATIVES);
    run(t, t->accumulate);
    run(t, t->accumulate);
    *(float *)m3_executable_input(t->apply, "count", NULL) = 2.0F;
    feed_step(t, t->apply, number);
    run(t, t->apply);
}

static void a_window_is_the_lazy_step(void **state)
{
    const uint32_t rows = *(const uint32_t *)*state;
    m3_executable *fill = NULL;
    m3_model_config c = small();
    set(&c, "loss", "sampled");
    set(&c, "contrast", "targets"); /* it tells targets apart by their ids */
    set(&c, "fusion", "table");
    set(&c, "weight_decay", "0.5");
    trainee lazy = train(c, ROWS), window = train_window(c, rows, &fill);
    for (int i = 1; i <= 3; i++) {
        step(&lazy, i, ROWS, (uint32_t)i, i);
        step_window(&window, fill, i, (uint32_t)i, i, rows);
        assert_close(window.loss, lazy.loss);
        assert_close(window.norm, lazy.norm);
    }
    assert_same_parameters(&lazy, &window);
    m3_executable_free(fill);
    end(&window);
    end(&lazy);
}

static void the_padding_item_stays_zero(void **state)
{
    (void)state;
    m3_model_config c = small();
    float rows[N + 1][D];
    set(&c, "weight_decay", "0.5");
    trainee t = train(c, ROWS);
    for (int i = 1; i <= 3; i++) step(&t, i, ROWS - 1, (uint32_t)i, i);
    read_all(&t, "item.weight", rows[0], sizeof rows);
    for (int k = 0; k < D; k++) assert_true(rows[0][k] == 0.0F);
    assert_true(rows[9][0] != 0.0F);
    end(&t);
}

static uint64_t scratch_of(const trainee *t)
{
    m3_executable_stats stats = {.size = M3_STRUCT_SIZE(m3_executable_stats, written_bytes)};
    m3_executable_get_stats(t->step, &stats);
    return stats.scratch_bytes;
}

/* With draws, dropout and all losses. */
static void recomputing_takes_less_memory_and_keeps_every_bit(void **state)
{
    m3_model_config c = small();
    set(&c, "precision", *state);
    trainee plain = train(c, ROWS);
    set(&c, "recompute", "on");
    trainee less = train(c, ROWS);
    assert_true(scratch_of(&less) < scratch_of(&plain));
    for (int i = 1; i <= 3; i++) {
        step(&plain, i, ROWS, (uint32_t)i, i);
        step(&less, i, ROWS, (uint32_t)i, i);
        assert_true(plain.loss == less.loss);
        assert_true(plain.norm == less.norm);
    }
    static float x[4096], y[4096];
    for (uint32_t i = 0; i < m3_store_count(plain.store); i++) {
        m3_store_entry entry;
        m3_store_at(plain.store, i, &entry);
        const uint64_t bytes = m3_shape_count(&entry.shape) * sizeof *x;
        assert_true(bytes <= sizeof x);
        read_all(&plain, entry.name, x, bytes);
        read_all(&less, entry.name, y, bytes);
        if (memcmp(x, y, bytes) != 0) fail_msg("%s has other bits", entry.name);
    }
    end(&plain);
    end(&less);
}

/* Loss of a fresh model at a draw. */
static float first_loss(m3_model_config c, uint32_t draw)
{
    trainee t = train(c, ROWS);
    step(&t, 1, ROWS, draw, 0);
    end(&t);
    return t.loss;
}

static void draws_follow_the_step(void **state)
{
    (void)state;
    float loss = first_loss(small(), 7);
    assert_true(loss == first_loss(small(), 7));
    assert_true(loss != first_loss(small(), 8));
    assert_true(isfinite(loss));
}

static void dropout_acts_in_training_alone(void **state)
{
    (void)state;
    m3_model_config plain = without_draws("full"), encoder = plain, experts = plain;
    set(&encoder, "dropout_encoder", "0.5");
    set(&experts, "dropout", "0.5");
    set(&experts, "dropout_encoder", "0");
    float loss = first_loss(plain, 1);
    assert_true(loss == first_loss(plain, 2));
    assert_true(loss != first_loss(encoder, 1));
    assert_true(loss != first_loss(experts, 1));
    assert_true(first_loss(experts, 1) != first_loss(experts, 2));

    const m3_build_options options = {
        .size = M3_STRUCT_SIZE(m3_build_options, accumulate), .batch = 2, .publish = M3_PUBLISH_USER};
    m3_graph *graph = NULL;
    m3_error err = {0};
    check(m3_model_build_infer(engine, &experts, &options, &graph, &err), &err);
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++)
        assert_string_not_equal(m3_graph_node(graph, i)->op->name, "dropout");
    m3_graph_free(graph);
}

static void a_batch_without_any_history_trains(void **state)
{
    (void)state;
    trainee t = train(small(), ROWS);
    feed(&t, t.step, ROWS, 1, 0);
    memset(m3_executable_input(t.step, "ids", NULL), 0, sizeof(int32_t) * B * ROWS * L);
    feed_step(&t, t.step, 1);
    run(&t, t.step);
    assert_close(t.loss, logf((float)N)); /* all scores are 0 */
    assert_true(isfinite(t.norm));
    end(&t);
}

static const uint32_t few_rows = 8, all_rows = N + 1;

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

/* All of the store that a step may change, but for the loss scale. */
static size_t read_store(const trainee *t, float *values, size_t room)
{
    size_t count = 0;
    m3_error err = {0};
    for (uint32_t i = 0; i < m3_store_count(t->store); i++) {
        m3_store_entry entry;
        m3_store_at(t->store, i, &entry);
        const size_t size = (size_t)m3_shape_count(&entry.shape);
        if (strncmp(entry.name, "loss_scale", 10) == 0 || strncmp(entry.name, "accum.", 6) == 0) continue;
        assert_true(count + size <= room);
        check(m3_store_read(t->store, entry.name, values + count, size * sizeof *values, &err), &err);
        count += size;
    }
    return count;
}

static float scalar(const trainee *t, const char *name)
{
    float value = 0.0F;
    m3_error err = {0};
    check(m3_store_read(t->store, name, &value, sizeof value, &err), &err);
    return value;
}

static void write_scalar(const trainee *t, const char *name, float value)
{
    const m3_shape none = {0};
    m3_error err = {0};
    check(m3_store_write(t->store, name, M3_F32, &none, &value, &err), &err);
}

/* A step in one piece or in two, with rows of the table updated lazily or all of them. */
static void one_step(trainee *t, bool in_parts, int number)
{
    if (!in_parts) {
        step(t, number, ROWS, 1, 0);
        return;
    }
    feed(t, t->accumulate, ROWS, 1, 0);
    run(t, t->accumulate);
    float *count = m3_executable_input(t->apply, "count", NULL);
    *count = 1.0F;
    feed_step(t, t->apply, number);
    run(t, t->apply);
}

static void an_overflow_changes_nothing(void **state)
{
    enum { ROOM = 1 << 14 };
    static float before[ROOM], after[ROOM];
    const bool in_parts = *(const bool *)*state;
    m3_model_config config = small();
    set(&config, "precision", "f16");
    set(&config, "loss", "sampled");
    trainee t = train(config, ROWS);
    const m3_executable *last = in_parts ? t.apply : t.step;
    one_step(&t, in_parts, 1);
    assert_true(!isfinite(t.norm) && scalar(&t, "loss_scale") == 32768.0F); /* gradients near 1e4 at first */
    write_scalar(&t, "loss_scale", 1.0F);
    one_step(&t, in_parts, 1);
    assert_true(isfinite(t.norm) && scalar(&t, "loss_scale") == 1.0F);
    assert_true(scalar(&t, "loss_scale.good_steps") == 1.0F);
    const size_t count = read_store(&t, before, ROOM);
    write_scalar(&t, "loss_scale", 1e30F); /* times any gradient is beyond f16 */
    one_step(&t, in_parts, 2);
    assert_true(*(const float *)m3_executable_output((m3_executable *)last, "overflow", NULL) == 1.0F);
    assert_true(isfinite(t.loss) && !isfinite(t.norm));
    assert_true(scalar(&t, "loss_scale") == 0.5F * 1e30F && scalar(&t, "loss_scale.good_steps") == 0.0F);
    assert_int_equal(read_store(&t, after, ROOM), count);
    assert_memory_equal(before, after, count * sizeof *before);
    write_scalar(&t, "loss_scale", 4.0F);
    write_scalar(&t, "loss_scale.good_steps", 1999.0F);
    one_step(&t, in_parts, 2);
    assert_true(*(const float *)m3_executable_output((m3_executable *)last, "overflow", NULL) == 0.0F);
    assert_true(scalar(&t, "loss_scale") == 8.0F && scalar(&t, "loss_scale.good_steps") == 0.0F);
    (void)read_store(&t, after, ROOM);
    assert_memory_not_equal(before, after, count * sizeof *before);
    end(&t);
}

int main(void)
{
    static const bool whole = false, in_parts = true;
    const struct CMUnitTest tests[] = {
        {"padded rows count for nothing in the full loss", padded_rows_count_for_nothing, NULL, NULL, "full"},
        {"padded rows count for nothing in the sampled loss", padded_rows_count_for_nothing, NULL, NULL, "sampled"},
        cmocka_unit_test(accumulated_batches_make_one_step),
        cmocka_unit_test(lazy_rows_equal_dense_rows_while_moments_are_zero),
        cmocka_unit_test(lazy_rows_that_are_not_used_stand_still),
        {"a step over a window is the lazy step", a_window_is_the_lazy_step, NULL, NULL, (void *)&few_rows},
        {"so is one over a window of all rows", a_window_is_the_lazy_step, NULL, NULL, (void *)&all_rows},
        cmocka_unit_test(the_padding_item_stays_zero),
        {"recomputing keeps every bit: f32", recomputing_takes_less_memory_and_keeps_every_bit, NULL, NULL, "f32"},
        {"recomputing keeps every bit: bf16", recomputing_takes_less_memory_and_keeps_every_bit, NULL, NULL, "bf16"},
        cmocka_unit_test(draws_follow_the_step),
        cmocka_unit_test(dropout_acts_in_training_alone),
        cmocka_unit_test(a_batch_without_any_history_trains),
        {"a step that overflows in f16 changes nothing", an_overflow_changes_nothing, NULL, NULL, (void *)&whole},
        {"nor does one of accumulated batches", an_overflow_changes_nothing, NULL, NULL, (void *)&in_parts},
    };
    return cmocka_run_group_tests(tests, start, stop);
}
