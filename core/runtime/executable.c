/* executable: passes -> schedule -> partition -> plan -> memory -> compile. Everything that runs need is made here. */
#include "core/runtime/executable.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/passes/pass.h"
#include "core/runtime/partition.h"

static bool supports(void *user, const m3_node *node)
{
    m3_error why = {0};
    return m3_device_supports(user, node, &why) == M3_OK;
}

static m3_status take_devices(m3_executable *e, m3_device *device, const m3_compile_options *options, m3_error *err)
{
    const uint32_t fallbacks = options->strict ? 0 : options->fallbacks.count;
    e->devices = m3_calloc((size_t)fallbacks + 1, sizeof(m3_device *));
    e->targets = m3_calloc((size_t)fallbacks + 1, sizeof *e->targets);
    if (e->devices == NULL || e->targets == NULL) return M3_FAIL_MEMORY(err, e->name, fallbacks * sizeof *e->targets);
    e->devices[e->device_count++] = device;
    for (uint32_t i = 0; i < fallbacks; i++) {
        m3_device *other = *(m3_device *const *)m3_span_at(options->fallbacks, i);
        bool known = false;
        for (uint32_t k = 0; k < e->device_count; k++) known = known || e->devices[k] == other;
        if (!known) e->devices[e->device_count++] = other;
    }
    for (uint32_t i = 0; i < e->device_count; i++) e->targets[i].device = e->devices[i];
    return M3_OK;
}

static m3_status declare(m3_executable *e, m3_error *err)
{
    const uint32_t tensors = m3_graph_tensor_count(e->graph);
    const m3_tensor **stored = m3_calloc(tensors, sizeof *stored);
    uint32_t count = 0;
    if (stored == NULL) return M3_FAIL_MEMORY(err, e->name, tensors * sizeof *stored);
    for (uint32_t i = 0; i < tensors; i++) {
        const m3_tensor *x = m3_graph_tensor(e->graph, i);
        if (x->kind == M3_PARAMETER || x->kind == M3_STATE) stored[count++] = x;
    }
    m3_status st = m3_store_declare(e->store, stored, count, err);
    m3_free((void *)stored);
    return st;
}

/* Memory. */

static uint32_t usage_of(const m3_executable *e, m3_segment_role role)
{
    if (e->schedule.transfer_count > 0) return M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD;
    if (role == M3_SEGMENT_INPUT || role == M3_SEGMENT_CONSTANT) return M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD;
    return role == M3_SEGMENT_OUTPUT ? M3_BUFFER_DEVICE | M3_BUFFER_DOWNLOAD : M3_BUFFER_DEVICE;
}

static m3_status make_buffers(m3_executable *e, m3_target *target, m3_error *err)
{
    const m3_plan *plan = &target->plan;
    m3_status st = M3_OK;
    target->buffers = m3_calloc(plan->segment_count, sizeof(m3_buffer *));
    if (target->buffers == NULL) return M3_FAIL_MEMORY(err, e->name, plan->segment_count * sizeof(m3_buffer *));
    for (uint32_t i = 0; i < plan->segment_count && st == M3_OK; i++) {
        const m3_segment *segment = &plan->segments[i];
        if (segment->role == M3_SEGMENT_STORE)
            target->buffers[i] = e->store->chunks[i - plan->store].buffer;
        else
            st = target->device->api->buffer_create(target->device->impl, segment->bytes, usage_of(e, segment->role),
                                                    &target->buffers[i], err);
    }
    return st;
}

static m3_status upload_constants(m3_executable *e, m3_target *target, m3_error *err)
{
    const m3_plan *plan = &target->plan;
    const m3_device *device = target->device;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < e->schedule.tensor_count && st == M3_OK; i++) {
        const m3_tensor *x = m3_graph_tensor(e->graph, i);
        const m3_place *place = &plan->places[i];
        if (x->kind != M3_CONSTANT || place->segment == M3_NO_SEGMENT || m3_tensor_bytes(x) == 0) continue;
        st = device->api->upload(device->impl, target->buffers[place->segment], place->offset, x->data,
                                 m3_tensor_bytes(x), &target->value, err);
    }
    if (st != M3_OK || plan->constant_bytes == 0) return st;
    return device->api->wait(device->impl, target->value, UINT64_MAX, err);
}

