/* programs: the executables of a model over one store, and what would fit when memory does not suffice for them. */
#ifndef M3_CORE_PROGRAMS_PROGRAMS_H
#define M3_CORE_PROGRAMS_PROGRAMS_H

#include "core/passes/buckets.h"
#include "m3bsr/model.h"
#include "m3bsr/runtime.h"

/** What is compiled together over one store. */
typedef struct m3_programs_plan {
    m3_device *device;
    const m3_model_config *config;
    uint32_t batch;           /**< of a training step; 0: none */
    uint64_t accumulate;      /**< above 1: the step in two halves */
    uint32_t parts;           /**< batches that losses are of together (m3_build_options) */
    uint32_t eval_batch;      /**< of inference; 0: none */
    uint32_t published_batch; /**< of a second inference, which publishes what `publish` says; 0: none */
    uint32_t publish;         /**< M3_PUBLISH bits */
    uint32_t denoiser_batch;  /**< of the losses of the denoisers; 0: none */
    bool early;               /**< sums of gradients are wanted as early as can be, in buckets */
    const char *const *no_pass;
    bool strict;
    m3_span fallbacks;
    const char *key; /**< the name under which the user sets the size: "batch", "eval_batch" */
    bool spread;     /**< the user can set accumulate as well */
    uint32_t window; /**< rows of the item table that a step sees (core/train/window.h); 0: all */
    /** Of a table in shards (core/train/shards.h), which inference sees by the window, too; rows 0: it is whole here.
     */
    struct {
        uint32_t rows;
        uint32_t batch; /**< rows of the shard that are read or updated at a time */
        uint32_t users; /**< that are scored at a time */
        /** Of the full loss; 0: it is sampled. */
        uint32_t trained; /**< users of all ranks' batches */
        uint32_t tile;    /**< m3_model_tile() */
    } shard;
    m3_status (*fill)(void *user, m3_store *store, m3_error *err); /**< writes into the store before; NULL: nothing */
    void *user;
} m3_programs_plan;

typedef struct m3_programs {
    m3_executable *step;      /**< the whole step, or its accumulating half */
    m3_executable *apply;     /**< the other half, NULL unless gradients are accumulated */
    m3_executable *infer;     /**< publishes scores */
    m3_executable *published; /**< publishes what the plan says */
    m3_executable *denoisers; /**< m3_model_build_denoisers() */
    m3_buckets buckets;       /**< of the sums, where they are wanted early; at most one where the pass is left out */
    m3_executable *window;    /**< m3_model_build_window(); NULL without one, and for shards */
    /* Of a table in shards; NULL without. infer then publishes users instead of scores. */
    m3_executable *scores; /**< m3_model_build_scores() */
    m3_executable *fetch;  /**< m3_model_build_fetch() */
    m3_executable *rows;   /**< m3_model_build_update() */
    /* And with the full loss. */
    m3_executable *users;     /**< m3_model_build_users() */
    m3_executable *sums;      /**< m3_model_build_sums() */
    m3_executable *gradients; /**< m3_model_build_gradients() */
} m3_programs;

/** @param programs  All that the plan has, or none of it. */
m3_status m3_programs_make(const m3_programs_plan *plan, m3_store *store, m3_programs *programs, m3_error *err);
void m3_programs_free(m3_programs *programs);
/** Which sums of gradients of a step's first half are wanted early together. The caller calls m3_buckets_fini() either
 * way. @param graph  Before passes. */
m3_status m3_programs_buckets(const m3_graph *graph, const char *const *no_pass, m3_buckets *buckets, m3_error *err);
/** After making them, or filling their store, failed: if device memory was short, add to the message which sizes
 * would fit. What was made must have been freed. Slow: it plans and tries. */
void m3_programs_explain(const m3_programs_plan *plan, m3_error *err);

#endif
