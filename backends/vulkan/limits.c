/* limits: those of the device, reduced by options. */
#include "backends/vulkan/limits.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/memory.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

m3_status vulkan_device_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    if (limits->size < M3_STRUCT_SIZE(m3_device_limits, coherent))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_limits", "its size is %u, wanted at least %u", limits->size,
                       M3_STRUCT_SIZE(m3_device_limits, coherent));
    vulkan_memory_capacity(device, device->memory.device_type, &limits->memory_total, &limits->memory_free);
    if (limits->memory_total > device->most_memory) {
        limits->memory_total = device->most_memory;
        limits->memory_free = device->most_memory - min_u64(device->most_memory, vulkan_memory_used(device));
    }
    limits->offset_alignment = device->alignment;
    limits->largest_buffer =
        min_u64(min_u64(device->largest_buffer, device->adapter->largest_allocation), limits->memory_total);
    limits->largest_binding = min_u64(device->traits.largest_binding, limits->largest_buffer);
    limits->map_alignment = 1;
    limits->unified = device->unified;
    limits->coherent = true;
    if (M3_HAS(limits, m3_device_limits, overlaps)) limits->overlaps = true;
    return M3_OK;
}
