/* partition: cuts the steps of a schedule where the device changes. */
#include "core/runtime/partition.h"

#include "core/base/alloc.h"

static m3_status add_transfer(m3_schedule *s, const m3_tensor *x, uint32_t to, m3_error *err)
{
    if (s->transfer_count == s->transfer_capacity) {
        uint32_t capacity = s->transfer_capacity == 0 ? 16 : s->transfer_capacity * 2;
        void *grown = m3_realloc(s->transfers, capacity, sizeof *s->transfers);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "transfers", capacity * sizeof *s->transfers);
        s->transfers = grown;
        s->transfer_capacity = capacity;
    }
    const m3_tensor *root = m3_graph_tensor(s->graph, s->root[x->id]);
    uint32_t from = root->kind == M3_INPUT ? M3_NONE : s->home[x->id];
    s->transfers[s->transfer_count++] = (m3_transfer){x, from, to};
    return M3_OK;
}

/* What a step reads and its device does not have yet. Once there, a value stays until its last reader. */
static m3_status add_transfers(m3_schedule *s, const m3_step *step, bool *there, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < step->node->in_count && st == M3_OK; i++) {
        const m3_tensor *x = step->node->in[i];
        if (x == NULL || m3_schedule_local(s, x, step->device)) continue;
        bool *here = &there[(size_t)step->device * s->tensor_count + x->id];
        if (!*here) st = add_transfer(s, x, step->device, err);
        *here = true;
    }
    return st;
}

m3_status m3_schedule_partition(m3_schedule *s, m3_error *err)
{
    m3_status st = M3_OK;
    bool *there = m3_calloc((size_t)s->device_count * s->tensor_count, sizeof *there);
    s->partitions = m3_calloc(s->step_count, sizeof *s->partitions);
    if (there == NULL || s->partitions == NULL) {
        m3_free(there);
        return M3_FAIL_MEMORY(err, "partitions", s->step_count * sizeof *s->partitions);
    }
    for (uint32_t i = 0; i < s->step_count && st == M3_OK; i++) {
        if (i == 0 || s->steps[i].device != s->steps[i - 1].device)
            s->partitions[s->partition_count++] = (m3_partition){s->steps[i].device, i, 0, s->transfer_count, 0};
        m3_partition *partition = &s->partitions[s->partition_count - 1];
        partition->count++;
        st = add_transfers(s, &s->steps[i], there, err);
        partition->transfer_count = s->transfer_count - partition->transfer;
    }
    m3_free(there);
    return st;
}
