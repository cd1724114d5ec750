/* options: what `--device-option KEY=VALUE` sets, for users and for tests. */
#include "backends/vulkan/options.h"
#include "backends/lowering/plugin.h"
#include "backends/vulkan/device.h"

#define UNLIMITED 0x1p63
#define SHAPES    "gpu|simulated"
#define MATRICES  "off|played"

/* clang-format off */
const m3_option_desc vulkan_options[VULKAN_OPTIONS] = {
    LOWER_OPTIONS,
    M3_DESCRIBE_CHOICE("shape", SHAPES, "", "kernels made for that kind of device, whatever the driver says it is"),
    M3_DESCRIBE_INT("lanes", 1, 1024, "", "invocations that work on a row together, a power of two"),
    M3_DESCRIBE_INT("units", 1, 65536, "", "compute units that work is cut for"),
    M3_DESCRIBE_CHOICE("matrices", MATRICES, "", "products by matrices of halves: never, or played by loops, to try them"),
    M3_DESCRIBE_BOOL("cache", "true", "keep compiled kernels on disk"),
    M3_DESCRIBE_BOOL("timeline", "true", "timeline semaphores instead of fences"),
    M3_DESCRIBE_BOOL("staging", "false", "copy through staging buffers even where the host sees device memory"),
    M3_DESCRIBE_BOOL("validate", "", "messages of the Khronos validation layer are failures"),
    M3_DESCRIBE_INT("memory", 0, UNLIMITED, "", "bytes that are held at most"),
    M3_DESCRIBE_INT("largest_buffer", 0, UNLIMITED, "", "bytes of a buffer at most"),
    M3_DESCRIBE_INT("drop_barrier", 0, UNLIMITED, "", "leave out this barrier, from 0, so that validation must see it"),
};
/* clang-format on */

/* Kernels for another kind of device exist on this one so that they can be tried, and compiled by another's compiler.
 */
m3_status vulkan_set_shape(m3_device_impl *device, m3_span given, m3_error *err)
{
    lower_traits *t = &device->traits;
    const int shape = m3_options_choice(given, "shape", SHAPES, -1);
    const int64_t lanes = m3_options_int(given, "lanes", t->lanes), units = m3_options_int(given, "units", t->units);
    if (shape >= 0) t->kind = shape == 0 ? LOWER_GPU : LOWER_SIMULATED_GPU;
    if (shape == 0) t->simulated = 0;
    if (shape == 1 && t->simulated == 0) t->simulated = t->lanes;
    if (lanes > t->largest_group || (lanes & (lanes - 1)) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "lanes", "is %lld; give a power of two that is at most %u",
                       (long long)lanes, t->largest_group);
    const int matrices = m3_options_choice(given, "matrices", MATRICES, -1);
    if (matrices >= 0) t->matrices = (lower_matrices){matrices == 0 ? 0 : (uint32_t)lanes, matrices != 0};
    t->lanes = (uint32_t)lanes;
    t->units = (uint32_t)units;
    return M3_OK;
}

m3_status vulkan_set_options(m3_device_impl *device, m3_span given, m3_error *err)
{
    m3_status st;
    device->fail_after = (uint64_t)m3_options_int(given, "fail_after", -1); /* UINT64_MAX: never, no limit, none */
    device->most_memory = (uint64_t)m3_options_int(given, "memory", -1);
    device->largest_buffer = (uint64_t)m3_options_int(given, "largest_buffer", -1);
    device->drop_barrier = (uint64_t)m3_options_int(given, "drop_barrier", -1);
    device->validate = m3_options_bool(given, "validate", device->validate);
    device->staging = m3_options_bool(given, "staging", false);
    device->timeline = m3_options_bool(given, "timeline", true);
    device->tune = m3_options_bool(given, "tune", false);
    device->cached = m3_options_bool(given, "cache", true);
    if ((st = lower_read_variant(given, &device->traits.variant, err)) != M3_OK) return st;
    if ((st = lower_read_keep(device->host, given, &device->keep, err)) != M3_OK) return st;
    return lower_read_refused(device->host, given, &device->refused, err);
}
