/* train: from a data set file and settings to a run directory.
 *
 * A run directory holds: settings.yaml (resolved), log.jsonl (one JSON object a line), last.safetensors and
 * best.safetensors (parameters under PyTorch's names, optimiser states, counters in the metadata), metrics.json,
 * report.html. Files are written under a temporary name, synced and renamed: a crash leaves the old one whole.
 * Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_TRAIN_H
#define M3BSR_TRAIN_H

#include "m3bsr/runtime.h"
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
    double samples_per_s;
    double seconds_left; /**< of the epoch */
    const char *note;    /**< a line worth printing, such as an epoch's validation, or NULL */
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
} m3_train_result;

/** Train and validate by full ranking after each epoch. NaN or infinity in a loss stops with the step, the term and the
 * last good checkpoint. A part of the model that is found dead after an epoch is warned of through the engine's log,
 * once; m3bsr(1) says what that means.
 * @param run  The directory; made when missing. One that holds a run is refused without resume.
 * @param result  Filled as far as the training came.
 * Returns M3_OK, M3_ERR_INTERRUPTED (saved; the message says how to go on), or what failed. */
M3_API m3_status m3_train(m3_device *device, const m3_settings *settings, const char *run,
                          const m3_train_options *options, m3_train_result *result, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
