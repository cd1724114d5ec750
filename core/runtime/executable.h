/* executable: a schedule with its plans, memory and compiled partitions. executable.c makes it, run.c runs it, dump.c
 * prints it, and need.c measures what it would take. */
#ifndef M3_CORE_RUNTIME_EXECUTABLE_H
#define M3_CORE_RUNTIME_EXECUTABLE_H

#include "core/runtime/plan.h"

/* One device of an executable; target 0 is the chosen one. */
typedef struct m3_target {
    m3_device *device;
    m3_plan plan;
    m3_buffer **buffers; /* by segment; those of the store are borrowed */
    uint64_t value;      /* of the work queued last */
} m3_target;

/** Hears in a run, between two partitions, that the first `buckets` buckets have new values as soon as what was handed
 * to the device so far is done: copies that it queues are of these. A failure ends the run. */
typedef m3_status (*m3_ready_fn)(void *user, uint32_t buckets, m3_error *err);

struct m3_executable {
    char *name;
    m3_store *store;
    m3_device **devices;
    uint32_t device_count;
    m3_graph *graph;
    m3_schedule schedule;
    m3_target *targets;    /* by device */
    m3_exec_impl **execs;  /* by partition */
    void **staging;        /* by transfer: host memory on the way; inputs need none */
    unsigned char *input;  /* host block, laid out as the input segment */
    unsigned char *output; /* host block, laid out as the output segment */
    uint64_t *times;       /* by step: nanoseconds of the last profiled run */
    bool profiling;
    const volatile int *stop; /* who runs it may want the end of a run; NULL: never */
    bool anywhere;            /* … also where the store is half written by then */
    uint32_t store_from;      /* partitions from here on may not be stopped: the store is being written */
    double took_s;            /* the last run; HUGE_VAL before the first */
    m3_ready_fn ready;        /* NULL: nobody asks */
    void *ready_user;
    double *began; /* by partition: seconds of m3_seconds() at which the last run handed it over */
};

/** Runs look at *stop, as soon as the device allows, and end with M3_ERR_INTERRUPTED when it is not 0. The store is
 * then as before the run, and the next run is as good as ever. A run that has begun to write the store goes on to its
 * end.
 * @param stop      Borrowed; NULL: never.
 * @param anywhere  Stop while the store is written too: nobody needs what the run leaves there. */
void m3_executable_set_stop(m3_executable *e, const volatile int *stop, bool anywhere);

/** As m3_executable_create(), and a run has the new values of some states early.
 * @param buckets  Of them, borrowed for the call; NULL: none, and the executable is cut nowhere. */
m3_status m3_executable_create_early(m3_device *device, m3_store *store, const m3_graph *graph,
                                     const m3_compile_options *options, const m3_buckets *buckets,
                                     m3_executable **executable, m3_error *err);
/** @param ready  Called in the next runs, with rising numbers of buckets; NULL: in none. */
void m3_executable_set_ready(m3_executable *e, m3_ready_fn ready, void *user);

/** All stages before memory, into a zeroed executable. Without a store, parameters and states get no place. The caller
 * frees the executable either way. */
m3_status m3_executable_plan(m3_executable *e, m3_device *device, const m3_graph *graph,
                             const m3_compile_options *options, const m3_buckets *buckets, m3_error *err);

#endif
