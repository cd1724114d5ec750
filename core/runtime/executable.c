/* executable: passes -> schedule -> plan -> memory -> compile. Everything that runs need is made here. */
#include "core/runtime/executable.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/passes/pass.h"
#include "core/runtime/need.h"

static bool supports(void *user, const m3_node *node)
{
    m3_error why = {0};
    return m3_device_supports(user, node, &why) == M3_OK;
}

static m3_status take_devices(m3_executable *e, m3_device *device, const m3_compile_options *options, m3_error *err)
{
    const uint32_t fallbacks = options->strict ? 0 : options->fallbacks.count;
    e->devices = m3_calloc((size_t)fallbacks + 1, sizeof(m3_device *));
    e->lanes = m3_calloc((size_t)fallbacks + 1, sizeof *e->lanes);
    if (e->devices == NULL || e->lanes == NULL) return M3_FAIL_MEMORY(err, e->name, fallbacks * sizeof *e->lanes);
    e->devices[e->device_count++] = device;
    for (uint32_t i = 0; i < fallbacks; i++) {
        m3_device *other = *(m3_device *const *)m3_span_at(options->fallbacks, i);
        bool known = false;
        for (uint32_t k = 0; k < e->device_count; k++) known = known || e->devices[k] == other;
        if (!known) e->devices[e->device_count++] = other;
    }
    for (uint32_t i = 0; i < e->device_count; i++) e->lanes[i].device = e->devices[i];
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

static m3_status make_buffers(m3_executable *e, m3_lane *lane, m3_error *err)
{
    const m3_plan *plan = &lane->plan;
    m3_status st = M3_OK;
    lane->buffers = m3_calloc(plan->segment_count, sizeof(m3_buffer *));
    if (lane->buffers == NULL) return M3_FAIL_MEMORY(err, e->name, plan->segment_count * sizeof(m3_buffer *));
    for (uint32_t i = 0; i < plan->segment_count && st == M3_OK; i++) {
        const m3_segment *segment = &plan->segments[i];
        if (segment->role == M3_SEGMENT_STORE)
            lane->buffers[i] = e->store->chunks[i - plan->store].buffer;
        else
            st = lane->device->api->buffer_create(lane->device->impl, segment->bytes, usage_of(e, segment->role),
                                                  &lane->buffers[i], err);
    }
    return st;
}

static m3_status upload_constants(m3_executable *e, m3_lane *lane, m3_error *err)
{
    const m3_plan *plan = &lane->plan;
    const m3_device *device = lane->device;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < e->schedule.tensor_count && st == M3_OK; i++) {
        const m3_tensor *x = m3_graph_tensor(e->graph, i);
        const m3_place *place = &plan->places[i];
        if (x->kind != M3_CONSTANT || place->segment == M3_NO_SEGMENT || m3_tensor_bytes(x) == 0) continue;
        st = device->api->upload(device->impl, lane->buffers[place->segment], place->offset, x->data,
                                 m3_tensor_bytes(x), &lane->value, err);
    }
    if (st != M3_OK || plan->constant_bytes == 0) return st;
    return device->api->wait(device->impl, lane->value, UINT64_MAX, err);
}

static m3_status make_host_memory(m3_executable *e, m3_error *err)
{
    const m3_schedule *s = &e->schedule;
    const m3_plan *plan = &e->lanes[0].plan;
    e->input = m3_calloc(plan->input_bytes, 1);
    e->output = m3_calloc(plan->output_bytes, 1);
    e->times = m3_calloc(s->step_count, sizeof *e->times);
    e->staging = m3_calloc(s->transfer_count, sizeof *e->staging);
    if (e->input == NULL || e->output == NULL || e->times == NULL || e->staging == NULL)
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
    e->execs = m3_calloc(s->part_count, sizeof(m3_exec_impl *));
    const m3_node **nodes = m3_calloc(s->step_count, sizeof *nodes);
    if (nodes == NULL || e->execs == NULL) {
        m3_free((void *)nodes);
        return M3_FAIL_MEMORY(err, e->name, s->step_count * sizeof *nodes);
    }
    for (uint32_t i = 0; i < s->part_count && st == M3_OK; i++) {
        const m3_part *part = &s->parts[i];
        const m3_lane *lane = &e->lanes[part->device];
        for (uint32_t k = 0; k < part->count; k++) nodes[k] = s->steps[part->first + k].node;
        const m3_program program = {
            .size = M3_STRUCT_SIZE(m3_program, segments),
            .name = e->name,
            .node_count = part->count,
            .nodes = nodes,
            .tensor_count = s->tensor_count,
            .places = lane->plan.places,
            .segment_count = lane->plan.segment_count,
            .segments = lane->plan.segments,
        };
        st = lane->device->api->compile(lane->device->impl, &program, lane->buffers, &e->execs[i], err);
    }
    m3_free((void *)nodes);
    return st;
}

