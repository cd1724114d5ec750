/* conformance: whether a device computes what it should: every op, every gradient and the model in random
 * configurations against the double-precision reference device, gradients against slopes too, the model against vector
 * files, encoders and experts against what is asked of them, and a backend or collectives against what their interfaces
 * promise.
 * Threads: one at a time per device. */
#ifndef M3BSR_CONFORMANCE_H
#define M3BSR_CONFORMANCE_H

#include "m3bsr/model.h"
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
    m3_verdict verdict;   /**< never M3_VERDICT_SKIP */
    bool native;          /**< the device runs the op itself and not its decomposition */
    double share;         /**< largest error as a share of what is allowed */
    const char *text;     /**< what failed, with both values; or why it lacks; or "" */
    uint32_t index;       /**< among the cases that match, from 0 */
    const char *op;       /**< that the case is about */
    const char *ran;      /**< the ops that ran on the device, separated by blanks: the op itself or its pieces */
    const char *settings; /**< of a random configuration: "behaviors=3 width=14", what differs from the defaults */
    uint32_t rules;       /**< bit 1 << r for each rule that asks for the case; 0: none of the list */
    const char *dtype;    /**< of its first input of floats, else of whole numbers, else of bools; "" without inputs */
} m3_case_report;

typedef struct m3_cases_options {
    uint32_t size;
    bool gradients;      /**< gradient graphs: on the reference against central differences, and the device's against
                              the reference's; else the ops */
    const char *pattern; /**< of case names, with * and ?; a name matches itself; NULL: all */
    uint64_t seed;       /**< of the inputs' numbers */
    void (*done)(void *user, const m3_case_report *report); /**< hears of every case; may be NULL */
    void *user;
    uint32_t first, count; /**< run so many of the cases that match, from this one on; count 0: all behind it */
    /** Hears of a case before it runs: its place among so many that match. May be NULL. */
    void (*begun)(void *user, uint32_t index, uint32_t matching, const char *name);
    bool full; /**< the full list, which takes the better part of an hour; else the quick one, of a minute or two */
    const char *const *no_pass; /**< random configurations: passes to leave out on the device, ended by NULL, or NULL */
    bool strict;                /**< random configurations: the reference does not run what the device refuses */
} m3_cases_options;

typedef struct m3_cases_report {
    uint32_t size;
    uint32_t version; /**< of the list */
    uint32_t run, passed, failed, lacking;
    uint32_t native; /**< run by the device itself, not by decomposition */
    double share;    /**< the largest */
} m3_cases_report;

/** Run the cases that match, and behind them those that the custom ops of loaded plugins declare (m3_op.cases). Of a
 * custom op, evaluate and decompose are compared with each other, and every other device of the engine that has a
 * kernel for it runs the case too; one that declares no cases is told as a case that lacks. Built-in ops come in the
 * order of dependence: an op is tried before the ops that decompose into it. A device that fails may crash or hang:
 * `first`, `count` and `begun` let a caller run them in other processes, and go on behind a case that ended one.
 * @param device     May be NULL for gradients: then those of the reference are checked alone.
 * @param reference  An opened device of backend `reference`.
 * @param report     Filled on success; its size is set here. A check that ran no case has not passed. Returns M3_OK
 * when the cases ran, whatever they found; M3_ERR_INVALID: no case matches, or none from `first` on. */
M3_API m3_status m3_conformance_cases(m3_device *device, m3_device *reference, const m3_cases_options *options,
                                      m3_cases_report *report, m3_error *err);

/** A case of the list, not run. Texts are borrowed for the call. */
typedef struct m3_case_entry {
    uint32_t size;
    const char *name, *op;
    uint32_t rules;      /**< bit 1 << r for each rule that asks for it */
    bool full;           /**< only in the full list */
    bool values, slopes; /**< takes part in layer ops, in layer gradients */
} m3_case_entry;

/** Hear of the cases that match, in the order of the list.
 * @param options  Its members pattern, full and user count.
 * Returns M3_OK, or M3_ERR_INVALID: no case matches. Threads: any. */
M3_API m3_status m3_conformance_list(const m3_cases_options *options,
                                     void (*each)(void *user, const m3_case_entry *entry), m3_error *err);

/** The version of the list; it rises when a case is added, changed or taken away. Threads: any. */
M3_API uint32_t m3_conformance_list_version(void);

