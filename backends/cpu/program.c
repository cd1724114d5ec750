/* program: a node becomes a step by its op's entry in ops/, or by a kernel in C that a custom op brings. */
#include "backends/cpu/cpu.h"

#include <string.h>

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

/* Custom kernels. */

typedef struct custom_args {
    m3_c_kernel kernel;
    const m3_node *node;
    const void *const *in;
    void *const *out;
    void *pointers[];
} custom_args;

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

static void run_custom(const void *args, const cpu_run *cpu)
{
    const custom_args *a = args;
    m3_status st = a->kernel(a->node, a->in, a->out, cpu->err);
    if (st != M3_OK)
        (void)M3_FAIL(cpu->err, st, a->node->op->name, "the kernel of node %u failed with status %d", a->node->id,
                      (int)st);
}

static m3_status prepare_custom(const cpu_node *at, cpu_step *step, m3_error *err)
{
    uint32_t in_count = at->node->in_count, out_count = at->node->out_count;
    custom_args *a =
        cpu_step_args(at, step, run_custom, sizeof *a + ((size_t)in_count + out_count) * sizeof a->pointers[0], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernel = c_kernel(at->node->op);
    a->node = at->node;
    const void **in = (const void **)a->pointers;
    void **out = a->pointers + in_count;
    for (uint32_t i = 0; i < in_count; i++) in[i] = at->in[i];
    for (uint32_t i = 0; i < out_count; i++) out[i] = at->out[i];
    a->in = in;
    a->out = out;
    return M3_OK;
}

/* What runs. */

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
    if (listed(device->refused, name))
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "refused by the option refuse=%s", device->refused);
    if (c_kernel(node->op) != NULL) return M3_OK;
    const cpu_op *op = cpu_op_find(name);
    if (op == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, name, "the cpu backend has no kernel for it%s",
                       node->op->decompose != NULL ? ": its decomposition is wanted" : "");
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++) st = check_type(node, node->in[i], "input", i, why);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++) st = check_type(node, node->out[i], "output", i, why);
    return st == M3_OK && op->supports != NULL ? op->supports(node, why) : st;
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
    *pointer = buffers[place->segment]->data + at;
    return M3_OK;
}

/* pointers has room for the node's inputs and outputs. */
static m3_status prepare_node(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                              const m3_node *node, void **pointers, cpu_step *step, m3_error *err)
{
    void **in = pointers, **out = pointers + node->in_count;
    m3_status st = cpu_supports(device, node, err);
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++) {
        in[i] = NULL;
        if (node->in[i] != NULL) st = locate(device, program, buffers, node->in[i], &in[i], err);
    }
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        st = locate(device, program, buffers, node->out[i], &out[i], err);
    if (st != M3_OK) return st;
    cpu_node at = {node, (const void *const *)in, out, &device->machine, cpu_pool_threads(&device->pool), device->host};
    if (c_kernel(node->op) != NULL) return prepare_custom(&at, step, err);
    return cpu_op_find(node->op->name)->prepare(&at, step, err);
}

static m3_status prepare_all(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                             m3_exec_impl *exec, m3_error *err)
{
    const m3_host *host = device->host;
    size_t most = 1, scratch = 1;
    for (uint32_t n = 0; n < program->node_count; n++) {
        size_t tensors = (size_t)program->nodes[n]->in_count + program->nodes[n]->out_count;
        if (tensors > most) most = tensors;
    }
    void **pointers = host->allocate(host->user, most, sizeof *pointers);
    if (pointers == NULL) return M3_FAIL_MEMORY(err, program->name, most * sizeof *pointers);
    m3_status st = M3_OK;
    for (uint32_t n = 0; n < program->node_count && st == M3_OK; n++) {
        cpu_step *step = &exec->steps[n];
        step->flush = (program->nodes[n]->op->flags & M3_OP_UPDATES) != 0;
        st = prepare_node(device, program, buffers, program->nodes[n], pointers, step, err);
        if (step->scratch_bytes > scratch) scratch = step->scratch_bytes;
        exec->bytes += step->args_bytes;
    }
    host->release(host->user, pointers);
    if (st != M3_OK) return st;
    exec->scratch = cpu_allocate(host, scratch, &exec->block);
    exec->bytes += scratch;
    return exec->scratch != NULL ? M3_OK : M3_FAIL_MEMORY(err, program->name, scratch);
}

m3_status cpu_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                      m3_error *err)
{
    const m3_host *host = device->host;
    *exec = NULL;
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (program->segments[i].bytes != 0 && (buffers[i] == NULL || buffers[i]->bytes < program->segments[i].bytes))
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)program->segments[i].bytes,
                           buffers[i] == NULL ? 0ull : (unsigned long long)buffers[i]->bytes);
    m3_status st = M3_OK;
    size_t nodes = program->node_count == 0 ? 1 : program->node_count;
    m3_exec_impl *made = host->allocate(host->user, 1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *made);
    made->steps = host->allocate(host->user, nodes, sizeof *made->steps);
    made->time_ns = host->allocate(host->user, nodes, sizeof *made->time_ns);
    if (made->steps == NULL || made->time_ns == NULL) {
        st = M3_FAIL_MEMORY(err, program->name, nodes * sizeof *made->steps);
        goto done;
    }
    made->count = program->node_count;
    made->bytes = nodes * (sizeof *made->steps + sizeof *made->time_ns);
    if ((st = prepare_all(device, program, buffers, made, err)) != M3_OK) goto done;
    if ((st = cpu_take_memory(device, program->name, made->bytes, err)) != M3_OK) goto done;
    *exec = made;
    made = NULL;
done:
    if (made != NULL) made->bytes = 0; /* not counted yet */
    cpu_exec_free(device, made);
    return st;
}

void cpu_exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec == NULL) return;
    const m3_host *host = device->host;
    for (uint32_t i = 0; exec->steps != NULL && i < exec->count; i++) host->release(host->user, exec->steps[i].args);
    host->release(host->user, exec->steps);
    host->release(host->user, exec->time_ns);
    host->release(host->user, exec->block);
    cpu_give_memory(device, exec->bytes);
    host->release(host->user, exec);
}
