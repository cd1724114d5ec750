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
};

/** All stages before memory, into a zeroed executable. Without a store, parameters and states get no place. The caller
 * frees the executable either way. */
m3_status m3_executable_plan(m3_executable *e, m3_device *device, const m3_graph *graph,
                             const m3_compile_options *options, m3_error *err);

#endif
