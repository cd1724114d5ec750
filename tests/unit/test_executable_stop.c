/* executable_stop: a run that is stopped leaves the store as it was, or goes on to its end. */
#include "executable_bench.h"

static volatile int wanted;

static m3_status same_as_input(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    out[0].dtype = node->in[0]->dtype;
    out[0].shape = node->in[0]->shape;
    return M3_OK;
}

/* Somebody presses Ctrl-C while it runs. */
static m3_status copy_and_stop(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    memcpy(out[0], in[0], m3_tensor_count(node->in[0]) * sizeof **in);
    wanted = 1;
    return M3_OK;
}

static const m3_op *find_stopping(void *user, const char *name)
{
    static const m3_op stopping = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                                   .name = "test.stop",
                                   .min_inputs = 1,
                                   .max_inputs = 1,
                                   .outputs = 1,
                                   .infer = same_as_input,
                                   .evaluate = copy_and_stop};
    (void)user;
    return strcmp(name, stopping.name) == 0 ? &stopping : NULL;
}

/* a becomes -stop(x) and c tanh(x): `late` says that c does before. */
static void stops_in_the_middle(bench *b, bool late, bool anywhere, m3_status want)
{
    const m3_op_lookup lookup = {find_stopping, NULL};
    const float data[4] = {0, 0, 0, 0};
    m3_graph *graph = NULL;
    m3_error err = {0};
    assert_int_equal(m3_graph_create(&lookup, &graph, NULL), M3_OK);
    m3_builder *builder = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(builder, "x", M3_F32, M3_SHAPE(4));
    m3_tensor *a = m3_graph_state(builder, "a", M3_F32, M3_SHAPE(4), (m3_init){M3_INIT_CONSTANT, 1.0F, 0});
    m3_tensor *c = m3_graph_state(builder, "c", M3_F32, M3_SHAPE(4), (m3_init){M3_INIT_CONSTANT, 3.0F, 0});
    if (late) m3_graph_update(builder, c, m3_tanh(builder, x));
    m3_graph_update(builder, a, m3_neg(builder, m3_emit1(builder, "test.stop", x)));
    if (!late) m3_graph_update(builder, c, m3_tanh(builder, x));
    compile(b, graph);
    memcpy(m3_executable_input(b->executable, "x", NULL), data, sizeof data);
    wanted = 0;
    m3_executable_set_stop(b->executable, &wanted, anywhere);
    assert_int_equal(m3_executable_run(b->executable, &err), want);
    assert_int_equal(wanted, 1);
    wanted = 0;
}

static void a_run_stops_before_it_has_changed_anything(void **state)
{
    (void)state;
    const float ones[4] = {1, 1, 1, 1}, threes[4] = {3, 3, 3, 3}, zeros[4] = {0, 0, 0, 0};
    static const struct {
        bool late, anywhere;
        m3_status want;
        bool changed; /* a and c, else the one or none */
    } cases[] = {
        {false, false, M3_ERR_INTERRUPTED, false}, {true, false, M3_OK, true}, {true, true, M3_ERR_INTERRUPTED, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float value[4];
        bench b;
        start(&b, "reference", NULL, NULL);
        stops_in_the_middle(&b, cases[i].late, cases[i].anywhere, cases[i].want);
        assert_int_equal(m3_store_read(b.store, "a", value, sizeof value, NULL), M3_OK);
        near(value, cases[i].changed ? zeros : ones, 4);
        assert_int_equal(m3_store_read(b.store, "c", value, sizeof value, NULL), M3_OK);
        if (!cases[i].anywhere) near(value, cases[i].changed ? zeros : threes, 4);
        stop(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_stops_before_it_has_changed_anything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
