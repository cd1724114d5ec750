/* The OpenCL backend's compiled programs on disk: keys, what is read again, and a host without a folder. */
#include "backends/opencl/api.h"
#include "backends/opencl/cache.h"
#include "backends/opencl/device.h"

#include <pthread.h>
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

/* A compiler that has no binary of its own to give, and takes none. */
static struct compiler {
    int binaries, sources;
} compiler;

static cl_program CL_API_CALL from_binary(cl_context context, cl_uint count, const cl_device_id *devices,
                                          const size_t *bytes, const unsigned char **binaries, cl_int *status,
                                          cl_int *code)
{
    (void)context;
    (void)count;
    (void)devices;
    (void)bytes;
    (void)binaries;
    compiler.binaries++;
    *status = CL_INVALID_BINARY;
    *code = CL_INVALID_BINARY;
    return NULL;
}

static cl_program CL_API_CALL from_source(cl_context context, cl_uint count, const char **texts, const size_t *bytes,
                                          cl_int *code)
{
    (void)context;
    (void)count;
    (void)texts;
    (void)bytes;
    compiler.sources++;
    *code = CL_SUCCESS;
    return (cl_program)(void *)&compiler;
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                                void(CL_CALLBACK *done)(cl_program program, void *user), void *user)
{
    (void)program;
    (void)count;
    (void)devices;
    (void)options;
    (void)done;
    (void)user;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program program, cl_program_info what, size_t bytes, void *value,
                                       size_t *needed)
{
    (void)program;
    (void)needed;
    if (what == CL_PROGRAM_BINARY_SIZES) memcpy(value, &(size_t){sizeof binary}, bytes);
    if (what == CL_PROGRAM_BINARIES) memcpy(*(unsigned char **)value, binary, sizeof binary);
    return CL_SUCCESS;
}

static cl_kernel CL_API_CALL make_kernel(cl_program program, const char *name, cl_int *code)
{
    (void)name;
    *code = CL_SUCCESS;
    return (cl_kernel)(void *)program;
}

static cl_int CL_API_CALL release_program(cl_program program)
{
    (void)program;
    return CL_SUCCESS;
}

static const opencl_api api = {.GetPlatformInfo = platform_info,
                               .GetDeviceInfo = device_info,
                               .CreateProgramWithBinary = from_binary,
                               .CreateProgramWithSource = from_source,
                               .BuildProgram = build,
                               .GetProgramInfo = program_info,
                               .CreateKernel = make_kernel,
                               .ReleaseProgram = release_program};
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
    device.files = NULL;
    return mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("(null)", 0700) != 0;
}

static int tear_down(void **state)
{
    return rmdir("(null)") != 0 || chdir("/") != 0 || rmdir(*state) != 0;
}

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
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
    m3_error err = {0};
    const opencl_key key = key_of("one");
    host.cache_path = *state;
    assert_int_equal(lower_cache_open(&host, &device.files, &err), M3_OK);
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
    lower_cache_close(device.files);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink("key"), 0);
}

/* What a process kept is offered to the driver of the next, and then the source. */
static void a_driver_that_refuses_gets_the_source(void **state)
{
    m3_error err = {0};
    cl_kernel kernel = NULL;
    host.cache_path = *state;
    host.log = quiet;
    pthread_mutex_init(&device.programs_lock, NULL);
    assert_int_equal(lower_cache_open(&host, &device.files, &err), M3_OK);
    for (int process = 0; process < 2; process++) {
        assert_int_equal(opencl_kernel_create_from_text(&device, "op", "a source", "op", &kernel, &err), M3_OK);
        opencl_programs_free(&device);
        assert_true(compiler.sources == process + 1 && compiler.binaries == process);
    }
    lower_cache_close(device.files);
    pthread_mutex_destroy(&device.programs_lock);
    assert_int_equal(system("rm key opencl-*.bin"), 0); /* and there is nothing else */
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
        cmocka_unit_test_setup_teardown(a_driver_that_refuses_gets_the_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_kept_nowhere, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("the cache of an OpenCL device", tests, NULL, NULL);
}
