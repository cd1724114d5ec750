/* train: what the files of this folder share: resolved settings, batches, learning rates, checkpoints, the run
 * directory, and how features get into a store.
 *   settings.c yaml.c  keys and values      batch.c     which samples, which negatives, in which order
 *   schedule.c         learning rate        checkpoint.c  parameters and all else that later steps depend on
 *   run.c              the directory        loop.c      m3_train
 *   trace.c report.c   what a person looks at afterwards
 *   programs.c         executables of a model, and what fits into memory
 *   rank.c evaluate.c recommend.c serve.c bench.c tune.c  after training (rank.h ranks for validation too) */
#ifndef M3_CORE_TRAIN_INTERNAL_H
#define M3_CORE_TRAIN_INTERNAL_H

#include "m3bsr/train.h"

/* Settings. */

/** Training's own keys as values: a member a key, texts and whole numbers and reals. Texts are borrowed from the
 * settings until the next set. */
typedef struct m3_training {
    const char *data;     /**< absolute path of the set, "" when it is not said */
    const char *features; /**< "all" or "[a, b]": m3_settings_features() */
    const char *target;   /**< behavior, "": the set's; m3_settings_target() */
    uint64_t epochs;      /**< at least 1 */
    uint64_t patience;    /**< epochs without a better metric before training ends; 0: never */
    const char *metric;   /**< "ndcg@10" */
    const char *schedule;
    uint64_t warmup_steps;
    double lr_end;
    uint64_t accumulate; /**< batches a step, at least 1 */
    uint64_t eval_batch;
    uint64_t checkpoint_steps; /**< 0: only after epochs */
    uint64_t seed;
    const char *empty_histories; /**< "skip", "keep": train on samples whose history is empty too */
} m3_training;

void m3_settings_training(const m3_settings *settings, m3_training *training);

/** The behavior of key "target" in a set. */
m3_status m3_settings_target(const m3_settings *settings, const m3_dataset *set, uint32_t *target, m3_error *err);
/** The modalities of key "features" in a set, in their order.
 * @param modalities  Room for M3_MAX_MODALITIES. */
m3_status m3_settings_features(const m3_settings *settings, const m3_dataset *set, uint32_t *modalities,
                               uint32_t *count, m3_error *err);

/** Sixteen hexadecimal digits over all values that change what a step computes: everything but data (its checksum
 * counts), patience, metric, eval_batch, checkpoint_steps, and epochs unless the schedule depends on it. */
void m3_settings_hash(const m3_settings *settings, const m3_model_config *config, char text[17]);
/** The first key that m3_settings_hash() covers and that differs, or NULL; config: of m3_settings_model() for a. */
const char *m3_settings_difference(const m3_settings *a, const m3_model_config *config, const m3_settings *b);

/** Called for each pair of a YAML mapping, in order. @param list  The value was a list; its text is "[a, b]". */
typedef m3_status (*m3_yaml_pair)(void *user, const char *key, const char *value, bool list, uint32_t line,
                                  m3_error *err);
m3_status m3_yaml_read(const char *path, m3_yaml_pair pair, void *user, m3_error *err);
/** value as a YAML scalar, quoted when a plain one would read as something else. */
void m3_yaml_write(FILE *to, const char *value);

/* Random numbers of the host.
 * The same generator as the graph's (core/ops/philox.c), at sites that no graph uses. */

enum { M3_SITE_ORDER = 0x10000, M3_SITE_NEGATIVES = 0x10001, M3_SITE_UNI99 = 0x10002, M3_SITE_BENCH = 0x10003 };

/** 64 random bits of (seed, step, site, element). */
uint64_t m3_draw(uint64_t seed, uint32_t step, uint32_t site, uint64_t element);
/** Uniform over the items 1..N without `without` (rising, no repeats); 0 when nothing is left. Exact, no rejection. */
uint32_t m3_draw_item(uint64_t bits, uint32_t item_count, m3_items without);

/* Features. */

/** Write the chosen modalities of a set into a store as "features0", "features1", … */
m3_status m3_features_store(m3_store *store, const m3_dataset *set, const uint32_t *modalities, uint32_t count,
                            m3_error *err);

/* Batches (batch.c). */

/** Training samples and their order. Not changed by filling. */
typedef struct m3_feed m3_feed;

/** Where a batch goes: inputs of an executable. A NULL is not filled. */
typedef struct m3_batch {
    int32_t *ids;       /**< [B, n, L] */
    int32_t *target;    /**< [n] */
    int32_t *negatives; /**< [n, negatives] */
    uint32_t *rng;      /**< [3] */
    float *valid;       /**< [] */
} m3_batch;

/** The inputs of a training executable. */
m3_batch m3_batch_of(m3_executable *executable);

/** @param set, split  Must outlive the feed.
 * M3_ERR_INVALID: no training sample, or the sampled loss with a single item. */
m3_status m3_feed_create(const m3_dataset *set, const m3_split *split, const m3_model_config *config, uint64_t seed,
                         bool keep_empty, m3_feed **feed, m3_error *err);
