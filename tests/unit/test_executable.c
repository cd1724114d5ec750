/* executable: what a graph means is what a run gives, whatever shares memory, on one device and on two.
 * Labels: errors */
#include "m3bsr/runtime.h"

#include <math.h>
#include <setjmp.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "core/runtime/executable.h"
#include "executable_bench.h"
#include "random_graph.h"

/* Cases: a graph over x f32 [4] and states a = 1, c = 3 (f32 [4]); after two runs with x = 10, 11, 12, 13. */

typedef struct leaves {
    m3_tensor *x, *a, *c;
} leaves;

static void out(m3_builder *b, const char *name, m3_tensor *y)
{
    m3_graph_output(b, name, y);
}

static void adds(m3_builder *b, leaves l)
{
    m3_graph_update(b, l.a, m3_add(b, l.a, l.x));
}

static void reads_old(m3_builder *b, leaves l)
{
    m3_tensor *next = m3_add(b, l.a, l.x);
    out(b, "y", m3_mul(b, next, l.a));
    m3_graph_update(b, l.a, next);
}

static void swaps(m3_builder *b, leaves l)
{
    m3_graph_update(b, l.a, l.c);
    m3_graph_update(b, l.c, l.a);
}

static void takes_input(m3_builder *b, leaves l)
{
    m3_graph_update(b, l.a, l.x);
}

static void takes_itself(m3_builder *b, leaves l)
{
    m3_graph_update(b, l.a, m3_reshape(b, m3_reshape(b, l.a, M3_SHAPE(2, 2)), M3_SHAPE(4)));
}

static void shares_value(m3_builder *b, leaves l)
{
    m3_tensor *value = m3_neg(b, l.x);
    m3_graph_update(b, l.a, value);
    m3_graph_update(b, l.c, value);
    out(b, "y", value);
}

static void takes_slice(m3_builder *b, leaves l)
{
    m3_tensor *both[2] = {l.x, l.a};
    m3_tensor *twice = m3_concat(b, both, 2, 0);
    m3_graph_update(b, l.a, m3_slice(b, twice, 0, 0, 4));
    m3_graph_update(b, l.c, m3_slice(b, twice, 0, 4, 4));
}

static void takes_constant(m3_builder *b, leaves l)
{
    const float two[4] = {2, 2, 2, 2};
    (void)l.x;
    m3_graph_update(b, l.a, m3_constant(b, M3_F32, &l.a->shape, two));
}

static void shows_old_state(m3_builder *b, leaves l)
{
    out(b, "y", l.a);
    m3_graph_update(b, l.a, m3_add(b, l.a, l.x));
}

static void shows_slice_of_old_state(m3_builder *b, leaves l)
{
    m3_graph_update(b, l.a, m3_add(b, l.a, l.x));
    out(b, "y", m3_broadcast(b, m3_neg(b, m3_slice(b, l.a, 0, 2, 1)), M3_SHAPE(4)));
}

static void passes_input_through(m3_builder *b, leaves l)
{
    out(b, "y", l.x);
    out(b, "again", l.x);
}

static void shows_one_tensor_twice(m3_builder *b, leaves l)
{
    m3_tensor *y = m3_neg(b, l.x);
    out(b, "y", y);
    out(b, "again", y);
    out(b, "square", m3_reshape(b, y, M3_SHAPE(2, 2)));
}

static void shows_slice(m3_builder *b, leaves l)
{
    m3_tensor *both[2] = {l.x, l.a};
    out(b, "y", m3_slice(b, m3_concat(b, both, 2, 0), 0, 4, 4));
}

static void shows_constant(m3_builder *b, leaves l)
{
    const float two[4] = {2, 2, 2, 2};
    out(b, "y", m3_constant(b, M3_F32, &l.a->shape, two));
}

static void shows_new_state(m3_builder *b, leaves l)
{
    m3_tensor *next = m3_add(b, l.a, l.x);
    m3_graph_update(b, l.a, next);
    out(b, "y", next);
}

