/* How the groups of a kernel come to fit, on a device whose compiler made a kernel that takes few items. */
#include "backends/opencl/api.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/group.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct row {
    const char *name;
    size_t most; /* items that the kernel takes; 0: the driver does not say */
    bool any;    /* groups may be of any size */
    size_t local[3], want[3];
    m3_status status;
} row;

static const row rows[] = {
    {"what fits stays", 128, true, {128, 1, 1}, {128, 1, 1}, M3_OK},
    {"a group of any size shrinks", 64, true, {256, 1, 1}, {64, 1, 1}, M3_OK},
    {"to a part of itself, not to the limit", 96, true, {256, 1, 1}, {64, 1, 1}, M3_OK},
    {"down to one item", 1, true, {128, 1, 1}, {1, 1, 1}, M3_OK},
    {"a group that has to be so is refused", 64, false, {128, 1, 1}, {128, 1, 1}, M3_ERR_UNSUPPORTED},
    {"all axes count", 64, false, {16, 8, 1}, {16, 8, 1}, M3_ERR_UNSUPPORTED},
    {"a driver that does not say is tried", 0, false, {128, 1, 1}, {128, 1, 1}, M3_OK},
};

static size_t max_group_items;

static cl_int CL_API_CALL say(cl_kernel kernel, cl_device_id id, cl_kernel_work_group_info what, size_t bytes,
                              void *value, size_t *needed)
{
    (void)kernel;
    (void)id;
    (void)needed;
    assert_int_equal(what, CL_KERNEL_WORK_GROUP_SIZE);
    assert_int_equal(bytes, sizeof max_group_items);
    if (max_group_items == 0) return CL_INVALID_KERNEL;
    memcpy(value, &max_group_items, sizeof max_group_items);
    return CL_SUCCESS;
}

static void fits(void **state)
{
    const row *r = *state;
    const opencl_api cl = {.GetKernelWorkGroupInfo = say};
    m3_device_impl device = {.cl = &cl, .name = "narrow"};
    opencl_launch launch = {.axes = 1, .global = {1024, 1, 1}};
    m3_error err = {0};
    max_group_items = r->most;
    memcpy(launch.local, r->local, sizeof r->local);
    assert_int_equal(opencl_group_fit(&device, &launch, r->any, "add", &err), r->status);
    assert_memory_equal(launch.local, r->want, sizeof r->want);
    assert_int_equal(launch.global[0], 1024);
    if (r->status == M3_OK) return;
    assert_non_null(strstr(err.message, "128 work-items, narrow takes 64"));
    assert_non_null(strstr(err.message, "refuse=add"));
}

int main(void)
{
    enum { COUNT = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[COUNT];
    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < COUNT; i++) {
        tests[i].name = rows[i].name;
        tests[i].test_func = fits;
        tests[i].initial_state = (void *)(uintptr_t)&rows[i];
    }
    return cmocka_run_group_tests_name("groups of an OpenCL kernel", tests, NULL, NULL);
}
