/* train: from a data set file and settings to a run directory.
 *
 * A run directory holds: settings.yaml (resolved), log.jsonl (one JSON object a line), last.safetensors and
 * best.safetensors (parameters under PyTorch's names, optimiser states, counters in the metadata), metrics.json,
 * report.html. With key checkpoint_parts, a checkpoint's tables lie in parts beside it, last.SAVE.K-of-N.safetensors of
 * rank K of N, all of which go together. Files are written under a temporary name, synced and renamed: a crash leaves
 * the old one whole. Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_TRAIN_H
#define M3BSR_TRAIN_H

#include "m3bsr/parallel.h"
#include "m3bsr/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How far a training is, for a progress bar; handed out after each step. */
typedef struct m3_progress {
    uint32_t size;
    uint32_t epoch, epochs;     /**< from 1 */
    uint64_t step, epoch_steps; /**< of this epoch, from 1 */
    double loss;                /**< mean over the last steps */
    double samples_per_s;       /**< of all ranks */
    double seconds_left;        /**< of the epoch */
    const char *note;           /**< a line worth printing, such as an epoch's validation, or NULL */
    double seconds;             /**< of the epoch's steps so far */
    uint32_t ranks;             /**< 1: alone */
    const double *waited;       /**< [ranks] seconds of them in which each rank waited for others; NULL alone */
} m3_progress;

typedef struct m3_train_options {
    uint32_t size;
    bool resume;                /**< go on from last.safetensors, bit for bit on the same device */
    const char *const *no_pass; /**< ended by NULL; NULL: none */
    bool strict;                /**< no fallbacks */
    m3_span fallbacks;          /**< m3_device * */
    volatile const int *stop;   /**< when it becomes non-zero: save and return M3_ERR_INTERRUPTED; may be NULL */
    void (*progress)(void *user, const m3_progress *progress); /**< may be NULL */
    void *user;
    const char *profile; /**< write a Chrome trace of some steps to this file, or NULL */
    uint64_t stop_after; /**< stop as if interrupted after so many steps of this call; 0: do not */
} m3_train_options;

typedef struct m3_train_result {
    uint32_t size;
    uint32_t epochs, best_epoch;
    uint64_t steps;
    double best_metric;
    double seconds;
    bool early; /**< patience ran out */
    bool told;  /**< m3_train_ranks(): another process's rank has the same error, and its own process tells of it */
} m3_train_result;

/** Train and validate by full ranking after each epoch. NaN or infinity in a loss stops with the step, the term and the
 * last good checkpoint. A part of the model that is found dead after an epoch is warned of through the engine's log,
 * once; m3bsr(1) says what that means.
 * @param run  The directory; made when missing. One that holds a run is refused without resume.
 * @param result  Filled as far as the training came.
 * Returns M3_OK, M3_ERR_INTERRUPTED (saved; the message says how to go on), or what failed. */
M3_API m3_status m3_train(m3_device *device, const m3_settings *settings, const char *run,
                          const m3_train_options *options, m3_train_result *result, m3_error *err);

/** The device of a rank, opened by an engine of its own. */
typedef struct m3_rank_device {
    uint32_t size;
    m3_device *device;
    m3_span fallbacks; /**< m3_device *, of the same engine */
} m3_rank_device;

/** As m3_train(), by all ranks of a group at once: they share out the batches of each step, sum their gradients in the
 * order of the ranks, and so train one model. Each process calls this with the same settings and options, whatever
 * machine it is on; the data set may lie elsewhere there, but must be the same.
 *
 * `accumulate` is raised to a multiple of the ranks, and the run keeps it: a run may go on with another number of
 * ranks, or with one alone, and trains on equally within rounding. Key shard says whether each rank has the whole item
 * table. Rank 0 alone has the run directory, unless the table is in shards; and the log and the progress. Devices that
 * are not the same take what rank 0's made of the sums after each step.
 * @param group    Its ranks here are trained by as many threads, the caller's among them. It is of no more use after
 *                 this.
 * @param devices  m3_rank_device, m3_group_here() of them.
 * @param options  `fallbacks` are those of the devices instead.
 * @param result   Of the first rank here.
 * Returns what m3_train() does, on all ranks: one that fails ends the others, with its number in their messages. It
 * does not return before every thread has ended, so a device that hangs for ever keeps it. */
M3_API m3_status m3_train_ranks(m3_group *group, m3_span devices, const m3_settings *settings, const char *run,
                                const m3_train_options *options, m3_train_result *result, m3_error *err);

/** Make one safetensors file of a checkpoint whose parts several ranks wrote (key checkpoint_parts), for other tools;
 * this library reads it either way. It is the file that one process would have written. Some megabytes are in memory.
 * @param checkpoint  NULL: best.safetensors of the run, else last.safetensors; a part is none.
 * @param out         The file to write; not one of the run's own.
 * @param parts       How many parts were joined; 0: it was one file, which is copied. May be NULL.
 * Returns M3_OK, M3_ERR_INVALID (a part that is missing, damaged or of another save, with its name), M3_ERR_IO,
 * M3_ERR_MEMORY. */
M3_API m3_status m3_checkpoint_join(const char *run, const char *checkpoint, const char *out, uint32_t *parts,
                                    m3_error *err);

typedef struct m3_joined {
    uint32_t size;
    bool best, last;                 /**< is it there? */
    uint32_t best_parts, last_parts; /**< as `parts` above */
} m3_joined;

/** The same of best.safetensors and last.safetensors, each in its place: the file that names the parts is replaced by
 * the whole one, and then the parts are removed. Refused while a training writes there.
 * @param joined  The caller's, with `size` set; may be NULL. */
M3_API m3_status m3_run_join(const char *run, m3_joined *joined, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
