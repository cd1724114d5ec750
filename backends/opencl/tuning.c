/* tuning: the table of variants is a file beside the compiled kernels, read when the device is opened. With option
 * tune=yes, classes of a program that it lacks are measured (backends/lowering/tune.h). */
#include "backends/opencl/tuning.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/tune.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/platform.h"
#include "backends/opencl/program.h"
#include "backends/opencl/queue.h"
#include "backends/opencl/run.h"

enum { KEY_BYTES = 320, RUNS = 5 };

/* Everything that decides how fast a variant is, in one line. */
static void name_device(const m3_device_impl *device, char key[KEY_BYTES])
{
    const lower_traits *t = &device->traits;
    char driver[64];
    opencl_info_text(device->cl, device->id, CL_DRIVER_VERSION, driver, sizeof driver);
    (void)snprintf(key, KEY_BYTES, "opencl %.100s, %.60s, lanes %u, vector %u, group %u, units %u%s", device->name,
                   driver, t->lanes, t->vector, t->group, t->units, t->clblast ? ", CLBlast" : "");
}

m3_status opencl_tuning_open(m3_device_impl *device, m3_error *err)
{
    char key[KEY_BYTES];
    name_device(device, key);
    m3_status st = lower_tuning_open(device->host, device->files, "opencl", key, &device->tuning, err);
    device->traits.tuning = device->tuning;
    return st;
}

/* Ones: neither they nor their products are NaN or denormal, in any type. */
static m3_status fill(m3_device_impl *device, const m3_buffer *buffer, m3_error *err)
{
    const cl_float one = 1;
    cl_int code = device->cl->EnqueueFillBuffer(device->queue.commands, buffer->memory, &one, sizeof one, 0,
                                                (size_t)buffer->bytes / sizeof one * sizeof one, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = device->cl->Finish(device->queue.commands);
    return code == CL_SUCCESS ? M3_OK : opencl_device_lose(device, "a fill", code, err);
}

static m3_status time_variant(void *user, const lower_traits *traits, const m3_program *program, double *microseconds,
                              m3_error *err)
{
    m3_device_impl *device = user;
    m3_buffer *buffer = NULL;
    m3_exec_impl *exec = NULL;
    uint64_t value = 0;
    m3_status st;
    *microseconds = 0;
    if ((st = opencl_buffer_create(device, program->segments[0].bytes, M3_BUFFER_DEVICE, &buffer, err)) != M3_OK)
        goto done;
    if ((st = fill(device, buffer, err)) != M3_OK) goto done;
    if ((st = opencl_program_compile(device, traits, program, &buffer, &exec, err)) != M3_OK) goto done;
    if ((st = opencl_exec_profile(device, exec, true, err)) != M3_OK) goto done;
    for (int i = 0; i <= RUNS && st == M3_OK; i++) { /* the first may still compile */
        st = opencl_exec_submit_timed(device, exec, &value, err);
        const double now = 1e-3 * (double)exec->time_ns[0];
        if (i == 1 || (i > 1 && now < *microseconds)) *microseconds = now;
    }
done:
    opencl_exec_free(device, exec);
    opencl_buffer_free(device, buffer);
    return st;
}

m3_status opencl_tuning_measure(m3_device_impl *device, const m3_program *program, m3_error *err)
{
    const lower_tuner tuner = {device, time_variant};
    if (!device->tune) return M3_OK;
    return lower_tune(device->tuning, &tuner, &device->traits, program, device->alignment, err);
}

m3_status opencl_tuning_info(m3_device_impl *device, m3_tuning *tuning, m3_error *err)
{
    return lower_tuning_describe(device->tuning, tuning, err);
}
