/* tuning: the table of variants is a file beside the pipelines' cache, read when the device is opened. With option
 * tune=yes, classes of a program that it lacks are measured (backends/lowering/tune.h). */
#include "backends/vulkan/tuning.h"
#include "backends/lowering/clock.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/tune.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/program.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/run.h"
#include "backends/vulkan/transfer.h"

enum { KEY_BYTES = 256, RUNS = 5, PIECE = 1 << 16 };

/* Everything that decides how fast a variant is, in one line. */
static void name_device(const m3_device_impl *device, char key[KEY_BYTES])
{
    const lower_traits *t = &device->traits;
    (void)snprintf(key, KEY_BYTES, "vulkan %.80s, %.80s, lanes %u, group %u, units %u",
                   device->adapter->properties.deviceName, device->adapter->driver, t->lanes, t->group, t->units);
}

m3_status vulkan_tuning_open(m3_device_impl *device, m3_error *err)
{
    char key[KEY_BYTES];
    name_device(device, key);
    m3_status st = lower_tuning_open(device->host, device->files, "vulkan", key, &device->tuning, err);
    device->traits.tuning = device->tuning;
    return st;
}

/* Ones: neither they nor their products are NaN or denormal, in any type. */
static m3_status fill(m3_device_impl *device, m3_buffer *buffer, m3_error *err)
{
    const m3_host *host = device->host;
    uint64_t value = 0;
    m3_status st = M3_OK;
    float *ones = host->allocate(host->user, PIECE, sizeof *ones);
    if (ones == NULL) return M3_FAIL_MEMORY(err, "tune", PIECE * sizeof *ones);
    for (uint32_t i = 0; i < PIECE; i++) ones[i] = 1;
    for (uint64_t at = 0; at < buffer->bytes && st == M3_OK; at += PIECE * sizeof *ones) {
        const uint64_t left = buffer->bytes - at;
        st = vulkan_buffer_upload(device, buffer, at, ones, left < PIECE * sizeof *ones ? left : PIECE * sizeof *ones,
                                  &value, err);
        if (st == M3_OK) st = vulkan_queue_wait(device, value, UINT64_MAX, err);
    }
    host->release(host->user, ones);
    return st;
}

/* The device's own clock where it has one. */
static m3_status time_run(m3_device_impl *device, m3_exec_impl *exec, double *microseconds, m3_error *err)
{
    uint64_t time_ns = 0;
    const uint64_t start = lower_now_ns();
    m3_status st = vulkan_exec_start(device, exec, err);
    if (st == M3_OK) st = vulkan_queue_wait(device, exec->value, UINT64_MAX, err);
    *microseconds = 1e6 * lower_seconds_since(start);
    if (st == M3_OK && exec->profile) st = vulkan_exec_times(device, exec, &time_ns, 1, err);
    if (time_ns > 0) *microseconds = 1e-3 * (double)time_ns;
    return st;
}

static m3_status time_variant(void *user, const lower_traits *traits, const m3_program *program, double *microseconds,
                              m3_error *err)
{
    m3_device_impl *device = user;
    const uint32_t usage = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD;
    m3_buffer *buffer = NULL;
    m3_exec_impl *exec = NULL;
    m3_status st;
    *microseconds = 0;
    if ((st = vulkan_buffer_create(device, program->segments[0].bytes, usage, &buffer, err)) != M3_OK) goto done;
    if ((st = fill(device, buffer, err)) != M3_OK) goto done;
    if ((st = vulkan_program_compile(device, traits, program, &buffer, &exec, err)) != M3_OK) goto done;
    if (device->adapter->timestamp_bits != 0) st = vulkan_exec_profile(device, exec, true, err);
    for (int i = 0; i <= RUNS && st == M3_OK; i++) {
        double now = 0;
        st = time_run(device, exec, &now, err);
        if (i == 1 || (i > 1 && now < *microseconds)) *microseconds = now; /* the first may still compile */
    }
done:
    vulkan_exec_free(device, exec);
    vulkan_buffer_free(device, buffer);
    return st;
}

m3_status vulkan_tuning_measure(m3_device_impl *device, const m3_program *program, m3_error *err)
{
    const lower_tuner tuner = {device, time_variant};
    if (!device->tune) return M3_OK;
    return lower_tune(device->tuning, &tuner, &device->traits, program, device->alignment, err);
}

m3_status vulkan_tuning_info(m3_device_impl *device, m3_tuning *tuning, m3_error *err)
{
    return lower_tuning_describe(device->tuning, tuning, err);
}
