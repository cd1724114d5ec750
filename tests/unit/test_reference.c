/* The reference backend's own part: types are read and rounded as the interface says. Ops are checked by their tests,
 * and what every backend owes by test_backends. */
#include "m3bsr/builder.h"
#include "tests/support/backend_rig.h"

#include <math.h>

typedef struct row {
    const char *name;
    const char *op, *arrays, *attrs;
    double in[8], want[8];
} row;

/* Halves: f16 has 11 significant bits and a largest of 65504, bf16 has 8 bits. */
static const row rows[] = {
    {"f64 keeps its digits", "add", "f64[2]; f64[]", "", {1, 1e-300, 1e-16}, {1, 1e-300 + 1e-16}},
    {"f32 rounds to the nearest", "cast", "f64[2]", "0", {1 + 1e-9, 1e300}, {1, INFINITY}},
    {"f16 rounds to nearest, ties to even",
     "cast",
     "f32[6]",
     "5",
     {2049, 2051, 65519, 65520, -0.1f, 0},
     {2048, 2052, 65504, INFINITY, -0x1.998p-4, 0}},
    {"f16 has denormals",
     "cast",
     "f32[4]",
     "5",
     {0x1p-24f, 0x1p-25f, 0x1.8p-25f, 0x1.ffep-15f},
     {0x1p-24, 0, 0x1p-24, 0x1p-14}},
    {"f16 comes back", "cast", "f16[5]", "0", {65504, -0x1p-24, INFINITY, 1, NAN}, {65504, -0x1p-24, INFINITY, 1, NAN}},
    {"bf16 rounds to nearest, ties to even", "cast", "f32[4]", "6", {257, 259, 3.4e38f, -1}, {256, 260, INFINITY, -1}},
    {"bf16 comes back", "cast", "bf16[3]", "0", {0x1p-133, -256, NAN}, {0x1p-133, -256, NAN}},
    {"i32 sums wrap", "add", "i32[2]; i32[]", "", {2147483647, -5, 3}, {-2147483646, -2}},
    {"u32 differences wrap", "sub", "u32[2]; u32[]", "", {1, 9, 3}, {4294967294, 6}},
    {"u32 products wrap", "mul", "u32[1]; u32[]", "", {4294967295, 4294967295}, {1}},
    {"floats are cut on their way to u8", "cast", "f32[4]", "3", {2.9f, -1, 300, NAN}, {2, 0, 255, 0}},
    {"bool is whether there is something", "cast", "f32[4]", "4", {0, -0.5f, NAN, -0.0f}, {0, 1, 1, 0}},
};

static void holds(void **state)
{
    const row *at = *state;
    rig r;
    rig_node n;
    m3_error err = {0};
    uint64_t bytes[2][8] = {{0}};
    double got[8];
    void *data[2] = {bytes[0], bytes[1]}, *result = NULL;
    assert_int_equal(rig_open(&r, "reference", 1, NULL, 0, &err), M3_OK);
    if (rig_node_make(&n, m3_op_find(at->op), at->arrays, at->attrs, &err) != M3_OK) fail_msg("%s", err.message);
    uint64_t first = m3_tensor_count(n.in[0]), count = m3_tensor_count(n.out[0]);
    m3_values_encode(n.in[0]->dtype, at->in, first, bytes[0]);
    if (n.node.in_count == 2) m3_values_encode(n.in[1]->dtype, at->in + first, 1, bytes[1]);
    if (rig_run(&r, &n, data, 0xff, -1, &result, &err) != M3_OK) fail_msg("%s", err.message);
    m3_values_decode(n.out[0]->dtype, result, count, got);
    for (uint64_t i = 0; i < count; i++)
        if (got[i] != at->want[i] && !(isnan(got[i]) && isnan(at->want[i])))
            fail_msg("element %d is %.17g, wanted %.17g", (int)i, got[i], at->want[i]);
    free(result);
    rig_close(&r);
}

static void a_fused_op_wants_its_decomposition(void **state)
{
    (void)state;
    rig r;
    rig_node n;
    m3_error err = {0};
    assert_int_equal(rig_open(&r, "reference", 1, NULL, 0, &err), M3_OK);
    assert_int_equal(rig_node_make(&n, m3_op_find("relu"), "f32[3]", "", &err), M3_OK);
    assert_int_equal(r.api->supports(r.device, &n.node, &err), M3_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "its decomposition is wanted"));
    rig_close(&r);
}

static void a_small_largest_buffer_is_kept(void **state)
{
    (void)state;
    rig r;
    m3_error err = {0};
    m3_buffer *buffer = NULL;
    const m3_option option = {"largest_buffer", "1000"};
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    assert_int_equal(rig_open(&r, "reference", 1, &option, 1, &err), M3_OK);
    assert_int_equal(r.api->limits(r.device, &limits, &err), M3_OK);
    assert_int_equal(limits.largest_buffer, 1000);
    assert_int_equal(r.api->buffer_create(r.device, 1001, M3_BUFFER_DEVICE, &buffer, &err), M3_ERR_MEMORY);
    assert_non_null(strstr(err.message, "1001 bytes were asked, the largest buffer is 1000"));
    assert_int_equal(r.api->buffer_create(r.device, 1000, M3_BUFFER_DEVICE, &buffer, &err), M3_OK);
    r.api->buffer_free(r.device, buffer);
    rig_close(&r);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 2] = {
        cmocka_unit_test(a_fused_op_wants_its_decomposition),
        cmocka_unit_test(a_small_largest_buffer_is_kept),
    };
    for (size_t i = 0; i < ROWS; i++)
        tests[i + 2] = (struct CMUnitTest){rows[i].name, holds, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
