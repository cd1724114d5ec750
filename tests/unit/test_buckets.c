/* buckets: states that are wanted early are grouped by when they can be ready, a run has their new values as soon as
 * that, and all is computed as without.   Labels: errors */
#include "core/base/alloc.h"
#include "core/passes/pass.h"
#include "executable_bench.h"
#include "tests/support/data_source.h"

enum { LAYERS = 5, WIDTH = 8, LARGE = 40 };

/* h(k+1) = tanh(h(k)), and sum.k += h(k+1) behind all of them, as a step has its gradients; the last one is large. */
static m3_graph *sums(void)
{
    m3_graph *graph = NULL;
    char name[16];
    assert_int_equal(m3_graph_create(NULL, &graph, NULL), M3_OK);
    m3_builder *b = m3_graph_builder(graph);
    const m3_init ones = {M3_INIT_CONSTANT, 1.0F, 0};
    m3_tensor *h = m3_graph_input(b, "x", M3_F32, M3_SHAPE(WIDTH)), *made[LAYERS];
    for (int k = 0; k < LAYERS; k++) made[k] = h = m3_tanh(b, h);
    m3_tensor *other = m3_graph_state(b, "other", M3_F32, M3_SHAPE(WIDTH), ones);
    m3_graph_update(b, other, m3_add(b, other, made[0]));
    for (int k = LAYERS; k-- > 0;) { /* in another order */
        const m3_shape shape = k + 1 < LAYERS ? M3_SHAPE(WIDTH) : M3_SHAPE(LARGE, WIDTH);
        (void)snprintf(name, sizeof name, "sum.%d", k);
        m3_tensor *sum = m3_graph_state(b, name, M3_F32, shape, ones);
        m3_graph_update(b, sum, m3_add(b, sum, m3_broadcast(b, made[k], shape)));
    }
    m3_graph_output(b, "h", h);
    assert_int_equal(m3_builder_status(b, NULL), M3_OK);
    return graph;
}

static m3_buckets group(const m3_graph *graph, uint32_t most, uint64_t least, uint32_t want)
{
    m3_error err = {0};
    m3_buckets buckets;
    assert_int_equal(m3_buckets_make(&buckets, graph, "sum.", most, least, &err), M3_OK);
    assert_int_equal(buckets.count, want);
    assert_int_equal(buckets.states, LAYERS);
    assert_int_equal(m3_buckets_find(&buckets, "other"), M3_NO_BUCKET);
    return buckets;
}

/* Each row: buckets at most, bytes of one at least, and the bucket of each sum. */
static void groups_by_time_and_bytes(void **state)
{
    (void)state;
    static const struct {
        uint32_t most;
        uint64_t least;
        uint32_t want[LAYERS];
    } rows[] = {
        {1, 1, {0, 0, 0, 0, 0}},       {2, 1, {0, 0, 0, 0, 1}}, /* the large one alone */
        {3, 1, {0, 0, 1, 1, 2}},       {9, 1, {0, 1, 2, 3, 4}}, {9, 3 * WIDTH * sizeof(float), {0, 0, 0, 1, 1}},
        {9, 1 << 20, {0, 0, 0, 0, 0}},
    };
    m3_graph *graph = sums();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m3_buckets b = group(graph, rows[i].most, rows[i].least, rows[i].want[LAYERS - 1] + 1);
        for (uint32_t k = 0; k < LAYERS; k++) {
            char name[16];
            (void)snprintf(name, sizeof name, "sum.%u", k);
            assert_int_equal(m3_buckets_find(&b, name), rows[i].want[k]);
        }
        m3_buckets_fini(&b);
    }
    m3_graph_free(graph);
}

typedef struct watcher {
    bench *b;
    float want[LAYERS];
    uint32_t ready;
} watcher;

static float first_of(const bench *b, uint32_t k)
{
    float values[LARGE * WIDTH];
    char name[16];
    m3_store_entry entry;
    (void)snprintf(name, sizeof name, "sum.%u", k);
    assert_true(m3_store_find(b->store, name, &entry));
    assert_int_equal(m3_store_read(b->store, name, values, m3_shape_count(&entry.shape) * sizeof(float), NULL), M3_OK);
    return values[0];
}

