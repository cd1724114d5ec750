/* trace: times of nodes as a file for chrome://tracing or Perfetto. */
#ifndef M3_CORE_RUN_TRACE_H
#define M3_CORE_RUN_TRACE_H

#include "m3bsr/runtime.h"

/** Append the times of the last profiled run to a Chrome trace (trace.c). */
typedef struct m3_trace m3_trace;
m3_status m3_trace_create(const char *path, m3_trace **trace, m3_error *err);
m3_status m3_trace_add(m3_trace *trace, const char *name, uint64_t begin_ns, const m3_executable *executable,
                       m3_error *err);
/** Put the file in place; a trace that is only freed leaves none. */
m3_status m3_trace_finish(m3_trace *trace, m3_error *err);
void m3_trace_free(m3_trace *trace);

#endif
