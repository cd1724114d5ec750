/* partition: each node goes to the chosen device if that runs it, else to the first fallback that does. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/schedule.h"

static const char *node_text(const m3_node *node, char *text, size_t bytes)
{
    const m3_tensor *y = node->out_count > 0 ? node->out[0] : NULL;
    char label[M3_ERROR_SUBJECT];
    (void)snprintf(text, bytes, "%s -> %s %s", m3_node_label(node, label, sizeof label),
                   y != NULL ? m3_dtype_name(y->dtype) : "", y != NULL ? M3_SHAPE_TEXT(&y->shape) : "");
    return text;
}

/* Said once for each op and reason: a model repeats its layers. */
static void tell_once(const m3_schedule *s, const m3_node *node, uint32_t device, const char *reason)
{
    char text[M3_ERROR_MESSAGE];
    for (uint32_t i = 0; i < s->step_count; i++)
        if (s->steps[i].reason != NULL && s->steps[i].node->op == node->op && strcmp(s->steps[i].reason, reason) == 0)
            return;
    m3_engine_log(s->devices[0]->engine, M3_LOG_WARN, "%s runs %s, because %s does not: %s", s->devices[device]->name,
                  node_text(node, text, sizeof text), s->devices[0]->name, reason);
}

m3_status m3_partition_assign(const m3_schedule *s, const m3_node *node, bool strict, uint32_t *device, char **reason,
                              m3_error *err)
{
    m3_error why = {0}, other = {0};
    char text[512];
    *device = 0;
    *reason = NULL;
    m3_status st = m3_device_supports(s->devices[0], node, &why);
    if (st == M3_OK) return M3_OK;
    if (st == M3_ERR_MEMORY) return M3_FAIL(err, st, why.subject, "%s", why.message);
    for (uint32_t i = 1; i < s->device_count && !strict; i++) {
        other = (m3_error){0};
        if (m3_device_supports(s->devices[i], node, &other) != M3_OK) continue;
        *reason = m3_strdup(why.message);
        if (*reason == NULL) return M3_FAIL_MEMORY(err, node->op->name, strlen(why.message));
        *device = i;
        tell_once(s, node, i, *reason);
        return M3_OK;
    }
    (void)node_text(node, text, sizeof text);
    if (strict)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, s->devices[0]->name,
                       "%s does not run %s: %s; strict allows no fallback to another device", s->devices[0]->name, text,
                       why.message);
    if (s->device_count == 1)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, s->devices[0]->name,
                       "%s does not run %s: %s; give another device to fall back to", s->devices[0]->name, text,
                       why.message);
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, s->devices[0]->name, "no device runs %s: %s: %.300s; %s: %.300s", text,
                   s->devices[0]->name, why.message, s->devices[s->device_count - 1]->name, other.message);
}

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

m3_status m3_partition_cut(m3_schedule *s, m3_error *err)
{
    m3_status st = M3_OK;
    bool *there = m3_calloc((size_t)s->device_count * s->tensor_count, sizeof *there);
    s->parts = m3_calloc(s->step_count, sizeof *s->parts);
    if (there == NULL || s->parts == NULL) {
        m3_free(there);
        return M3_FAIL_MEMORY(err, "partition", s->step_count * sizeof *s->parts);
    }
    for (uint32_t i = 0; i < s->step_count && st == M3_OK; i++) {
        if (i == 0 || s->steps[i].device != s->steps[i - 1].device)
            s->parts[s->part_count++] = (m3_part){s->steps[i].device, i, 0, s->transfer_count, 0};
        m3_part *part = &s->parts[s->part_count - 1];
        part->count++;
        st = add_transfers(s, &s->steps[i], there, err);
        part->transfer_count = s->transfer_count - part->transfer;
    }
    m3_free(there);
    return st;
}
