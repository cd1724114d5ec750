/* api: the OpenCL functions that this plugin calls, looked up at run time, so that the plugin loads without a loader.
 */
#ifndef OPENCL_API_H
#define OPENCL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "m3bsr/base.h"

/* All are of OpenCL 1.2. */
#define OPENCL_FUNCTIONS(F)                                                                                            \
    F(GetPlatformIDs)                                                                                                  \
    F(GetPlatformInfo)                                                                                                 \
    F(GetDeviceIDs)                                                                                                    \
    F(GetDeviceInfo)                                                                                                   \
    F(CreateContext)                                                                                                   \
    F(ReleaseContext)                                                                                                  \
    F(CreateCommandQueue)                                                                                              \
    F(ReleaseCommandQueue)                                                                                             \
    F(CreateBuffer)                                                                                                    \
    F(CreateSubBuffer)                                                                                                 \
    F(ReleaseMemObject)                                                                                                \
    F(CreateProgramWithSource)                                                                                         \
    F(CreateProgramWithBinary)                                                                                         \
    F(BuildProgram)                                                                                                    \
    F(GetProgramInfo)                                                                                                  \
    F(GetProgramBuildInfo)                                                                                             \
    F(ReleaseProgram)                                                                                                  \
    F(CreateKernel)                                                                                                    \
    F(ReleaseKernel)                                                                                                   \
    F(GetKernelInfo)                                                                                                   \
    F(SetKernelArg)                                                                                                    \
    F(GetKernelWorkGroupInfo)                                                                                          \
    F(EnqueueNDRangeKernel)                                                                                            \
    F(EnqueueReadBuffer)                                                                                               \
    F(EnqueueWriteBuffer)                                                                                              \
    F(EnqueueFillBuffer)                                                                                               \
    F(EnqueueMarkerWithWaitList)                                                                                       \
    F(Flush)                                                                                                           \
    F(Finish)                                                                                                          \
    F(WaitForEvents)                                                                                                   \
    F(GetEventInfo)                                                                                                    \
    F(GetEventProfilingInfo)                                                                                           \
    F(RetainEvent)                                                                                                     \
    F(ReleaseEvent)

typedef struct opencl_api {
    void *library; /* NULL: there is no loader, and no function may be called */
#define OPENCL_MEMBER(name) __typeof__(&cl##name) name;
    OPENCL_FUNCTIONS(OPENCL_MEMBER)
#undef OPENCL_MEMBER
} opencl_api;

/* Open the ICD loader. M3_ERR_UNSUPPORTED with the reason when it or a function of it is missing. */
m3_status opencl_api_open(opencl_api *cl, m3_error *why);
void opencl_api_close(opencl_api *cl);

/* "CL_OUT_OF_RESOURCES", or the number as text, for messages. */
const char *opencl_error_name(cl_int code, char *text, size_t bytes);
#define OPENCL_ERROR(code) opencl_error_name((code), (char[32]){0}, 32)

#endif
