/* plan: what a training by many ranks would take: memory and bytes of a rank, the time of a step, and what bounds it.
 * Operations, memory traffic and the plan of memory are those of the compiled graphs; nothing of the sizes that are
 * spoken of is allocated, so tables may be larger than the machine.
 * Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_PLAN_H
#define M3BSR_PLAN_H

#include "m3bsr/parallel.h"
#include "m3bsr/runtime.h"
#include "m3bsr/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An op that takes `factor` times as long as its floor, the longer of its arithmetic and its memory traffic. */
typedef struct m3_plan_op {
    const char *name; /**< borrowed */
    double factor;
} m3_plan_op;

/** What one device reaches: measured (`m3bsr bench --roofline`), or a vendor's peaks. */
typedef struct m3_plan_rates {
    uint32_t size;
    double flops;      /**< FLOP a second in f32, above 0 */
    double half_flops; /**< of 16-bit operands; 0: as f32 */
    double memory;     /**< bytes a second, read and written together, above 0 */
    double bus;        /**< bytes a second to and from host memory; 0: the device computes in it */
    double factor;     /**< of ops that are not in `ops`, above 0; 1 for peaks */
    m3_span ops;       /**< m3_plan_op, borrowed; may be none */
    double run_s;      /**< seconds of a run beside its nodes */
    double node_s;     /**< seconds that each node takes beside its floor times its factor */
} m3_plan_rates;

typedef struct m3_plan_options {
    uint32_t size;
    uint32_t ranks; /**< at least 1 */
    uint64_t items; /**< 0: the settings' */
    bool sharded;   /**< rows of the item table lie with their owners */
    uint32_t crowd; /**< ranks that share what one device reaches; 0: 1 */
    double link;    /**< bytes a second that a rank sends, and as many that it receives at once, above 0 */
    double latency; /**< seconds until an exchange arrives of which nothing is left to send */
    m3_plan_rates rates;
    const char *const *no_pass; /**< names of passes to leave out, ended by NULL, borrowed; NULL: none */
    bool strict;
    m3_span fallbacks;
} m3_plan_options;

/** Kinds of a rank's memory. */
enum {
    M3_PLAN_TABLE,       /**< its rows of the item table */
    M3_PLAN_MOMENTS,     /**< two of each */
    M3_PLAN_WINDOW,      /**< rows that a step's batches touch; sharded, their sums of gradients too */
    M3_PLAN_FEATURES,    /**< of all items, or of the window's */
    M3_PLAN_DENSE,       /**< other parameters with their moments, and states of steps */
    M3_PLAN_SUMS,        /**< of gradients, of what is on the device whole */
    M3_PLAN_TEMPORARIES, /**< of the step, with its inputs, outputs and constants */
    M3_PLAN_RANKING,     /**< of validation; 0 when sharded, where it takes pieces as memory allows */
    M3_PLAN_HOST,        /**< in host memory: sums and parcels on their way, inputs, outputs */
    M3_PLAN_MEMORIES
};

/** Kinds of what a rank sends in a step; it receives as much. */
enum {
    M3_PLAN_SUMMED,    /**< gradients that all ranks have, and their sums */
    M3_PLAN_IDS,       /**< of the rows that a rank asks for, or touches */
    M3_PLAN_ROWS,      /**< sharded; with the full loss, users' vectors, too */
    M3_PLAN_GRADIENTS, /**< sharded: of rows, to their owners; with the full loss, of users, too */
    M3_PLAN_LOSSES,    /**< with all that is decided together */
    M3_PLAN_TRAFFICS
};

/** What a step's time goes to. */
enum {
    M3_PLAN_ARITHMETIC, /**< of nodes whose operations take longer than their traffic */
    M3_PLAN_MEMORY,     /**< of the other nodes */
    M3_PLAN_RUNS,       /**< beside nodes */
    M3_PLAN_BUS,        /**< between device and host, and sums there */
    M3_PLAN_LINK,       /**< between ranks */
    M3_PLAN_TIMES
};

typedef struct m3_ranks_plan {
    uint32_t size;
    uint64_t items, shard_rows, window_rows; /**< rows of one rank; the window's are 0 unless sharded */
    uint64_t batches;                        /**< of a step, of all ranks */
    uint64_t own_batches;                    /**< of those the most that one rank has */
    uint64_t samples;                        /**< of a step */
    uint64_t memory[M3_PLAN_MEMORIES];       /**< bytes */
    uint64_t traffic[M3_PLAN_TRAFFICS];      /**< bytes that the rank which sends most sends in a step */
    uint64_t flops, bytes;                   /**< of a rank's step: operations, and traffic to its memory */
    double seconds[M3_PLAN_TIMES];           /**< a step */
    double step_s;                           /**< their sum */
    double alone_s;                          /**< a step of one process with own_batches, which sends nothing */
    double hidden_s; /**< of the link, while gradients are computed: not in seconds[M3_PLAN_LINK] */
    /** Sharded: bytes of files beside the run that need not be in memory (m3bsr(1), SEVERAL DEVICES), of a rank. */
    uint64_t files_items;  /**< which grow with the items */
    uint64_t files_events; /**< with the events of the set that the settings name; 0 without one */
    uint64_t files_making; /**< more, until the first step, at most */
} m3_ranks_plan;

/** Plan the training of `settings` by many ranks that are alike. Behaviors, items and modalities are those of the set
 * that they name, else as written. Every position of every history counts as filled, and as an item of its own draw.
 * @param device  The graphs are compiled as for it, as far as memory is planned; nothing runs.
 * @param plan    The caller sets its size.
 * Returns M3_ERR_INVALID: settings, or options that do not fit them; or what the set or a graph fails with. */
M3_API m3_status m3_plan_ranks(m3_device *device, const m3_settings *settings, const m3_plan_options *options,
                               m3_ranks_plan *plan, m3_error *err);

/** What ranks reach between them. */
typedef struct m3_link_result {
    uint32_t size;
    uint32_t ranks;
    double latency_s;   /**< of an exchange of a few bytes */
    double bytes_per_s; /**< that the rank which sends most sends, while as many come */
} m3_link_result;

/** Time sums of gradients between the ranks of a group, one of them in each process; all call it. Takes some seconds,
 * or as long as 16 MiB take a few times, and 16 MiB of memory.
 * @param result  The caller sets its size. As this rank sees it.
 * Returns M3_ERR_INVALID: no other process; or what the group fails with. */
M3_API m3_status m3_bench_link(m3_group *group, m3_link_result *result, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
