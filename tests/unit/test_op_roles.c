/* op roles: passes know ops by what they declare, so a custom op that declares the same is treated the same.
 * Each row builds slice(f(x)) with a custom op f, which is computed for the rows of the slice alone, or for all. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "core/passes/pass.h"

#include <cmocka.h>

enum { ROWS = 7, WIDTH = 5, WANTED = 2 };

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

/* Rows of all axes but the last, from rows of input 0; input 1 is read whole. */
static int32_t rows_of_first(const m3_node *node, uint32_t axis, uint32_t input)
{
    if (axis + 1 == node->out[0]->shape.rank) return M3_ROWS_MIXED;
    return input == 0 ? (int32_t)axis : M3_ROWS_ALL;
}

static int32_t repeats_first(const m3_node *node)
{
    (void)node;
    return 0;
}

#define CUSTOM .size = M3_STRUCT_SIZE(m3_op, shared_inputs), .min_inputs = 1, .outputs = 1, .infer = infer
static const m3_op customs[] = {
    {CUSTOM, .name = "test.gelu", .max_inputs = 2, .flags = M3_OP_ELEMENTWISE},
    {CUSTOM, .name = "test.rms_norm", .max_inputs = 2, .row_axis = rows_of_first},
    {CUSTOM, .name = "test.reverse", .max_inputs = 2},
    {CUSTOM, .name = "test.mark", .max_inputs = 2, .repeats = repeats_first},
    {.size = M3_STRUCT_SIZE(m3_op, zero_gradient), /* of a plugin that knows no roles */
     .name = "test.old",
     .min_inputs = 1,
     .max_inputs = 2,
     .outputs = 1,
     .infer = infer,
     .row_axis = rows_of_first,
     .repeats = repeats_first},
};

static const m3_op *find(void *user, const char *name)
{
    (void)user;
    for (size_t i = 0; i < sizeof customs / sizeof customs[0]; i++)
        if (strcmp(customs[i].name, name) == 0) return &customs[i];
    return NULL;
}

static const struct row {
    const char *name, *op;
    uint32_t axis;
    uint64_t computed; /* elements */
} rows[] = {
    {"an elementwise custom op sinks along rows", "test.gelu", 0, WANTED *WIDTH},
    {"an elementwise custom op sinks along columns", "test.gelu", 1, ROWS *WANTED},
    {"a row-wise custom op sinks along rows", "test.rms_norm", 0, WANTED *WIDTH},
    {"a row-wise custom op does not sink within rows", "test.rms_norm", 1, ROWS *WIDTH},
    {"a custom op that declares nothing does not sink", "test.reverse", 0, ROWS *WIDTH},
    {"members beyond an op's size do not exist", "test.old", 0, ROWS *WIDTH},
};

static const m3_node *node_of(const m3_graph *graph, const char *op)
{
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++)
        if (strcmp(m3_graph_node(graph, i)->op->name, op) == 0) return m3_graph_node(graph, i);
    return NULL;
}

static m3_graph *new_graph(void)
{
    const m3_op_lookup lookup = {find, NULL};
    m3_graph *graph = NULL;
    assert_int_equal(m3_graph_create(&lookup, &graph, NULL), M3_OK);
    return graph;
}

static m3_graph *optimised(m3_graph *graph)
{
    m3_error err = {0};
    m3_graph *sunk = NULL;
    if (m3_builder_status(m3_graph_builder(graph), &err) != M3_OK) fail_msg("%s", err.message);
    if (m3_passes_before_gradients(graph, NULL, &sunk, &err) != M3_OK) fail_msg("%s", err.message);
    m3_graph_free(graph);
    return sunk;
}

static void computes(void **state)
{
    const struct row *row = *state;
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *in[2] = {m3_graph_input(b, "x", M3_F32, M3_SHAPE(ROWS, WIDTH)),
                        m3_graph_input(b, "y", M3_F32, M3_SHAPE(WIDTH))};
    m3_graph_output(b, "y", m3_slice(b, m3_emit(b, row->op, in, 2, NULL, 0), (int)row->axis, 1, WANTED));
    graph = optimised(graph);
    const m3_node *node = node_of(graph, row->op);
    assert_non_null(node);
    assert_int_equal(m3_tensor_count(node->out[0]), row->computed);
    m3_graph_free(graph);
}

/* As m3_linear does it: rows of several axes are flattened, and restored behind the op. */
static void rows_sink_through_flattening(void **state)
{
    (void)state;
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(3, ROWS, WIDTH));
    m3_tensor *f = m3_emit1(b, "test.rms_norm", m3_reshape(b, x, M3_SHAPE(3 * ROWS, WIDTH)));
    m3_graph_output(b, "y", m3_slice(b, m3_reshape(b, f, M3_SHAPE(3, ROWS, WIDTH)), 1, ROWS - 1, 1));
    graph = optimised(graph);
    assert_int_equal(m3_tensor_count(node_of(graph, "test.rms_norm")->out[0]), 3 * WIDTH);
    m3_graph_free(graph);
}

static void what_repeats_is_dropped(void **state)
{
    (void)state;
    m3_graph *graph = new_graph();
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(ROWS));
    m3_graph_output(b, "marked", m3_emit1(b, "test.mark", x));
    m3_graph_output(b, "old", m3_emit1(b, "test.old", x));
    graph = optimised(graph);
    assert_null(node_of(graph, "test.mark"));
    assert_non_null(node_of(graph, "test.old"));
    m3_graph_free(graph);
}

static const struct CMUnitTest others[] = {cmocka_unit_test(rows_sink_through_flattening),
                                           cmocka_unit_test(what_repeats_is_dropped)};

int main(void)
{
    enum { COUNT = sizeof rows / sizeof rows[0], OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[COUNT + OTHERS];
    for (size_t i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, computes, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    memcpy(tests + COUNT, others, sizeof others);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
