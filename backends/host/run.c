/* run: the nodes of a program in order, and their times. */
#include <time.h>

#include "backends/host/device.h"
#include "backends/host/program.h"
#include "backends/host/queue.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* For a kernel that has not said why it failed. */
static void name_failure(const m3_node *node, m3_status st, m3_error *failure)
{
    (void)M3_FAIL(failure, st, node->op->name, "the kernel of node %u failed with status %d", node->id, (int)st);
}

m3_status host_submit(m3_device_impl *device, m3_exec_impl *exec, host_run_fn run, uint64_t *value, m3_error *err)
{
    static const volatile int never;
    return host_submit_until(device, exec, run, &never, false, value, err);
}

m3_status host_submit_until(m3_device_impl *device, m3_exec_impl *exec, host_run_fn run, const volatile int *stop,
                            bool anywhere, uint64_t *value, m3_error *err)
{
    const uint32_t last = anywhere ? exec->count : exec->store;
    m3_error failure = {0};
    m3_status st = host_queue_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits >= device->fail_after)
        st = M3_FAIL(&failure, M3_ERR_DEVICE_LOST, device->name,
                     "the device is lost after %llu submits, as the option fail_after asked",
                     (unsigned long long)device->submits);
    for (uint32_t i = 0; i < exec->count && st == M3_OK; i++) {
        if (i <= last && *stop != 0)
            return M3_FAIL(err, M3_ERR_INTERRUPTED, device->name, "stopped before node %u of %u", i, exec->count);
        const uint64_t start = exec->profile ? now_ns() : 0;
        st = run(device, exec, i, &failure);
        if (exec->profile) exec->time_ns[i] = now_ns() - start;
        if (st != M3_OK) name_failure(exec->nodes[i].node, st, &failure);
    }
    if (st != M3_OK) return host_queue_fail(device, &failure, err);
    device->submits++;
    *value = host_queue_advance(device);
    return M3_OK;
}

m3_status host_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    (void)device, (void)err;
    exec->profile = on;
    return M3_OK;
}

m3_status host_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                          m3_error *err)
{
    (void)device;
    if (node_count != exec->count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = exec->time_ns[i];
    return M3_OK;
}
