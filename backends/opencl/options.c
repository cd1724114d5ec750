/* options: what `--device-option KEY=VALUE` sets. Those that shape kernels exist so that kernels made for one kind of
 * device can be tried on another. */
#include "backends/opencl/options.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/plugin.h"
#include "backends/opencl/device.h"

#include <string.h>

#define SHAPES    "gpu|processor"
#define UNLIMITED 0x1p63

/* clang-format off */
const m3_option_desc opencl_options[OPENCL_OPTIONS] = {
    LOWER_OPTIONS,
    M3_DESCRIBE_BOOL("cache", "", "keep compiled kernels on disk; by default, unless the driver is PoCL, which does"),
    M3_DESCRIBE_BOOL("clblast", "true", "use CLBlast where it is installed, among what is measured"),
    M3_DESCRIBE_CHOICE("shape", SHAPES, "", "kernels made for that kind of device, whatever the driver says it is"),
    M3_DESCRIBE_INT("lanes", 1, 1 << 30, "", "work-items that share a row; a power of two"),
    M3_DESCRIBE_INT("vector", 1, 16, "", "elements that a work-item reads at once; a power of two"),
    M3_DESCRIBE_INT("group", 1, 1 << 30, "", "work-items of a workgroup; a power of two"),
    M3_DESCRIBE_INT("memory", 1, UNLIMITED, "", "bytes that are held at most"),
    M3_DESCRIBE_INT("largest_buffer", 1, UNLIMITED, "", "bytes of a buffer at most"),
};
/* clang-format on */

/* A power of two of at most `max`; stays as it is unless it was given. */
static m3_status read_power(m3_span given, const char *key, uint32_t max, uint32_t *value, m3_error *err)
{
    const int64_t number = m3_options_int(given, key, *value);
    if (number > max || (number & (number - 1)) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, key, "is %lld; give a power of two up to %u", (long long)number, max);
    *value = (uint32_t)number;
    return M3_OK;
}

/* A limit of at most what the device has. */
static m3_status read_limit(m3_span given, const char *key, uint64_t *value, m3_error *err)
{
    const int64_t number = m3_options_int(given, key, -1);
    if (number < 0) return M3_OK;
    if ((uint64_t)number > *value)
        return M3_FAIL(err, M3_ERR_INVALID, key, "is %lld, but the device has %llu; give at most that",
                       (long long)number, (unsigned long long)*value);
    *value = (uint64_t)number;
    return M3_OK;
}

/* Kernels for a GPU, or for a processor, whatever the driver says that the device is. */
static void set_shape(lower_traits *t, bool gpu)
{
    t->lanes = gpu ? 32 : 1;
    t->vector = gpu ? 4 : 16;
    t->group = gpu ? 64 : 1;
    if (t->group > t->largest_group) t->group = t->largest_group;
    if (t->lanes > t->largest_group) t->lanes = t->largest_group;
}

m3_status opencl_set_options(m3_device_impl *device, m3_span given, m3_error *err)
{
    lower_traits *t = &device->traits;
    m3_status st;
    const int shape = m3_options_choice(given, "shape", SHAPES, -1);
    if (shape >= 0) set_shape(t, shape == 0);
    if ((st = read_power(given, "lanes", t->largest_group, &t->lanes, err)) != M3_OK) return st;
    if ((st = read_power(given, "vector", 16, &t->vector, err)) != M3_OK) return st;
    if ((st = read_power(given, "group", t->largest_group, &t->group, err)) != M3_OK) return st;
    if ((st = read_limit(given, "memory", &device->memory_total, err)) != M3_OK) return st;
    if ((st = read_limit(given, "largest_buffer", &device->largest_buffer, err)) != M3_OK) return st;
    if (t->largest_binding > device->largest_buffer) t->largest_binding = device->largest_buffer;
    device->fail_after = (uint64_t)m3_options_int(given, "fail_after", -1); /* UINT64_MAX: never */
    device->no_clblast = !m3_options_bool(given, "clblast", true);
    device->tune = m3_options_bool(given, "tune", false);
    device->cache = m3_options_bool(given, "cache", device->cache);
    if ((st = lower_read_variant(given, &t->variant, err)) != M3_OK) return st;
    if ((st = lower_read_keep(device->host, given, &device->keep, err)) != M3_OK) return st;
    return lower_read_refused(device->host, given, &device->refused, err);
}
