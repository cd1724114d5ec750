/* conformance: whether a device computes what it should: the model against vector files, every op
 * against the double-precision reference device, and every gradient against slopes.
 * Threads: one at a time per device. */
#ifndef M3BSR_CONFORMANCE_H
#define M3BSR_CONFORMANCE_H

#include "m3bsr/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Layer model: vector files (MODEL.md 13).
 * A value a against the file's r passes when |a - r| <= 2e-5 + 2e-4 max|r| of that tensor: room for float32 sums in
 * another order, none for another formula. */

/** Parts of a vector file that hold answers. */
enum { M3_VECTOR_INFER = 0, M3_VECTOR_TRAIN = 1, M3_VECTOR_GRAD = 2, M3_VECTOR_AFTER = 3, M3_VECTOR_GROUPS = 4 };

/** "infer", "train", "grad", "after"; NULL beyond. */
M3_API const char *m3_vector_group_name(uint32_t group);

/** A tensor that does not pass, at its worst element. */
typedef struct m3_vector_failure {
    uint32_t size;
    const char *tensor;  /**< name in the file */
    uint64_t index;      /**< of the element, row-major */
    uint64_t count;      /**< how many elements do not pass */
    double got, want;    /**< got may be NaN */
    double error, bound; /**< |got - want|, and what is allowed */
} m3_vector_failure;

typedef struct m3_vector_options {
    uint32_t size;
    const char *const *no_pass;                                   /**< passes to leave out, ended by NULL; NULL: none */
    bool strict;                                                  /**< no fallback to other devices */
    m3_span fallbacks;                                            /**< m3_device *: in order */
    void (*failed)(void *user, const m3_vector_failure *failure); /**< hears of each failure; may be NULL */
    void *user;
} m3_vector_options;

typedef struct m3_vector_group {
    uint32_t tensors, failed;
    double error;     /**< largest |a - r| of the group */
    double share;     /**< largest |a - r| / bound; at most 1 passes, infinite for NaN */
    char tensor[128]; /**< where that is */
} m3_vector_group;

typedef struct m3_vector_report {
    uint32_t size;
    bool passed;                              /**< all groups have tensors and none failed */
    m3_vector_group groups[M3_VECTOR_GROUPS]; /**< by M3_VECTOR_INFER … */
} m3_vector_report;

/** Build the file's model, run inference and train_steps training steps on a device, and compare every answer.
 * @param options  NULL: none.
 * @param report   Filled on success; its size is set here.
 * Returns M3_OK when the check ran, whatever it found; M3_ERR_INVALID: not a vector file, an unknown key or tensor, a
 * missing tensor, a wrong type or shape; or what building or running failed with. */
M3_API m3_status m3_conformance_vectors(m3_device *device, const char *path, const m3_vector_options *options,
                                        m3_vector_report *report, m3_error *err);

/* Layers ops and gradients: the list of cases.
 * A case is one op over described inputs; its name says all of it: "matmul(f32[7,5]; f32[5,3]) 0; 0". */

typedef enum m3_verdict {
    M3_VERDICT_PASS = 0,
    M3_VERDICT_FAIL = 1,
    M3_VERDICT_LACKS = 2, /**< the device does not run it, and said why: never counts as passed */
    M3_VERDICT_SKIP = 3   /**< the case has no part in this layer */
} m3_verdict;

/** A case that was run. Texts are borrowed for the call. */
typedef struct m3_case_report {
    uint32_t size;
    const char *name;
    m3_verdict verdict; /**< never M3_VERDICT_SKIP */
    bool native;        /**< the device runs the op itself and not its decomposition */
    double share;       /**< largest error as a share of what is allowed */
    const char *text;   /**< what failed, with both values; or why it lacks; or "" */
    uint32_t index;     /**< among the cases that match, from 0 */
    const char *op;     /**< that the case is about */
    const char *ran;    /**< the ops that ran on the device, separated by blanks: the op itself or its pieces */
} m3_case_report;

typedef struct m3_cases_options {
    uint32_t size;
    bool gradients;      /**< gradient graphs against central differences, on the reference alone; else the ops */
    const char *pattern; /**< of case names, with * and ?; a name matches itself; NULL: all */
    uint64_t seed;       /**< of the inputs' numbers */
    void (*done)(void *user, const m3_case_report *report); /**< hears of every case; may be NULL */
    void *user;
    uint32_t first, count; /**< run so many of the cases that match, from this one on; count 0: all behind it */
    /** Hears of a case before it runs: its place among so many that match. May be NULL. */
    void (*begun)(void *user, uint32_t index, uint32_t matching, const char *name);
} m3_cases_options;

typedef struct m3_cases_report {
    uint32_t size;
    uint32_t version; /**< of the list */
    uint32_t run, passed, failed, lacking;
    uint32_t native; /**< run by the device itself, not by decomposition */
    double share;    /**< the largest */
} m3_cases_report;

/** Run the cases that match, custom ops too if their plugin is loaded. They come in the order of dependence: an op is
 * tried before the ops that decompose into it. A device that fails may crash or hang: `first`, `count` and `begun` let
 * a caller run them in other processes, and go on behind a case that ended one.
 * @param device     Not used for gradients; may be NULL then.
 * @param reference  An opened device of backend `reference`.
 * @param report     Filled on success; its size is set here. A check that ran no case has not passed. Returns M3_OK
 * when the cases ran, whatever they found; M3_ERR_INVALID: no case matches, or none from `first` on. */
M3_API m3_status m3_conformance_cases(m3_device *device, m3_device *reference, const m3_cases_options *options,
                                      m3_cases_report *report, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