/** How many rules there are, the name of one ("rank", "axis", ...; rule 0 is "line": chosen by hand; NULL beyond), and
 * why a rule has no cases for a built-in op: a static text, or NULL when it must have some. */
M3_API uint32_t m3_conformance_rule_count(void);
M3_API const char *m3_conformance_rule_name(uint32_t rule);
M3_API const char *m3_conformance_rule_never(const char *op, uint32_t rule);

/** Layer model without files: random configurations of the model (behaviors, modalities of odd widths, lengths, every
 * encoder and expert that is loaded, losses, routers, formulas, dropout), over data with empty histories and items that
 * never occur. Configuration i is the case "random.i" and depends on seed and i alone. Each is built on both devices,
 * without passes on the reference; three training steps and an inference are compared: losses, gradients or the moments
 * that come of them, parameters after each step, and scores. How far results may lie apart is measured: the reference
 * runs again with every result of an op off by up to a unit in its last place, and a tensor may be off by 8 times as
 * far as that moves it, or 8 roundings of its largest element. For kinks (a relu at 0) the reference is tried with more
 * noise before a case fails.
 * @param configurations  How many there are.
 * @param options  As for m3_conformance_cases(), its members gradients and full aside.
 * @param report   Filled on success; its size is set here; native counts nothing.
 * Returns M3_OK when the cases ran, whatever they found; M3_ERR_INVALID: no case matches. */
M3_API m3_status m3_conformance_random(m3_device *device, m3_device *reference, uint32_t configurations,
                                       const m3_cases_options *options, m3_cases_report *report, m3_error *err);

/* Layer modules: the encoders and experts that are loaded, each with its defaults and with each option at the ends of
 * its range and at each choice. A check's name says all of it: "expert.pool.padding ffn_mult=64". The checks:
 *   builds     it builds, and with each option at both ends of its range and at every choice
 *   result     type and shape of what build gives
 *   scope      as many pops as pushes
 *   names      names and shapes of parameters are the same from build to build, whatever the batch and grouped too
 *   used       every parameter is on a path to the result
 *   finite     no NaN and no infinity; a second run gives the same bits
 *   empty      experts: exactly 0 for a sequence without a valid position
 *   padding    what stands at padded positions changes nothing at valid ones, and makes nothing infinite
 *   batch      sequences together give what each gives alone
 *   group      experts: G of them grouped give what each gives alone
 *   trains     every parameter, and an expert's x, get a gradient that is not 0 everywhere
 *   slopes     the gradient graph agrees with difference quotients, in double precision on the reference; for the
 *              defaults and each choice also grouped, for other lengths and with dropout
 *   values     the device's results are those of the reference in double precision
 *   gradients  the device's gradients likewise; also at the values that training starts with
 * Results of one formula in two ways may differ by r 2^-24 max(1, largest |wanted|), r the number of roundings on the
 * longest path through the graph: what float32 arithmetic may lose, and no more. */

/** A check that was made. Texts are borrowed for the call. */
typedef struct m3_module_report {
    uint32_t size;
    const char *name;    /**< selects the check again, as a pattern */
    const char *module;  /**< "expert pool" */
    const char *check;   /**< "padding" */
    const char *setting; /**< "ffn_mult=64", "" for the defaults */
    m3_verdict verdict;  /**< M3_VERDICT_SKIP: not tried, since it is too large */
    double error, bound; /**< measured and allowed; 0 where nothing is measured */
    const char *text;    /**< what failed, with what was wanted and what came; why it lacks; or "" */
} m3_module_report;

typedef struct m3_modules_options {
    uint32_t size;
    bool device_alone;   /**< only what differs from device to device: values and gradients */
    const char *pattern; /**< of names of checks, with * and ?; NULL: all */
    uint64_t seed;       /**< of the numbers */
    void (*done)(void *user, const m3_module_report *report); /**< hears of every check; may be NULL */
    void *user;
    uint32_t first; /**< leave out so many settings (a module with one value of an option) of those that match */
    /** Hears of a check, or of the first of several that are made together, before it is made, with the number of its
     * setting. May be NULL. */
    void (*begun)(void *user, uint32_t setting, const char *name);
} m3_modules_options;

