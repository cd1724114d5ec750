/* need: what executables would take of a device's memory, without making them. */
#include "core/runtime/need.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/executable.h"

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
    m3_status st = m3_executable_plan(e, device, graph, options, NULL, err);
    for (uint32_t i = 0; st == M3_OK && i < e->targets[0].plan.segment_count; i++)
        need->bytes += e->targets[0].plan.segments[i].bytes;
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
