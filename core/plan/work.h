/* work: the executables of a training by name, planned for a device but not made: what they compute, move and hold. */
#ifndef M3_CORE_PLAN_WORK_H
#define M3_CORE_PLAN_WORK_H

#include "core/model/model.h"
#include "core/passes/buckets.h"
#include "m3bsr/plan.h"

typedef struct m3_work_options {
    m3_device *device;
    const m3_model_config *config;
    bool accumulate;        /**< a step in two halves */
    uint32_t parts;         /**< batches that its losses are of */
    bool early;             /**< other ranks get the sums of gradients */
    uint64_t updated_items; /**< items whose rows the second half updates, at least 1 */
    uint32_t window;        /**< rows of the item table that a step in two halves sees; 0: all */
    uint32_t eval_batch;    /**< 0: nothing is ranked */
    m3_shard_size shard;    /**< of a table in shards whose full loss is computed so; users 0: none */
    const m3_plan_options *plan;
} m3_work_options;

typedef struct m3_work {
    m3_executable *step, *apply, *infer; /**< apply: NULL for a whole step; infer: NULL when nothing is ranked */
    m3_buckets buckets;                  /**< of the sums that other ranks get; none where there are none */
    m3_executable *window;               /**< NULL without one */
    m3_executable *users;                /**< these three: of the full loss over shards, NULL without */
    m3_executable *sums, *gradients;     /**< of a tile */
} m3_work;

/** @param work  m3_work_fini() ends it, whatever comes. */
m3_status m3_work_make(const m3_work_options *options, m3_work *work, m3_error *err);
void m3_work_fini(m3_work *work);

/** Add what stays in the device's memory between runs, each tensor once. Sharded, what is said of the item table is
 * the window's, and what the second half holds of it is left out. */
void m3_work_add_stored(const m3_work *work, bool sharded, uint64_t memory[M3_PLAN_MEMORIES]);
/** Bytes of one executable beside that; NULL has none. */
uint64_t m3_work_scratch(const m3_executable *executable);
/** Bytes of the sums of gradients, without the item table's when sharded. */
uint64_t m3_work_sums(const m3_work *work, bool sharded);
/** Bytes of the largest tensor that is kept. */
uint64_t m3_work_largest(const m3_work *work);

/** Bytes that the rank which sends most sends of the sums, bucket by bucket. */
uint64_t m3_work_traffic(const m3_work *work, bool sharded, uint32_t ranks);
/** Seconds for which the sums are still on their way when the last batch has ended.
 * @param before   Seconds of what goes before them, from the first of the step's `batches` on. */
double m3_work_exposed(const m3_work *work, const m3_plan_options *options, double before, double batches);

/** Add `runs` runs of an executable; NULL takes no time. */
void m3_work_add_time(const m3_executable *executable, const m3_plan_rates *rates, double runs, m3_ranks_plan *to);

#endif