/* What is ready has its new value, and what is not is still to be computed. */
static m3_status look(void *user, uint32_t buckets, m3_error *err)
{
    watcher *w = user;
    (void)err;
    assert_int_equal(buckets, w->ready + 1);
    w->ready = buckets;
    for (uint32_t k = 0; k < LAYERS; k++)
        assert_true(fabsf(first_of(w->b, k) - (k < buckets ? w->want[k] : 1.0F)) < 1e-6F);
    return M3_OK;
}

static m3_status refuse(void *user, uint32_t buckets, m3_error *err)
{
    (void)user;
    return M3_FAIL(err, M3_ERR_IO, "test", "bucket %u is not wanted", buckets);
}

static void start_early(bench *b, const m3_buckets *buckets, m3_graph *graph)
{
    m3_error err = {0};
    static const char *const no_pass[] = {"chain", NULL}; /* which would make all of it one node */
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, precision), .no_pass = no_pass};
    start(b, "cpu", NULL, NULL);
    if (m3_executable_create_early(b->device, b->store, graph, &options, buckets, &b->executable, &err) != M3_OK)
        fail_msg("%s: %s", err.subject, err.message);
    for (int i = 0; i < WIDTH; i++) ((float *)m3_executable_input(b->executable, "x", NULL))[i] = 0.5F;
}

static void a_run_has_its_buckets_early(void **state)
{
    (void)state;
    bench b;
    m3_error err = {0};
    m3_graph *graph = sums();
    m3_buckets buckets = group(graph, 9, 1, LAYERS);
    watcher w = {.b = &b};
    float h = 0.5F;
    for (int k = 0; k < LAYERS; k++) w.want[k] = 1.0F + (h = tanhf(h));
    start_early(&b, &buckets, graph);
    assert_int_equal(b.executable->schedule.partition_count, LAYERS);
    m3_executable_set_ready(b.executable, look, &w);
    assert_int_equal(m3_executable_run(b.executable, &err), M3_OK);
    assert_int_equal(w.ready, LAYERS);
    assert_true(fabsf(*(const float *)m3_executable_output(b.executable, "h", NULL) - h) < 1e-6F);
    m3_executable_set_ready(b.executable, refuse, NULL);
    assert_int_equal(m3_executable_run(b.executable, &err), M3_ERR_IO);
    assert_string_equal(err.message, "bucket 1 is not wanted");
    m3_executable_set_ready(b.executable, NULL, NULL);
    assert_int_equal(m3_executable_run(b.executable, &err), M3_OK);
    m3_buckets_fini(&buckets);
    m3_graph_free(graph);
    stop(&b);
}

static void nothing_is_cut_without(void **state)
{
    (void)state;
    bench b;
    m3_graph *graph = sums();
    m3_buckets one = group(graph, 1, 1, 1);
    start_early(&b, &one, graph);
    assert_int_equal(b.executable->schedule.partition_count, 1);
    stop(&b);
    start_early(&b, NULL, graph);
    assert_int_equal(b.executable->schedule.partition_count, 1);
    stop(&b);
    m3_buckets_fini(&one);
    m3_graph_free(graph);
}

static void runs_out_of_memory(void **state)
{
    (void)state;
    m3_graph *graph = sums();
    m3_status st = M3_ERR_MEMORY;
    for (uint64_t at = 0; st != M3_OK; at++) {
        m3_error err = {0};
        m3_graph *ordered = NULL;
        m3_buckets buckets;
        alloc_failure failure = {.at = at, .on = at % 2 == 0};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_buckets_make(&buckets, graph, "sum.", 9, 1, &err);
        const m3_pass_context context = {.buckets = &buckets};
        if (st == M3_OK) st = m3_pass_overlap.run(graph, &context, &ordered, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("request %d: %s: %s", (int)at, err.subject, err.message);
        m3_graph_free(ordered);
        m3_buckets_fini(&buckets);
    }
    m3_graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_by_time_and_bytes),
        cmocka_unit_test(a_run_has_its_buckets_early),
        cmocka_unit_test(nothing_is_cut_without),
        cmocka_unit_test(runs_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