static void matmul_is_not_in_place(m3_builder *b, leaves l)
{
    m3_tensor *square = m3_reshape(b, l.a, M3_SHAPE(2, 2));
    m3_graph_update(b, l.a, m3_reshape(b, m3_matmul(b, square, square, false, false), M3_SHAPE(4)));
}

static const struct row {
    const char *name;
    void (*build)(m3_builder *b, leaves l);
    float a[4], c[4], y[4];
    bool has_y;
} rows[] = {
    {"an update adds up over runs", adds, {21, 23, 25, 27}, {3, 3, 3, 3}, {0}, false},
    {"a read after the new value sees the old one",
     reads_old,
     {21, 23, 25, 27},
     {3, 3, 3, 3},
     {21 * 11, 23 * 12, 25 * 13, 27 * 14},
     true},
    {"two states can change places", swaps, {1, 1, 1, 1}, {3, 3, 3, 3}, {0}, false},
    {"a state takes an input", takes_input, {10, 11, 12, 13}, {3, 3, 3, 3}, {0}, false},
    {"a state takes itself", takes_itself, {1, 1, 1, 1}, {3, 3, 3, 3}, {0}, false},
    {"two states and an output take one value",
     shares_value,
     {-10, -11, -12, -13},
     {-10, -11, -12, -13},
     {-10, -11, -12, -13},
     true},
    {"states take slices of one tensor", takes_slice, {10, 11, 12, 13}, {10, 11, 12, 13}, {0}, false},
    {"a state takes a constant", takes_constant, {2, 2, 2, 2}, {3, 3, 3, 3}, {0}, false},
    {"an output shows the old state", shows_old_state, {21, 23, 25, 27}, {3, 3, 3, 3}, {11, 12, 13, 14}, true},
    {"a slice shows the old state",
     shows_slice_of_old_state,
     {21, 23, 25, 27},
     {3, 3, 3, 3},
     {-13, -13, -13, -13},
     true},
    {"an input is an output", passes_input_through, {1, 1, 1, 1}, {3, 3, 3, 3}, {10, 11, 12, 13}, true},
    {"one tensor has three names", shows_one_tensor_twice, {1, 1, 1, 1}, {3, 3, 3, 3}, {-10, -11, -12, -13}, true},
    {"a slice is an output", shows_slice, {1, 1, 1, 1}, {3, 3, 3, 3}, {1, 1, 1, 1}, true},
    {"a constant is an output", shows_constant, {1, 1, 1, 1}, {3, 3, 3, 3}, {2, 2, 2, 2}, true},
    {"a new state is an output", shows_new_state, {21, 23, 25, 27}, {3, 3, 3, 3}, {21, 23, 25, 27}, true},
    {"a product is not computed over its factor", matmul_is_not_in_place, {8, 8, 8, 8}, {3, 3, 3, 3}, {0}, false},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void check_output(bench *b, const char *name, const float *want)
{
    uint64_t bytes = 0;
    const float *y = m3_executable_output(b->executable, name, &bytes);
    if (y == NULL && strcmp(name, "y") != 0) return; /* not every case has all names */
    assert_non_null(y);
    assert_int_equal(bytes, 16);
    near(y, want, 4);
}

static void means_what_it_says(void **state)
{
    const struct row *row = *state;
    const float x[4] = {10, 11, 12, 13};
    float value[4];
    bench b;
    start(&b, "reference", NULL, NULL);
    m3_graph *graph = new_graph();
    m3_builder *builder = m3_graph_builder(graph);
    const leaves l = {m3_graph_input(builder, "x", M3_F32, M3_SHAPE(4)),
                      m3_graph_state(builder, "a", M3_F32, M3_SHAPE(4), (m3_init){M3_INIT_CONSTANT, 1.0F, 0}),
                      m3_graph_state(builder, "c", M3_F32, M3_SHAPE(4), (m3_init){M3_INIT_CONSTANT, 3.0F, 0})};
    row->build(builder, l);
    compile(&b, graph);
    float *input = m3_executable_input(b.executable, "x", NULL);
    if (input != NULL) memcpy(input, x, sizeof x);
    run(&b);
    run(&b);
    if (m3_store_find(b.store, "a", NULL)) {
        assert_int_equal(m3_store_read(b.store, "a", value, sizeof value, NULL), M3_OK);
        near(value, row->a, 4);
    }
    if (m3_store_find(b.store, "c", NULL)) {
        assert_int_equal(m3_store_read(b.store, "c", value, sizeof value, NULL), M3_OK);
        near(value, row->c, 4);
    }
    if (row->has_y) {
        check_output(&b, "y", row->y);
        check_output(&b, "again", row->y);
        check_output(&b, "square", row->y);
    }
    stop(&b);
}

/* A run that is stopped: its store is that of before it. */

static volatile int wanted;

static void stopped(bench *b)
{
    m3_error err = {0};
    wanted = 1;
    m3_executable_set_stop(b->executable, &wanted, false);
    assert_int_equal(m3_executable_run(b->executable, &err), M3_ERR_INTERRUPTED);
    assert_int_equal(err.code, M3_ERR_INTERRUPTED);
    wanted = 0;
}

static void an_empty_graph_runs(void **state)
{
    (void)state;
    bench b;
    start(&b, "reference", NULL, NULL);
    compile(&b, new_graph());
    run(&b);
    assert_int_equal(m3_executable_node_count(b.executable), 0);
    assert_null(m3_executable_input(b.executable, "x", NULL));
    assert_null(m3_executable_output(b.executable, "y", NULL));
    stop(&b);
}

static void tensors_without_elements_have_places(void **state)
{
    (void)state;
    bench b;
    uint64_t bytes = 1;
    start(&b, "reference", NULL, NULL);
    m3_graph *graph = new_graph();
    m3_builder *builder = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(builder, "x", M3_F32, M3_SHAPE(0, 3));
    m3_tensor *s = m3_graph_state(builder, "s", M3_F32, M3_SHAPE(0, 3), (m3_init){M3_INIT_CONSTANT, 1.0F, 0});
    m3_tensor *y = m3_tanh(builder, m3_add(builder, x, s));
    m3_graph_output(builder, "y", y);
    m3_graph_output(builder, "sum", m3_reduce_sum(builder, y, 0, M3_DROP));
    m3_graph_update(builder, s, y);
    compile(&b, graph);
    run(&b);
    assert_non_null(m3_executable_output(b.executable, "y", &bytes));
    assert_int_equal(bytes, 0);
    const float *sum = m3_executable_output(b.executable, "sum", &bytes);
    assert_int_equal(bytes, 12);
    near(sum, (const float[3]){0, 0, 0}, 3);
    stop(&b);
}

/* Random graphs: a run against the meaning of the graph, on one device or two. */

static double **new_values(const m3_graph *graph)
{
    return calloc(m3_graph_tensor_count(graph), sizeof(double *));
}

static void free_values(const m3_graph *graph, double **values)
{
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) free(values[i]);
    free(values);
}

