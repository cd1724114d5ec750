/* run: of each node, its inputs as doubles, the op's meaning, and its outputs rounded to their types.
 * Inputs are copied before outputs are written, so an output may lie on an input. */
#include "backends/reference/convert.h"
#include "backends/reference/program.h"

static m3_status evaluate(const reference_exec *exec, const host_node *at, m3_error *err)
{
    const m3_node *node = at->node;
    double *next = exec->values;
    for (uint32_t i = 0; i < node->in_count; i++) {
        exec->in[i] = NULL;
        if (node->in[i] == NULL) continue;
        const uint64_t count = m3_tensor_count(node->in[i]);
        exec->in[i] = next;
        reference_to_double(node->in[i]->dtype, at->in[i], next, count);
        next += count;
    }
    for (uint32_t i = 0; i < node->out_count; i++) {
        exec->out[i] = next;
        next += m3_tensor_count(node->out[i]);
    }
    m3_status st = node->op->evaluate(node, exec->in, exec->out, err);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        reference_from_double(node->out[i]->dtype, exec->out[i], at->out[i], m3_tensor_count(node->out[i]));
    return st;
}

static m3_status run_node(m3_device_impl *device, m3_exec_impl *exec, uint32_t index, m3_error *err)
{
    (void)device;
    const host_node *at = &exec->nodes[index];
    if (at->node->op->evaluate == NULL) return at->kernel(at->node, at->in, at->out, err);
    return evaluate((const reference_exec *)exec, at, err);
}

m3_status reference_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    return host_submit(device, exec, run_node, value, err);
}

m3_status reference_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                 uint64_t *value, m3_error *err)
{
    return host_submit_until(device, exec, run_node, stop, anywhere, value, err);
}