static m3_status make_host_memory(m3_executable *e, m3_error *err)
{
    const m3_schedule *s = &e->schedule;
    const m3_plan *plan = &e->targets[0].plan;
    e->input = m3_calloc(plan->input_bytes, 1);
    e->output = m3_calloc(plan->output_bytes, 1);
    e->times = m3_calloc(s->step_count, sizeof *e->times);
    e->began = m3_calloc(s->partition_count, sizeof *e->began);
    e->staging = m3_calloc(s->transfer_count, sizeof *e->staging);
    if (e->input == NULL || e->output == NULL || e->times == NULL || e->began == NULL || e->staging == NULL)
        return M3_FAIL_MEMORY(err, e->name, plan->input_bytes + plan->output_bytes);
    for (uint32_t i = 0; i < s->transfer_count; i++) {
        if (s->transfers[i].from == M3_NONE) continue;
        e->staging[i] = m3_calloc(m3_tensor_bytes(s->transfers[i].tensor), 1);
        if (e->staging[i] == NULL) return M3_FAIL_MEMORY(err, e->name, m3_tensor_bytes(s->transfers[i].tensor));
    }
    return M3_OK;
}

static m3_status compile(m3_executable *e, m3_error *err)
{
    const m3_schedule *s = &e->schedule;
    m3_status st = M3_OK;
    e->execs = m3_calloc(s->partition_count, sizeof(m3_exec_impl *));
    const m3_node **nodes = m3_calloc(s->step_count, sizeof *nodes);
    if (nodes == NULL || e->execs == NULL) {
        m3_free((void *)nodes);
        return M3_FAIL_MEMORY(err, e->name, s->step_count * sizeof *nodes);
    }
    for (uint32_t i = 0; i < s->partition_count && st == M3_OK; i++) {
        const m3_partition *partition = &s->partitions[i];
        const m3_target *target = &e->targets[partition->device];
        for (uint32_t k = 0; k < partition->count; k++) nodes[k] = s->steps[partition->first + k].node;
        const m3_program program = {
            .size = M3_STRUCT_SIZE(m3_program, segments),
            .name = e->name,
            .node_count = partition->count,
            .nodes = nodes,
            .tensor_count = s->tensor_count,
            .places = target->plan.places,
            .segment_count = target->plan.segment_count,
            .segments = target->plan.segments,
        };
        m3_device_begin(target->device, "compiles");
        st = target->device->api->compile(target->device->impl, &program, target->buffers, &e->execs[i], err);
        m3_device_idle(target->device);
    }
    m3_free((void *)nodes);
    return st;
}

m3_status m3_executable_plan(m3_executable *e, m3_device *device, const m3_graph *graph,
                             const m3_compile_options *options, const m3_buckets *buckets, m3_error *err)
{
    const m3_pass_context context = {options->no_pass,   supports,           device,
                                     options->precision, options->recompute, buckets};
    m3_status st;
    e->name = m3_strdup(options->name != NULL ? options->name : "graph");
    if (e->name == NULL) return M3_FAIL_MEMORY(err, "executable", sizeof *e);
    if ((st = take_devices(e, device, options, err)) != M3_OK) return st;
    const m3_schedule_options how = {e->devices, e->device_count, options->strict, buckets};
    if ((st = m3_passes_run(graph, &context, &e->graph, err)) != M3_OK) return st;
    if ((st = m3_schedule_make(&e->schedule, e->graph, &how, err)) != M3_OK) return st;
    if ((st = m3_schedule_partition(&e->schedule, buckets, err)) != M3_OK) return st;
    if (e->store != NULL && (st = declare(e, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++)
        st = m3_plan_make(&e->targets[i].plan, &e->schedule, i, i == 0 ? e->store : NULL, err);
    return st;
}

static bool lies_in_store(const m3_executable *e, uint32_t device, const m3_tensor *x)
{
    const m3_plan *plan = &e->targets[device].plan;
    const uint32_t segment = plan->places[x->id].segment;
    return segment != M3_NO_SEGMENT && plan->segments[segment].role == M3_SEGMENT_STORE;
}

/* Behind the first partition that writes the store, or before it where what comes to it is written there. */
static uint32_t find_store(const m3_executable *e)
{
    const m3_schedule *s = &e->schedule;
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const m3_partition *p = &s->partitions[i];
        for (uint32_t k = p->transfer; k < p->transfer + p->transfer_count; k++)
            if (lies_in_store(e, p->device, s->transfers[k].tensor)) return i;
        for (uint32_t k = p->first; k < p->first + p->count; k++) {
            const m3_node *node = s->steps[k].node;
            for (uint32_t o = 0; o < node->out_count; o++)
                if (lies_in_store(e, p->device, node->out[o])) return i + 1;
        }
    }
    return s->partition_count;
}

static m3_status build(m3_executable *e, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++) st = make_buffers(e, &e->targets[i], err);
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++) st = upload_constants(e, &e->targets[i], err);
    if (st == M3_OK) st = make_host_memory(e, err);
    if (st == M3_OK) st = compile(e, err);
    if (st == M3_OK) e->store_from = find_store(e);
    e->took_s = HUGE_VAL;
    return st;
}

