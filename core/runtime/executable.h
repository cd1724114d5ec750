/* executable: a schedule with its plans, memory and compiled parts. executable.c makes it, run.c runs it, dump.c
 * prints it. */
#ifndef M3_CORE_RUNTIME_EXECUTABLE_H
#define M3_CORE_RUNTIME_EXECUTABLE_H

#include "core/runtime/plan.h"

/* One device of an executable; lane 0 is the chosen one. */
typedef struct m3_lane {
    m3_device *device;
    m3_plan plan;
    m3_buffer **buffers; /* by segment; those of the store are borrowed */
    uint64_t value;      /* of the work queued last */
} m3_lane;

struct m3_executable {
    char *name;
    m3_store *store;
    m3_device **devices;
    uint32_t device_count;
    m3_graph *graph;
    m3_schedule schedule;
    m3_lane *lanes;        /* by device */
    m3_exec_impl **execs;  /* by part */
    void **staging;        /* by transfer: host memory on the way; inputs need none */
    unsigned char *input;  /* host block, laid out as the input segment */
    unsigned char *output; /* host block, laid out as the output segment */
    uint64_t *times;       /* by step: nanoseconds of the last profiled run */
    bool profiling;
};

#endif
