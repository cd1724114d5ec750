/* tune: which variants are fastest, measured. A backend with option tune=yes calls lower_tune at the start of
 * program_compile: nodes whose class is not in the table (tuning.h) are measured through lower_tuner.time, for which
 * the backend compiles and runs a program of one node with the traits it is given. */
#ifndef LOWER_TUNE_H
#define LOWER_TUNE_H

#include "backends/lowering/tuning.h"

typedef struct lower_tuner {
    void *user;
    /* Time of a run of a program of one node: the shortest of several after one that is not counted. Its tensors lie
     * in segment 0, whose bytes are program->segments[0].bytes and whose content the backend chooses (numbers, no NaN).
     * Lower it with `traits`, which name the variant. A variant that fails is left out of the choice. */
    m3_status (*time)(void *user, const lower_traits *traits, const m3_program *program, double *microseconds,
                      m3_error *err);
} lower_tuner;

/* Measure every variant of each node whose class is not in the table, enter the fastest, and write the file. That it
 * cannot be written is a warning in the log. Fails for lack of memory, or when the device is lost. */
m3_status lower_tune(lower_tuning *t, const lower_tuner *tuner, const lower_traits *traits, const m3_program *program,
                     uint32_t alignment, m3_error *err);

#endif
