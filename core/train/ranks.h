/* ranks: what the ranks of a training tell each other. Each has a device, a store and a trainer of its own; a step's
 * batches are shared out among them, and their gradients are summed in the order of the ranks. Rank 0 writes the run.
 * All ranks call these functions in the same order. Alone, they do nothing. */
#ifndef M3_CORE_TRAIN_RANKS_H
#define M3_CORE_TRAIN_RANKS_H

#include "core/parallel/trade.h"
#include "core/train/trainer.h"

/** Are version, settings and data the same everywhere? M3_ERR_INVALID names the ranks that differ, and in what. */
m3_status m3_ranks_agree(m3_trainer *trainer, m3_error *err);
/** `accumulate` of the run: that of a run that goes on, else what the settings say, raised to a multiple of the ranks.
 * Rank 0 says which; the settings of all take it. Called when rank 0 has opened the run. */
m3_status m3_ranks_share(m3_trainer *trainer, m3_error *err);
/** Where rank 0 goes on, everywhere. */
m3_status m3_ranks_take_state(m3_trainer *trainer, m3_error *err);
/** What is needed for steps, and rank 0's parameters and states, everywhere. The store is filled. */
m3_status m3_ranks_begin(m3_trainer *trainer, m3_error *err);
void m3_ranks_fini(m3_trainer *trainer);

/** Before a batch: the sums of gradients are sent while it is computed, if it is this rank's last one of the step. */
void m3_ranks_watch(m3_trainer *trainer, bool last);
/** Behind a step's batches: wait until the sums that are sent early have been sent by all. A rank without a batch, or
 * that was stopped in one, sends what it has. */
m3_status m3_ranks_send(m3_trainer *trainer, m3_error *err);
/** Losses of the batches of a step, everywhere: trainer->losses has this rank's own; and how long each has waited.
 * @param cut  In: this rank left out a batch, as it was asked to stop; out: one of them did. */
m3_status m3_ranks_losses(m3_trainer *trainer, uint64_t batches, bool *cut, m3_error *err);
/** Sums of gradients over the ranks, everywhere, in the store. */
m3_status m3_ranks_sum(m3_trainer *trainer, m3_error *err);
/** Where devices round differently: what rank 0 made of the sums, everywhere.
 * @param figures  [count], of rank 0 afterwards. */
m3_status m3_ranks_follow(m3_trainer *trainer, double *figures, uint32_t count, m3_error *err);

/** Places of validation samples, everywhere: trainer->ranks has this rank's own, `batches` of them shared out.
 * @param cut  As of m3_ranks_losses(). */
m3_status m3_ranks_places(m3_trainer *trainer, uint64_t batches, bool *cut, m3_error *err);
/** Whether rank 0 was stopped. */
m3_status m3_ranks_hear(m3_trainer *trainer, bool *cut, m3_error *err);
/** Do all have the same parameters? If not, they take rank 0's from now on, after each step. */
m3_status m3_ranks_compare(m3_trainer *trainer, m3_error *err);
/** Waiting counts from here on: what came before, such as compiling, is no part of the epoch. */
void m3_ranks_begin_epoch(m3_trainer *trainer);

/** Seconds that each rank has waited for others in this epoch. @param all  Yours, an array; NULL alone. */
m3_status m3_ranks_waited(m3_trainer *trainer, json_t **all, m3_error *err);
/** The moment from which a trace counts: rank 0 began to train then, by the clock of this rank. As exact as an exchange
 * that all ranks end together. */
m3_status m3_ranks_zero(m3_trainer *trainer, double *zero, m3_error *err);
/** Texts of ranks 1, 2, …, at rank 0. @param all  Yours, m3_free(); NULL on the others. */
m3_status m3_ranks_collect(m3_trainer *trainer, const char *mine, size_t bytes, char **all, size_t *all_bytes,
                           m3_error *err);
/** The last of all: rank 0 has written what it writes. */
m3_status m3_ranks_end(m3_trainer *trainer, m3_error *err);
/** A number of each rank, added up in their order: the same everywhere. */
m3_status m3_ranks_doubles(m3_trainer *trainer, const double *mine, double *all, m3_error *err);
/** m3_member_gather() and other exchanges: whether they failed is what was heard from others. */
m3_status m3_ranks_gather(m3_trainer *trainer, const void *mine, uint64_t bytes, void *all, m3_error *err);
/** Into the trace of a step, where there is one: what went over since `begin`, for which this rank has waited.
 * @param bytes  That it sent. */
m3_status m3_ranks_traced(m3_trainer *trainer, const char *what, double begin, uint64_t bytes, m3_error *err);
/** Rank 0's bytes, everywhere. */
m3_status m3_ranks_tell(m3_trainer *trainer, void *data, uint64_t bytes, m3_error *err);
m3_status m3_ranks_heard(m3_trainer *trainer, m3_status st);
/** An error that all ranks have alike, so that none need tell the others. Returns st. */
m3_status m3_ranks_all_fail(m3_trainer *trainer, m3_status st);

#endif
