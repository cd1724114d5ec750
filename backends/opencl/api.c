/* api: dlopen of the ICD loader, and names of error codes. */
#include "backends/opencl/api.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "libOpenCL.dylib",
                                    "/System/Library/Frameworks/OpenCL.framework/OpenCL"};

/* A function as dlsym gives it: POSIX says that the pointer to data is one to a function. */
static m3_status look_up(void *library, const char *name, void *function, m3_error *why)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    if (symbol != NULL) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, "OpenCL", "the loader has no %s; it must be of OpenCL 1.2 or later", name);
}

/* Of a dlopen that failed, with errno 0 before it: the dynamic loader leaves errno alone, malloc does not. */
static bool is_memory(int code, const char *reason)
{
    return code == ENOMEM || reason == NULL || strstr(reason, strerror(ENOMEM)) != NULL;
}

m3_status opencl_api_open(opencl_api *cl, m3_error *why)
{
    m3_status st = M3_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        errno = 0;
        cl->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (cl->library != NULL) break;
        const int code = errno;
        if (is_memory(code, dlerror()))
            return M3_FAIL(why, M3_ERR_MEMORY, "OpenCL", "there is no memory to load its ICD loader");
    }
    if (cl->library == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, "OpenCL",
                       "there is no ICD loader (%s); on Debian install ocl-icd-libopencl1 and a driver", names[0]);
#define OPENCL_LOOK_UP(name)                                                                                           \
    if (st == M3_OK) st = look_up(cl->library, "cl" #name, &cl->name, why);
    OPENCL_FUNCTIONS(OPENCL_LOOK_UP)
#undef OPENCL_LOOK_UP
    if (st != M3_OK) opencl_api_close(cl);
    return st;
}

void opencl_api_close(opencl_api *cl)
{
    /* Drivers keep threads and exit handlers, so the loader stays in the process. */
    *cl = (opencl_api){0};
}

#define NAME(code)                                                                                                     \
    {                                                                                                                  \
        code, #code                                                                                                    \
    }
static const struct {
    cl_int code;
    const char *name;
} codes[] = {
    NAME(CL_DEVICE_NOT_FOUND),
    NAME(CL_DEVICE_NOT_AVAILABLE),
    NAME(CL_COMPILER_NOT_AVAILABLE),
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    NAME(CL_OUT_OF_RESOURCES),
    NAME(CL_OUT_OF_HOST_MEMORY),
    NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
    NAME(CL_BUILD_PROGRAM_FAILURE),
    NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    NAME(CL_INVALID_VALUE),
    NAME(CL_INVALID_CONTEXT),
    NAME(CL_INVALID_COMMAND_QUEUE),
    NAME(CL_INVALID_MEM_OBJECT),
    NAME(CL_INVALID_BINARY),
    NAME(CL_INVALID_BUILD_OPTIONS),
    NAME(CL_INVALID_PROGRAM_EXECUTABLE),
    NAME(CL_INVALID_KERNEL_NAME),
    NAME(CL_INVALID_ARG_INDEX),
    NAME(CL_INVALID_ARG_VALUE),
    NAME(CL_INVALID_ARG_SIZE),
    NAME(CL_INVALID_KERNEL_ARGS),
    NAME(CL_INVALID_WORK_GROUP_SIZE),
    NAME(CL_INVALID_WORK_ITEM_SIZE),
    NAME(CL_INVALID_BUFFER_SIZE),
    NAME(CL_INVALID_GLOBAL_WORK_SIZE),
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
};

const char *opencl_error_name(cl_int code, char *text, size_t bytes)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code) return codes[i].name;
    (void)snprintf(text, bytes, "OpenCL error %d", (int)code);
    return text;
}
