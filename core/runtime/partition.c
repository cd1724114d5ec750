/* partition: cuts the steps of a schedule where the device changes, and where a bucket is ready. */
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

/* How many buckets are ready behind each step; a bucket is not ready before those before it. */
static uint32_t *find_ready(const m3_schedule *s, const m3_buckets *buckets)
{
    const uint32_t count = buckets != NULL ? buckets->count : 0;
    uint32_t *ready = m3_calloc(s->step_count, sizeof *ready), *last = m3_calloc(count, sizeof *last);
    for (uint32_t i = 0; ready != NULL && last != NULL && i < s->step_count; i++) {
        const m3_node *node = s->steps[i].node;
        for (uint32_t k = 0; k < node->out_count; k++) {
            const uint32_t state = s->into[s->root[node->out[k]->id]];
            const uint32_t bucket =
                state != M3_NONE ? m3_buckets_find(buckets, m3_graph_tensor(s->graph, state)->name) : M3_NO_BUCKET;
            if (bucket != M3_NO_BUCKET) last[bucket] = i;
        }
    }
    for (uint32_t i = 0, now = 0; ready != NULL && last != NULL && i < s->step_count; i++) {
        while (now < count && last[now] <= i) now++;
        ready[i] = now;
    }
    if (last == NULL) {
        m3_free(ready);
        ready = NULL;
    }
    m3_free(last);
    return ready;
}

m3_status m3_schedule_partition(m3_schedule *s, const m3_buckets *buckets, m3_error *err)
{
    m3_status st = M3_OK;
    bool *there = m3_calloc((size_t)s->device_count * s->tensor_count, sizeof *there);
    uint32_t *ready = find_ready(s, buckets);
    s->partitions = m3_calloc(s->step_count, sizeof *s->partitions);
    if (there == NULL || ready == NULL || s->partitions == NULL) {
        m3_free(ready);
        m3_free(there);
        return M3_FAIL_MEMORY(err, "partitions", s->step_count * sizeof *s->partitions);
    }
    for (uint32_t i = 0; i < s->step_count && st == M3_OK; i++) {
        const uint32_t now = i > 0 ? ready[i - 1] : 0, before = i > 1 ? ready[i - 2] : 0;
        const bool cut = now != before && now < buckets->count; /* the last one has nothing behind it to wait for */
        if (i == 0 || s->steps[i].device != s->steps[i - 1].device || cut)
            s->partitions[s->partition_count++] =
                (m3_partition){.device = s->steps[i].device, .first = i, .transfer = s->transfer_count};
        m3_partition *partition = &s->partitions[s->partition_count - 1];
        partition->count++;
        partition->ready = ready[i];
        st = add_transfers(s, &s->steps[i], there, err);
        partition->transfer_count = s->transfer_count - partition->transfer;
    }
    m3_free(ready);
    m3_free(there);
    return st;
}
