/* trace: a file for chrome://tracing or Perfetto. A run reports how long each node took, and the host when it handed
 * over each partition, so nodes are laid out one after the other from there, or from the end of those before where a
 * device that works on several nodes at once makes that later. Times are microseconds. */
#include "core/run/trace.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/runtime/executable.h"

struct m3_trace {
    m3_outfile out; /* of rank 0 */
    FILE *events;   /* of this rank, each behind a comma */
    char *text;
    size_t bytes;
    int process;   /* that stands for the rank */
    double zero;   /* seconds */
    double end_us; /* of the run before */
};

/* Rows of the picture: whole runs and waits, nodes on the wanted device, nodes on another, what goes to other ranks. */
enum { ROW_RUNS, ROW_NODES, ROW_FALLBACKS, ROW_EXCHANGES, ROWS };

static m3_status put(m3_trace *trace, json_t *event, m3_error *err)
{
    if (event == NULL) return M3_FAIL_MEMORY(err, "trace", 0);
    (void)fputs(",\n", trace->events);
    (void)json_dumpf(event, trace->events, JSON_COMPACT | JSON_REAL_PRECISION(12)); /* m3_trace_text() finds errors */
    json_decref(event);
    return M3_OK;
}

static m3_status put_name(m3_trace *trace, const char *what, int row, const char *name, m3_error *err)
{
    return put(trace,
               json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", what, "ph", "M", "pid", trace->process, "tid", row,
                         "args", "name", name),
               err);
}

/* @param args  Taken; NULL: none. */
static m3_status put_span(m3_trace *trace, const char *name, const char *kind, int row, double begin_us, double us,
                          json_t *args, m3_error *err)
{
    return put(trace,
               json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:o*}", "name", name, "cat", kind, "ph", "X", "ts",
                         begin_us, "dur", us, "pid", trace->process, "tid", row, "args", args),
               err);
}

static m3_status put_names(m3_trace *trace, const char *name, m3_error *err)
{
    static const char *const rows[ROWS] = {"runs", "nodes", "nodes on other devices", "exchanges"};
    m3_status st = put_name(trace, "process_name", 0, name, err);
    for (int row = 0; row < ROWS && st == M3_OK; row++) st = put_name(trace, "thread_name", row, rows[row], err);
    return st;
}

m3_status m3_trace_create(const char *path, uint32_t rank, const char *name, m3_trace **trace, m3_error *err)
{
    m3_status st = M3_OK;
    m3_trace *t = m3_calloc(1, sizeof *t);
    *trace = NULL;
    if (t == NULL) return M3_FAIL_MEMORY(err, "trace", sizeof *t);
    t->process = (int)rank + 1;
    t->events = open_memstream(&t->text, &t->bytes);
    if (t->events == NULL) st = M3_FAIL_MEMORY(err, "trace", sizeof *t);
    if (st == M3_OK) st = put_names(t, name, err);
    if (st == M3_OK && path != NULL) st = m3_outfile_open(&t->out, path, err);
    if (st == M3_OK)
        *trace = t;
    else
        m3_trace_free(t);
    return st;
}

void m3_trace_free(m3_trace *trace)
{
    if (trace == NULL) return;
    m3_outfile_discard(&trace->out);
    if (trace->events != NULL) (void)fclose(trace->events);
    free(trace->text); /* open_memstream's */
    m3_free(trace);
}

void m3_trace_begin(m3_trace *trace, double zero)
{
    trace->zero = zero;
    trace->end_us = 0.0;
}

static double time_of(const m3_trace *trace, double seconds)
{
    return fmax((seconds - trace->zero) * 1e6, 0.0);
}

static m3_status put_node(m3_trace *trace, const m3_executable_node *n, double begin_us, m3_error *err)
{
    char shape[128] = "";
    if (n->node->out_count != 0) (void)m3_shape_text(&n->node->out[0]->shape, shape, sizeof shape);
    json_t *args = json_pack("{s:s, s:s, s:s, s:I, s:I}", "scope", n->node->scope, "shape", shape, "device", n->device,
                             "node", (json_int_t)n->node->id, "flops", (json_int_t)m3_node_flops(n->node));
    if (args == NULL) return M3_FAIL_MEMORY(err, "trace", 0);
    return put_span(trace, n->node->op->name, "node", n->reason[0] == 0 ? ROW_NODES : ROW_FALLBACKS, begin_us,
                    (double)n->time_ns * 1e-3, args, err);
}

m3_status m3_trace_add(m3_trace *trace, const char *name, double since, const m3_executable *executable, m3_error *err)
{
    m3_status st;
    const m3_schedule *s = &executable->schedule;
    if (s->partition_count == 0 || executable->began[0] < since) return M3_OK; /* it has not run */
    const double begin = fmax(time_of(trace, executable->began[0]), trace->end_us);
    double at = begin;
    for (uint32_t p = 0; p < s->partition_count; p++) {
        const m3_partition *part = &s->partitions[p];
        at = fmax(at, time_of(trace, executable->began[p]));
        for (uint32_t i = part->first; i < part->first + part->count; i++) {
            m3_executable_node node = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
            m3_executable_node_at(executable, i, &node);
            if ((st = put_node(trace, &node, at, err)) != M3_OK) return st;
            at += (double)node.time_ns * 1e-3;
        }
    }
    trace->end_us = at;
    return put_span(trace, name, "run", ROW_RUNS, begin, at - begin, NULL, err);
}

m3_status m3_trace_add_exchange(m3_trace *trace, const char *name, double begin, double end, uint64_t bytes,
                                m3_error *err)
{
    json_t *args = json_pack("{s:I}", "bytes", (json_int_t)bytes);
    if (args == NULL) return M3_FAIL_MEMORY(err, "trace", 0);
    return put_span(trace, name, "exchange", ROW_EXCHANGES, time_of(trace, begin), (end - begin) * 1e6, args, err);
}

m3_status m3_trace_add_wait(m3_trace *trace, double begin, double end, m3_error *err)
{
    return put_span(trace, "wait", "wait", ROW_RUNS, time_of(trace, begin), (end - begin) * 1e6, NULL, err);
}

const char *m3_trace_text(m3_trace *trace, size_t *bytes)
{
    const bool whole = fflush(trace->events) == 0 && ferror(trace->events) == 0;
    *bytes = whole ? trace->bytes : 0;
    return whole ? trace->text : NULL;
}

m3_status m3_trace_finish(m3_trace *trace, const char *others, size_t bytes, m3_error *err)
{
    size_t own = 0;
    const char *text = m3_trace_text(trace, &own);
    if (text == NULL) return M3_FAIL_MEMORY(err, "trace", own);
    (void)fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", trace->out.stream);
    (void)fwrite(text + 1, 1, own - 1, trace->out.stream); /* without the first comma */
    if (bytes > 0) (void)fwrite(others, 1, bytes, trace->out.stream);
    (void)fputs("\n]}\n", trace->out.stream);
    return m3_outfile_commit(&trace->out, err);
}
