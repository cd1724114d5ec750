/* program: which nodes run here, what compiling makes of them, and a run.
 * Compiling finds the memory of every tensor and the kernel of every node. A run takes node after node. One without a
 * kernel is computed by the op's own meaning (.evaluate): its inputs as doubles, its outputs rounded to their types.
 * Inputs are copied before outputs are written, so an output may lie on an input. */
#include "backend.h"

/* A node with the memory of its tensors: inputs first, NULL for an absent one, then outputs. */
typedef struct step {
    const m3_node *node;
    const kernel *kernel; /* NULL: none, it is evaluated */
    void **at;
} step;

struct m3_exec_impl {
    uint32_t count;
    step *steps;
    void **pointers; /* behind every step's `at` */
    double *values;  /* the arrays of the node that runs, one after another */
    double **arrays; /* where each of them begins, as `at` has them */
};

/* Which nodes. */

/* What has a kernel that does not refuse it, and what can be evaluated: core ops. Any other is refused; it comes again
 * in pieces, and what is refused of these runs on another device. Called from any thread. */
m3_status program_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const kernel *found;
    m3_error reason = {0};
    m3_status st = kernel_find(node, &found, &reason);
    if (st == M3_OK) return M3_OK;
    if (!device->evaluate || node->op->evaluate == NULL) return M3_FAIL(why, st, node->op->name, "%s", reason.message);
    for (uint32_t i = 0; i < node->in_count + node->out_count; i++) {
        const m3_tensor *x = i < node->in_count ? node->in[i] : node->out[i - node->in_count];
        if (x != NULL && m3_dtype_bytes(x->dtype) == 0)
            return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "tensor %u has the unknown type %d", x->id,
                           (int)x->dtype);
    }
    return M3_OK;
}

/* Compiling. */

static m3_status locate(const m3_program *program, m3_buffer *const *buffers, const m3_tensor *x, void **pointer,
                        m3_error *err)
{
    static unsigned char nothing; /* a tensor without elements lies anywhere; NULL would mean absent */
    *pointer = &nothing;
    if (m3_tensor_count(x) == 0) return M3_OK;
    const m3_place *place = x->id < program->tensor_count ? &program->places[x->id] : NULL;
    const m3_buffer *buffer = place != NULL && place->segment < program->segment_count ? buffers[place->segment] : NULL;
    if (buffer == NULL)
        return M3_FAIL(err, M3_ERR_RANGE, program->name, "tensor %u has no place on this device", x->id);
    if (place->offset % PLACE_ALIGNMENT != 0)
        return M3_FAIL(err, M3_ERR_RANGE, program->name, "tensor %u lies at byte %llu, places are multiples of %d",
                       x->id, (unsigned long long)place->offset, PLACE_ALIGNMENT);
    uint64_t bytes = m3_tensor_bytes(x);
    if (place->offset > buffer->bytes || bytes > buffer->bytes - place->offset)
        return M3_FAIL(err, M3_ERR_RANGE, program->name, "tensor %u has %llu bytes at %llu, its segment has %llu",
                       x->id, (unsigned long long)bytes, (unsigned long long)place->offset,
                       (unsigned long long)buffer->bytes);
    *pointer = buffer->data + place->offset;
    return M3_OK;
}

/* Everything that runs need: a run allocates nothing. */
static m3_status allocate(const m3_host *host, const m3_program *program, m3_exec_impl *exec, m3_error *err)
{
    uint64_t pointers = 1, arrays = 1, values = 1; /* at least one, since an allocation of nothing may be NULL */
    for (uint32_t n = 0; n < program->node_count; n++) {
        const m3_node *node = program->nodes[n];
        const kernel *found;
        uint64_t elements = 0, tensors = (uint64_t)node->in_count + node->out_count;
        pointers += tensors;
        if (kernel_find(node, &found, NULL) == M3_OK) continue;
        for (uint32_t i = 0; i < node->in_count; i++)
            if (node->in[i] != NULL) elements += m3_tensor_count(node->in[i]);
        for (uint32_t i = 0; i < node->out_count; i++) elements += m3_tensor_count(node->out[i]);
        if (tensors > arrays) arrays = tensors;
        if (elements > values) values = elements;
    }
    exec->count = program->node_count;
    exec->steps = host->allocate(host->user, (size_t)program->node_count + 1, sizeof *exec->steps);
    exec->pointers = host->allocate(host->user, (size_t)pointers, sizeof *exec->pointers);
    exec->values = host->allocate(host->user, (size_t)values, sizeof *exec->values);
    exec->arrays = host->allocate(host->user, (size_t)arrays, sizeof *exec->arrays);
    if (exec->steps == NULL || exec->pointers == NULL || exec->values == NULL || exec->arrays == NULL)
        return M3_FAIL_MEMORY(err, program->name, values * sizeof *exec->values);
    return M3_OK;
}

