/* run: a run is one submission of what was recorded; its times are read on request. */
#include "backends/vulkan/run.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/queue.h"
#include "backends/vulkan/record.h"

m3_status vulkan_exec_start(m3_device_impl *device, m3_exec_impl *exec, m3_error *err)
{
    VkCommandBuffer commands = exec->profile ? exec->timed : exec->plain;
    const m3_status st = vulkan_queue_submit(device, commands, NULL, NULL, 0, &exec->value, err);
    if (st == M3_OK && exec->profile) exec->timed_value = exec->value;
    return st;
}

static m3_status begin(m3_device_impl *device, const m3_exec_impl *exec, m3_error *err)
{
    m3_error failure = {0};
    m3_status st = vulkan_device_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits >= device->fail_after) {
        (void)M3_FAIL(&failure, M3_ERR_DEVICE_LOST, device->name,
                      "the device is lost after %llu submits, as the option fail_after asked",
                      (unsigned long long)device->submits);
        return vulkan_device_fail(device, &failure, err);
    }
    /* A command buffer is in flight once at a time. */
    return vulkan_queue_wait(device, exec->value, UINT64_MAX, err);
}

m3_status vulkan_exec_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_status st = begin(device, exec, err);
    if (st != M3_OK) return st;
    if ((st = vulkan_exec_start(device, exec, err)) != M3_OK) return st;
    *value = exec->value;
    device->submits++;
    return M3_OK;
}

/* What is submitted cannot be taken back, so one step at a time is, and those that write the store at once. */
m3_status vulkan_exec_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                   uint64_t *value, m3_error *err)
{
    const uint32_t last = anywhere ? exec->step_count : exec->store;
    if (exec->profile) return vulkan_exec_submit(device, exec, value, err);
    m3_status st = begin(device, exec, err);
    for (uint32_t i = 0; i <= last && st == M3_OK; i++) {
        if (*stop != 0)
            return M3_FAIL(err, M3_ERR_INTERRUPTED, device->name, "stopped before step %u of %u", i, exec->step_count);
        st = vulkan_exec_record_part(device, exec, i, i < last ? 1 : exec->step_count - i, err);
        if (st == M3_OK) st = vulkan_queue_submit(device, exec->part, NULL, NULL, 0, &exec->value, err);
        if (st == M3_OK && i < last) st = vulkan_queue_wait(device, exec->value, UINT64_MAX, err);
    }
    if (st != M3_OK) return st;
    *value = exec->value;
    device->submits++;
    return M3_OK;
}

m3_status vulkan_exec_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    m3_status st = M3_OK;
    if (on && device->adapter->timestamp_bits == 0)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name, "its compute queue has no timestamps");
    if (on && exec->timed == NULL && exec->node_count > 0) st = vulkan_exec_record_timed(device, exec, err);
    exec->profile = st == M3_OK && on && exec->node_count > 0;
    return st;
}

m3_status vulkan_exec_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err)
{
    const uint32_t bits = device->adapter->timestamp_bits;
    const uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    if (node_count != exec->node_count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->node_count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = 0;
    if (exec->timed_value == 0 || exec->timed_value != exec->value) return M3_OK; /* the last run kept none */
    m3_status st = vulkan_queue_wait(device, exec->value, UINT64_MAX, err);
    if (st != M3_OK) return st;
    const VkResult result = device->vk.GetQueryPoolResults(device->device, exec->queries, 0, 2 * node_count,
                                                           2 * node_count * sizeof *exec->ticks, exec->ticks,
                                                           sizeof *exec->ticks, VK_QUERY_RESULT_64_BIT);
    for (uint32_t i = 0; i < node_count && result == VK_SUCCESS; i++)
        time_ns[i] = (uint64_t)((double)((exec->ticks[2 * i + 1] - exec->ticks[2 * i]) & mask) *
                                (double)device->adapter->properties.limits.timestampPeriod);
    return vulkan_result_check(device, result, "vkGetQueryPoolResults", err);
}

void vulkan_exec_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, "%u dispatches, %u barriers, 1 submission%s", exec->step_count, exec->barrier_count,
                   device->unified ? "" : ", and one for each 4 MiB that is copied");
}
