/* run: each node in turn: its inputs as doubles, the op's meaning, its outputs rounded to their types.
 * Inputs are copied before outputs are written, so an output may lie on an input. */
#include <string.h>
#include <time.h>

#include "backends/reference/reference.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static m3_status evaluate(const m3_exec_impl *exec, const step *at, m3_error *err)
{
    const m3_node *node = at->node;
    double *free_space = exec->values;
    for (uint32_t i = 0; i < node->in_count; i++) {
        exec->in[i] = NULL;
        if (node->in[i] == NULL) continue;
        uint64_t count = m3_tensor_count(node->in[i]);
        exec->in[i] = free_space;
        reference_to_double(node->in[i]->dtype, at->in[i], free_space, count);
        free_space += count;
    }
    for (uint32_t i = 0; i < node->out_count; i++) {
        exec->out[i] = free_space;
        free_space += m3_tensor_count(node->out[i]);
    }
    m3_status st = node->op->evaluate(node, exec->in, exec->out, err);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        reference_from_double(node->out[i]->dtype, exec->out[i], at->out[i], m3_tensor_count(node->out[i]));
    return st;
}

static m3_status run(m3_exec_impl *exec, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < exec->count && st == M3_OK; i++) {
        step *at = &exec->steps[i];
        uint64_t start = exec->profile ? now_ns() : 0;
        if (at->node->op->evaluate != NULL)
            st = evaluate(exec, at, err);
        else
            st = at->kernel(at->node, at->in, at->out, err);
        if (exec->profile) at->time_ns = now_ns() - start;
    }
    return st;
}

m3_status reference_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_error failure = {0};
    m3_status st = reference_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits >= device->fail_after)
        st = M3_FAIL(&failure, M3_ERR_DEVICE_LOST, "reference",
                     "the device is lost after %llu submits, as the option fail_after asked",
                     (unsigned long long)device->submits);
    else
        st = run(exec, &failure);
    if (st != M3_OK) {
        if (failure.code == M3_OK) (void)M3_FAIL(&failure, st, "reference", "a kernel failed with status %d", (int)st);
        return reference_stick(device, &failure, err);
    }
    device->submits++;
    *value = reference_advance(device);
    return M3_OK;
}

m3_status reference_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err)
{
    (void)device, (void)err;
    exec->profile = on;
    return M3_OK;
}

m3_status reference_node_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                               m3_error *err)
{
    (void)device;
    if (node_count != exec->count)
        return M3_FAIL(err, M3_ERR_RANGE, "node_times", "times of %u nodes were asked, the program has %u", node_count,
                       exec->count);
    for (uint32_t i = 0; i < node_count; i++) time_ns[i] = exec->steps[i].time_ns;
    return M3_OK;
}