static void set_leaf(const m3_graph *graph, double **values, const char *name, const float *data)
{
    const m3_tensor *x = m3_graph_find(graph, name);
    if (values[x->id] == NULL) values[x->id] = calloc(m3_tensor_count(x), sizeof(double));
    for (uint64_t i = 0; i < m3_tensor_count(x); i++) values[x->id][i] = (double)data[i];
}

static void close_to(const double *want, const float *got, uint64_t count, const char *name, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= 2e-5 * (1.0 + fabs(want[i]))))
            fail_msg("graph %llu: element %llu of %s is %g instead of %g", (unsigned long long)seed,
                     (unsigned long long)i, name, (double)got[i], want[i]);
}

static void load_leaves(bench *b, const m3_graph *graph, double **values, uint32_t round)
{
    static const char *const stored[] = {"s0", "s1", "s2", "p"};
    static const char *const inputs[] = {"i0", "i1", "i2"};
    float data[48];
    for (size_t i = 0; i < 4; i++) {
        if (!m3_store_find(b->store, stored[i], NULL)) { /* not in the graph after passes */
            memset(data, 0, sizeof data);
        } else {
            const uint64_t bytes = m3_tensor_bytes(m3_graph_find(graph, stored[i]));
            assert_int_equal(m3_store_read(b->store, stored[i], data, bytes, NULL), M3_OK);
        }
        set_leaf(graph, values, stored[i], data);
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 48; k++) data[k] = sinf((float)(k + 100 * i + 1000 * round));
        float *input = m3_executable_input(b->executable, inputs[i], NULL);
        if (input != NULL) memcpy(input, data, sizeof data);
        set_leaf(graph, values, inputs[i], data);
    }
}

