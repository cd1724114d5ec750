/* run: one block of inputs up, the partitions in order with their transfers, one block of outputs down. Allocates
 * nothing. A device's queue keeps its own order; between devices, and before the host reads, the run waits. */
#include <string.h>

#include "core/base/clock.h"
#include "core/runtime/executable.h"

static m3_status upload(m3_target *target, const m3_place *place, const void *from, uint64_t bytes, m3_error *err)
{
    const m3_device *device = target->device;
    return device->api->upload(device->impl, target->buffers[place->segment], place->offset, from, bytes,
                               &target->value, err);
}

static m3_status download(m3_target *target, const m3_place *place, void *to, uint64_t bytes, m3_error *err)
{
    const m3_device *device = target->device;
    return device->api->download(device->impl, target->buffers[place->segment], place->offset, to, bytes,
                                 &target->value, err);
}

static m3_status wait(const m3_target *target, m3_error *err)
{
    return target->device->api->wait(target->device->impl, target->value, UINT64_MAX, err);
}

static m3_status transfer(m3_executable *e, uint32_t index, m3_error *err)
{
    const m3_transfer *t = &e->schedule.transfers[index];
    m3_target *to = &e->targets[t->to];
    const m3_place *place = &to->plan.places[t->tensor->id];
    const uint64_t bytes = m3_tensor_bytes(t->tensor);
    m3_status st;
    if (bytes == 0) return M3_OK;
    if (t->from == M3_NONE)
        return upload(to, place, e->input + e->targets[0].plan.places[t->tensor->id].offset, bytes, err);
    m3_target *from = &e->targets[t->from];
    if ((st = download(from, &from->plan.places[t->tensor->id], e->staging[index], bytes, err)) != M3_OK) return st;
    if ((st = wait(from, err)) != M3_OK) return st;
    return upload(to, place, e->staging[index], bytes, err);
}

/* A run that was short is waited for: one that can be stopped waits for each of its parts. */
static const double short_s = 2.0;

static bool can_stop(const m3_executable *e, uint32_t index)
{
    const m3_device *device = e->devices[e->schedule.partitions[index].device];
    return e->stop != NULL && e->took_s > short_s && (e->anywhere || index < e->store_from) &&
           M3_HAS(device->api, m3_backend_api, submit_until) && device->api->submit_until != NULL;
}

static m3_status run_partition(m3_executable *e, uint32_t index, m3_error *err)
{
    const m3_partition *partition = &e->schedule.partitions[index];
    m3_target *target = &e->targets[partition->device];
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < partition->transfer_count && st == M3_OK; i++)
        st = transfer(e, partition->transfer + i, err);
    if (st != M3_OK) return st;
    if (partition->device != 0) m3_device_begin(target->device, "runs");
    e->began[index] = m3_seconds();
    if (can_stop(e, index))
        return target->device->api->submit_until(target->device->impl, e->execs[index], e->stop, e->anywhere,
                                                 &target->value, err);
    return target->device->api->submit(target->device->impl, e->execs[index], &target->value, err);
}

/* The device goes on with the next partition while the host looks after what this one has made. */
static m3_status tell_ready(m3_executable *e, uint32_t index, m3_error *err)
{
    const m3_schedule *s = &e->schedule;
    const uint32_t now = s->partitions[index].ready, before = index > 0 ? s->partitions[index - 1].ready : 0;
    return e->ready != NULL && now > before ? e->ready(e->ready_user, now, err) : M3_OK;
}

static m3_status read_times(m3_executable *e, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < e->schedule.partition_count && st == M3_OK; i++) {
        const m3_partition *partition = &e->schedule.partitions[i];
        const m3_device *device = e->devices[partition->device];
        st = device->api->node_times(device->impl, e->execs[i], e->times + partition->first, partition->count, err);
    }
    return st;
}

m3_status m3_executable_run(m3_executable *executable, m3_error *err)
{
    m3_executable *e = executable;
    const m3_plan *plan = &e->targets[0].plan;
    const m3_place input = {plan->input, 0}, output = {plan->output, 0};
    const double began = m3_seconds();
    m3_status st = M3_OK;
    m3_device_begin(e->devices[0], "runs");
    if (plan->input_bytes > 0) st = upload(&e->targets[0], &input, e->input, plan->input_bytes, err);
    for (uint32_t i = 0; i < e->schedule.partition_count && st == M3_OK; i++) {
        st = run_partition(e, i, err);
        if (st == M3_OK) st = tell_ready(e, i, err);
    }
    if (st == M3_OK && plan->output_bytes > 0)
        st = download(&e->targets[0], &output, e->output, plan->output_bytes, err);
    /* After a failure too: nothing may still be reading or writing host memory when this returns. */
    for (uint32_t i = 0; i < e->device_count; i++) {
        m3_status waited = wait(&e->targets[i], st == M3_OK ? err : NULL);
        m3_device_idle(e->devices[i]);
        if (st == M3_OK) st = waited;
    }
    if (st == M3_OK) e->took_s = m3_seconds() - began;
    if (st == M3_OK && e->profiling) st = read_times(e, err);
    return st;
}

m3_status m3_executable_profile(m3_executable *executable, bool on, m3_error *err)
{
    m3_executable *e = executable;
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < e->schedule.partition_count && st == M3_OK; i++) {
        const m3_device *device = e->devices[e->schedule.partitions[i].device];
        if (device->api->profile == NULL || device->api->node_times == NULL)
            return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name, "this backend keeps no times");
        st = device->api->profile(device->impl, e->execs[i], on, err);
    }
    e->profiling = st == M3_OK && on;
    if (!e->profiling) memset(e->times, 0, e->schedule.step_count * sizeof *e->times);
    return st;
}

/* Inputs and outputs. */

static void *slot(unsigned char *block, const m3_plan *plan, const m3_tensor *x, uint64_t *bytes)
{
    if (bytes != NULL) *bytes = x != NULL ? m3_tensor_bytes(x) : 0;
    return x != NULL ? block + plan->places[x->id].offset : NULL;
}

void *m3_executable_input(m3_executable *executable, const char *name, uint64_t *bytes)
{
    const m3_tensor *x = m3_graph_find(executable->graph, name);
    if (x != NULL && x->kind != M3_INPUT) x = NULL;
    return slot(executable->input, &executable->targets[0].plan, x, bytes);
}

const m3_tensor *m3_executable_output_tensor(const m3_executable *executable, const char *name)
{
    const char *other = NULL;
    for (uint32_t i = 0; i < m3_graph_output_count(executable->graph); i++) {
        (void)m3_graph_output_at(executable->graph, i, &other);
        if (strcmp(other, name) == 0) return executable->schedule.outputs[i];
    }
    return NULL;
}

const void *m3_executable_output(m3_executable *executable, const char *name, uint64_t *bytes)
{
    return slot(executable->output, &executable->targets[0].plan, m3_executable_output_tensor(executable, name), bytes);
}
