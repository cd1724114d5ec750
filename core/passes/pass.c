/* pass: which passes there are and in which order they run. */
#include "core/passes/pass.h"

#include "core/base/alloc.h"
#include "m3bsr/runtime.h"

static const char *const names[] = {"fold", "dedupe", "dead",         "sink",      "grouping", "pack",
                                    "fuse", "chain",  "multi_tensor", "recompute", "overlap",  NULL};

const char *const *m3_pass_names(void)
{
    return names;
}

bool m3_pass_enabled(const char *const *no_pass, const char *name)
{
    for (; no_pass != NULL && *no_pass != NULL; no_pass++)
        if (strcmp(*no_pass, name) == 0) return false;
    return true;
}

uint32_t *m3_count_readers(const m3_graph *graph)
{
    uint32_t *readers = m3_calloc(m3_graph_tensor_count(graph), sizeof *readers);
    if (readers == NULL) return NULL;
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++) {
        const m3_node *node = m3_graph_node(graph, i);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) readers[node->in[k]->id]++;
    }
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) readers[m3_graph_output_at(graph, i, NULL)->id]++;
    for (uint32_t i = 0; i < m3_graph_update_count(graph); i++) {
        m3_tensor *value = NULL;
        (void)m3_graph_update_at(graph, i, &value);
        readers[value->id]++;
    }
    return readers;
}

/* Run a list of passes, each over the result of the one before; the first is given `in`, which stays. */
static m3_status run_all(const m3_graph *in, const m3_pass *const *passes, const m3_pass_context *context,
                         m3_graph **out, m3_error *err)
{
    m3_graph *now = NULL;
    *out = NULL;
    for (; *passes != NULL; passes++) {
        const bool optional = *passes != &m3_pass_decompose && *passes != &m3_pass_precision;
        if (optional && !m3_pass_enabled(context->no_pass, (*passes)->name)) continue;
        if (*passes == &m3_pass_recompute && context->recompute == 0) continue;
        m3_graph *next = NULL;
        m3_status st = (*passes)->run(now != NULL ? now : in, context, &next, err);
        m3_graph_free(now);
        if (st != M3_OK) return st;
        now = next;
    }
    *out = now;
    return m3_graph_verify(now, err);
}

m3_status m3_passes_before_gradients(const m3_graph *in, const char *const *no_pass, m3_graph **out, m3_error *err)
{
    /* sink wants each linear between its own reshapes, as the builder makes it, so it comes before fold. decompose runs
     * last with everything supported: it only copies, so that there is a result with all passes off. */
    static const m3_pass *const passes[] = {
        &m3_pass_sink, &m3_pass_fold, &m3_pass_dedupe, &m3_pass_pack, &m3_pass_dead, &m3_pass_decompose, NULL};
    const m3_pass_context context = {.no_pass = no_pass};
    return run_all(in, passes, &context, out, err);
}

m3_status m3_passes_run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    /* overlap moves nodes to what they read, recompute puts what it makes again before who reads it, so it comes last.
     */
    static const m3_pass *const passes[] = {
        &m3_pass_fold,   &m3_pass_dedupe,    &m3_pass_dead,    &m3_pass_multi_tensor, &m3_pass_fuse,
        &m3_pass_dead,   &m3_pass_precision, &m3_pass_chain,   &m3_pass_decompose,    &m3_pass_fold,
        &m3_pass_dedupe, &m3_pass_dead,      &m3_pass_overlap, &m3_pass_recompute,    NULL};
    return run_all(in, passes, context, out, err);
}
