/* Which workgroups of a custom kernel a device takes. This is checked before anything runs, since a launch that is
 * refused loses the device. */
#include "backends/lowering/program.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct row {
    const char *name;
    uint32_t local[3], grid_output;
    m3_status status;
    const char *reason;
} row;

static const row rows[] = {
    {"any size is the device's own", {0, 0, 0}, 0, M3_OK, ""},
    {"what is as large as the device's fits", {16, 1, 64}, 0, M3_OK, ""},
    {"axes left at 0 count as 1", {1024, 0, 0}, 0, M3_OK, ""},
    {"an axis has its own limit", {1, 1, 65}, 0, M3_ERR_UNSUPPORTED, "65 work-items along z, the device takes 64"},
    {"so has the first", {1025, 0, 0}, 0, M3_ERR_UNSUPPORTED, "1025 work-items along x, the device takes 1024"},
    {"all axes together have one", {64, 32, 1}, 0, M3_ERR_UNSUPPORTED, "64 x 32 x 1 work-items, the device takes 1024"},
    {"a grid is counted over an output there is", {0, 0, 0}, 1, M3_ERR_INVALID, "output 1 of 1"},
};

static void is_checked(void **state)
{
    const row *r = *state;
    const lower_traits traits = {
        .group = 64, .custom = {.language = "spirv", .group_items = 1024, .group_extent = {1024, 1024, 64}}};
    m3_kernel_desc desc = {.size = sizeof desc, .language = "spirv", .grid_output = r->grid_output};
    const m3_op op = {
        .size = M3_STRUCT_SIZE(m3_op, zero_gradient), .name = "test.fake", .kernels = {1, sizeof desc, &desc}};
    m3_tensor *out[1] = {NULL};
    const m3_node node = {.op = &op, .out_count = 1, .out = out};
    m3_error why = {0};
    memcpy(desc.local, r->local, sizeof r->local);
    assert_int_equal(lower_supports(&traits, &node, &why), r->status);
    if (strstr(why.message, r->reason) == NULL) fail_msg("'%s' lacks '%s'", why.message, r->reason);
}

int main(void)
{
    enum { COUNT = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[COUNT];
    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < COUNT; i++) {
        tests[i].name = rows[i].name;
        tests[i].test_func = is_checked;
        tests[i].initial_state = (void *)(uintptr_t)&rows[i];
    }
    return cmocka_run_group_tests_name("workgroups of custom kernels", tests, NULL, NULL);
}