static void check_round(bench *b, const m3_graph *graph, double **values, uint64_t seed)
{
    float data[96];
    const char *name = NULL;
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) {
        const m3_tensor *x = m3_graph_output_at(graph, i, &name);
        close_to(values[x->id], m3_executable_output(b->executable, name, NULL), m3_tensor_count(x), name, seed);
    }
    for (uint32_t i = 0; i < m3_graph_update_count(graph); i++) {
        m3_tensor *value = NULL;
        const m3_tensor *s = m3_graph_update_at(graph, i, &value);
        assert_int_equal(m3_store_read(b->store, s->name, data, m3_tensor_bytes(s), NULL), M3_OK);
        close_to(values[value->id], data, m3_tensor_count(s), s->name, seed);
    }
}

static const struct many {
    const char *name, *device, *refuse, *fallback;
    bool passes;
} many[] = {
    {"random graphs on the reference", "reference", NULL, NULL, false},
    {"random graphs after all passes", "reference", NULL, NULL, true},
    {"random graphs over two devices", "reference", "tanh+slice", "reference", false},
    {"random graphs that the other device updates", "reference", "add+sin+concat", "reference", true},
    {"random graphs on the cpu", "cpu", NULL, NULL, false},
    {"random graphs on the cpu and the reference", "cpu", "tanh+mul+slice", "reference", false},
};
enum { MANY = sizeof many / sizeof many[0] };

static void random_graphs_mean_what_they_say(void **state)
{
    const struct many *row = *state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        bench b;
        random_graph r;
        m3_error err = {0};
        start(&b, row->device, row->refuse != NULL ? "refuse" : NULL, row->refuse);
        m3_device *other = row->fallback != NULL ? open_with(b.engine, row->fallback, NULL, NULL) : NULL;
        assert_int_equal(random_graph_make(&r, seed, 20 + (uint32_t)seed, &err), M3_OK);
        m3_compile_options options = {.size = sizeof options, .name = "random"};
        if (!row->passes) options.no_pass = m3_pass_names();
        if (other != NULL) options.fallbacks = (m3_span){1, sizeof(m3_device *), &other};
        m3_status st = m3_executable_create(b.device, b.store, r.graph, &options, &b.executable, &err);
        if (st != M3_OK) print_error("graph %llu: %s\n", (unsigned long long)seed, err.message);
        assert_int_equal(st, M3_OK);
        for (uint32_t round = 0; round < 3; round++) {
            double **values = new_values(r.graph);
            load_leaves(&b, r.graph, values, round);
            assert_int_equal(random_graph_evaluate(r.graph, values, &err), M3_OK);
            if (round == 0 && b.executable->schedule.step_count > 0) stopped(&b);
            run(&b);
            check_round(&b, r.graph, values, seed);
            free_values(r.graph, values);
        }
        m3_graph_free(r.graph);
        m3_executable_free(b.executable);
        b.executable = NULL;
        m3_device_close(other);
        stop(&b);
    }
}

/* Two devices: messages. */

static m3_graph *two_layers(void)
{
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2, 3));
    m3_tensor *y = m3_tanh(b, x);
    m3_tensor *z = m3_tanh(b, m3_neg(b, y));
    m3_graph_output(b, "y", m3_add(b, z, y));
    return graph;
}

