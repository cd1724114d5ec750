/* checkpoint: all that later steps depend on, in one file, or in parts that the ranks write (parts.h). */
#ifndef M3_CORE_RUN_CHECKPOINT_H
#define M3_CORE_RUN_CHECKPOINT_H

#include "core/run/parts.h"
#include "m3bsr/runtime.h"

enum { M3_LOSSES = 5 }; /* as m3_loss_names */
extern const char *const m3_loss_names[M3_LOSSES];

/** Everything beside the tensors that later steps or the log depend on. */
typedef struct m3_trainer_state {
    uint32_t epoch; /**< epochs that are done */
    uint64_t batch; /**< batches done of the epoch under way */
    uint64_t draws; /**< steps since training began, those that did not count too */
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
/** All that m3_checkpoint_save() or m3_checkpoint_commit() wrote, back into a store whose executables have been made.
 * store NULL: the state alone. */
m3_status m3_checkpoint_load(const char *path, m3_store *store, m3_trainer_state *state, m3_error *err);

/* In parts. A save goes like this, and a kill at any moment leaves the one before it whole:
 *   1. one rank: m3_checkpoint_next_save(), which all are told;
 *   2. each rank: m3_checkpoint_write_part(), into a folder that all of them share;
 *   3. when all have done so, the one: m3_checkpoint_commit().
 * Loading knows no parts: any number of ranks reads the rows that it wants, from a checkpoint in one file, too. */

/** Rows of a tensor that no rank has whole. */
typedef struct m3_checkpoint_rows m3_checkpoint_rows;
struct m3_checkpoint_rows {
    const char *name; /**< of the whole tensor */
    m3_dtype dtype;
    m3_shape shape;      /**< of the whole; rows are those of axis 0 */
    uint64_t begin, end; /**< this rank's rows. Those of the next rank begin where these end */
    /** Rows [begin, end) of the whole, which are some of this rank's, to or from data: some megabytes at once, in
     * rising order. One that is not used may be NULL. */
    m3_status (*read)(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, void *data, m3_error *err);
    m3_status (*write)(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, const void *data, m3_error *err);
    void *user;
};

/** A save that path does not have: the same for the same state and the same save before it. */
m3_status m3_checkpoint_next_save(const char *path, const m3_trainer_state *state, uint32_t parts, uint64_t *save,
                                  m3_error *err);
/** This rank's part of the checkpoint at path, synced. M3_ERR_INVALID for numbers that are not finite. */
m3_status m3_checkpoint_write_part(const char *path, const m3_checkpoint_part *part, const m3_checkpoint_rows *rows,
                                   uint32_t count, m3_error *err);
/** Put the save in place of what path was before, with the state and with the tensors of the store that are none of
 * `rows`, and remove the parts of other saves. M3_ERR_INVALID names a part that is not there. On
 * failure the save's parts are removed. */
m3_status m3_checkpoint_commit(const char *path, const m3_checkpoint_part *part, m3_store *store,
                               const m3_checkpoint_rows *rows, uint32_t count, const m3_trainer_state *state,
                               m3_error *err);
/** This rank's rows. */
m3_status m3_checkpoint_load_rows(const char *path, const m3_checkpoint_rows *rows, uint32_t count, m3_error *err);
/** As m3_checkpoint_load(), without the tensors of these names. */
m3_status m3_checkpoint_load_rest(const char *path, m3_store *store, const m3_checkpoint_rows *rows, uint32_t count,
                                  m3_trainer_state *state, m3_error *err);

/** The checkpoint at path as one file, which m3_checkpoint_save() would have written of the same state. Some megabytes
 * are in memory at once. `out` may be path itself: then its parts are removed after, so nobody else may write there.
 * @param parts  How many files it was, without the one that names them: 0 for one that was whole. May be NULL. */
m3_status m3_checkpoint_join_file(const char *path, const char *out, uint32_t *parts, m3_error *err);

/** A table whose rows mean something else in the file than in the model. */
typedef struct m3_checkpoint_table {
    const char *name; /**< of the parameter, [rows, width] in both */
    uint64_t rows;    /**< of the whole, of which the store may have some */
    /** Put rows into the store. Its tensor is there and has what it starts with, or zeros.
     * @param index  Of the tensor in `file`; it has two axes and the width of the store's. */
    m3_status (*fill)(void *user, m3_parts *file, uint32_t index, m3_error *err);
    void *user;
} m3_checkpoint_table;

/** Rows [begin, end) of a parameter, of any floating type. M3_ERR_INVALID for numbers that are not finite. */
m3_status m3_checkpoint_read_rows(m3_parts *file, uint32_t index, uint64_t begin, uint64_t end, float *rows,
                                  m3_error *err);
/** Which checkpoint of its training it is, in words: two that differ in them hold other parameters. */
void m3_checkpoint_identify(const m3_parts *file, char *text, size_t bytes);

/** Parameters alone, from a file that we or another tool wrote: any floating type, same names and shapes; what is not
 * wanted is left.
 * @param graph  Whose parameters are wanted; NULL: the store's.
 * @param table  NULL: all are taken as they are. */
m3_status m3_checkpoint_load_parameters(const char *path, m3_store *store, const m3_graph *graph,
                                        const m3_checkpoint_table *table, m3_error *err);

#endif
