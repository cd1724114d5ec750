/* program: compiling is finding the memory of each node's tensors, and making room for the largest node in doubles. */
#include <string.h>

#include "backends/reference/reference.h"

/* Is the name one of a list joined by '+'? */
static bool listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    while (list != NULL && *list != 0) {
        size_t entry = strcspn(list, "+");
        if (entry == length && memcmp(list, name, length) == 0) return true;
        list += entry + (list[entry] == '+');
    }
    return false;
}

/* The op's kernel in C, or NULL. */
static m3_c_kernel c_kernel(const m3_op *op)
{
    m3_c_kernel kernel = NULL;
    if (!M3_HAS(op, m3_op, kernels)) return NULL;
    for (uint32_t i = 0; i < op->kernels.count && kernel == NULL; i++) {
        const m3_kernel_desc *desc = (const m3_kernel_desc *)m3_span_at(op->kernels, i);
        /* The pointer to data is one to a function: see m3_kernel_desc. */
        if (strcmp(desc->language, "c") == 0) memcpy(&kernel, &desc->code, sizeof kernel);
    }
    return kernel;
}

static m3_status check_type(const m3_node *node, const m3_tensor *x, m3_error *why)
{
    if (x == NULL || m3_dtype_bytes(x->dtype) != 0) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "tensor %u has the unknown type %d", x->id, (int)x->dtype);
}

m3_status reference_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const m3_op *op = node->op;
    if (listed(device->refused, op->name))
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, op->name, "refused by the option refuse=%s", device->refused);
    if (op->evaluate == NULL && c_kernel(op) == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, op->name, "the op has no .evaluate: its decomposition is wanted");
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++) st = check_type(node, node->in[i], why);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++) st = check_type(node, node->out[i], why);
    return st;
}

static m3_status locate(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                        const m3_tensor *x, void **pointer, m3_error *err)
{
    char name[32];
    *pointer = device; /* where a tensor without elements lies does not matter, but NULL would mean absent */
    if (m3_tensor_count(x) == 0) return M3_OK;
    (void)snprintf(name, sizeof name, "tensor %u", x->id);
    if (x->id >= program->tensor_count)
        return M3_FAIL(err, M3_ERR_RANGE, name, "the program has %u tensors", program->tensor_count);
    const m3_place *place = &program->places[x->id];
    if (place->segment >= program->segment_count)
        return M3_FAIL(err, M3_ERR_RANGE, name, "it lies in segment %u, the program has %u", place->segment,
                       program->segment_count);
    unsigned long long at = place->offset, bytes = m3_tensor_bytes(x), room = buffers[place->segment]->bytes;
    if (at > room || bytes > room - at)
        return M3_FAIL(err, M3_ERR_RANGE, name, "bytes %llu to %llu lie outside segment %u of %llu", at, at + bytes,
                       place->segment, room);
    *pointer = (unsigned char *)buffers[place->segment]->data + at;
    return M3_OK;
}

/* What a program needs: pointers of all nodes; tensors and elements of the largest one. */
typedef struct needs {
    uint64_t pointers, tensors, elements;
} needs;

static needs measure(const m3_program *program)
{
    needs all = {0};
    for (uint32_t n = 0; n < program->node_count; n++) {
        const m3_node *node = program->nodes[n];
        uint64_t tensors = (uint64_t)node->in_count + node->out_count, elements = 0;
        for (uint32_t i = 0; i < node->in_count; i++)
            if (node->in[i] != NULL) elements += m3_tensor_count(node->in[i]);
        for (uint32_t i = 0; i < node->out_count; i++) elements += m3_tensor_count(node->out[i]);
        all.pointers += tensors;
        if (tensors > all.tensors) all.tensors = tensors;
        if (elements > all.elements) all.elements = elements;
    }
    return all;
}

static m3_status allocate(m3_device_impl *device, const m3_program *program, m3_exec_impl *exec, m3_error *err)
{
    const needs all = measure(program);
    uint64_t bytes[5] = {0};
    exec->count = program->node_count;
    exec->steps = reference_allocate(device, program->node_count, sizeof *exec->steps, &bytes[0]);
    exec->pointers = reference_allocate(device, all.pointers, sizeof *exec->pointers, &bytes[1]);
    exec->values = reference_allocate(device, all.elements, sizeof *exec->values, &bytes[2]);
    exec->in = reference_allocate(device, all.tensors, sizeof *exec->in, &bytes[3]);
    exec->out = reference_allocate(device, all.tensors, sizeof *exec->out, &bytes[4]);
    for (uint32_t i = 0; i < 5; i++) exec->bytes += bytes[i];
    if (exec->steps == NULL || exec->pointers == NULL || exec->values == NULL || exec->in == NULL || exec->out == NULL)
        return M3_FAIL_MEMORY(err, program->name,
                              all.elements * sizeof *exec->values + program->node_count * sizeof *exec->steps);
    return M3_OK;
}

static m3_status resolve(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl *exec, m3_error *err)
{
    void **next = exec->pointers;
    m3_status st = M3_OK;
    for (uint32_t n = 0; n < program->node_count && st == M3_OK; n++) {
        const m3_node *node = program->nodes[n];
        void **in = next, **out = next + node->in_count;
        next = out + node->out_count;
        st = reference_supports(device, node, err);
        for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++)
            if (node->in[i] != NULL) st = locate(device, program, buffers, node->in[i], &in[i], err);
        for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
            st = locate(device, program, buffers, node->out[i], &out[i], err);
        exec->steps[n] = (step){node, (const void **)in, out, c_kernel(node->op), 0};
    }
    return st;
}

m3_status reference_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                            m3_exec_impl **exec, m3_error *err)
{
    const m3_host *host = device->host;
    *exec = NULL;
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (program->segments[i].bytes != 0 && (buffers[i] == NULL || buffers[i]->bytes < program->segments[i].bytes))
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)program->segments[i].bytes,
                           buffers[i] == NULL ? 0ull : (unsigned long long)buffers[i]->bytes);
    m3_exec_impl *made = host->allocate(host->user, 1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *made);
    m3_status st = allocate(device, program, made, err);
    if (st == M3_OK) st = resolve(device, program, buffers, made, err);
    if (st == M3_OK)
        *exec = made;
    else
        reference_exec_free(device, made);
    return st;
}

void reference_exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec == NULL) return;
    void *blocks[] = {exec->steps, exec->pointers, exec->values, (void *)exec->in, (void *)exec->out};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) reference_release(device, blocks[i], 0);
    pthread_mutex_lock(&device->lock);
    device->memory -= exec->bytes;
    pthread_mutex_unlock(&device->lock);
    device->host->release(device->host->user, exec);
}
