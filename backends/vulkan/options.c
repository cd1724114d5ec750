/* options: what `--device-option KEY=VALUE` sets, for users and for tests. */
#include "backends/vulkan/options.h"
#include "backends/lowering/plugin.h"
#include "backends/vulkan/device.h"

#include <string.h>

m3_status vulkan_set_option(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    const char *key = option->key;
    if (strcmp(key, "refuse") == 0) return lower_set_text(device->host, option, &device->refused, err);
    if (strcmp(key, "fail_after") == 0) return lower_set_number(option, 0, UINT64_MAX, &device->fail_after, err);
    if (strcmp(key, "largest_buffer") == 0)
        return lower_set_number(option, 0, UINT64_MAX, &device->largest_buffer, err);
    if (strcmp(key, "memory") == 0) return lower_set_number(option, 0, UINT64_MAX, &device->most_memory, err);
    if (strcmp(key, "drop_barrier") == 0) return lower_set_number(option, 0, UINT64_MAX, &device->drop_barrier, err);
    if (strcmp(key, "validate") == 0) return lower_set_switch(option, &device->validate, err);
    if (strcmp(key, "staging") == 0) return lower_set_switch(option, &device->staging, err);
    if (strcmp(key, "timeline") == 0) return lower_set_switch(option, &device->timeline, err);
    if (strcmp(key, "way") == 0) return lower_set_way(option, &device->traits.way, err);
    if (strcmp(key, "tune") == 0) return lower_set_switch(option, &device->tune, err);
    if (strcmp(key, "cache") == 0) return lower_set_switch(option, &device->cached, err);
    return M3_FAIL(
        err, M3_ERR_INVALID, key,
        "no such option of the vulkan device; there are timeline=off (fences instead of timeline semaphores), "
        "staging=on (copy through staging buffers even where memory is shared), cache=off (keep no compiled kernels on "
        "disk), tune=yes (measure what is faster), way=NAME (compute products so where it can be done), validate=yes "
        "(the validation layer's messages are failures), "
        "refuse=OP+OP (say no to these ops), fail_after=N (be lost after N submits), largest_buffer=BYTES (refuse "
        "larger ones), memory=BYTES (hold no more), drop_barrier=N (leave out a barrier)");
}
