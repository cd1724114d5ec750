/* program: nodes become dispatches (backends/lowering), and dispatches become kernels with their arguments set. */
#include "backends/opencl/program.h"
#include "backends/host/checks.h"
#include "backends/lowering/builds.h"
#include "backends/lowering/program.h"
#include "backends/opencl/api.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/build.h"
#include "backends/opencl/clblast.h"
#include "backends/opencl/custom.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/group.h"
#include "backends/opencl/memory.h"
#include "backends/opencl/queue.h"
#include "backends/opencl/tape.h"

#include <string.h>

m3_status opencl_program_supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const m3_status st = host_check_refused(device->refused, node->op, why);
    if (st != M3_OK) return st;
    return lower_supports(&device->traits, node, why);
}

enum { OPTIONS_BYTES = 768 };

/* Constants as the compiler wants them, and the name of the tape, which distinguishes programs. */
static m3_status options_of(const lower_dispatch *d, char *text, size_t bytes, m3_error *err)
{
    size_t at = 0;
    text[0] = 0;
    if (d->tape.steps > 0) {
        char tape[OPENCL_TAPE_NAME_BYTES];
        opencl_tape_name(&d->tape, tape);
        at = (size_t)snprintf(text, bytes, "-DTAPE=%s ", tape);
    }
    for (uint32_t i = 0; i < d->constant_count; i++) {
        const int more = snprintf(text + at, bytes - at, "-D%s=%d ", d->constants[i].name, (int)d->constants[i].value);
        at += (size_t)more;
        if (at >= bytes) return M3_FAIL(err, M3_ERR_INTERNAL, d->entry, "its constants are longer than %zu", bytes);
    }
    return M3_OK;
}

static m3_status set_failed(const lower_dispatch *d, uint32_t argument, cl_int code, m3_error *err)
{
    return M3_FAIL(err, code == CL_OUT_OF_HOST_MEMORY ? M3_ERR_MEMORY : M3_ERR_INTERNAL, d->entry,
                   "argument %u of the kernel in %s.cl could not be set: %s", argument, d->source, OPENCL_ERROR(code));
}

static cl_mem memory_of(const m3_exec_impl *exec, m3_buffer *const *buffers, const lower_view *view)
{
    switch (view->memory) {
    case LOWER_SEGMENT: return buffers[view->segment]->memory;
    case LOWER_SCRATCH: return exec->scratch;
    case LOWER_TABLE: return exec->table;
    case LOWER_NOTHING: break;
    }
    return NULL;
}

/* A buffer is two arguments: memory, and bytes into it. */
static m3_status set_arguments(m3_device_impl *device, const m3_exec_impl *exec, m3_buffer *const *buffers,
                               const lower_dispatch *d, cl_kernel kernel, m3_error *err)
{
    const opencl_api *cl = device->cl;
    cl_uint argument = 0;
    for (uint32_t i = 0; i < d->buffer_count; i++) {
        const lower_view *view = &d->buffers[i];
        cl_mem memory = memory_of(exec, buffers, view);
        const cl_ulong at = view->offset;
        cl_int code = cl->SetKernelArg(kernel, argument, sizeof memory, memory == NULL ? NULL : &memory);
        if (code == CL_SUCCESS) code = cl->SetKernelArg(kernel, argument + 1, sizeof at, &at);
        if (code != CL_SUCCESS) return set_failed(d, argument, code, err);
        argument += 2;
    }
    for (uint32_t i = 0; i < d->word_count; i++, argument++) {
        const cl_int code = cl->SetKernelArg(kernel, argument, sizeof d->words[i], &d->words[i]);
        if (code != CL_SUCCESS) return set_failed(d, argument, code, err);
    }
    return M3_OK;
}

static void prepare_gemm(const m3_exec_impl *exec, m3_buffer *const *buffers, const lower_dispatch *d,
                         opencl_launch *launch)
{
    cl_mem memory[3];
    uint64_t offset[3];
    for (uint32_t i = 0; i < 3; i++) {
        memory[i] = memory_of(exec, buffers, &d->buffers[i]);
        offset[i] = d->buffers[i].offset;
    }
    launch->gemm = opencl_gemm_from(d, memory, offset);
}

