/* recompute: which nodes run again and where, and that nothing else changes. */
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

static m3_graph *begin(void)
{
    m3_graph *graph = NULL;
    m3_error err = {0};
    check(m3_graph_create(NULL, &graph, &err), &err);
    return graph;
}

/* The graph with at most 1/part of its work done twice; frees the one without. */
static m3_graph *with_less(m3_graph *graph, uint32_t part)
{
    m3_graph *made = NULL;
    m3_error err = {0};
    check(m3_builder_status(m3_graph_builder(graph), &err), &err);
    check(m3_pass_recompute.run(graph, &(const m3_pass_context){.recompute = part}, &made, &err), &err);
    check(m3_graph_verify(made, &err), &err);
    m3_graph_free(graph);
    return made;
}

static uint32_t count(const m3_graph *graph, const char *op)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++)
        found += strcmp(m3_graph_node(graph, i)->op->name, op) == 0;
    return found;
}

/* h lies unread while something four times as large comes and goes; y reads it afterwards, as it is or reshaped. */
static m3_graph *build_gap(bool reshaped)
{
    m3_graph *graph = begin();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(32, 32));
    m3_tensor *h = m3_exp(b, x), *seen = reshaped ? m3_reshape(b, h, M3_SHAPE(1024)) : h;
    m3_tensor *large = m3_tanh(b, m3_broadcast(b, m3_sum_all(b, seen), M3_SHAPE(4096)));
    m3_graph_output(b, "y", m3_mul(b, seen, m3_sum_all(b, large)));
    return graph;
}

/* A node that only leads to a state that is wanted early stands early; what is made again must not. */
static void what_is_made_again_stays_late(void **state)
{
    (void)state;
    static const char *const no_pass[] = {"chain", NULL};
    m3_error err = {0};
    m3_graph *graph = begin(), *made = NULL;
    m3_builder *b = m3_graph_builder(graph);
    m3_buckets buckets;
    uint32_t last = 0, large = 0;
    m3_tensor *h = m3_exp(b, m3_graph_input(b, "x", M3_F32, M3_SHAPE(32, 32)));
    m3_tensor *wide = m3_tanh(b, m3_broadcast(b, m3_sum_all(b, h), M3_SHAPE(4096)));
    m3_tensor *sum = m3_graph_state(b, "sum", M3_F32, M3_SHAPE(32, 32), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    m3_tensor *y = m3_sum_all(b, wide);
    m3_graph_output(b, "y", y);
    m3_graph_update(b, sum, m3_add(b, sum, m3_mul(b, h, y)));
    check(m3_builder_status(b, &err), &err);
    check(m3_buckets_make(&buckets, graph, "sum", 1, 1, &err), &err);
    const m3_pass_context context = {.no_pass = no_pass, .recompute = 1, .buckets = &buckets};
    check(m3_passes_run(graph, &context, &made, &err), &err);
    assert_int_equal(count(made, "exp"), 2);
    for (uint32_t i = 0; i < m3_graph_node_count(made); i++) {
        if (strcmp(m3_graph_node(made, i)->op->name, "exp") == 0) last = i;
        if (strcmp(m3_graph_node(made, i)->op->name, "tanh") == 0) large = i;
    }
    assert_true(last > large);
    m3_buckets_fini(&buckets);
    m3_graph_free(made);
    m3_graph_free(graph);
}

static void what_lies_unread_is_made_again(void **state)
{
    const bool *reshaped = *state;
    m3_graph *made = with_less(build_gap(*reshaped), 1);
    const uint32_t nodes = m3_graph_node_count(made);
    const m3_tensor *y = m3_graph_find_output(made, "y"), *seen = y->producer->in[0];
    const m3_node *again = *reshaped ? seen->producer->in[0]->producer : seen->producer;
    assert_int_equal(count(made, "exp"), 2);
    assert_string_equal(again->op->name, "exp");
    assert_ptr_equal(again->in[0], m3_graph_find(made, "x"));
    assert_true(again->id > m3_graph_node(made, nodes / 2)->id); /* just before it is read */
    assert_int_equal(count(made, "tanh"), 1);
    m3_graph_free(made);
}

static void work_is_bounded(void **state)
{
    (void)state;
    m3_graph *made = with_less(build_gap(false), 1000);
    assert_int_equal(count(made, "exp"), 1);
    m3_graph_free(made);
}

/* What is published is there in any case, and what is read at the peak would be made again for nothing. */
static void what_stays_is_not_made_again(void **state)
{
    (void)state;
    m3_graph *graph = begin();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(1024));
    m3_tensor *published = m3_exp(b, x), *read = m3_neg(b, x);
    m3_graph_output(b, "published", published);
    m3_tensor *large = m3_mul(b, m3_broadcast(b, m3_sum_all(b, published), M3_SHAPE(4, 1024)), read);
    m3_graph_output(b, "y", m3_add(b, m3_add(b, published, read), m3_sum_all(b, large)));
    graph = with_less(graph, 1);
    assert_int_equal(count(graph, "exp"), 1);
    assert_int_equal(count(graph, "neg"), 1);
    m3_graph_free(graph);
}

/* h is made from g, which nobody else reads any more: both are made again, g first. */
static void what_is_gone_is_made_again_too(void **state)
{
    (void)state;
    m3_graph *graph = begin();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(1024));
    m3_tensor *h = m3_exp(b, m3_neg(b, x));
    m3_tensor *large = m3_tanh(b, m3_broadcast(b, m3_sum_all(b, h), M3_SHAPE(4096)));
    m3_graph_output(b, "y", m3_mul(b, h, m3_sum_all(b, large)));
    graph = with_less(graph, 1);
    assert_int_equal(count(graph, "neg"), 2);
    assert_int_equal(count(graph, "exp"), 2);
    m3_graph_free(graph);
}

/* A state is changed once a step. */
static void updates_are_not_made_again(void **state)
{
    (void)state;
    m3_graph *graph = begin();
    m3_builder *b = m3_graph_builder(graph);
    const m3_init zero = m3_init_constant(0.0F);
    m3_tensor *p = m3_graph_parameter(b, "p", M3_SHAPE(1024), zero),
              *rates = m3_graph_input(b, "r", M3_F32, M3_SHAPE(3));
    m3_tensor *pmvg[] = {p, m3_graph_state(b, "m", M3_F32, p->shape, zero),
                         m3_graph_state(b, "v", M3_F32, p->shape, zero), m3_exp(b, p)};
    m3_tensor *next[3];
    m3_adamw(b, &(const m3_adamw_rates){0.9, 0.999, 1e-8, 0.0}, rates, m3_scalar(b, 1.0F), pmvg, next);
    m3_tensor *large = m3_tanh(b, m3_broadcast(b, m3_sum_all(b, next[0]), M3_SHAPE(4096)));
    m3_graph_output(b, "y", m3_mul(b, next[1], m3_sum_all(b, large)));
    graph = with_less(graph, 1);
    assert_int_equal(count(graph, "adamw"), 1);
    m3_graph_free(graph);
}

int main(void)
{
    static const bool plain = false, reshaped = true;
    const struct CMUnitTest tests[] = {
        {"what lies unread is made again", what_lies_unread_is_made_again, NULL, NULL, (void *)&plain},
        {"what lies unread under another shape is made again", what_lies_unread_is_made_again, NULL, NULL,
         (void *)&reshaped},
        cmocka_unit_test(what_is_made_again_stays_late),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(what_stays_is_not_made_again),
        cmocka_unit_test(what_is_gone_is_made_again_too),
        cmocka_unit_test(updates_are_not_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
