/* buckets: see the header. A gradient of a weight is read by nobody but its sum, so it may wait until all others are
 * done, and a rewrite may have put it there; what gradients go through is read by several, and says how early each can
 * be. */
#include "core/passes/buckets.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"

#define SHARED (UINT32_MAX - 1) /* of tensors and nodes: what leads to several groups, or elsewhere */

static uint32_t join(uint32_t a, uint32_t b)
{
    if (a == M3_NO_BUCKET || a == b) return b;
    return b == M3_NO_BUCKET ? a : SHARED;
}

/* What a node leads to; `of` is by tensor. */
static void find_groups(const m3_graph *graph, const uint32_t *group, uint32_t *of, m3_early *early)
{
    m3_tensor *value = NULL;
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) of[i] = M3_NO_BUCKET;
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) of[m3_graph_output_at(graph, i, NULL)->id] = SHARED;
    for (uint32_t i = 0; i < m3_graph_update_count(graph); i++) {
        (void)m3_graph_update_at(graph, i, &value);
        of[value->id] = join(of[value->id], group[i] != M3_NO_BUCKET ? group[i] : SHARED);
    }
    for (uint32_t i = m3_graph_node_count(graph); i-- > 0;) {
        const m3_node *node = m3_graph_node(graph, i);
        uint32_t to = M3_NO_BUCKET;
        for (uint32_t k = 0; k < node->out_count; k++) to = join(to, of[node->out[k]->id]);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) of[node->in[k]->id] = join(of[node->in[k]->id], to);
        early[i].group = to == SHARED ? M3_NO_BUCKET : to;
    }
}

m3_early *m3_buckets_early(const m3_graph *graph, const uint32_t *group)
{
    const uint32_t nodes = m3_graph_node_count(graph);
    uint32_t *of = m3_calloc(m3_graph_tensor_count(graph), sizeof *of);
    m3_early *early = m3_calloc(nodes, sizeof *early);
    if (of == NULL || early == NULL) {
        m3_free(early);
        m3_free(of);
        return NULL;
    }
    find_groups(graph, group, of, early);
    for (uint32_t i = 0; i < nodes; i++) {
        const m3_node *node = m3_graph_node(graph, i);
        const bool stands = early[i].group == M3_NO_BUCKET;
        early[i].behind = stands ? i : 0;
        for (uint32_t k = 0; k < node->in_count && !stands; k++) {
            const m3_node *before = node->in[k] != NULL ? node->in[k]->producer : NULL;
            if (before != NULL && early[before->id].behind > early[i].behind)
                early[i].behind = early[before->id].behind;
        }
    }
    m3_free(of);
    return early;
}

/* A state on its way into a bucket. */
typedef struct ready {
    const m3_tensor *state;
    uint32_t behind; /* the node */
    uint32_t update; /* among those of the graph */
} ready;

static int earlier(const void *a, const void *b)
{
    const ready *x = a, *y = b;
    if (x->behind != y->behind) return x->behind < y->behind ? -1 : 1;
    return x->update < y->update ? -1 : x->update > y->update;
}

/* A state that has as much as a bucket of like bytes would, such as the table of items, waits for nobody and nobody for
 * it: the others are shared out among the buckets that are left. States that are ready together stay together. */
static uint32_t share_out(const ready *list, uint32_t count, uint32_t most, uint64_t least, uint32_t *bucket)
{
    uint64_t total = 0, small = 0, bytes = 0;
    uint32_t large = 0, now = 0;
    for (uint32_t i = 0; i < count; i++) total += m3_tensor_bytes(list[i].state);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t own = m3_tensor_bytes(list[i].state);
        large += own * most >= total;
        small += own * most >= total ? 0 : own;
    }
    uint64_t share = small / (most > large ? most - large : 1), left = total;
    if (share < least) share = least;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t own = m3_tensor_bytes(list[i].state);
        const bool together = i > 0 && list[i].behind == list[i - 1].behind;
        const bool full = bytes >= least && (bytes >= share || own * most >= total);
        if (!together && full && left >= least && now + 1 < most) {
            now++;
            bytes = 0;
        }
        bucket[i] = now;
        bytes += own;
        left -= own;
    }
    return count > 0 ? now + 1 : 0;
}

static m3_status fill(m3_buckets *b, const ready *list, uint32_t count, uint32_t most, uint64_t least, m3_error *err)
{
    b->names = m3_calloc(count, sizeof *b->names);
    b->bucket = m3_calloc(count, sizeof *b->bucket);
    if (b->names == NULL || b->bucket == NULL) return M3_FAIL_MEMORY(err, "buckets", count * sizeof *b->names);
    b->count = share_out(list, count, most, least, b->bucket);
    for (uint32_t i = 0; i < count; i++) {
        if ((b->names[i] = m3_strdup(list[i].state->name)) == NULL)
            return M3_FAIL_MEMORY(err, "buckets", strlen(list[i].state->name) + 1);
        b->states++;
    }
    return M3_OK;
}

m3_status m3_buckets_make(m3_buckets *buckets, const m3_graph *graph, const char *prefix, uint32_t most, uint64_t least,
                          m3_error *err)
{
    const uint32_t updates = m3_graph_update_count(graph);
    uint32_t count = 0;
    m3_early *early = NULL;
    m3_tensor *value = NULL;
    m3_status st = M3_OK;
    *buckets = (m3_buckets){0};
    uint32_t *group = m3_calloc(updates, sizeof *group);
    ready *list = m3_calloc(updates, sizeof *list);
    for (uint32_t i = 0; i < updates && group != NULL; i++) {
        const m3_tensor *state = m3_graph_update_at(graph, i, &value);
        group[i] = strncmp(state->name, prefix, strlen(prefix)) == 0 ? i : M3_NO_BUCKET;
    }
    if (group != NULL && list != NULL) early = m3_buckets_early(graph, group);
    if (early == NULL) {
        st = M3_FAIL_MEMORY(err, "buckets", updates * sizeof *list);
        goto done;
    }
    for (uint32_t i = 0; i < updates; i++) {
        const m3_tensor *state = m3_graph_update_at(graph, i, &value);
        if (group[i] == M3_NO_BUCKET) continue;
        list[count++] = (ready){state, value->producer != NULL ? early[value->producer->id].behind : 0, i};
    }
    qsort(list, count, sizeof *list, earlier);
    st = fill(buckets, list, count, most, least, err);
done:
    m3_free(early);
    m3_free(list);
    m3_free(group);
    return st;
}

void m3_buckets_fini(m3_buckets *buckets)
{
    for (uint32_t i = 0; i < buckets->states; i++) m3_free(buckets->names[i]);
    m3_free(buckets->names);
    m3_free(buckets->bucket);
    *buckets = (m3_buckets){0};
}

uint32_t m3_buckets_find(const m3_buckets *buckets, const char *state)
{
    for (uint32_t i = 0; buckets != NULL && i < buckets->states; i++)
        if (strcmp(buckets->names[i], state) == 0) return buckets->bucket[i];
    return M3_NO_BUCKET;
}