typedef struct m3_modules_report {
    uint32_t size;
    uint32_t modules; /**< of which a check was made */
    uint32_t run, passed, failed, lacking;
    uint32_t untried; /**< of those that were run: too large, so nothing is known */
} m3_modules_report;

/** Check the encoders and experts that the device's engine has loaded. One that is broken may crash or hang: `first`
 * and `begun` let a caller make the checks in other processes, and go on behind a setting that ended one.
 * @param reference  An opened device of backend `reference`, of the same engine; it also takes what the device refuses.
 * @param report     Filled on success; its size is set here.
 * Returns M3_OK when the checks were made, whatever they found; M3_ERR_INVALID: no check matches, or no module is
 * loaded. */
M3_API m3_status m3_conformance_modules(m3_device *device, m3_device *reference, const m3_modules_options *options,
                                        m3_modules_report *report, m3_error *err);

/* What a backend's author writes next: the ops of a model's training step that a device does not run itself. */

/** An op that the device refuses in some nodes of the step. Texts are borrowed for the call. */
typedef struct m3_lacking {
    uint32_t size;
    const char *op;
    uint32_t nodes;      /**< that it refuses */
    bool elsewhere;      /**< some of them leave the device, whole or in part; else all run on it, in pieces */
    double share;        /**< of the step's work: what these nodes would be if the device ran them itself */
    double saves;        /**< of the step's work: what is elsewhere, or what pieces cost beyond the op itself */
    const char *missing; /**< ops among the pieces that the device refuses too, separated by blanks; or "" */
    const char *why;     /**< what the device said of the first node */
} m3_lacking;

typedef struct m3_lacking_report {
    uint32_t size;
    uint32_t ops, lacking;          /**< different ops in the step; those that are refused in some node */
    double here, pieces, elsewhere; /**< shares of the work, which add up to 1 */
} m3_lacking_report;

/** Offer every node of a model's training step, as its passes make it for a device that runs everything, to a device,
 * and hear what it refuses, the most beneficial first: what leaves the device, by its share of the work; then what runs
 * in pieces, by what these cost beyond the op. Work is time as a roofline estimates it, of a device that does 10
 * operations while it moves a byte. Nothing is compiled or run.
 * @param config  Checked (m3_model_check).
 * @param report  Filled on success; its size is set here.
 * Returns M3_OK, whatever is lacking, or what building the step failed with. */
M3_API m3_status m3_conformance_next(m3_device *device, const m3_model_config *config,
                                     void (*each)(void *user, const m3_lacking *lacking), void *user,
                                     m3_lacking_report *report, m3_error *err);

/* Layer system: what backend.h promises, beside results. The backend is opened anew with a host that counts and watches
 * its memory and can refuse it: allocations that fail, misuse, sizes beyond all limits, programs and devices side by
 * side, threads, a lost device, the same again 200 times. A check's name, "system.copy.f32", selects it again. */

/** A check that was made. Texts are borrowed for the call. */
typedef struct m3_system_finding {
    uint32_t size;
    const char *name, *about; /**< about: what must hold, in a sentence */
    m3_verdict verdict;       /**< never M3_VERDICT_SKIP */
    const char *text;         /**< what was done, what was wanted and what came; why it lacks; or "" */
} m3_system_finding;

typedef struct m3_system_options {
    uint32_t size;
    const char *pattern;    /**< of names of checks, with * and ?; NULL: all */
    m3_span device_options; /**< m3_option: devices are opened with these, as the device at hand was */
    void (*done)(void *user, const m3_system_finding *finding); /**< hears of every check; may be NULL */
    void *user;
    uint32_t first; /**< make checks from this index of the whole list on */
    /** Hears of a check, and of its index in the whole list, before it is made. May be NULL. */
    void (*begun)(void *user, uint32_t index, const char *name);
} m3_system_options;

typedef struct m3_system_report {
    uint32_t size;
    uint32_t run, passed, failed, lacking;
} m3_system_report;

/** Check the backend of a device. One that fails may crash or hang: `first` and `begun` let a caller make the checks in
 * other processes, and go on behind one that ended a process.
 * @param device  Stays open meanwhile, unused.
 * @param report  Filled on success; its size is set here.
 * Returns M3_OK when the checks were made, whatever they found; M3_ERR_INVALID: no check matches. */
