/* program: finding the memory of each node's tensors, and memory that is freed with the program. */
#include "backends/host/program.h"

#include <string.h>

#include "backends/host/checks.h"
#include "backends/host/device.h"
#include "backends/host/memory.h"

m3_c_kernel host_kernel_in_c(const m3_op *op)
{
    const m3_kernel_desc *desc = host_kernel_in(op, "c");
    m3_c_kernel kernel = NULL;
    if (desc != NULL) memcpy(&kernel, &desc->code, sizeof kernel); /* data that is a function: see m3_kernel_desc */
    return kernel;
}

/* Memory of an executable: a list of blocks, each of which starts with this. */
typedef struct host_block {
    struct host_block *next;
    void *block; /* of the host */
    uint64_t bytes;
} host_block;

enum { HEAD = HOST_MEMORY_ALIGNMENT }; /* bytes from a block's start to its data */
_Static_assert(sizeof(host_block) <= HEAD, "the data of a block is aligned");

void *host_exec_allocate(m3_device_impl *device, m3_exec_impl *exec, const char *what, uint64_t count, size_t size,
                         m3_error *err)
{
    void *memory = NULL;
    const uint64_t bytes = count <= SIZE_MAX / 2 / size ? count * size : SIZE_MAX / 2;
    if (host_memory_reserve(device, what, bytes, err) != M3_OK) return NULL;
    host_block *block = host_memory_allocate(device->host, HEAD + bytes, &memory);
    if (block == NULL) {
        host_memory_release(device, bytes);
        (void)M3_FAIL_MEMORY(err, what, bytes);
        return NULL;
    }
    *block = (host_block){exec->blocks, memory, bytes};
    exec->blocks = block;
    return (unsigned char *)block + HEAD;
}

void host_exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec == NULL) return;
    const m3_host *host = device->host;
    for (host_block *block = exec->blocks, *next; block != NULL; block = next) {
        next = block->next;
        host_memory_release(device, block->bytes);
        host->release(host->user, block->block);
    }
    host->release(host->user, exec);
}

/* Places. */

static m3_status check_segments(const m3_program *program, m3_buffer *const *buffers, m3_error *err)
{
    for (uint32_t i = 0; i < program->segment_count; i++) {
        const uint64_t wanted = program->segments[i].bytes, there = buffers[i] == NULL ? 0 : buffers[i]->bytes;
        if (there < wanted)
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)wanted, (unsigned long long)there);
    }
    return M3_OK;
}

static m3_status locate(const m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                        const m3_tensor *x, void **pointer, m3_error *err)
{
    static unsigned char nowhere; /* for a tensor without elements: NULL would mean absent */
    char name[32];
    *pointer = &nowhere;
    if (m3_tensor_count(x) == 0) return M3_OK;
    (void)snprintf(name, sizeof name, "tensor %u", x->id);
    if (x->id >= program->tensor_count)
        return M3_FAIL(err, M3_ERR_RANGE, name, "the program has %u tensors", program->tensor_count);
    const m3_place *place = &program->places[x->id];
    if (place->segment >= program->segment_count)
        return M3_FAIL(err, M3_ERR_RANGE, name, "it lies in segment %u, the program has %u", place->segment,
                       program->segment_count);
    const m3_buffer *buffer = buffers[place->segment];
    const unsigned long long at = place->offset, bytes = m3_tensor_bytes(x), capacity = buffer->bytes;
    if (at > capacity || bytes > capacity - at)
        return M3_FAIL(err, M3_ERR_RANGE, name, "bytes %llu to %llu lie outside segment %u of %llu", at, at + bytes,
                       place->segment, capacity);
    if (at % device->offset_alignment != 0)
        return M3_FAIL(err, M3_ERR_RANGE, name, "it lies at byte %llu of segment %u; places are multiples of %u", at,
                       place->segment, device->offset_alignment);
    *pointer = buffer->data + at;
    return M3_OK;
}

/* pointers has one for each of the node's inputs and outputs. */
static m3_status locate_node(const m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                             const m3_node *node, void **pointers, host_node *to, m3_error *err)
{
    void **in = pointers, **out = pointers + node->in_count;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++)
        if (node->in[i] != NULL) st = locate(device, program, buffers, node->in[i], &in[i], err);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        st = locate(device, program, buffers, node->out[i], &out[i], err);
    *to = (host_node){node, (const void **)in, out, host_kernel_in_c(node->op)};
    return st;
}

static bool writes_store(const m3_program *program, const m3_node *node)
{
    for (uint32_t i = 0; i < node->out_count; i++) {
        const m3_place *place = &program->places[node->out[i]->id];
        if (place->segment < program->segment_count && program->segments[place->segment].role == M3_SEGMENT_STORE)
            return true;
    }
    return false;
}

m3_status host_exec_create(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers, size_t size,
                           host_supports_fn supports, m3_exec_impl **exec, m3_error *err)
{
    const m3_host *host = device->host;
    const char *name = program->name;
    const uint32_t count = program->node_count;
    size_t tensors = 0;
    *exec = NULL;
    m3_status st = check_segments(program, buffers, err);
    if (st != M3_OK) return st;
    for (uint32_t n = 0; n < count; n++) tensors += (size_t)program->nodes[n]->in_count + program->nodes[n]->out_count;
    m3_exec_impl *made = host->allocate(host->user, 1, size);
    if (made == NULL) return M3_FAIL_MEMORY(err, name, size);
    made->count = made->store = count;
    void **pointers = NULL;
    st = M3_ERR_MEMORY;
    if ((made->nodes = host_exec_allocate(device, made, name, count, sizeof *made->nodes, err)) == NULL) goto done;
    if ((made->time_ns = host_exec_allocate(device, made, name, count, sizeof *made->time_ns, err)) == NULL) goto done;
    if ((pointers = host_exec_allocate(device, made, name, tensors, sizeof *pointers, err)) == NULL) goto done;
    st = M3_OK;
    for (uint32_t n = 0; n < count && st == M3_OK; n++) {
        const m3_node *node = program->nodes[n];
        st = supports(device, node, err);
        if (st == M3_OK) st = locate_node(device, program, buffers, node, pointers, &made->nodes[n], err);
        pointers += node->in_count + node->out_count;
        if (st == M3_OK && made->store == count && writes_store(program, node)) made->store = n;
    }
    if (st != M3_OK) goto done;
    *exec = made;
    made = NULL;
done:
    host_exec_free(device, made);
    return st;
}