static m3_status resolve(const m3_program *program, m3_buffer *const *buffers, m3_exec_impl *exec, m3_error *err)
{
    m3_status st = M3_OK;
    void **at = exec->pointers;
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (buffers[i]->bytes < program->segments[i].bytes)
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)program->segments[i].bytes, (unsigned long long)buffers[i]->bytes);
    for (uint32_t n = 0; n < program->node_count; n++) {
        const m3_node *node = program->nodes[n];
        exec->steps[n] = (step){.node = node, .at = at};
        (void)kernel_find(node, &exec->steps[n].kernel, NULL);
        for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++, at++)
            if (node->in[i] != NULL) st = locate(program, buffers, node->in[i], at, err);
        for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++, at++)
            st = locate(program, buffers, node->out[i], at, err);
        if (st != M3_OK) return st;
    }
    return M3_OK;
}

m3_status program_compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                          m3_exec_impl **exec, m3_error *err)
{
    const m3_host *host = device->host;
    m3_status st = M3_OK;
    *exec = NULL;
    for (uint32_t n = 0; n < program->node_count && st == M3_OK; n++)
        st = program_supports(device, program->nodes[n], err);
    if (st != M3_OK) return st;
    m3_exec_impl *made = host->allocate(host->user, 1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *made);
    st = allocate(host, program, made, err);
    if (st == M3_OK) st = resolve(program, buffers, made, err);
    if (st == M3_OK)
        *exec = made;
    else
        program_free(device, made);
    return st;
}

void program_free(m3_device_impl *device, m3_exec_impl *exec)
{
    const m3_host *host = device->host;
    if (exec == NULL) return;
    host->release(host->user, exec->steps);
    host->release(host->user, exec->pointers);
    host->release(host->user, exec->values);
    host->release(host->user, exec->arrays);
    host->release(host->user, exec);
}

/* Running. */

static m3_status evaluate(const m3_exec_impl *exec, const step *now, m3_error *err)
{
    const m3_node *node = now->node;
    double *room = exec->values, **in = exec->arrays, **out = in + node->in_count;
    void **out_at = now->at + node->in_count;
    for (uint32_t i = 0; i < node->in_count; i++) {
        in[i] = NULL;
        if (node->in[i] == NULL) continue;
        uint64_t count = m3_tensor_count(node->in[i]);
        values_read(node->in[i]->dtype, now->at[i], room, count);
        in[i] = room;
        room += count;
    }
    for (uint32_t i = 0; i < node->out_count; i++) {
        out[i] = room;
        room += m3_tensor_count(node->out[i]);
    }
    m3_status st = node->op->evaluate(node, (const double *const *)in, out, err);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        values_write(node->out[i]->dtype, out[i], out_at[i], m3_tensor_count(node->out[i]));
    return st;
}

static m3_status run(const m3_host *host, const m3_exec_impl *exec, const step *now, m3_error *err)
{
    if (now->kernel == NULL) return evaluate(exec, now, err);
    now->kernel->run(host, now->node, (const void *const *)now->at, now->at + now->node->in_count);
    return M3_OK;
}

m3_status program_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_error failure = {0};
    m3_status st = device_check(device, err);
    if (st != M3_OK) return st;
    if (device->submits++ >= device->fail_after)
        st = M3_FAIL(&failure, M3_ERR_DEVICE_LOST, "@NAME@", "the device is lost, as the option fail_after asked");
    for (uint32_t i = 0; i < exec->count && st == M3_OK; i++) st = run(device->host, exec, &exec->steps[i], &failure);
    if (st != M3_OK) {
        (void)M3_FAIL(&failure, st, "@NAME@", "an op failed with status %d", (int)st); /* where it said nothing */
        return device_stick(device, &failure, err);
    }
    *value = device_advance(device);
    return M3_OK;
}