M3_API m3_status m3_conformance_system(m3_device *device, const m3_system_options *options, m3_system_report *report,
                                       m3_error *err);
/** The name of a check, NULL beyond the last one, and what must hold. @param about  May be NULL. */
M3_API const char *m3_conformance_system_name(uint32_t index, const char **about);

/* Collectives: whether a plugin moves bytes as collectives.h promises, and whether what is made of that is right:
 * parcels of all sizes, several exchanges under way and ended in any order, sums with the bits of a loop over the
 * ranks. When all ranks are of one process, also what becomes of a group in which a rank fails, is silent, or does
 * something else. */

/** A check that was made. Texts are borrowed for the call. */
typedef struct m3_collectives_finding {
    uint32_t size;
    const char *name, *about; /**< about: what must hold, in a sentence */
    bool passed;
    const char *text; /**< what failed, on the first rank on which it did; or "" */
    uint32_t first;   /**< the lowest rank of this process: that of rank 0 may speak for all */
} m3_collectives_finding;

typedef struct m3_collectives_options {
    uint32_t size;
    uint32_t here;                                                   /**< ranks of this process, at least 1 */
    double seconds;                                                  /**< that a rank may be silent; 0: no limit */
    m3_span options;                                                 /**< m3_option, of the plugin */
    void (*done)(void *user, const m3_collectives_finding *finding); /**< hears of every check; may be NULL */
    void *user;
} m3_collectives_options;

typedef struct m3_collectives_report {
    uint32_t size;
    uint32_t ranks, first; /**< of the group; the lowest of this process */
    uint32_t run, failed;
    char name[128]; /**< what moves the bytes */
} m3_collectives_report;

/** Check a collectives plugin. All processes of a group call it, and all hear the same.
 * @param plugin  A name, as for m3_group_open().
 * @param report  Filled on success; its size is set here.
 * Returns M3_OK when the checks were made, whatever they found, or what opening the group failed with. */
M3_API m3_status m3_conformance_collectives(m3_engine *engine, const char *plugin,
                                            const m3_collectives_options *options, m3_collectives_report *report,
                                            m3_error *err);

/* A model's training step on two devices side by side. */

typedef enum m3_divergence_kind {
    M3_DIVERGES_NOT = 0,         /**< every result agrees, and so does the step with its passes */
    M3_DIVERGES_AT_OP = 1,       /**< the op is wrong alone, too, over the operands of the other device */
    M3_DIVERGES_BY_OPERANDS = 2, /**< results differ, but every op is right alone: small errors that grew */
    M3_DIVERGES_WITH_PASSES = 3  /**< every op agrees; the step as it is trained, with its passes, does not */
} m3_divergence_kind;

typedef struct m3_diverge_options {
    uint32_t size;
    m3_device *device;          /**< that is looked at */
    m3_device *against;         /**< that counts as right */
    const char *const *no_pass; /**< of the step with passes, ended by NULL; NULL: none is left out */
    m3_span fallbacks;          /**< m3_device *: for what a device does not run, in order */
} m3_diverge_options;

/** A value a agrees with r when |a - r| <= 2e-5 + 2e-4 max|r| of that tensor; whole numbers when they are equal. */
typedef struct m3_divergence {
    uint32_t size;
    m3_divergence_kind kind;
    uint32_t nodes, compared; /**< nodes passed over; tensors compared */
    double share;             /**< largest error as a share of its bound */
    uint32_t node, output;    /**< of the model's graph, as built: the first that does not agree */
    char op[64], scope[192];  /**< of that node; "" with M3_DIVERGES_WITH_PASSES */
    char tensor[192];         /**< name of the result, output or parameter, "" where it has none */
    uint64_t index;           /**< of the worst element, row-major */
    uint64_t count, elements; /**< how many do not agree, and of how many */
    double got, want, error, bound;
    char shape[128];
} m3_divergence;

/** Run one training step of a configuration on both devices, from the same parameters, random inputs and draws, and
 * find the first node whose results differ. All results are kept, so that a small batch serves best.
 * @param config  Checked (m3_model_check).
 * @param found   Filled on success; its size is set here.
 * Returns M3_OK when both ran, whatever was found; or what building or running failed with. */
M3_API m3_status m3_diverge(const m3_model_config *config, const m3_diverge_options *options, m3_divergence *found,
                            m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
