/* options: key=value pairs of the command line. Those that shape kernels exist so that kernels made for one kind of
 * device can be tried on another. */
#include "backends/opencl/options.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/plugin.h"
#include "backends/opencl/device.h"

#include <string.h>

/* A power of two. */
static m3_status set_power(const m3_option *option, uint32_t most, uint32_t *value, m3_error *err)
{
    uint64_t number = 0;
    m3_status st = lower_set_number(option, 1, most, &number, err);
    if (st != M3_OK) return st;
    if ((number & (number - 1)) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key, "%s is no power of two; give one up to %u", option->value,
                       most);
    *value = (uint32_t)number;
    return M3_OK;
}

/* Kernels for a GPU, or for a processor, whatever the driver says that the device is. */
static m3_status set_shape(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    lower_traits *t = &device->traits;
    const bool gpu = strcmp(option->value, "gpu") == 0;
    if (!gpu && strcmp(option->value, "processor") != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is unknown; give gpu or processor", option->value);
    t->lanes = gpu ? 32 : 1;
    t->vector = gpu ? 4 : 16;
    t->group = gpu ? 64 : 16;
    if (t->group > t->largest_group) t->group = t->largest_group;
    if (t->lanes > t->largest_group) t->lanes = t->largest_group;
    return M3_OK;
}

static m3_status set_option(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    lower_traits *t = &device->traits;
    const char *key = option->key;
    if (strcmp(key, "refuse") == 0) return lower_set_text(device->host, option, &device->refused, err);
    if (strcmp(key, "fail_after") == 0) return lower_set_number(option, 0, UINT64_MAX, &device->fail_after, err);
    if (strcmp(key, "largest_buffer") == 0) {
        m3_status st = lower_set_number(option, 1, device->largest_buffer, &device->largest_buffer, err);
        if (t->largest_binding > device->largest_buffer) t->largest_binding = device->largest_buffer;
        return st;
    }
    if (strcmp(key, "memory") == 0)
        return lower_set_number(option, 1, device->memory_total, &device->memory_total, err);
    if (strcmp(key, "shape") == 0) return set_shape(device, option, err);
    if (strcmp(key, "lanes") == 0) return set_power(option, t->largest_group, &t->lanes, err);
    if (strcmp(key, "vector") == 0) return set_power(option, 16, &t->vector, err);
    if (strcmp(key, "group") == 0) return set_power(option, t->largest_group, &t->group, err);
    if (strcmp(key, "clblast") == 0) {
        bool use = false;
        m3_status st = lower_set_switch(option, &use, err);
        device->no_clblast = !use;
        return st;
    }
    if (strcmp(key, "way") == 0) return lower_set_way(option, &t->way, err);
    if (strcmp(key, "tune") == 0) return lower_set_switch(option, &device->tune, err);
    if (strcmp(key, "cache") == 0) return lower_set_switch(option, &device->cache, err);
    return M3_FAIL(
        err, M3_ERR_INVALID, key,
        "no such option of an opencl device; there are shape=gpu|processor, lanes=N, vector=N, group=N (how "
        "kernels are shaped), cache=off (keep no compiled kernels), tune=yes (measure what is faster), clblast=yes|no "
        "(where it is installed, among what is measured), way=NAME (compute products so where it can be done), "
        "refuse=OP+OP (say no to these ops), "
        "fail_after=N (be lost after N submits), largest_buffer=BYTES (refuse larger ones), memory=BYTES "
        "(hold no more)");
}

m3_status opencl_set_options(m3_device_impl *device, m3_span options, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < options.count && st == M3_OK; i++)
        st = set_option(device, (const m3_option *)m3_span_at(options, i), err);
    return st;
}
