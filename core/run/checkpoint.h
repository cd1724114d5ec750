/* checkpoint: all that later steps depend on, in one file. */
#ifndef M3_CORE_RUN_CHECKPOINT_H
#define M3_CORE_RUN_CHECKPOINT_H

#include "m3bsr/runtime.h"

enum { M3_LOSSES = 5 }; /* as m3_loss_names */
extern const char *const m3_loss_names[M3_LOSSES];

/** Everything beside the tensors that later steps or the log depend on. */
typedef struct m3_trainer_state {
    uint32_t epoch; /**< epochs that are done */
    uint64_t batch; /**< batches done of the epoch under way */
    uint64_t draws; /**< batches since training began */
    uint64_t steps; /**< optimiser steps */
    double best;    /**< metric, -1: none yet */
    uint32_t best_epoch, bad_epochs;
    double sums[M3_LOSSES]; /**< of the epoch under way, weighted by rows */
    uint64_t rows;          /**< of the epoch under way */
    uint64_t log_bytes;     /**< length of log.jsonl */
    uint64_t seed, data;    /**< data: the set's checksum */
    uint64_t content;       /**< the set's content checksum; 0 in files of older versions */
    uint64_t items;         /**< the checksum of its items; 0 in files of older versions */
    uint64_t ranks;         /**< that the run began with; 0 in files of older versions: 1 */
    char settings[17];      /**< m3_settings_hash */
    char metric[24];        /**< that best is of; "" in files of older versions */
} m3_trainer_state;

m3_status m3_checkpoint_save(const char *path, m3_store *store, const m3_trainer_state *state, m3_error *err);
/** All that m3_checkpoint_save() wrote, back into a store whose executables have been made. store NULL: the state
 * alone. */
m3_status m3_checkpoint_load(const char *path, m3_store *store, m3_trainer_state *state, m3_error *err);
/** A table whose rows mean something else in the file than in the model. */
typedef struct m3_checkpoint_table {
    const char *name; /**< of the parameter, [rows, width] in both */
    /** @param was   The file's, of shape `had`. @param rows  In: what the store has, zeros if it has nothing; out: what
     * it gets. `shape`: has the width of `had`. */
    m3_status (*fill)(void *user, const float *was, const m3_shape *had, float *rows, const m3_shape *shape,
                      m3_error *err);
    void *user;
} m3_checkpoint_table;

/** Parameters alone, from a file that we or another tool wrote: any floating type, same names and shapes; what is not
 * wanted is left.
 * @param graph  Whose parameters are wanted; NULL: the store's.
 * @param table  NULL: all are taken as they are. */
m3_status m3_checkpoint_load_parameters(const char *path, m3_store *store, const m3_graph *graph,
                                        const m3_checkpoint_table *table, m3_error *err);

#endif
