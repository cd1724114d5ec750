/* bench: how fast a model trains and infers on a device, and which kernels are the fastest for it.
 * Threads: each function is called by one thread with an engine and device of its own. */
#ifndef M3BSR_BENCH_H
#define M3BSR_BENCH_H

#include "m3bsr/runtime.h"
#include "m3bsr/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Benchmarks. */

/** One node of a run, beside what the device's measured rates allow. */
typedef struct m3_bench_node {
    uint32_t size;
    const m3_node *node; /**< borrowed for the call */
    uint64_t flops, bytes;
    double seconds; /**< the median of a few runs */
    double floor_s; /**< the longer of the two below. Where what a node reads lies in a cache it can be faster */
    double arithmetic_s, memory_s; /**< flops at the peak for its types, bytes at the rate of a copy */
} m3_bench_node;

typedef struct m3_bench_options {
    uint32_t size;
    bool infer;       /**< inference and top 10; else a training step */
    uint32_t batch;   /**< 0: the settings' */
    uint32_t repeats; /**< 0: as many as fit about 10 s, at least 5 */
    bool per_op;
    const char *const *no_pass;
    bool strict;
    m3_span fallbacks;
    /** Hears of every node of a run, in their order; the device's rates are measured before, which takes about a second
     * and up to 512 MiB of it. The backend must keep times, else M3_ERR_UNSUPPORTED. NULL: no rates are measured. */
    void (*node)(void *user, const m3_bench_node *node);
    void *node_user;
} m3_bench_options;

typedef struct m3_bench_op {
    const char *name; /**< op */
    uint32_t nodes;
    double seconds; /**< of the median run */
    double gflops, gigabytes_per_s;
} m3_bench_op;

typedef struct m3_bench_result {
    uint32_t size;
    uint32_t runs;
    double median_s, lowest_s, highest_s;
    double samples_per_s, gflops; /**< of executed operations */
    double peak_gflops;           /**< of this machine, measured in the same run; 0 when the backend cannot */
    double peak_share;
    double host_share;               /**< of a run's time, outside of its nodes; NaN when the backend keeps no times */
    uint64_t arena_bytes, rss_bytes; /**< device memory used; peak of the process */
    uint64_t flops;                  /**< a run */
    uint32_t op_count;
    m3_bench_op ops[64]; /**< by falling time, with per_op */
    /* With a function `node`, else 0. */
    double copy_gigabytes_per_s; /**< read and written, of a copy of what no cache holds */
    double product_gflops;       /**< of a large product in f32 */
    double half_gflops;          /**< of one in the settings' precision; 0 when that is f32 */
    double nodes_s, floor_s;     /**< sums over the nodes */
} m3_bench_result;

/** Time the model of `settings` (its behaviors, items, modalities … as written) on random full histories. */
M3_API m3_status m3_bench(m3_device *device, const m3_settings *settings, const m3_bench_options *options,
                          m3_bench_result *result, m3_error *err);

/* Tuning. */

typedef struct m3_tune_options {
    uint32_t size;
    uint32_t batch;             /**< of the step and of inference; 0: the settings' batch and eval_batch */
    const char *const *no_pass; /**< names of passes to leave out, ended by NULL, borrowed; NULL: none */
    bool strict;                /**< an operation that the device does not run is an error */
    m3_span fallbacks;          /**< of m3_device *, borrowed: where such operations run instead */
} m3_tune_options;

/** Let a device that was opened with the option tune=yes measure what the training step and the inference of
 * `settings` (their behaviors, items, modalities … as written) leave open. A device that was opened without the option
 * only reports what was measured before: tuning->measured stays 0.
 * @param options  NULL: none.
 * @param tuning   The caller sets its size; what is known afterwards.
 * Returns M3_ERR_UNSUPPORTED: the device's backend measures nothing. M3_ERR_MEMORY says what would fit. The device is
 * used by one thread at a time. */
M3_API m3_status m3_tune(m3_device *device, const m3_settings *settings, const m3_tune_options *options,
                         m3_tuning *tuning, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
