/* measure: the peak of fused multiply-adds, by launches of measure.comp that grow until one is long enough. */
#include "backends/vulkan/measure.h"
#include "backends/lowering/clock.h"
#include "backends/lowering/contract.h"
#include "backends/lowering/program.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/program.h"
#include "backends/vulkan/queue.h"

enum { OPERATIONS = 8 * 4 * 2, LAST = 3, MAX_ROUNDS = 4096 };
static const double long_enough = 0.03; /* seconds */

/* Seconds of a launch, at its second run: the first may still compile. */
static m3_status measure(m3_device_impl *device, m3_buffer *y, uint64_t groups, uint32_t rounds, double *seconds,
                         m3_error *err)
{
    const m3_host *host = device->host;
    const m3_segment segment = {M3_SEGMENT_SCRATCH, y->bytes};
    const m3_program program = {.size = sizeof program, .name = "measure", .segment_count = 1, .segments = &segment};
    uint64_t value = 0;
    m3_exec_impl *exec = host->allocate(host->user, 1, sizeof *exec);
    if (exec == NULL) return M3_FAIL_MEMORY(err, "measure", sizeof *exec);
    m3_status st = lower_program(&exec->list, host, &device->traits, &program, device->alignment, err);
    if (st == M3_OK) {
        lower_dispatch *d = LOWER(&exec->list, peak, .y = lower_segment(&exec->list, 0), .rounds = rounds);
        lower_groups(d, groups, 1, 1, device->traits.group, 1, 1);
        if ((st = exec->list.error.code) != M3_OK) *err = exec->list.error;
    }
    if (st == M3_OK) st = vulkan_program_compile_list(device, &program, &y, exec, err);
    for (int i = 0; i < 2 && st == M3_OK; i++) {
        const uint64_t start = lower_now_ns();
        st = vulkan_queue_submit(device, exec->plain, NULL, NULL, 0, &value, err);
        if (st == M3_OK) st = vulkan_queue_wait(device, value, UINT64_MAX, err);
        *seconds = lower_seconds_since(start);
    }
    vulkan_exec_free(device, exec);
    return st;
}

/* More rounds, then more groups: where a GPU is simulated, loops end early beyond some ten thousand iterations. */
m3_status vulkan_peak_measure(m3_device_impl *device, double *gflops, m3_error *err)
{
    uint64_t groups = (uint64_t)device->traits.units * 16;
    uint32_t rounds = 64;
    double best = 0, seconds = 0;
    m3_status st = M3_OK;
    *gflops = 0;
    for (int last = 0; st == M3_OK && last < LAST; last += seconds >= long_enough) {
        const uint64_t items = groups * device->traits.group;
        m3_buffer *y = NULL;
        st = vulkan_buffer_create(device, items * sizeof(float), M3_BUFFER_DEVICE, &y, err);
        if (st == M3_OK) st = measure(device, y, groups, rounds, &seconds, err);
        vulkan_buffer_free(device, y);
        const double now = (double)items * rounds * OPERATIONS / seconds * 1e-9;
        if (st == M3_OK && now > best) best = now;
        if (seconds < long_enough && rounds < MAX_ROUNDS)
            rounds *= 2;
        else if (seconds < long_enough)
            groups *= 2;
    }
    *gflops = best;
    return st;
}
