/* program: a node becomes a step by its op's entry in ops/, unless a custom op brings a kernel in C. backends/host
 * finds the memory of its tensors. */
#include "backends/cpu/program.h"

#include "backends/cpu/device.h"
#include "backends/host/checks.h"

static m3_status check_type(const m3_node *node, const m3_tensor *x, const char *what, uint32_t i, m3_error *why)
{
    if (x == NULL) return M3_OK;
    switch (x->dtype) {
    case M3_F32:
    case M3_I32:
    case M3_U32:
    case M3_U8:
    case M3_BOOL:
    case M3_F16:
    case M3_BF16: return M3_OK;
    case M3_F64: break;
    }
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "%s %u is %s; the cpu backend computes in f32: cast it",
                   what, i, m3_dtype_name(x->dtype));
}

m3_status cpu_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const char *name = node->op->name;
    m3_status st = host_check_refused(device->refused, node->op, why);
    if (st != M3_OK || host_kernel_in_c(node->op) != NULL) return st;
    const cpu_op *op = cpu_op_find(name);
    if (op == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "the cpu backend has no kernel for it%s",
                       node->op->decompose != NULL ? ": its decomposition is wanted" : "");
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++) st = check_type(node, node->in[i], "input", i, why);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++) st = check_type(node, node->out[i], "output", i, why);
    return st == M3_OK && op->supports != NULL ? op->supports(node, why) : st;
}

static m3_status prepare(m3_device_impl *device, cpu_exec *exec, const char *name, m3_error *err)
{
    const cpu_device *d = (const cpu_device *)device;
    m3_exec_impl *base = &exec->base;
    size_t scratch = 0;
    m3_status st = M3_OK;
    exec->steps = host_exec_allocate(device, base, name, base->count, sizeof *exec->steps, err);
    if (exec->steps == NULL) return M3_ERR_MEMORY;
    for (uint32_t n = 0; n < base->count && st == M3_OK; n++) {
        const host_node *located = &base->nodes[n];
        cpu_step *step = &exec->steps[n];
        step->flush = (located->node->op->flags & M3_OP_UPDATES) != 0;
        if (located->kernel != NULL) continue;
        const cpu_node at = {
            .node = located->node,
            .in = (const void *const *)located->in,
            .out = located->out,
            .machine = &d->machine,
            .threads = cpu_pool_threads(&d->pool),
            .device = device,
            .exec = base,
        };
        st = cpu_op_find(at.node->op->name)->prepare(&at, step, err);
        if (step->scratch_bytes > scratch) scratch = step->scratch_bytes;
    }
    if (st != M3_OK) return st;
    exec->scratch = host_exec_allocate(device, base, name, scratch, 1, err);
    return exec->scratch != NULL ? M3_OK : M3_ERR_MEMORY;
}

m3_status cpu_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                      m3_error *err)
{
    m3_status st = host_exec_create(device, program, buffers, sizeof(cpu_exec), cpu_supports, exec, err);
    if (st != M3_OK) return st;
    st = prepare(device, (cpu_exec *)*exec, program->name, err);
    if (st == M3_OK) return M3_OK;
    host_exec_free(device, *exec);
    *exec = NULL;
    return st;
}