void m3_feed_free(m3_feed *feed);
uint64_t m3_feed_samples(const m3_feed *feed); /**< an epoch */
uint64_t m3_feed_skipped(const m3_feed *feed); /**< left out for their empty histories */
uint64_t m3_feed_batches(const m3_feed *feed); /**< an epoch, the last may be smaller */
/** Shuffle for an epoch: a pure function of (seed, epoch). */
void m3_feed_shuffle(m3_feed *feed, uint32_t epoch);
/** Sample number i of the epoch's order. */
const m3_sample *m3_feed_at(const m3_feed *feed, uint64_t i);
/** Fill batch `index` of the epoch. draw: the number of this batch since training began, which keys its draws.
 * Returns the rows that count; those from there on are zero. */
uint32_t m3_feed_fill(const m3_feed *feed, uint64_t index, uint32_t draw, const m3_batch *batch);

/* Executables (programs.c). */

/** What is compiled together over one store. */
typedef struct m3_programs_plan {
    m3_device *device;
    const m3_model_config *config;
    uint32_t batch;      /**< of a training step; 0: none */
    uint64_t accumulate; /**< above 1: the step in two halves */
    uint32_t eval_batch; /**< of inference; 0: none */
    const char *const *no_pass;
    bool strict;
    m3_span fallbacks;
    const char *key; /**< what its user calls the size that can be changed: "batch", "eval_batch" */
    bool spread;     /**< its user can set accumulate as well */
    m3_status (*fill)(void *user, m3_store *store, m3_error *err); /**< writes into the store before; NULL: nothing */
    void *user;
} m3_programs_plan;

typedef struct m3_programs {
    m3_executable *step;  /**< the whole step, or its accumulating half */
    m3_executable *apply; /**< the other half, NULL unless gradients are accumulated */
    m3_executable *infer; /**< publishes scores */
} m3_programs;

/** @param programs  All that the plan has, or none of it. */
m3_status m3_programs_make(const m3_programs_plan *plan, m3_store *store, m3_programs *programs, m3_error *err);
void m3_programs_free(m3_programs *programs);
/** After making them, or filling their store, failed: if that was for want of device memory, add to the message which
 * sizes would fit. What was made must have been freed. Slow: it plans and tries. */
void m3_programs_explain(const m3_programs_plan *plan, m3_error *err);

/* Learning rate (schedule.c). */

typedef struct m3_schedule {
    const char *kind; /**< "constant", "linear", "cosine" */
    double lr, lr_end, beta1, beta2;
    uint64_t warmup, total; /**< steps */
} m3_schedule;

/** Of step t = 1, 2, …: rises linearly to lr over the warm-up, then stays, or falls to lr_end at step total. */
double m3_schedule_lr(const m3_schedule *schedule, uint64_t t);
/** The graph's input "step": {lr, 1 - beta1^t, 1 - beta2^t}, computed in double. */
void m3_schedule_fill(const m3_schedule *schedule, uint64_t t, float step[3]);

/* Checkpoints (checkpoint.c). */

enum { M3_LOSSES = 5 }; /* as m3_loss_names */
extern const char *const m3_loss_names[M3_LOSSES];

/** Everything beside the tensors that later steps or the log depend on. */
typedef struct m3_position {
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
    char settings[17];      /**< m3_settings_hash */
} m3_position;

m3_status m3_checkpoint_save(const char *path, m3_store *store, const m3_position *position, m3_error *err);
/** All that m3_checkpoint_save() wrote, back into a store whose executables have been made. store NULL: the position
 * alone. */
m3_status m3_checkpoint_load(const char *path, m3_store *store, m3_position *position, m3_error *err);
/** Parameters alone, those of `graph`, from a file that we or another tool wrote: any floating type, same names and
 * shapes; what the graph has no use for is left. */
m3_status m3_checkpoint_load_parameters(const char *path, m3_store *store, const m3_graph *graph, m3_error *err);

/* The run directory (run.c). */

typedef struct m3_run {
    char *folder;
    FILE *log;
} m3_run;

/** "FOLDER/NAME" in fresh memory, NULL without memory. */
char *m3_run_path(const char *folder, const char *name);
/** Make the folder or open it; a run that is there is refused without resume and wanted with it. Starts as {0}. */
m3_status m3_run_open(m3_run *run, const char *folder, bool resume, m3_error *err);
/** Open log.jsonl, cut off at `bytes`, for this process alone. */
m3_status m3_run_open_log(m3_run *run, uint64_t bytes, m3_error *err);
/** One line, flushed. @param format  Of jansson's json_pack. */
m3_status m3_run_log(m3_run *run, m3_error *err, const char *format, ...);
/** Sync the log; its length so far. */
m3_status m3_run_sync_log(m3_run *run, uint64_t *bytes, m3_error *err);
void m3_run_close(m3_run *run);

/* After training. */

/** Append the times of the last profiled run to a Chrome trace (trace.c). */
typedef struct m3_trace m3_trace;
m3_status m3_trace_create(const char *path, m3_trace **trace, m3_error *err);
m3_status m3_trace_add(m3_trace *trace, const char *name, uint64_t begin_ns, const m3_executable *executable,
                       m3_error *err);
/** Put the file in place; a trace that is only freed leaves none. */
m3_status m3_trace_finish(m3_trace *trace, m3_error *err);
void m3_trace_free(m3_trace *trace);

/** metrics.json and report.html from log.jsonl and settings.yaml (report.c). */
m3_status m3_report_write(const char *folder, m3_error *err);

/* rank.h has what validation and m3_evaluate share. */

#endif