void m3_executable_set_stop(m3_executable *e, const volatile int *stop, bool anywhere)
{
    e->stop = stop;
    e->anywhere = anywhere;
}

static m3_status check_arguments(m3_device *device, m3_store *store, const m3_compile_options *options, m3_error *err)
{
    if (store->device != device)
        return M3_FAIL(err, M3_ERR_INVALID, "store", "the store lies on %s, the executable is for %s; use one device",
                       store->device->name, device->name);
    for (uint32_t i = 0; i < options->fallbacks.count; i++)
        if (*(m3_device *const *)m3_span_at(options->fallbacks, i) == NULL)
            return M3_FAIL(err, M3_ERR_INVALID, "fallbacks", "fallback %u is NULL; give opened devices", i);
    return M3_OK;
}

void m3_executable_set_ready(m3_executable *e, m3_ready_fn ready, void *user)
{
    e->ready = ready;
    e->ready_user = user;
}

m3_status m3_executable_create(m3_device *device, m3_store *store, const m3_graph *graph,
                               const m3_compile_options *options, m3_executable **executable, m3_error *err)
{
    return m3_executable_create_early(device, store, graph, options, NULL, executable, err);
}

m3_status m3_executable_create_early(m3_device *device, m3_store *store, const m3_graph *graph,
                                     const m3_compile_options *options, const m3_buckets *buckets,
                                     m3_executable **executable, m3_error *err)
{
    m3_compile_options o = {0};
    *executable = NULL;
    if (options != NULL) memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    m3_status st = check_arguments(device, store, &o, err);
    if (st != M3_OK) return st;
    m3_executable *e = m3_calloc(1, sizeof *e);
    if (e == NULL) return M3_FAIL_MEMORY(err, "executable", sizeof *e);
    e->store = store;
    st = m3_executable_plan(e, device, graph, &o, buckets, err);
    if (st == M3_OK) st = build(e, err);
    if (st == M3_OK) {
        m3_engine_log(device->engine, M3_LOG_DEBUG, "%s on %s: %u nodes in %u partitions, %llu bytes of scratch",
                      e->name, device->name, e->schedule.step_count, e->schedule.partition_count,
                      (unsigned long long)e->targets[0].plan.scratch_bytes);
        *executable = e;
        e = NULL;
    }
    m3_executable_free(e);
    return st;
}

void m3_executable_free(m3_executable *executable)
{
    m3_executable *e = executable;
    if (e == NULL) return;
    const m3_schedule *s = &e->schedule;
    for (uint32_t i = 0; i < s->partition_count && e->execs != NULL; i++) {
        const m3_device *device = e->devices[s->partitions[i].device];
        if (e->execs[i] != NULL) device->api->exec_free(device->impl, e->execs[i]);
    }
    for (uint32_t i = 0; i < e->device_count; i++) {
        const m3_target *target = &e->targets[i];
        for (uint32_t k = 0; k < target->plan.segment_count && target->buffers != NULL; k++)
            if (target->buffers[k] != NULL && target->plan.segments[k].role != M3_SEGMENT_STORE)
                target->device->api->buffer_free(target->device->impl, target->buffers[k]);
        m3_free(target->buffers);
        m3_plan_fini(&e->targets[i].plan);
    }
    for (uint32_t i = 0; i < s->transfer_count && e->staging != NULL; i++) m3_free(e->staging[i]);
    m3_schedule_fini(&e->schedule);
    m3_graph_free(e->graph);
    m3_free(e->execs);
    m3_free(e->staging);
    m3_free(e->input);
    m3_free(e->output);
    m3_free(e->times);
    m3_free(e->began);
    m3_free(e->targets);
    m3_free(e->devices);
    m3_free(e->name);
    m3_free(e);
}
