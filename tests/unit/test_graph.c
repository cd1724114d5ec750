/* graph: what the builder refuses and how it says so, gradients, passes over one small network, memory failures.
 * Labels: errors */
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/passes/pass.h"
#include "tests/support/interpret.h"

#include <cmocka.h> /* last: it defines `fail` */

/* A custom op without a gradient. */
static m3_status opaque_infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static const m3_op *find_custom(void *user, const char *name)
{
    static const m3_op opaque = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                                 .name = "test.opaque",
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .outputs = 1,
                                 .infer = opaque_infer};
    (void)user;
    return strcmp(name, opaque.name) == 0 ? &opaque : NULL;
}

static m3_graph *new_graph(void)
{
    const m3_op_lookup lookup = {find_custom, NULL};
    m3_graph *graph = NULL;
    assert_int_equal(m3_graph_create(&lookup, &graph, NULL), M3_OK);
    return graph;
}

/* Mistakes: each row builds one thing wrong and names what the message must say. */

static void unknown_op(m3_builder *b)
{
    (void)m3_emit1(b, "frobnicate", m3_graph_input(b, "x", M3_F32, M3_SHAPE(2)));
}

static void missing_input(m3_builder *b)
{
    (void)m3_add(b, m3_graph_input(b, "x", M3_F32, M3_SHAPE(2)), NULL);
}

static void too_many_inputs(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
    m3_tensor *in[3] = {x, x, x};
    (void)m3_emit(b, "add", in, 3, NULL, 0);
}

static void wrong_attributes(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
    (void)m3_emit(b, "reshape", &x, 1, NULL, 0);
}

static void shapes_do_not_broadcast(m3_builder *b)
{
    m3_push(b, "experts");
    (void)m3_add(b, m3_graph_input(b, "x", M3_F32, M3_SHAPE(2)), m3_graph_input(b, "y", M3_F32, M3_SHAPE(3)));
}

static void name_is_taken(m3_builder *b)
{
    (void)m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
    (void)m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
}

static void rank_is_too_large(m3_builder *b)
{
    m3_shape shape = {.rank = 7};
    (void)m3_graph_input(b, "x", M3_F32, shape);
}

static void update_of_an_input(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
    m3_graph_update(b, x, x);
}

static void update_of_another_shape(m3_builder *b)
{
    m3_init zero = {M3_INIT_CONSTANT, 0.0F, 0};
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(2), zero);
    m3_graph_update(b, w, m3_graph_input(b, "x", M3_F32, M3_SHAPE(3)));
}

static void update_twice(m3_builder *b)
{
    m3_init zero = {M3_INIT_CONSTANT, 0.0F, 0};
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(2), zero);
    m3_graph_update(b, w, w);
    m3_graph_update(b, w, w);
}

static void output_name_is_taken(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2));
    m3_graph_output(b, "y", x);
    m3_graph_output(b, "y", x);
}

static void loss_is_no_scalar(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2)), *grad = NULL;
    m3_gradients(b, x, &x, 1, &grad);
}

static void op_without_gradient(m3_builder *b)
{
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(2)), *grad = NULL;
    m3_gradients(b, m3_sum_all(b, m3_emit1(b, "test.opaque", x)), &x, 1, &grad);
}