static m3_status prepare(m3_device_impl *device, m3_exec_impl *exec, m3_buffer *const *buffers, const lower_dispatch *d,
                         opencl_launch *launch, m3_error *err)
{
    char options[OPTIONS_BYTES];
    const char *op = d->list->program->nodes[d->node]->op->name;
    launch->node = d->node;
    launch->axes = d->count[2] > 1 || d->group[2] > 1 ? 3 : d->count[1] > 1 || d->group[1] > 1 ? 2 : 1;
    for (int i = 0; i < 3; i++) {
        launch->local[i] = d->group[i];
        launch->global[i] = (size_t)d->group[i] * d->count[i];
    }
    if (d->source == NULL) {
        const m3_status st = opencl_custom_bind(device, exec, buffers, d, &launch->kernel, err);
        return st == M3_OK ? opencl_group_fit(device, launch, d->any_group, op, err) : st;
    }
    if (strcmp(d->source, "clblast") == 0) {
        prepare_gemm(exec, buffers, d, launch);
        return M3_OK;
    }
    char tape[OPENCL_TAPE_BYTES];
    m3_status st = options_of(d, options, sizeof options, err);
    opencl_tape_write(&d->tape, tape);
    if (st == M3_OK) st = opencl_kernel_create(device, d->source, d->entry, tape, options, &launch->kernel, err);
    if (st == M3_OK) st = opencl_group_fit(device, launch, d->any_group, op, err);
    if (st == M3_OK) st = set_arguments(device, exec, buffers, d, launch->kernel, err);
    return st;
}

static m3_status make_memory(m3_device_impl *device, m3_exec_impl *exec, const lower_list *list, m3_error *err)
{
    m3_status st = M3_OK;
    if (list->scratch_bytes > 0) {
        st = opencl_memory_allocate(device, "scratch of kernels", list->scratch_bytes, &exec->scratch, err);
        if (st == M3_OK) exec->scratch_bytes = list->scratch_bytes;
    }
    if (st != M3_OK || list->table_bytes == 0) return st;
    st = opencl_memory_allocate(device, "tables of kernels", list->table_bytes, &exec->table, err);
    if (st != M3_OK) return st;
    exec->table_bytes = list->table_bytes;
    const cl_int code = device->cl->EnqueueWriteBuffer(device->queue.commands, exec->table, CL_TRUE, 0,
                                                       (size_t)list->table_bytes, list->table, 0, NULL, NULL);
    return code == CL_SUCCESS ? M3_OK : opencl_device_lose(device, "an upload", code, err);
}

/* Programs, side by side. */

typedef struct work {
    m3_device_impl *device;
    const lower_dispatch **list; /* one for each source with its constants */
} work;

static m3_status build_one(void *user, uint32_t index, m3_error *err)
{
    const work *w = user;
    const lower_dispatch *d = w->list[index];
    char options[OPTIONS_BYTES], tape[OPENCL_TAPE_BYTES];
    opencl_program *program = NULL;
    const m3_status st = options_of(d, options, sizeof options, err);
    opencl_tape_write(&d->tape, tape);
    return st == M3_OK ? opencl_program_build(w->device, d->source, tape, options, &program, err) : st;
}

static bool same_program(const lower_dispatch *a, const lower_dispatch *b)
{
    if (strcmp(a->source, b->source) != 0 || a->constant_count != b->constant_count ||
        memcmp(&a->tape, &b->tape, sizeof a->tape) != 0)
        return false;
    for (uint32_t i = 0; i < a->constant_count; i++)
        if (a->constants[i].value != b->constants[i].value || strcmp(a->constants[i].name, b->constants[i].name) != 0)
            return false;
    return true;
}

/* What the dispatches of a list need; kernels of custom ops and calls of CLBlast come later. */
static m3_status build_programs(m3_device_impl *device, const lower_list *l, m3_error *err)
{
    const m3_host *host = device->host;
    const size_t room = (size_t)l->count + 1;
    uint32_t count = 0;
    const lower_dispatch **list = host->allocate(host->user, room, sizeof(lower_dispatch *));
    if (list == NULL) return M3_FAIL_MEMORY(err, l->program->name, room * sizeof(lower_dispatch *));
    for (uint32_t i = 0; i < l->count; i++) {
        const lower_dispatch *d = &l->dispatches[i];
        uint32_t k = 0;
        if (d->source == NULL || strcmp(d->source, "clblast") == 0) continue;
        if (d->count[0] == 0 || d->count[1] == 0 || d->count[2] == 0) continue;
        while (k < count && !same_program(list[k], d)) k++;
        if (k == count) list[count++] = d;
    }
    work w = {device, list};
    const m3_status st = lower_build_all(host, device->parallel, count, build_one, &w, err);
    host->release(host->user, (void *)list);
    return st;
}

