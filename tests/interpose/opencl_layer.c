/* opencl_layer: a driver that takes every binary and finds no kernel in it, as a layer of the OpenCL loader
 * (OPENCL_LAYERS=FILE). */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl_layer.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { MOST = 4096 };

static struct _cl_icd_dispatch layer;
static const struct _cl_icd_dispatch *driver;
static cl_program from_binary[MOST];
static unsigned count;

static cl_program CL_API_CALL create_with_binary(cl_context context, cl_uint devices, const cl_device_id *list,
                                                 const size_t *bytes, const unsigned char **binaries, cl_int *status,
                                                 cl_int *code)
{
    cl_program made = driver->clCreateProgramWithBinary(context, devices, list, bytes, binaries, status, code);
    if (made != NULL && count < MOST) from_binary[count++] = made;
    return made;
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *code)
{
    for (unsigned i = 0; i < count; i++) {
        if (from_binary[i] != program) continue;
        if (code != NULL) *code = CL_INVALID_KERNEL_NAME;
        return NULL;
    }
    return driver->clCreateKernel(program, name, code);
}

/* A program's memory may become that of another one, of source. */
static cl_int CL_API_CALL release_program(cl_program program)
{
    for (unsigned i = 0; i < count; i++)
        if (from_binary[i] == program) from_binary[i] = NULL;
    return driver->clReleaseProgram(program);
}

EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t room, void *value, size_t *bytes)
{
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    if (name != CL_LAYER_API_VERSION) return CL_INVALID_VALUE;
    if (value != NULL && room < sizeof version) return CL_INVALID_VALUE;
    if (value != NULL) memcpy(value, &version, sizeof version);
    if (bytes != NULL) *bytes = sizeof version;
    return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clInitLayer(cl_uint entries, const struct _cl_icd_dispatch *target, cl_uint *own,
                                      const struct _cl_icd_dispatch **dispatch)
{
    if (entries > sizeof layer / sizeof(void *)) entries = sizeof layer / sizeof(void *);
    memcpy(&layer, target, entries * sizeof(void *));
    driver = target;
    layer.clCreateProgramWithBinary = create_with_binary;
    layer.clCreateKernel = create_kernel;
    layer.clReleaseProgram = release_program;
    *own = entries;
    *dispatch = &layer;
    return CL_SUCCESS;
}
