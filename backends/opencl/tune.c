/* tune: what the device knows by measurement: a file beside the compiled kernels, read when the device is opened, and
 * with option tune=yes extended by what a program leaves open. */
#include "opencl.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { KEY_BYTES = 320, RUNS = 5 };

/* Everything that decides how fast a way is, in one line. */
static void name_device(const m3_device_impl *device, char key[KEY_BYTES])
{
    const gpu_traits *t = &device->traits;
    char driver[64];
    opencl_text(device->cl, device->id, CL_DRIVER_VERSION, driver, sizeof driver);
    (void)snprintf(key, KEY_BYTES, "opencl %.100s, %.60s, lanes %u, vector %u, group %u, units %u%s", device->name,
                   driver, t->lanes, t->vector, t->group, t->units, t->clblast ? ", CLBlast" : "");
}

m3_status opencl_tuning_open(m3_device_impl *device, m3_error *err)
{
    const m3_host *host = device->host;
    char key[KEY_BYTES];
    m3_error why = {0};
    name_device(device, key);
    m3_status st = gpu_tuning_create(host, key, &device->tuning, err);
    if (st != M3_OK) return st;
    device->traits.tuning = device->tuning;
    if (host->cache_path == NULL) return M3_OK;
    const int length = snprintf(device->tuning_path, sizeof device->tuning_path, "%s/tuning-opencl-%016llx.txt",
                                host->cache_path, (unsigned long long)XXH3_64bits(key, strlen(key)));
    if (length <= 0 || (size_t)length >= sizeof device->tuning_path) device->tuning_path[0] = 0;
    if (device->tuning_path[0] == 0) return M3_OK;
    st = gpu_tuning_load(device->tuning, device->tuning_path, &why);
    if (st == M3_OK) return M3_OK;
    if (st == M3_ERR_MEMORY) return M3_FAIL(err, st, why.subject, "%s", why.message);
    host->log(host->user, M3_LOG_WARN, why.message); /* slower, no more */
    return M3_OK;
}

/* Ones, which are numbers in every type, and make products that are. */
static m3_status fill(m3_device_impl *device, const m3_buffer *buffer, m3_error *err)
{
    const cl_float one = 1;
    cl_int code = device->cl->EnqueueFillBuffer(device->queue, buffer->memory, &one, sizeof one, 0,
                                                (size_t)buffer->bytes / sizeof one * sizeof one, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = device->cl->Finish(device->queue);
    return code == CL_SUCCESS ? M3_OK : opencl_lose(device, "a fill", code, err);
}

static m3_status time_way(void *user, const gpu_traits *traits, const m3_program *program, double *microseconds,
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
    if ((st = opencl_compile_with(device, traits, program, &buffer, &exec, err)) != M3_OK) goto done;
    if ((st = opencl_profile(device, exec, true, err)) != M3_OK) goto done;
    for (int i = 0; i <= RUNS && st == M3_OK; i++) { /* the first may still compile */
        st = opencl_submit_timed(device, exec, &value, err);
        const double now = 1e-3 * (double)exec->time_ns[0];
        if (i == 1 || (i > 1 && now < *microseconds)) *microseconds = now;
    }
done:
    opencl_exec_free(device, exec);
    opencl_buffer_free(device, buffer);
    return st;
}

m3_status opencl_tune(m3_device_impl *device, const m3_program *program, m3_error *err)
{
    const gpu_tuner tuner = {device, time_way};
    m3_error why = {0};
    if (!device->tune) return M3_OK;
    const m3_status st = gpu_tune(device->tuning, &tuner, &device->traits, program, device->alignment, err);
    if (st != M3_OK || device->tuning_path[0] == 0 || !gpu_tuning_changed(device->tuning)) return st;
    if (gpu_tuning_save(device->tuning, device->tuning_path, &why) != M3_OK)
        device->host->log(device->host->user, M3_LOG_WARN, why.message); /* known until the device is closed */
    return M3_OK;
}

m3_status opencl_tuning(m3_device_impl *device, m3_tuning *tuning, m3_error *err)
{
    if (tuning->size < M3_STRUCT_SIZE(m3_tuning, path))
        return M3_FAIL(err, M3_ERR_ABI, "m3_tuning", "its size is %u, wanted at least %u", tuning->size,
                       M3_STRUCT_SIZE(m3_tuning, path));
    tuning->classes = gpu_tuning_count(device->tuning);
    tuning->measured = gpu_tuning_measured(device->tuning);
    (void)snprintf(tuning->path, sizeof tuning->path, "%s", device->tuning_path);
    return M3_OK;
}