static void a_fallback_is_told_once(void **state)
{
    (void)state;
    bench b;
    m3_error err = {0};
    start(&b, "reference", "refuse", "tanh");
    m3_device *other = open_with(b.engine, "reference", NULL, NULL);
    m3_graph *graph = two_layers();
    m3_compile_options options = {.size = sizeof options, .fallbacks = {1, sizeof(m3_device *), &other}};
    assert_int_equal(m3_executable_create(b.device, b.store, graph, &options, &b.executable, &err), M3_OK);
    const char *line = strstr(b.log, "tanh");
    assert_non_null(line);
    assert_non_null(strstr(b.log, "f32 [2, 3]"));
    assert_non_null(strstr(b.log, "refused by the option refuse=tanh"));
    assert_null(strstr(strchr(line, '\n'), "tanh"));
    m3_executable_stats stats = {.size = sizeof stats};
    m3_executable_get_stats(b.executable, &stats);
    assert_int_equal(stats.nodes, 4);
    assert_int_equal(stats.fallback_nodes, 2);
    assert_int_equal(stats.read_bytes, 5 * 6 * sizeof(float));
    assert_int_equal(stats.written_bytes, 4 * 6 * sizeof(float));
    m3_executable_node node = {.size = sizeof node};
    m3_executable_node_at(b.executable, 0, &node);
    assert_string_equal(node.reason, "refused by the option refuse=tanh");
    m3_graph_free(graph);
    m3_executable_free(b.executable);
    b.executable = NULL;
    m3_device_close(other);
    stop(&b);
}

static const struct refusal {
    const char *name;
    bool strict, fallback;
    const char *says;
} refusals[] = {
    {"strict allows no fallback", true, true,
     "reference:0 does not run tanh '' (node 0) -> f32 [2, 3]: refused by the "
     "option refuse=tanh; strict allows no fallback to another device"},
    {"without another device there is none", false, false, "give another device to fall back to"},
};

static void refusal_says_why(void **state)
{
    const struct refusal *row = *state;
    bench b;
    m3_error err = {0};
    start(&b, "reference", "refuse", "tanh");
    m3_device *other = open_with(b.engine, "reference", NULL, NULL);
    m3_graph *graph = two_layers();
    m3_compile_options options = {.size = sizeof options, .strict = row->strict};
    if (row->fallback) options.fallbacks = (m3_span){1, sizeof(m3_device *), &other};
    assert_int_equal(m3_executable_create(b.device, b.store, graph, &options, &b.executable, &err), M3_ERR_UNSUPPORTED);
    assert_null(b.executable);
    assert_non_null(strstr(err.message, row->says));
    m3_graph_free(graph);
    m3_device_close(other);
    stop(&b);
}

/* Memory. */

static bool count_request(void *user, size_t bytes)
{
    (void)bytes;
    ++*(uint32_t *)user;
    return true;
}

static void a_hundred_runs_allocate_nothing(void **state)
{
    const struct many *row = *state;
    uint32_t requests = 0;
    bench b;
    random_graph r;
    start(&b, row->device, row->refuse != NULL ? "refuse" : NULL, row->refuse);
    m3_device *other = row->fallback != NULL ? open_with(b.engine, row->fallback, NULL, NULL) : NULL;
    assert_int_equal(random_graph_make(&r, 5, 60, NULL), M3_OK);
    m3_compile_options options = {.size = sizeof options};
    if (other != NULL) options.fallbacks = (m3_span){1, sizeof(m3_device *), &other};
    assert_int_equal(m3_executable_create(b.device, b.store, r.graph, &options, &b.executable, NULL), M3_OK);
    run(&b);
    m3_alloc_set_gate(count_request, &requests);
    for (int i = 0; i < 100; i++) run(&b);
    m3_alloc_set_gate(NULL, NULL);
    assert_int_equal(requests, 0);
    m3_graph_free(r.graph);
    m3_executable_free(b.executable);
    b.executable = NULL;
    m3_device_close(other);
    stop(&b);
}

typedef struct failing {
    uint32_t seen, at;
    bool for_good;
} failing;

static bool fail_one(void *user, size_t bytes)
{
    failing *f = user;
    (void)bytes;
    const uint32_t now = f->seen++;
    return f->for_good ? now < f->at : now != f->at;
}

