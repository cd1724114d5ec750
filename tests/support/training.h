/* training: small trainings for tests, and what two of them have in common. Every failure ends the test. */
#ifndef M3_TESTS_SUPPORT_TRAINING_H
#define M3_TESTS_SUPPORT_TRAINING_H

#include <stdatomic.h>

#include "m3bsr/parallel.h"
#include "m3bsr/settings.h"
#include "m3bsr/train.h"
#include "tests/support/data_source.h"

/** End the test with the error's text unless st is M3_OK. */
void training_check(m3_status st, const m3_error *err);
/** Settings of a small model on a set, then key=value texts, ended by NULL. m3_settings_free() them. */
m3_settings *training_settings(const char *set, ...);
/** Fill a source with a small synthetic set and import it. */
m3_status training_data(data_source *source, m3_error *err);
/** Train into a folder of the source; the status must be the wanted one. */
m3_train_result training_run(m3_device *device, const data_source *source, const m3_settings *settings, const char *run,
                             m3_train_options options, m3_status want, m3_error *err);
/** All tensors of a checkpoint of two runs of the source have the same bits, or are as near as `bound`. */
void training_same_tensors(const data_source *source, const char *a, const char *b, const char *name, double bound);

enum { TRAINING_RANKS = 4 };
/** Cpu devices of ranks, each with an engine of its own and one thread, and the engine of their groups. */
typedef struct training_ranks {
    m3_engine *engines[TRAINING_RANKS], *groups;
    m3_device *devices[TRAINING_RANKS];
} training_ranks;

m3_status training_ranks_open(training_ranks *ranks, const char *plugins, m3_error *err); /**< starts as {0} */
void training_ranks_close(training_ranks *ranks); /**< takes one of which some is missing */
/** Train by `count` ranks with these devices, by plugin `local`, into a folder of the source. */
m3_status training_ranks_train(const training_ranks *ranks, m3_device *const *with, uint32_t count,
                               const data_source *source, const m3_settings *settings, const char *run,
                               m3_train_options options, m3_train_result *result, m3_error *err);

/** A gate of m3_alloc_set_gate() that refuses one request, whichever rank's thread it comes from. */
typedef struct training_failing {
    _Atomic uint64_t seen;
    uint64_t at; /**< its number, from 0 on */
} training_failing;

bool training_fails(void *failing, size_t bytes);

#endif
