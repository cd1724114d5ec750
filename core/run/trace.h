/* trace: what a training does when, as a file for chrome://tracing or Perfetto. Each rank keeps its own events, and
 * rank 0 puts all of them into one file, a track a rank. */
#ifndef M3_CORE_RUN_TRACE_H
#define M3_CORE_RUN_TRACE_H

#include "m3bsr/runtime.h"

typedef struct m3_trace m3_trace;

/** @param path  The file; NULL: another rank writes it.
 * @param name  Of the track, for people. */
m3_status m3_trace_create(const char *path, uint32_t rank, const char *name, m3_trace **trace, m3_error *err);
/** From here on, times begin at `zero`: the same moment on all ranks. Seconds of m3_seconds(), as all below. */
void m3_trace_begin(m3_trace *trace, double zero);
/** The last profiled run of an executable, with its nodes; nothing where it began before `since`. */
m3_status m3_trace_add(m3_trace *trace, const char *name, double since, const m3_executable *executable, m3_error *err);
/** Something that has gone over to other ranks. */
m3_status m3_trace_add_exchange(m3_trace *trace, const char *name, double begin, double end, uint64_t bytes,
                                m3_error *err);
/** The rank waits for others, and computes nothing. */
m3_status m3_trace_add_wait(m3_trace *trace, double begin, double end, m3_error *err);

/** This rank's events as text, without an end; borrowed until the trace is used again. NULL without memory. */
const char *m3_trace_text(m3_trace *trace, size_t *bytes);
/** Put the file in place, with the events of other ranks; a trace that is only freed leaves none.
 * @param others  m3_trace_text() of other ranks, one behind the other; may be NULL. */
m3_status m3_trace_finish(m3_trace *trace, const char *others, size_t bytes, m3_error *err);
void m3_trace_free(m3_trace *trace);

#endif