static void each_failed_allocation_is_survived(void **state)
{
    const bool for_good = *state != NULL;
    bench b;
    random_graph r;
    m3_status st = M3_ERR_MEMORY;
    start(&b, "reference", "refuse", "tanh");
    m3_device *other = open_with(b.engine, "reference", NULL, NULL);
    assert_int_equal(random_graph_make(&r, 3, 16, NULL), M3_OK);
    m3_compile_options options = {.size = sizeof options, .fallbacks = {1, sizeof(m3_device *), &other}};
    uint32_t failed = 0;
    for (; st != M3_OK && failed < 100000; failed++) {
        failing f = {0, failed, for_good};
        m3_error err = {0};
        m3_store *store = NULL;
        m3_executable *executable = NULL;
        assert_int_equal(m3_store_create(b.device, 1, &store, NULL), M3_OK);
        m3_alloc_set_gate(fail_one, &f);
        st = m3_executable_create(b.device, store, r.graph, &options, &executable, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK) {
            assert_int_equal(st, M3_ERR_MEMORY);
            assert_int_equal(err.code, M3_ERR_MEMORY);
            assert_null(executable);
        }
        m3_executable_free(executable);
        m3_store_free(store);
    }
    assert_int_equal(st, M3_OK);
    assert_true(failed > 50);
    m3_graph_free(r.graph);
    m3_device_close(other);
    stop(&b);
}

/* Stores. */

static void starts_do_not_depend_on_order(void **state)
{
    (void)state;
    float first[2][8], second[2][8];
    static const char *const names[] = {"w", "v"};
    for (int reverse = 0; reverse < 2; reverse++) {
        bench b;
        start(&b, "reference", NULL, NULL);
        m3_graph *graph = new_graph();
        m3_builder *builder = m3_graph_builder(graph);
        for (int i = 0; i < 2; i++) {
            const char *name = names[reverse ? 1 - i : i];
            m3_tensor *w =
                m3_graph_parameter(builder, name, M3_SHAPE(4, 2), (m3_init){M3_INIT_NORMAL, 0.5F, name[0] == 'v'});
            m3_graph_output(builder, name, m3_neg(builder, w));
        }
        compile(&b, graph);
        for (int i = 0; i < 2; i++)
            assert_int_equal(m3_store_read(b.store, names[i], reverse ? second[i] : first[i], 32, NULL), M3_OK);
        stop(&b);
    }
    assert_memory_equal(first, second, sizeof first);
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    near(first[1], (const float[2]){0, 0}, 2);
    float sum = 0.0F;
    for (int i = 0; i < 8; i++) sum += fabsf(first[0][i]);
    assert_true(sum > 0.5F && sum < 10.0F);
}

static void a_written_parameter_is_kept(void **state)
{
    (void)state;
    const float given[4] = {5, 6, 7, 8};
    const m3_shape shape = M3_SHAPE(4), other = M3_SHAPE(2, 2);
    bench b;
    m3_error err = {0};
    m3_store_entry entry;
    start(&b, "reference", NULL, NULL);
    assert_int_equal(m3_store_write(b.store, "w", M3_F32, &shape, given, NULL), M3_OK);
    m3_graph *graph = new_graph();
    m3_builder *builder = m3_graph_builder(graph);
    m3_tensor *w = m3_graph_state(builder, "w", M3_F32, shape, (m3_init){M3_INIT_CONSTANT, 1.0F, 0});
    m3_graph_output(builder, "y", m3_neg(builder, w));
    compile(&b, graph);
    run(&b);
    near(m3_executable_output(b.executable, "y", NULL), (const float[4]){-5, -6, -7, -8}, 4);
    assert_true(m3_store_find(b.store, "w", &entry));
    assert_int_equal(entry.kind, M3_STATE);
    assert_int_equal(m3_store_write(b.store, "w", M3_F32, &other, given, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "the store has it as f32 [4], now it is f32 [2, 2]"));
    stop(&b);
}

static void a_lost_device_stays_lost(void **state)
{
    (void)state;
    bench b;
    m3_error err = {0}, again = {0};
    start(&b, "reference", "fail_after", "2");
    compile(&b, two_layers());
    run(&b);
    m3_status st = M3_OK;
    for (int i = 0; i < 4 && st == M3_OK; i++) st = m3_executable_run(b.executable, &err);
    assert_int_equal(st, M3_ERR_DEVICE_LOST);
    assert_int_equal(m3_executable_run(b.executable, &again), M3_ERR_DEVICE_LOST);
    assert_string_equal(err.message, again.message);
    stop(&b);
}

