/* The OpenCL backend's compiled programs on disk: keys, what is read again, and a host without a folder. */
#include "backends/opencl/api.h"
#include "backends/opencl/cache.h"
#include "backends/opencl/device.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const unsigned char binary[] = "a program";

static cl_int CL_API_CALL platform_info(cl_platform_id id, cl_platform_info what, size_t bytes, void *value,
                                        size_t *needed)
{
    (void)id;
    (void)what;
    (void)needed;
    (void)snprintf(value, bytes, "OpenCL 1.2");
    return CL_SUCCESS;
}

static cl_int CL_API_CALL device_info(cl_device_id id, cl_device_info what, size_t bytes, void *value, size_t *needed)
{
    (void)id;
    (void)needed;
    (void)snprintf(value, bytes, "%u", what);
    return CL_SUCCESS;
}

static void *allocate(void *user, size_t count, size_t bytes)
{
    (void)user;
    return calloc(count, bytes);
}

static void give_back(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static const opencl_api api = {.GetPlatformInfo = platform_info, .GetDeviceInfo = device_info};
static m3_host host;
static m3_device_impl device = {.host = &host, .cl = &api};

/* A folder of its own as the current one, with a folder named as printf shows a NULL. */
static int set_up(void **state)
{
    static char folder[64];
    (void)snprintf(folder, sizeof folder, "/tmp/m3bsr-cache-XXXXXX");
    *state = folder;
    host = (m3_host){.allocate = allocate, .release = give_back};
    device.cache = true;
    return mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("(null)", 0700) != 0;
}

static int tear_down(void **state)
{
    return rmdir("(null)") != 0 || chdir("/") != 0 || rmdir(*state) != 0;
}

static opencl_key key_of(const char *text)
{
    return opencl_cache_key(&device, &text, 1);
}

static void sources_have_keys(void **state)
{
    const opencl_key one = key_of("one"), again = key_of("one"), other = key_of("other");
    (void)state;
    assert_memory_equal(&one, &again, sizeof one);
    assert_memory_not_equal(&one, &other, sizeof one);
}

static void is_read_again(void **state)
{
    char path[128];
    size_t bytes = 0;
    const opencl_key key = key_of("one");
    host.cache_path = *state;
    opencl_cache_write(&device, key, binary, sizeof binary);
    unsigned char *read = opencl_cache_read(&device, key, &bytes);
    assert_non_null(read);
    assert_int_equal(bytes, sizeof binary);
    assert_memory_equal(read, binary, sizeof binary);
    free(read);
    assert_null(opencl_cache_read(&device, key_of("other"), &bytes));
    device.cache = false;
    assert_null(opencl_cache_read(&device, key, &bytes));
    (void)snprintf(path, sizeof path, "opencl-%016llx%016llx.bin", (unsigned long long)key.hash[1],
                   (unsigned long long)key.hash[0]);
    assert_int_equal(unlink(path), 0);
}

/* The option cache=on where the host has no folder. */
static void nothing_is_kept_nowhere(void **state)
{
    size_t bytes = 0;
    (void)state;
    opencl_cache_write(&device, key_of("one"), binary, sizeof binary);
    assert_null(opencl_cache_read(&device, key_of("one"), &bytes));
    assert_int_equal(rmdir("(null)"), 0); /* it is empty */
    assert_int_equal(mkdir("(null)", 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sources_have_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_kept_nowhere, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("the cache of an OpenCL device", tests, NULL, NULL);
}
