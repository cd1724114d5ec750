/* shards: the item table in rows by rank (key `shard: rows`). Of N + 1 rows, rank r has those from m3_share_begin() on,
 * and their moments, under the table's own names. What a step or a ranking needs of the others' comes and goes in a
 * window (window.h).
 *   step     window <- owners;  batches over the window;  gradients of its rows -> owners, which sum and apply them
 *   ranking  window <- owners;  users of all ranks;  scores of each shard, a window at a time;  counts summed
 *   instruments  rank 0's window <- owners;  its runs;  moments of each shard summed
 * All ranks call these functions in the same order. */
#ifndef M3_CORE_TRAIN_SHARDS_H
#define M3_CORE_TRAIN_SHARDS_H

#include "core/parallel/trade.h"
#include "core/train/window.h"

typedef struct m3_prefetch m3_prefetch;       /* prefetch.h */
typedef struct m3_shards_loss m3_shards_loss; /* shards_loss.c */

/** A trainer's, NULL in one whose table is whole. */
struct m3_shards {
    uint64_t total;        /**< N + 1 */
    uint32_t begin, count; /**< rows of the table that this rank has */
    uint32_t batch;        /**< rows that are read or updated at a time */
    uint32_t eval_batch;   /**< samples of a rank that are ranked at a time; 0: none */
    uint32_t users;        /**< of all ranks */
    uint32_t width;        /**< d */
    m3_trade trade;
    m3_features features[M3_MAX_MODALITIES];
    uint32_t feature_count;
    float *host; /**< window's rows, or features of some, on their way */
    uint64_t host_bytes;
    m3_prefetch *prefetch; /**< NULL: a step waits for all of its rows */
    m3_shards_loss *loss;  /**< NULL: the loss is sampled */
};

bool m3_shards_wanted(const m3_trainer *trainer);
/** Do keys and ranks allow it? Sizes of all. @param trainer  Its samples and window are there. */
m3_status m3_shards_create(m3_trainer *trainer, m3_error *err);
void m3_shards_free(m3_shards *shards); /**< takes NULL */
/** What the shard starts with: the same bits as the whole table's. The programs are there. */
m3_status m3_shards_start(m3_trainer *trainer, m3_error *err);
/** Is a tensor of the store this rank's alone, by its name? */
bool m3_shards_own(const m3_shards *shards, const char *name);
/** One line of what a rank keeps at most, which rank 0 does. */
void m3_shards_say(const m3_trainer *trainer, char *text, size_t bytes);

/** Rows of this rank. @param ids  [count] numbers in its part. @param rows  [count][width]. */
m3_status m3_shards_read(m3_trainer *trainer, const int32_t *ids, uint64_t count, float *rows, m3_error *err);
/** Put host's rows, behind the padding, into the window, and features of its items. */
m3_status m3_shards_put(m3_trainer *trainer, m3_error *err);
/** Put the rows into the window that it names. */
m3_status m3_shards_fill(m3_trainer *trainer, m3_error *err);
/** Gradients of the step's rows to their owners; what the other half of the step wants of them.
 * @param batches  Of the step, of all ranks. */
m3_status m3_shards_sum(m3_trainer *trainer, uint32_t batches, m3_error *err);
/** Update this rank's rows. Input "step" of programs.rows is filled. @param scale  Of the other half. */
m3_status m3_shards_update(m3_trainer *trainer, float scale, m3_error *err);

/* The full loss: a round takes a batch of each rank, whose users all ranks score against their rows. */

/** Has the trainer one that is computed so? */
bool m3_shards_has_loss(const m3_trainer *trainer);
/** @param trainer  With shards. Nothing for the sampled loss. */
m3_status m3_shards_loss_create(m3_trainer *trainer, m3_error *err);
void m3_shards_loss_free(m3_shards_loss *loss); /**< takes NULL */
/** How many users it scores, and how many rows of a tile; 0 for the sampled loss. */
void m3_shards_loss_size(const m3_shards *shards, uint32_t *users, uint32_t *tile);
/** Rounds of a step, and a rank's batch in one, counted in the step. A rank that has fewer has none in the first, so
 * that all have one in the last, behind which sums of gradients are sent. */
uint32_t m3_shards_rounds(const m3_trainer *trainer, uint32_t batches);
bool m3_shards_batch(const m3_trainer *trainer, uint32_t batches, uint32_t round, uint32_t rank, uint32_t *batch);
/** Before the batches of a round run: their loss and its gradients, into the step's inputs, into the sums of what
 * scores read, and of this rank's rows. @param cut  One of the ranks was asked to stop, behind the first round. */
m3_status m3_shards_score(m3_trainer *trainer, uint32_t batches, uint32_t round, bool *cut, m3_error *err);
/** Mean gradients of this rank's rows: what the rounds gave, and the sums of trade, which have their factor.
 * Returns the sum of their squares. */
double m3_shards_loss_mean(m3_trainer *trainer, uint32_t batches);

/** Make the window rows [first, first + count) of this rank's, behind the padding. */
m3_status m3_shards_show(m3_trainer *trainer, uint32_t first, uint32_t count, m3_error *err);
/** For rank 0's runs of instruments: m3_infer_source.place. @param trainer  m3_trainer of rank 0.
 * M3_ERR_INTERRUPTED without a message when it was asked to stop, which the others hear. */
m3_status m3_shards_place(void *trainer, int32_t *ids, uint64_t count, m3_error *err);
/** What the other ranks do meanwhile. @param runs  Of rank 0. M3_ERR_INTERRUPTED: it was asked to stop. */
m3_status m3_shards_help(m3_trainer *trainer, uint64_t runs, m3_error *err);

/** trainer->ranks of all validation samples, on all ranks. M3_ERR_INTERRUPTED on all when one was asked to stop. */
m3_status m3_shards_rank(m3_trainer *trainer, m3_error *err);

#endif