static m3_status make_launches(m3_device_impl *device, m3_buffer *const *buffers, m3_exec_impl *exec,
                               const lower_list *list, m3_error *err)
{
    uint32_t stored = UINT32_MAX;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < list->count && st == M3_OK; i++) {
        const lower_dispatch *d = &list->dispatches[i];
        if (d->count[0] == 0 || d->count[1] == 0 || d->count[2] == 0) continue;
        if (stored == UINT32_MAX && lower_writes_store(d)) stored = exec->count;
        st = prepare(device, exec, buffers, d, &exec->launches[exec->count++], err);
    }
    exec->store = stored < exec->count ? stored : exec->count;
    return st;
}

static m3_status check_buffers(const m3_program *program, m3_buffer *const *buffers, m3_error *err)
{
    for (uint32_t i = 0; i < program->segment_count; i++)
        if (buffers[i]->bytes < program->segments[i].bytes)
            return M3_FAIL(err, M3_ERR_RANGE, program->name, "segment %u has %llu bytes, its buffer %llu", i,
                           (unsigned long long)program->segments[i].bytes, (unsigned long long)buffers[i]->bytes);
    return M3_OK;
}

m3_status opencl_program_compile(m3_device_impl *device, const lower_traits *traits, const m3_program *program,
                                 m3_buffer *const *buffers, m3_exec_impl **exec, m3_error *err)
{
    const m3_host *host = device->host;
    lower_list list = {0};
    uint32_t parts = 0;
    *exec = NULL;
    m3_exec_impl *e = host->allocate(host->user, 1, sizeof *e);
    if (e == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *e);
    m3_status st = opencl_device_check(device, err);
    if (st == M3_OK) st = check_buffers(program, buffers, err);
    for (uint32_t i = 0; i < program->node_count && st == M3_OK; i++)
        st = opencl_program_supports(device, program->nodes[i], err);
    if (st == M3_OK) st = lower_program(&list, host, traits, program, device->alignment, err);
    if (st != M3_OK) goto done;
    for (uint32_t i = 0; i < list.count; i++)
        if (list.dispatches[i].source == NULL) parts += list.dispatches[i].buffer_count;
    e->node_count = program->node_count;
    e->launches = host->allocate(host->user, (size_t)list.count + 1, sizeof *e->launches);
    e->time_ns = host->allocate(host->user, (size_t)program->node_count + 1, sizeof *e->time_ns);
    e->parts = host->allocate(host->user, (size_t)parts + 1, sizeof(cl_mem));
    if (e->launches == NULL || e->time_ns == NULL || e->parts == NULL) {
        st = M3_FAIL_MEMORY(err, program->name, list.count * sizeof *e->launches);
        goto done;
    }
    st = make_memory(device, e, &list, err);
    if (st == M3_OK) st = build_programs(device, &list, err);
    if (st == M3_OK) st = make_launches(device, buffers, e, &list, err);
done:
    lower_list_fini(&list);
    if (st == M3_OK)
        *exec = e;
    else
        opencl_exec_free(device, e);
    return st;
}

void opencl_exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (exec == NULL) return;
    const m3_host *host = device->host;
    const opencl_api *cl = device->cl;
    (void)cl->Finish(device->queue.commands);
    for (uint32_t i = 0; i < exec->count; i++)
        if (exec->launches[i].kernel != NULL) (void)cl->ReleaseKernel(exec->launches[i].kernel);
    for (uint32_t i = 0; exec->parts != NULL && i < exec->part_count; i++) (void)cl->ReleaseMemObject(exec->parts[i]);
    opencl_memory_free(device, exec->scratch, exec->scratch_bytes);
    opencl_memory_free(device, exec->table, exec->table_bytes);
    host->release(host->user, exec->parts);
    host->release(host->user, exec->launches);
    host->release(host->user, exec->time_ns);
    host->release(host->user, exec);
}
