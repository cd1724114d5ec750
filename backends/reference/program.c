/* program: what runs, and memory for the largest node in doubles. backends/host finds the memory of its tensors. */
#include "backends/reference/program.h"

#include "backends/host/checks.h"
#include "backends/host/device.h"

static m3_status check_type(const m3_node *node, const m3_tensor *x, m3_error *why)
{
    if (x == NULL || m3_dtype_bytes(x->dtype) != 0) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "tensor %u has the unknown type %d", x->id, (int)x->dtype);
}

m3_status reference_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const m3_op *op = node->op;
    m3_status st = host_check_refused(device->refused, op, why);
    /* A kernel in C is a custom op's own float32, which others are compared with this device to judge. */
    if (st == M3_OK && op->evaluate == NULL && (op->decompose != NULL || host_kernel_in_c(op) == NULL))
        st = M3_FAIL(why, M3_ERR_UNSUPPORTED, op->name, "the op has no .evaluate: its decomposition is wanted");
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++) st = check_type(node, node->in[i], why);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++) st = check_type(node, node->out[i], why);
    return st;
}

/* The most that any node has: inputs, outputs, and elements of both together. */
typedef struct maxima {
    uint32_t in, out;
    uint64_t elements;
} maxima;

static maxima measure(const m3_program *program)
{
    maxima max = {0};
    for (uint32_t n = 0; n < program->node_count; n++) {
        const m3_node *node = program->nodes[n];
        uint64_t elements = 0;
        for (uint32_t i = 0; i < node->in_count; i++)
            if (node->in[i] != NULL) elements += m3_tensor_count(node->in[i]);
        for (uint32_t i = 0; i < node->out_count; i++) elements += m3_tensor_count(node->out[i]);
        if (node->in_count > max.in) max.in = node->in_count;
        if (node->out_count > max.out) max.out = node->out_count;
        if (elements > max.elements) max.elements = elements;
    }
    return max;
}

m3_status reference_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                            m3_exec_impl **exec, m3_error *err)
{
    m3_exec_impl *base = *exec = NULL;
    m3_status st = host_exec_create(device, program, buffers, sizeof(reference_exec), reference_supports, &base, err);
    if (st != M3_OK) return st;
    reference_exec *made = (reference_exec *)base;
    const maxima max = measure(program);
    const char *name = program->name;
    st = M3_ERR_MEMORY;
    if ((made->values = host_exec_allocate(device, base, name, max.elements, sizeof *made->values, err)) == NULL)
        goto done;
    if ((made->in = host_exec_allocate(device, base, name, max.in, sizeof *made->in, err)) == NULL) goto done;
    if ((made->out = host_exec_allocate(device, base, name, max.out, sizeof *made->out, err)) == NULL) goto done;
    st = M3_OK;
    *exec = base;
    base = NULL;
done:
    host_exec_free(device, base);
    return st;
}