static void profiled_runs_have_times(void **state)
{
    (void)state;
    bench b;
    m3_error err = {0};
    m3_executable_node node = {.size = sizeof node};
    start(&b, "reference", NULL, NULL);
    compile(&b, two_layers());
    for (int on = 1; on >= 0; on--) {
        uint64_t sum = 0;
        assert_int_equal(m3_executable_profile(b.executable, on != 0, &err), M3_OK);
        run(&b);
        for (uint32_t i = 0; i < m3_executable_node_count(b.executable); i++) {
            m3_executable_node_at(b.executable, i, &node);
            sum += node.time_ns;
        }
        assert_int_equal(sum > 0, on);
    }
    stop(&b);
}

static void the_dump_names_every_node(void **state)
{
    (void)state;
    char text[8192] = "";
    bench b;
    start(&b, "reference", NULL, NULL);
    compile(&b, two_layers());
    FILE *to = fmemopen(text, sizeof text, "w");
    m3_executable_dump(b.executable, to);
    (void)fclose(to);
    assert_non_null(strstr(text, "graph on reference:0: 4 nodes (0 on other devices), 24 FLOP"));
    assert_non_null(strstr(text, "scratch0+"));
    assert_non_null(strstr(text, "output0+0"));
    assert_non_null(strstr(text, "peak of temporaries"));
    stop(&b);
}

static void a_tensor_beyond_the_largest_buffer_is_refused(void **state)
{
    (void)state;
    bench b;
    m3_error err = {0};
    start(&b, "reference", "largest_buffer", "128");
    m3_graph *graph = new_graph();
    m3_builder *builder = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(builder, "x", M3_F32, M3_SHAPE(8));
    m3_tensor *wide = m3_broadcast(builder, x, M3_SHAPE(8, 8));
    m3_graph_output(builder, "y", m3_reduce_sum(builder, m3_tanh(builder, wide), 0, M3_DROP));
    assert_int_equal(m3_executable_create(b.device, b.store, graph, NULL, &b.executable, &err), M3_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "f32 [8, 8]"));
    assert_non_null(strstr(err.message, "needs 256 bytes in one piece, the largest buffer of reference:0 has 128"));
    m3_graph_free(graph);
    stop(&b);
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(an_empty_graph_runs),
        cmocka_unit_test(tensors_without_elements_have_places),
        cmocka_unit_test(a_fallback_is_told_once),
        cmocka_unit_test(starts_do_not_depend_on_order),
        cmocka_unit_test(a_written_parameter_is_kept),
        cmocka_unit_test(a_lost_device_stays_lost),
        cmocka_unit_test(profiled_runs_have_times),
        cmocka_unit_test(the_dump_names_every_node),
        cmocka_unit_test(a_tensor_beyond_the_largest_buffer_is_refused),
        {"each failed allocation is survived", each_failed_allocation_is_survived, NULL, NULL, NULL},
        {"each allocation that fails from then on", each_failed_allocation_is_survived, NULL, NULL, (void *)rows},
        {"a hundred runs allocate nothing", a_hundred_runs_allocate_nothing, NULL, NULL, (void *)&many[0]},
        {"nor do they over two devices", a_hundred_runs_allocate_nothing, NULL, NULL, (void *)&many[2]},
        {"nor on the cpu", a_hundred_runs_allocate_nothing, NULL, NULL, (void *)&many[4]},
        {refusals[0].name, refusal_says_why, NULL, NULL, (void *)&refusals[0]},
        {refusals[1].name, refusal_says_why, NULL, NULL, (void *)&refusals[1]},
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[ROWS + MANY + OTHERS];
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        tests[count++] = (struct CMUnitTest){rows[i].name, means_what_it_says, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < OTHERS; i++) tests[count++] = others[i];
    for (size_t i = 0; i < MANY; i++)
        tests[count++] =
            (struct CMUnitTest){many[i].name, random_graphs_mean_what_they_say, NULL, NULL, (void *)&many[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
