/* build: a kernel of a source of ours, or of a text. The programs of OpenCL that they are in are kept, in memory and on
 * disk. */
#ifndef OPENCL_BUILD_H
#define OPENCL_BUILD_H

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

/* A built program of one source with one set of options; lives as long as its device. */
typedef struct opencl_program {
    struct opencl_program *next;
    char *key; /* source's name and options */
    cl_program program;
    bool kept; /* a binary from disk */
} opencl_program;

/* A program of a source of ours, built where the device does not have it yet; borrowed. tape: text before the source,
 * "" for none, which the options name. Threads may call it at once, with different sources or options. */
m3_status opencl_program_build(m3_device_impl *device, const char *source, const char *tape, const char *options,
                               opencl_program **program, m3_error *err);
m3_status opencl_kernel_create(m3_device_impl *device, const char *source, const char *entry, const char *tape,
                               const char *options, cl_kernel *kernel, m3_error *err);
m3_status opencl_kernel_create_from_text(m3_device_impl *device, const char *name, const char *text, const char *entry,
                                         cl_kernel *kernel, m3_error *err);
void opencl_programs_free(m3_device_impl *device);

#endif
