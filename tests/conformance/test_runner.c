/* runner: a suite is worth what it finds. Ops that are wrong on purpose must fail, each with the reason that it has.
 * Labels: errors */
#include "core/base/alloc.h"
#include "core/conformance/cases.h"
#include "core/ops/common/rules.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static struct {
    m3_engine *engine;
    m3_device *reference;
} with;

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_infer_unary(node, M3_TYPES_FLOAT, out, err);
}

static void twice(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_add(b, node->in[0], node->in[0]);
}

static void thrice(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)node;
    dx[0] = m3_mul(b, dy[0], m3_scalar_like(b, dy[0], 3.0));
}

static void nothing(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)node;
    dx[0] = m3_mul(b, dy[0], m3_scalar_like(b, dy[0], NAN));
}

/* 2 dy by way of an op that only f32 gets wrong. */
static void crooked(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)node;
    m3_tensor *same = NULL, *in[1] = {dy[0]};
    b->api->emit(b, "wrong.value", in, 1, NULL, 0, &same, 1);
    dx[0] = m3_add(b, same, same);
}

/* The wanted values come in f64, so what only f32 gets wrong stands for a wrong device. */
static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    static double calls;
    (void)err;
    bool single = node->in[0]->dtype == M3_F32;
    const char *name = node->op->name;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) out[0][i] = in[0][i];
    if (single && strcmp(name, "wrong.value") == 0) out[0][2] += 1.0;
    if (single && strcmp(name, "wrong.nan") == 0) out[0][0] = NAN;
    if (single && strcmp(name, "wrong.infinite") == 0) out[0][1] = INFINITY;
    if (single && strcmp(name, "wrong.unsteady") == 0) out[0][0] *= 1.0 + (++calls) * 1e-7;
    if (single && strcmp(name, "wrong.error") == 0) return M3_FAIL(err, M3_ERR_DEVICE_LOST, name, "it went away");
    return M3_OK;
}

#define OP(op_name, ...)                                                                                               \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_op, zero_gradient), .name = (op_name), .min_inputs = 1, .max_inputs = 1,             \
        .outputs = 1, .infer = infer, __VA_ARGS__                                                                      \
    }

static const m3_op ops[] = {
    OP("wrong.value", .evaluate = evaluate),
    OP("wrong.nan", .evaluate = evaluate),
    OP("wrong.infinite", .evaluate = evaluate),
    OP("wrong.unsteady", .evaluate = evaluate),
    OP("wrong.error", .evaluate = evaluate),
    OP("right.only_reference", .evaluate = evaluate),
    OP("right.decomposed", .decompose = twice),
    OP("wrong.slope", .decompose = twice, .gradient = thrice),
    OP("wrong.device_slope", .decompose = twice, .gradient = crooked),
    OP("wrong.no_number", .decompose = twice, .gradient = nothing),
};

static const m3_op *find(void *user, const char *name)
{
    (void)user;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, name) == 0) return &ops[i];
    return NULL;
}

static const m3_op_lookup lookup = {find, NULL};
static const m3_bound bound = {1e-5, 0, 0, "a test"};

typedef struct row {
    const char *name, *op, *inputs;
    uint32_t layer;
    bool cpu;
    m3_verdict want;
    const char *says;
} row;