static const struct mistake {
    const char *name;
    void (*build)(m3_builder *b);
    m3_status want;
    const char *about, *says;
} mistakes[] = {
    {"an unknown op is refused by name", unknown_op, M3_ERR_INVALID, "frobnicate", "no op of this name"},
    {"a missing input is refused", missing_input, M3_ERR_INVALID, "add", "input 1 is missing"},
    {"too many inputs are refused", too_many_inputs, M3_ERR_INVALID, "add", "3 inputs given"},
    {"a missing attribute is refused", wrong_attributes, M3_ERR_INVALID, "reshape", "0 attributes given"},
    {"shapes that do not broadcast name the scope", shapes_do_not_broadcast, M3_ERR_INVALID, "experts", "[3]"},
    {"a taken name is refused", name_is_taken, M3_ERR_INVALID, "x", "taken"},
    {"a rank above six is refused", rank_is_too_large, M3_ERR_INVALID, "x", "rank"},
    {"an input cannot be updated", update_of_an_input, M3_ERR_INVALID, "x", "only a parameter or a state"},
    {"an update keeps the shape", update_of_another_shape, M3_ERR_INVALID, "w", "[3]"},
    {"a state is updated once", update_twice, M3_ERR_INVALID, "w", "updated twice"},
    {"an output name is used once", output_name_is_taken, M3_ERR_INVALID, "y", "output of this name"},
    {"a loss is a scalar", loss_is_no_scalar, M3_ERR_INVALID, "gradients", "floating scalar"},
    {"an op without a gradient is refused at build time", op_without_gradient, M3_ERR_UNSUPPORTED, "test.opaque",
     "has no gradient"},
};

static void refuses(void **state)
{
    const struct mistake *row = *state;
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    row->build(b);
    m3_error err = {0};
    assert_int_equal(m3_builder_status(b, &err), row->want);
    if (strstr(err.subject, row->about) == NULL || strstr(err.message, row->says) == NULL)
        fail_msg("subject '%s', message '%s'", err.subject, err.message);
    assert_null(m3_graph_input(b, "later", M3_F32, M3_SHAPE(1))); /* the first error stays, nothing more is built */
    m3_graph_free(graph);
}

/* One small network that has something for every pass. */

enum { ROWS = 6, SITES = 5, WIDTH = 4, ITEMS = 9 };

static m3_tensor *loss_of(m3_builder *b)
{
    m3_init normal = {M3_INIT_NORMAL, 0.5F, 0};
    m3_tensor *ids = m3_graph_input(b, "ids", M3_I32, M3_SHAPE(ROWS, SITES));
    m3_tensor *others = m3_graph_input(b, "others", M3_I32, M3_SHAPE(ROWS, 2));
    m3_tensor *table = m3_graph_parameter(b, "table", M3_SHAPE(ITEMS, WIDTH), normal);
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(WIDTH, WIDTH), normal);
    m3_tensor *v = m3_graph_parameter(b, "v", M3_SHAPE(WIDTH, WIDTH), normal);
    m3_tensor *c = m3_graph_parameter(b, "c", M3_SHAPE(WIDTH), normal);
    m3_tensor *one = m3_graph_parameter(b, "one", M3_SHAPE(WIDTH), normal);
    m3_tensor *x = m3_gather(b, table, ids, 0);
    m3_tensor *y = x;
    for (int block = 0; block < 2; block++) { /* residual: the second block's input is read twice */
        m3_tensor *h = m3_relu(b, m3_linear(b, m3_layer_norm(b, y, one, c, 1e-5), w, c));
        y = m3_add(b, y, m3_linear(b, h, v, c));
    }
    y = m3_mul(b, y, m3_add(b, m3_scalar(b, 1.0F), m3_scalar(b, 1.0F)));
    m3_tensor *last = m3_slice(b, y, 1, SITES - 1, 1);
    m3_tensor *picked = m3_gather(b, table, others, 0);
    m3_tensor *same = m3_gather(b, table, others, 0); /* for dedupe */
    return m3_add(b, m3_sum_all(b, m3_mul(b, last, last)), m3_sum_all(b, m3_mul(b, picked, same)));
}

static const char *const trained[] = {"table", "w", "v", "c", "one"};
enum { TRAINED = sizeof trained / sizeof trained[0] };