/* Everything up to memory. Without a store, parameters and states get no place. */
static m3_status arrange(m3_executable *e, const m3_graph *graph, const m3_compile_options *options, m3_error *err)
{
    const m3_pass_context context = {options->no_pass, supports, e->devices[0]};
    const m3_schedule_options how = {e->devices, e->device_count, options->strict};
    m3_status st;
    if ((st = m3_passes_run(graph, &context, &e->graph, err)) != M3_OK) return st;
    if ((st = m3_schedule_make(&e->schedule, e->graph, &how, err)) != M3_OK) return st;
    if (e->store != NULL && (st = declare(e, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++)
        st = m3_plan_make(&e->lanes[i].plan, &e->schedule, i, i == 0 ? e->store : NULL, err);
    return st;
}

static m3_status build(m3_executable *e, const m3_graph *graph, const m3_compile_options *options, m3_error *err)
{
    m3_status st = arrange(e, graph, options, err);
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++) st = make_buffers(e, &e->lanes[i], err);
    for (uint32_t i = 0; i < e->device_count && st == M3_OK; i++) st = upload_constants(e, &e->lanes[i], err);
    if (st == M3_OK) st = make_host_memory(e, err);
    if (st == M3_OK) st = compile(e, err);
    return st;
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

m3_status m3_executable_create(m3_device *device, m3_store *store, const m3_graph *graph,
                               const m3_compile_options *options, m3_executable **executable, m3_error *err)
{
    m3_compile_options o = {0};
    *executable = NULL;
    if (options != NULL) memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    m3_status st = check_arguments(device, store, &o, err);
    if (st != M3_OK) return st;
    m3_executable *e = m3_calloc(1, sizeof *e);
    if (e == NULL) return M3_FAIL_MEMORY(err, "executable", sizeof *e);
    e->store = store;
    e->name = m3_strdup(o.name != NULL ? o.name : "graph");
    if (e->name == NULL) st = M3_FAIL_MEMORY(err, "executable", sizeof *e);
    if (st == M3_OK) st = take_devices(e, device, &o, err);
    if (st == M3_OK) st = build(e, graph, &o, err);
    if (st == M3_OK) {
        m3_engine_log(device->engine, M3_LOG_DEBUG, "%s on %s: %u nodes in %u parts, %llu bytes of scratch", e->name,
                      device->name, e->schedule.step_count, e->schedule.part_count,
                      (unsigned long long)e->lanes[0].plan.scratch_bytes);
        *executable = e;
        e = NULL;
    }
    m3_executable_free(e);
    return st;
}

/* Stored tensors that are not counted yet. */
static m3_status add_stored(const m3_executable *e, m3_need *need, m3_error *err)
{
    const uint32_t tensors = m3_graph_tensor_count(e->graph);
    const uint64_t alignment = e->devices[0]->limits.offset_alignment;
    char **grown = m3_realloc(need->stored, (size_t)need->stored_count + tensors + 1, sizeof *grown);
    if (grown == NULL) return M3_FAIL_MEMORY(err, e->name, tensors * sizeof *grown);
    need->stored = grown;
    for (uint32_t i = 0; i < tensors; i++) {
        const m3_tensor *x = m3_graph_tensor(e->graph, i);
        bool known = x->kind != M3_PARAMETER && x->kind != M3_STATE;
        for (uint32_t k = 0; k < need->stored_count && !known; k++) known = strcmp(need->stored[k], x->name) == 0;
        if (known) continue;
        if ((need->stored[need->stored_count] = m3_strdup(x->name)) == NULL)
            return M3_FAIL_MEMORY(err, e->name, strlen(x->name) + 1);
        need->stored_count++;
        need->bytes += (m3_tensor_bytes(x) + alignment - 1) / alignment * alignment;
    }
    return M3_OK;
}

m3_status m3_executable_measure(m3_device *device, const m3_graph *graph, const m3_compile_options *options,
                                m3_need *need, m3_error *err)
{
    m3_executable *e = m3_calloc(1, sizeof *e);
    if (e == NULL) return M3_FAIL_MEMORY(err, "executable", sizeof *e);
    m3_status st = M3_OK;
    e->name = m3_strdup(options->name);
    if (e->name == NULL) st = M3_FAIL_MEMORY(err, "executable", sizeof *e);
    if (st == M3_OK) st = take_devices(e, device, options, err);
    if (st == M3_OK) st = arrange(e, graph, options, err);
    for (uint32_t i = 0; st == M3_OK && i < e->lanes[0].plan.segment_count; i++)
        need->bytes += e->lanes[0].plan.segments[i].bytes;
    if (st == M3_OK) st = add_stored(e, need, err);
    m3_executable_free(e);
    return st;
}

void m3_need_fini(m3_need *need)
{
    for (uint32_t i = 0; i < need->stored_count; i++) m3_free(need->stored[i]);
    m3_free(need->stored);
    *need = (m3_need){0};
}

void m3_executable_free(m3_executable *executable)
{
    m3_executable *e = executable;
    if (e == NULL) return;
    const m3_schedule *s = &e->schedule;
    for (uint32_t i = 0; i < s->part_count && e->execs != NULL; i++) {
        const m3_device *device = e->devices[s->parts[i].device];
        if (e->execs[i] != NULL) device->api->exec_free(device->impl, e->execs[i]);
    }
    for (uint32_t i = 0; i < e->device_count; i++) {
        const m3_lane *lane = &e->lanes[i];
        for (uint32_t k = 0; k < lane->plan.segment_count && lane->buffers != NULL; k++)
            if (lane->buffers[k] != NULL && lane->plan.segments[k].role != M3_SEGMENT_STORE)
                lane->device->api->buffer_free(lane->device->impl, lane->buffers[k]);
        m3_free(lane->buffers);
        m3_plan_fini(&e->lanes[i].plan);
    }
    for (uint32_t i = 0; i < s->transfer_count && e->staging != NULL; i++) m3_free(e->staging[i]);
    m3_schedule_fini(&e->schedule);
    m3_graph_free(e->graph);
    m3_free(e->execs);
    m3_free(e->staging);
    m3_free(e->input);
    m3_free(e->output);
    m3_free(e->times);
    m3_free(e->lanes);
    m3_free(e->devices);
    m3_free(e->name);
    m3_free(e);
}