static const row rows[] = {
    {"a wrong element is named with both values", "wrong.value", "f32[4] value 3", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "as it is: out0[2] is 4, wanted 3 within 1e-05 (a test)"},
    {"a NaN is wrong where a number is wanted", "wrong.nan", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "out0[0] is nan"},
    {"an infinity is wrong where a number is wanted", "wrong.infinite", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "out0[1] is inf"},
    {"other bits in a second run are wrong", "wrong.unsteady", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "the same data gives other bits when it comes again"},
    {"an error of the device is a failure", "wrong.error", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "it went away"},
    {"an op that the device does not have is lacking", "right.only_reference", "f32[4]", M3_CASE_OPS, true,
     M3_VERDICT_LACKS, "as it is: "},
    {"an op that decomposes runs on a device that does not have it", "right.decomposed", "f32[4]", M3_CASE_OPS, true,
     M3_VERDICT_PASS, ""},
    {"a wrong slope is found", "wrong.slope", "f32[4]", M3_CASE_GRADIENTS, false, M3_VERDICT_FAIL, "d loss / d in0["},
    {"a slope that the device alone gets wrong is found", "wrong.device_slope", "f32[4]", M3_CASE_GRADIENTS, false,
     M3_VERDICT_FAIL, "on the device d loss / d in0[2]"},
    {"a slope that is no number is found", "wrong.no_number", "f32[4]", M3_CASE_GRADIENTS, false, M3_VERDICT_FAIL,
     "d loss / d in0[3] is nan"},
    {"an op without a gradient is no success", "right.decomposed", "f32[4]", M3_CASE_GRADIENTS, false, M3_VERDICT_LACKS,
     "has no gradient"},
    {"an unknown op is a failure", "wrong.name", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_FAIL, "no op of this name"},
    {"an unknown filling is a failure", "right.decomposed", "f32[4] odd", M3_CASE_OPS, false, M3_VERDICT_FAIL,
     "no filling has this name"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static m3_case_result run(const row *r, m3_alloc_gate gate, void *user)
{
    m3_case c = {.layers = r->layer, .bound = &bound};
    m3_case_result result;
    (void)snprintf(c.op, sizeof c.op, "%s", r->op);
    (void)snprintf(c.inputs, sizeof c.inputs, "%s", r->inputs);
    (void)snprintf(c.name, sizeof c.name, "%s(%s)", r->op, r->inputs);
    /* A device of its own: an error sticks to the device that had it. */
    m3_device *device = NULL;
    m3_error err = {0};
    if (m3_device_open(with.engine, r->cpu ? "cpu" : "reference", (m3_span){0}, &device, &err) != M3_OK)
        fail_msg("%s", err.message);
    m3_alloc_set_gate(gate, user);
    if (r->layer == M3_CASE_GRADIENTS)
        m3_case_run_gradient(device, with.reference, &lookup, &c, 1, &result);
    else
        m3_case_run(device, with.reference, &lookup, &c, 1, &result);
    m3_alloc_set_gate(NULL, NULL);
    m3_device_close(device);
    return result;
}

static void finds(void **state)
{
    const row *r = *state;
    m3_case_result result = run(r, NULL, NULL);
    if (result.verdict != r->want || strstr(result.text, r->says) == NULL)
        fail_msg("verdict %d, '%s' and not '%s'", (int)result.verdict, result.text, r->says);
    if (r->want == M3_VERDICT_PASS) assert_false(result.native);
}

static void a_case_without_a_part_in_a_layer_is_skipped(void **state)
{
    (void)state;
    m3_case c = {.layers = M3_CASE_OPS, .bound = &bound};
    m3_case_result result;
    m3_case_run_gradient(NULL, with.reference, &lookup, &c, 1, &result);
    assert_int_equal(result.verdict, M3_VERDICT_SKIP);
    c.layers = M3_CASE_GRADIENTS;
    m3_case_run(with.reference, with.reference, &lookup, &c, 1, &result);
    assert_int_equal(result.verdict, M3_VERDICT_SKIP);
}

static bool allow_until(void *user, size_t bytes)
{
    (void)bytes;
    int *left = user;
    return (*left)-- > 0;
}

/* Fail every allocation from the n-th on, n = 0, 1, 2, ... until the case passes: always a failure with the reason. */
static void a_case_without_memory_fails_and_leaks_nothing(void **state)
{
    (void)state;
    const row r = {"", "right.decomposed", "f32[4]", M3_CASE_OPS, false, M3_VERDICT_PASS, ""};
    m3_verdict verdict = M3_VERDICT_FAIL;
    int n = 0;
    for (; verdict != M3_VERDICT_PASS && n < 5000; n++) {
        int left = n;
        m3_case_result result = run(&r, allow_until, &left);
        verdict = result.verdict;
        if (verdict != M3_VERDICT_PASS && strstr(result.text, "memory") == NULL)
            fail_msg("allocation %d: verdict %d, '%s'", n, (int)verdict, result.text);
    }
    assert_true(n > 10);
    assert_int_equal(verdict, M3_VERDICT_PASS);
}

static int open_engine(void **state)
{
    (void)state;
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    m3_status st = m3_engine_create(&config, &with.engine, &err);
    if (st == M3_OK) st = m3_device_open(with.engine, "reference", (m3_span){0}, &with.reference, &err);
    if (st != M3_OK) print_error("%s: %s\n", err.subject, err.message);
    return st == M3_OK ? 0 : -1;
}

static int close_engine(void **state)
{
    (void)state;
    m3_device_close(with.reference);
    m3_engine_free(with.engine);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2];
    for (size_t i = 0; i < ROWS; i++) {
        union {
            const row *row;
            void *state;
        } link = {&rows[i]};
        tests[i] = (struct CMUnitTest){rows[i].name, finds, NULL, NULL, link.state};
    }
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(a_case_without_a_part_in_a_layer_is_skipped);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(a_case_without_memory_fails_and_leaks_nothing);
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
