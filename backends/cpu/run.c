/* run: the steps of a program in order, with their times where they are wanted. */
#include "backends/cpu/cpu.h"

#include <time.h>

#include "backends/cpu/flush.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

m3_status cpu_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_error failure = {0};
    m3_status st = cpu_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits >= device->fail_after)
        (void)M3_FAIL(&failure, M3_ERR_DEVICE_LOST, "cpu",
                      "the device is lost after %llu submits, as the option fail_after asked",
                      (unsigned long long)device->submits);
    const cpu_run cpu = {&device->machine, &device->pool, exec->scratch, &failure};
    for (uint32_t i = 0; i < exec->count && failure.code == M3_OK; i++) {
        const cpu_step *step = &exec->steps[i];
        uint64_t start = exec->profile ? now_ns() : 0;
        uint32_t before = cpu_flush_begin(device->flush = step->flush);
        step->run(step->args, &cpu);
        cpu_flush_end(before);
        if (exec->profile) exec->time_ns[i] = now_ns() - start;
    }
    if (failure.code != M3_OK) return cpu_stick(device, &failure, err);
    device->submits++;
    *value = cpu_advance(device);
    return M3_OK;
}

m3_status cpu_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    (void)device, (void)err;
    exec->profile = on;
    return M3_OK;
}

m3_status cpu_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                         m3_error *err)
{
    (void)device;
    if (node_count != exec->count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = exec->time_ns[i];
    return M3_OK;
}
