/* precision: what the pass makes of a step of two layers: which tensors have 16 bits, and how often what is cast. */
#include "core/ops/common/op.h"
#include "core/passes/pass.h"
#include "m3bsr/blocks.h"
#include "m3bsr/graph.h"
#include "m3bsr/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

/* loss = sum(w2(gelu(norm(w1 x))))^2, with AdamW of all parameters; w1 is read twice. */
static m3_graph *build_step(void)
{
    enum { PARAMETERS = 5 };
    m3_error err = {0};
    m3_graph *graph = NULL;
    check(m3_graph_create(NULL, &graph, &err), &err);
    m3_builder *b = m3_graph_builder(graph);
    const m3_init zero = m3_init_constant(0.0F);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(6, 4));
    m3_tensor *p[PARAMETERS] = {
        m3_graph_parameter(b, "w1", M3_SHAPE(4, 4), zero), m3_graph_parameter(b, "b1", M3_SHAPE(4), zero),
        m3_graph_parameter(b, "gamma", M3_SHAPE(4), zero), m3_graph_parameter(b, "beta", M3_SHAPE(4), zero),
        m3_graph_parameter(b, "w2", M3_SHAPE(3, 4), zero)};
    m3_tensor *h = m3_linear(b, m3_linear(b, x, p[0], p[1]), p[0], p[1]);
    m3_tensor *y = m3_linear(b, m3_gelu(b, m3_layer_norm(b, h, p[2], p[3], 1e-5)), p[4], NULL);
    m3_tensor *loss = m3_sum_all(b, m3_mul(b, y, y)), *grads[PARAMETERS];
    m3_graph_output(b, "y", y);
    m3_graph_output(b, "loss", loss);
    m3_gradients(b, loss, p, PARAMETERS, grads);
    m3_tensor *rates = m3_graph_input(b, "rates", M3_F32, M3_SHAPE(3));
    for (int i = 0; i < PARAMETERS; i++) {
        char m[16], v[16];
        (void)snprintf(m, sizeof m, "m%d", i);
        (void)snprintf(v, sizeof v, "v%d", i);
        m3_tensor *pmvg[] = {p[i], m3_graph_state(b, m, M3_F32, p[i]->shape, zero),
                             m3_graph_state(b, v, M3_F32, p[i]->shape, zero), grads[i]};
        const m3_adamw_rates adamw = {0.9, 0.999, 1e-8, 0.01};
        m3_tensor *out[3];
        m3_adamw(b, &adamw, rates, m3_scalar(b, 1.0F), pmvg, out);
        for (int k = 0; k < 3; k++) m3_graph_update(b, pmvg[k], out[k]);
    }
    check(m3_builder_status(b, &err), &err);
    return graph;
}

static m3_graph *with_precision(const m3_graph *step, m3_dtype precision)
{
    m3_error err = {0};
    m3_graph *made = NULL;
    const m3_pass_context context = {.precision = precision};
    check(m3_passes_run(step, &context, &made, &err), &err);
    return made;
}

static bool is(const m3_node *node, const char *op)
{
    return strcmp(node->op->name, op) == 0;
}

static void layers_have_16_bits(void **state)
{
    const m3_dtype type = *(const m3_dtype *)*state;
    m3_graph *step = build_step(), *made = with_precision(step, type);
    uint32_t casts_of_w1 = 0, layers = 0, norms = 0;
    for (uint32_t i = 0; i < m3_graph_node_count(made); i++) {
        const m3_node *node = m3_graph_node(made, i);
        const m3_tensor *y = node->out[0];
        if (is(node, "cast")) casts_of_w1 += strcmp(node->in[0]->name, "w1") == 0;
        if (is(node, "linear") && m3_dtype_is_half(y->dtype)) {
            layers++;
            assert_int_equal(node->in[M3_LINEAR_X]->dtype, type);
            assert_int_equal(node->in[M3_LINEAR_W]->dtype, type);
            const m3_tensor *bias = m3_node_input(node, M3_LINEAR_BIAS);
            if (bias != NULL) assert_int_equal(bias->dtype, M3_F32);
        }
        if (is(node, "layer_norm")) {
            norms++;
            assert_int_equal(y->dtype, type);
            assert_int_equal(node->in[M3_LAYER_NORM_GAMMA]->dtype, M3_F32);
        }
        if (is(node, "adamw") || is(node, "gelu") || is(node, "reduce_sum"))
            for (uint32_t k = 0; k < node->in_count; k++) assert_int_equal(node->in[k]->dtype, M3_F32);
    }
    assert_int_equal(casts_of_w1, 1);
    assert_int_equal(norms, 1);
    assert_true(layers >= 5); /* three forward, at least two of the gradients */
    assert_int_equal(m3_graph_find_output(made, "y")->dtype, M3_F32);
    assert_int_equal(m3_graph_find_output(made, "loss")->dtype, M3_F32);
    m3_graph_free(made);
    m3_graph_free(step);
}

static void without_it_nothing_changes(void **state)
{
    (void)state;
    m3_graph *step = build_step(), *made = with_precision(step, M3_F32);
    for (uint32_t i = 0; i < m3_graph_tensor_count(made); i++)
        assert_false(m3_dtype_is_half(m3_graph_tensor(made, i)->dtype));
    m3_graph_free(made);
    m3_graph_free(step);
}

/* A cast to f32 is as good as its operand and not worth keeping: one at each reader. One to 16 bits is shared. */
static void casts_are_shared_where_it_pays(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_graph *graph = NULL, *made = NULL;
    check(m3_graph_create(NULL, &graph, &err), &err);
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(5)), *h = m3_graph_input(b, "h", M3_BF16, M3_SHAPE(5));
    m3_graph_output(b, "a", m3_cast(b, x, M3_BF16));
    m3_graph_output(b, "b", m3_cast(b, x, M3_BF16));
    m3_graph_output(b, "c", m3_exp(b, m3_cast(b, h, M3_F32)));
    m3_graph_output(b, "d", m3_neg(b, m3_cast(b, h, M3_F32)));
    check(m3_pass_dedupe.run(graph, &(const m3_pass_context){0}, &made, &err), &err);
    assert_int_equal(m3_graph_node_count(made), 5);
    m3_graph_free(made);
    m3_graph_free(graph);
}

int main(void)
{
    static const m3_dtype types[] = {M3_BF16, M3_F16};
    const struct CMUnitTest tests[] = {
        {"layers have 16 bits and all else f32: bf16", layers_have_16_bits, NULL, NULL, (void *)&types[0]},
        {"layers have 16 bits and all else f32: f16", layers_have_16_bits, NULL, NULL, (void *)&types[1]},
        {"f32 changes nothing", without_it_nothing_changes, NULL, NULL, NULL},
        {"casts are shared where it pays", casts_are_shared_where_it_pays, NULL, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