/* Loss, gradients and AdamW, with one set of passes left out. */
static m3_status build_step(const char *const *no_pass, m3_graph **step, m3_error *err)
{
    m3_graph *forward = NULL, *graph = NULL;
    *step = NULL;
    m3_status st = m3_graph_create(NULL, &forward, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(forward);
    m3_graph_output(b, "loss", loss_of(b));
    st = m3_builder_status(b, err);
    if (st == M3_OK) st = m3_passes_before_gradients(forward, no_pass, &graph, err);
    m3_graph_free(forward);
    if (st != M3_OK) return st;
    b = m3_graph_builder(graph);
    m3_tensor *wrt[TRAINED], *grads[TRAINED];
    for (int i = 0; i < TRAINED; i++) wrt[i] = m3_graph_find(graph, trained[i]);
    m3_gradients(b, m3_graph_find_output(graph, "loss"), wrt, TRAINED, grads);
    m3_tensor *rates = m3_graph_input(b, "rates", M3_F32, M3_SHAPE(3));
    const m3_init zero = {M3_INIT_CONSTANT, 0.0F, 0};
    for (int i = 0; i < TRAINED && m3_builder_status(b, err) == M3_OK; i++) {
        char m[32], v[32], g[32];
        (void)snprintf(m, sizeof m, "m.%s", trained[i]);
        (void)snprintf(v, sizeof v, "v.%s", trained[i]);
        (void)snprintf(g, sizeof g, "grad.%s", trained[i]);
        m3_tensor *pmvg[4] = {wrt[i], m3_graph_state(b, m, M3_F32, wrt[i]->shape, zero),
                              m3_graph_state(b, v, M3_F32, wrt[i]->shape, zero), grads[i]};
        const m3_adamw_rates adamw = {0.9, 0.999, 1e-8, 0.01};
        m3_tensor *out[3];
        m3_adamw(b, &adamw, rates, m3_scalar(b, 1.0F), pmvg, out);
        m3_graph_output(b, g, grads[i]);
        for (int k = 0; k < 3; k++) m3_graph_update(b, pmvg[k], out[k]);
    }
    st = m3_builder_status(b, err);
    const m3_pass_context context = {.no_pass = no_pass};
    if (st == M3_OK) st = m3_passes_run(graph, &context, step, err);
    m3_graph_free(graph);
    return st;
}

static double sample(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (double)(*seed >> 8) / (double)(1U << 24) - 0.5;
}

/* All outputs and updates of a step, one after another. */
static size_t run_step(m3_graph *graph, double *result)
{
    m3_error err = {0};
    interpreter *run = NULL;
    uint32_t updates = m3_graph_update_count(graph), leaves = 0;
    if (interpret_create(graph, &run, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    static const char *const names[] = {"table", "w", "v", "c", "one", "ids", "others", "rates"};
    double values[ROWS * SITES * WIDTH + ITEMS * WIDTH];
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        m3_tensor *x = m3_graph_find(graph, names[k]);
        uint32_t seed = (uint32_t)k + 1;
        for (uint64_t i = 0; x != NULL && i < m3_tensor_count(x); i++)
            values[i] = x->dtype == M3_I32 ? floor((sample(&seed) + 0.5) * ITEMS) : sample(&seed);
        if (k == 7) values[0] = 0.01, values[1] = 0.1, values[2] = 0.001;
        if (x != NULL) interpret_set(run, x, values);
        leaves += x != NULL;
    }
    assert_int_equal(leaves, 8);
    if (interpret_run(run, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    size_t count = 0;
    for (uint32_t i = 0; i < m3_graph_output_count(graph) + updates; i++) {
        m3_tensor *x = NULL;
        if (i < m3_graph_output_count(graph))
            x = m3_graph_output_at(graph, i, NULL);
        else
            (void)m3_graph_update_at(graph, i - m3_graph_output_count(graph), &x);
        const double *y = interpret_get(run, x);
        for (uint64_t k = 0; k < m3_tensor_count(x); k++) result[count++] = y[k];
    }
    interpret_free(run);
    return count;
}

static uint32_t count_ops(const m3_graph *graph, const char *op)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++)
        count += strcmp(m3_graph_node(graph, i)->op->name, op) == 0;
    return count;
}

/* What a pass is for, as a fact about the step with and without it. */
static const struct effect {
    const char *pass, *op;
    uint32_t with, without;
} effects[] = {
    {"multi_tensor", "adamw", 1, TRAINED},
    {"dedupe", "gather", 2, 3},
    {"fuse", "relu_grad", 0, 2},
    {"fuse", "layer_norm_grad_add", 2, 0},
    {"chain", "chain", 2, 0},
    {"fold", "", 0, 0},
    {"dead", "", 0, 0},
    {"sink", "", 0, 0},
};

static void pass_keeps_results(void **state)
{
    const struct effect *row = *state;
    const char *const no_pass[] = {row->pass, NULL};
    m3_error err = {0};
    m3_graph *with = NULL, *without = NULL;
    if (build_step(NULL, &with, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    if (build_step(no_pass, &without, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    assert_int_equal(count_ops(with, row->op), row->with);
    assert_int_equal(count_ops(without, row->op), row->without);
    assert_true(m3_graph_node_count(with) < m3_graph_node_count(without) || strcmp(row->pass, "sink") == 0);
    static double a[4096], b[4096];
    size_t count = run_step(with, a);
    assert_int_equal(run_step(without, b), count);
    assert_true(count > TRAINED * 3);
    for (size_t i = 0; i < count; i++)
        if (!(fabs(a[i] - b[i]) <= 1e-5 + 1e-5 * fabs(a[i]))) fail_msg("value %zu: %g with, %g without", i, a[i], b[i]);
    m3_graph_free(with);
    m3_graph_free(without);
}

/* Multiply-adds of a linear, without what its epilogue adds. */
static uint64_t products(const m3_node *node)
{
    const m3_shape *x = &node->in[0]->shape;
    return m3_tensor_count(node->out[0]) * x->dim[x->rank - (node->attr[0].i[0] != 0 ? 2 : 1)];
}

static void sinking_computes_one_row(void **state)
{
    (void)state;
    const char *const no_sink[] = {"sink", NULL};
    uint64_t work[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        m3_error err = {0};
        m3_graph *graph = NULL;
        if (build_step(k == 0 ? NULL : no_sink, &graph, &err) != M3_OK) fail_msg("%s", err.message);
        for (uint32_t i = 0; i < m3_graph_node_count(graph); i++)
            if (strcmp(m3_graph_node(graph, i)->op->name, "linear") == 0) work[k] += products(m3_graph_node(graph, i));
        m3_graph_free(graph);
    }
    assert_int_equal(work[0] * SITES, work[1]); /* one of SITES rows, forward and backward */
}

/* Attention over one product of x, or over one of z for q and one of x for k and v; its value and gradients. */
static size_t run_attention(bool two_inputs, const char *const *no_pass, uint32_t packed, uint32_t linears,
                            double *result)
{
    enum { D = 6 };
    m3_error err = {0};
    m3_graph *forward = NULL, *graph = NULL;
    interpreter *run = NULL;
    if (m3_graph_create(NULL, &forward, &err) != M3_OK) fail_msg("%s", err.message);
    m3_builder *b = m3_graph_builder(forward);
    m3_tensor *x = m3_graph_parameter(b, "x", M3_SHAPE(2, 3, D), (m3_init){0});
    m3_tensor *z = m3_graph_parameter(b, "z", M3_SHAPE(2, 3, D), (m3_init){0}), *qkv[3];
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(3 * D, D), (m3_init){0});
    m3_tensor *c = m3_graph_parameter(b, "c", M3_SHAPE(3 * D), (m3_init){0});
    for (uint64_t i = 0; i < 3; i++)
        qkv[i] = m3_linear(b, i == 0 && two_inputs ? z : x, m3_slice(b, w, 0, i * D, D), m3_slice(b, c, 0, i * D, D));
    m3_tensor *mask = m3_graph_input(b, "mask", M3_BOOL, M3_SHAPE(2, 3));
    m3_tensor *y = m3_attention(b, qkv[0], qkv[1], qkv[2], mask, 2);
    m3_graph_output(b, "loss", m3_sum_all(b, m3_mul(b, y, m3_exp(b, y))));
    m3_graph_output(b, "z", z);
    assert_int_equal(m3_builder_status(b, &err), M3_OK);
    if (m3_passes_before_gradients(forward, no_pass, &graph, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(count_ops(graph, "attention_packed"), packed);
    assert_int_equal(count_ops(graph, "linear"), linears);
    static const char *const names[] = {"x", "z", "w", "c", "mask"};
    enum { NAMES = sizeof names / sizeof names[0], WRT = NAMES - 1 };
    m3_tensor *wrt[WRT], *grads[WRT];
    for (int i = 0; i < WRT; i++) wrt[i] = m3_graph_find(graph, names[i]);
    b = m3_graph_builder(graph);
    m3_gradients(b, m3_graph_find_output(graph, "loss"), wrt, WRT, grads);
    for (int i = 0; i < WRT; i++) m3_graph_output(b, names[i][0] == 'z' ? "dz" : names[i], grads[i]);
    if (m3_builder_status(b, &err) != M3_OK) fail_msg("%s", err.message);
    if (interpret_create(graph, &run, &err) != M3_OK) fail_msg("%s", err.message);
    for (uint32_t k = 0; k < NAMES; k++) {
        double values[3 * D * D];
        uint32_t seed = k + 1;
        m3_tensor *leaf = m3_graph_find(graph, names[k]);
        for (uint64_t i = 0; i < m3_tensor_count(leaf); i++) values[i] = k == WRT ? (double)(i != 0) : sample(&seed);
        interpret_set(run, leaf, values);
    }
    if (interpret_run(run, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    size_t count = 0;
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) {
        m3_tensor *out = m3_graph_output_at(graph, i, NULL);
        for (uint64_t k = 0; k < m3_tensor_count(out); k++) result[count++] = interpret_get(run, out)[k];
    }
    interpret_free(run);
    m3_graph_free(forward);
    m3_graph_free(graph);
    return count;
}

static void packing_makes_one_product(void **state)
{
    (void)state;
    const char *const no_pack[] = {"pack", NULL};
    static double a[1024], b[1024];
    for (uint32_t two = 0; two < 2; two++) {
        const size_t count = run_attention(two != 0, NULL, 1, 1 + two, a);
        assert_int_equal(run_attention(two != 0, no_pack, 0, 3, b), count);
        assert_true(count > 200);
        for (size_t i = 0; i < count; i++)
            if (!(fabs(a[i] - b[i]) <= 1e-5)) fail_msg("value %zu: %g packed, %g not", i, a[i], b[i]);
    }
}

static void gathers_share_one_scatter(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_graph *graph = NULL;
    if (build_step(NULL, &graph, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(count_ops(graph, "scatter_add"), 1);
    m3_graph_free(graph);
}

/* The loss is the sum of detach(detach(w)), through a reshape: passes before the gradients must not lose the stop. */
static void no_gradient_passes_detach(void **state)
{
    static const m3_init zero = {M3_INIT_CONSTANT, 0.0F, 0};
    static const char *const none[] = {NULL}, *const fold[] = {"fold", NULL}, *const sink[] = {"sink", NULL};
    static const char *const *const left_out[] = {none, fold, sink};
    (void)state;
    for (int i = 0; i < 3; i++) {
        m3_error err = {0};
        m3_graph *forward = new_graph(), *graph = NULL;
        m3_builder *b = m3_graph_builder(forward);
        m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(2, 3), zero), *grad = NULL;
        m3_tensor *still = m3_detach(b, m3_detach(b, m3_reshape(b, w, M3_SHAPE(3, 2))));
        m3_graph_output(b, "loss", m3_sum_all(b, m3_reshape(b, still, M3_SHAPE(6))));
        m3_graph_output(b, "moved", m3_sum_all(b, m3_mul(b, w, m3_detach(b, w))));
        assert_int_equal(m3_passes_before_gradients(forward, left_out[i], &graph, &err), M3_OK);
        b = m3_graph_builder(graph);
        w = m3_graph_parameter(b, "w", M3_SHAPE(2, 3), zero);
        m3_gradients(b, m3_graph_find_output(graph, "loss"), &w, 1, &grad);
        assert_int_equal(count_ops(graph, "detach") > 0, true);
        assert_true(grad != NULL && grad->producer != NULL && strcmp(grad->producer->op->name, "broadcast") == 0);
        m3_gradients(b, m3_graph_find_output(graph, "moved"), &w, 1, &grad);
        assert_true(grad != NULL && grad->producer != NULL && strcmp(grad->producer->op->name, "mul") == 0);
        assert_int_equal(m3_builder_status(b, &err), M3_OK);
        m3_graph_free(forward);
        m3_graph_free(graph);
    }
}

static void dumps_name_everything(void **state)
{
    (void)state;
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    m3_graph_output(b, "loss", loss_of(b));
    char *text = NULL;
    size_t bytes = 0;
    for (int dot = 0; dot < 2; dot++) {
        FILE *to = open_memstream(&text, &bytes);
        assert_non_null(to);
        if (dot == 0)
            m3_graph_dump_text(graph, to);
        else
            m3_graph_dump_dot(graph, to);
        (void)fclose(to);
        assert_non_null(strstr(text, "layer_norm"));
        assert_non_null(strstr(text, "table"));
        assert_non_null(strstr(text, "loss"));
        free(text);
    }
    m3_graph_free(graph);
}

/* Fail the n-th allocation of building, differentiating and rewriting, n = 0, 1, 2, … until all succeed. */

typedef struct gate {
    uint64_t seen, fail_at;
    bool from_there_on;
} gate;

static bool allow(void *user, size_t bytes)
{
    gate *g = user;
    (void)bytes;
    uint64_t n = g->seen++;
    return g->from_there_on ? n < g->fail_at : n != g->fail_at;
}

static void memory_failures_are_reported(void **state)
{
    (void)state;
    for (int from = 0; from < 2; from++) {
        m3_status st = M3_ERR_MEMORY;
        uint64_t n = 0;
        for (; st != M3_OK; n++) {
            gate g = {.fail_at = n, .from_there_on = from != 0};
            m3_error err = {0};
            m3_graph *graph = NULL;
            m3_alloc_set_gate(allow, &g);
            st = build_step(NULL, &graph, &err);
            m3_alloc_set_gate(NULL, NULL);
            if (st != M3_OK) {
                assert_int_equal(st, M3_ERR_MEMORY);
                assert_true(err.message[0] != 0);
                assert_null(graph);
            }
            m3_graph_free(graph);
        }
        assert_true(n > 20);
    }
}

int main(void)
{
    enum { MISTAKES = sizeof mistakes / sizeof mistakes[0], EFFECTS = sizeof effects / sizeof effects[0], OTHERS = 6 };
    struct CMUnitTest tests[MISTAKES + EFFECTS + OTHERS];
    char names[EFFECTS][64];
    size_t count = 0;
    for (size_t i = 0; i < MISTAKES; i++)
        tests[count++] = (struct CMUnitTest){mistakes[i].name, refuses, NULL, NULL, (void *)(uintptr_t)&mistakes[i]};
    for (size_t i = 0; i < EFFECTS; i++) {
        (void)snprintf(names[i], sizeof names[i], "results are the same without the pass %s", effects[i].pass);
        tests[count++] = (struct CMUnitTest){names[i], pass_keeps_results, NULL, NULL, (void *)(uintptr_t)&effects[i]};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(sinking_computes_one_row);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(packing_makes_one_product);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(gathers_share_one_scatter);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(no_gradient_passes_detach);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(dumps_name_everything);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(memory_failures_are_reported);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
