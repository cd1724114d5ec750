/* run: the step of each node, or its custom kernel. */
#include "backends/cpu/device.h"
#include "backends/cpu/flush.h"
#include "backends/cpu/program.h"

static m3_status run_node(m3_device_impl *device, m3_exec_impl *exec, uint32_t index, m3_error *err)
{
    cpu_device *d = (cpu_device *)device;
    const cpu_exec *e = (const cpu_exec *)exec;
    const host_node *at = &exec->nodes[index];
    const cpu_step *step = &e->steps[index];
    m3_status st = M3_OK;
    const uint32_t before = cpu_flush_begin(d->flush = step->flush);
    if (at->kernel != NULL)
        st = at->kernel(at->node, at->in, at->out, err);
    else
        step->run(step->args, &(cpu_run){&d->machine, &d->pool, e->scratch});
    cpu_flush_end(before);
    return st;
}

m3_status cpu_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    return host_submit(device, exec, run_node, value, err);
}

m3_status cpu_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                           uint64_t *value, m3_error *err)
{
    return host_submit_until(device, exec, run_node, stop, anywhere, value, err);
}
