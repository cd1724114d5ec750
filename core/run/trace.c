/* trace: a file for chrome://tracing or Perfetto. A run reports how long each node took, not when it began, so nodes
 * are laid out one after the other from the beginning of their step, or from the end of the step before where a device
 * that works on several nodes at once makes that later. Times are microseconds. */
#include "core/run/trace.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

struct m3_trace {
    m3_outfile out;
    uint64_t events;
    double end_us; /* of the run before */
};

m3_status m3_trace_create(const char *path, m3_trace **trace, m3_error *err)
{
    m3_trace *t = m3_calloc(1, sizeof *t);
    *trace = NULL;
    if (t == NULL) return M3_FAIL_MEMORY(err, path, sizeof *t);
    m3_status st = m3_outfile_open(&t->out, path, err);
    if (st != M3_OK) {
        m3_free(t);
        return st;
    }
    (void)fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", t->out.stream);
    *trace = t;
    return M3_OK;
}

void m3_trace_free(m3_trace *trace)
{
    if (trace == NULL) return;
    m3_outfile_discard(&trace->out);
    m3_free(trace);
}

static m3_status put(m3_trace *trace, json_t *event, m3_error *err)
{
    if (event == NULL) return M3_FAIL_MEMORY(err, "trace", 0);
    (void)fputs(trace->events++ != 0 ? ",\n" : "\n", trace->out.stream);
    (void)json_dumpf(event, trace->out.stream, JSON_COMPACT | JSON_REAL_PRECISION(12)); /* commit reports errors */
    json_decref(event);
    return M3_OK;
}

/* Rows of the picture: whole runs, nodes on the wanted device, nodes on another. */
enum { ROW_RUNS = 0, ROW_NODES = 1, ROW_FALLBACKS = 2 };

static m3_status put_node(m3_trace *trace, const m3_executable_node *n, double begin_us, m3_error *err)
{
    char shape[128] = "";
    if (n->node->out_count != 0) (void)m3_shape_text(&n->node->out[0]->shape, shape, sizeof shape);
    json_t *args = json_pack("{s:s, s:s, s:s, s:I, s:I}", "scope", n->node->scope, "shape", shape, "device", n->device,
                             "node", (json_int_t)n->node->id, "flops", (json_int_t)m3_node_flops(n->node));
    return put(trace,
               json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:o}", "name", n->node->op->name, "cat", "node", "ph",
                         "X", "ts", begin_us, "dur", (double)n->time_ns * 1e-3, "pid", 1, "tid",
                         n->reason[0] == 0 ? ROW_NODES : ROW_FALLBACKS, "args", args),
               err);
}

m3_status m3_trace_add(m3_trace *trace, const char *name, uint64_t begin_ns, const m3_executable *executable,
                       m3_error *err)
{
    m3_status st;
    const double begin = fmax((double)begin_ns * 1e-3, trace->end_us);
    double at = begin;
    for (uint32_t i = 0; i < m3_executable_node_count(executable); i++) {
        m3_executable_node node = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
        m3_executable_node_at(executable, i, &node);
        if ((st = put_node(trace, &node, at, err)) != M3_OK) return st;
        at += (double)node.time_ns * 1e-3;
    }
    trace->end_us = at;
    return put(trace,
               json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i}", "name", name, "cat", "run", "ph", "X", "ts", begin,
                         "dur", at - begin, "pid", 1, "tid", ROW_RUNS),
               err);
}

m3_status m3_trace_finish(m3_trace *trace, m3_error *err)
{
    (void)fputs("\n]}\n", trace->out.stream);
    return m3_outfile_commit(&trace->out, err);
}
