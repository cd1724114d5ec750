/* cases: the versioned list of what every op must do. A case is one op over described inputs; its name says all of it
 * and selects it again:
 *
 *   matmul(f32[7,5]; f32[5,3]) 0; 0          op (inputs) attributes
 *
 * Inputs are filled from a seed by the words behind their shapes (values.h). What is wanted comes from the reference
 * backend, which takes the same numbers as f64 instead of f32 and computes in double precision. */
#ifndef M3_CORE_CONFORMANCE_CASES_H
#define M3_CORE_CONFORMANCE_CASES_H

#include "m3bsr/conformance.h"

#include "core/conformance/notation.h"

/** Rises when a case is added, changed or taken away. */
enum { M3_CASES_VERSION = 10 };

/** How far a result may lie from the wanted one: absolute + per_element |want| + per_tensor (largest |want| of the
 * output). NaN wants NaN and an infinity the same one; integers and bools want equality, whatever the bound. */
typedef struct m3_bound {
    double absolute, per_element, per_tensor;
    const char *reason;
} m3_bound;

/** Where a case takes part. */
enum { M3_CASE_OPS = 1u << 0, M3_CASE_GRADIENTS = 1u << 1 };

/** Why a case is there: chosen by hand, or by a rule (rules.h). */
typedef enum m3_rule {
    M3_RULE_LINE = 0,
    M3_RULE_RANK = 1,
    M3_RULE_AXIS = 2,
    M3_RULE_SQUARE = 3,
    M3_RULE_ATTRIBUTE = 4,
    M3_RULE_OPTIONAL = 5,
    M3_RULE_COUNT = 6,
    M3_RULE_DTYPE = 7,
    M3_RULE_SIZE = 8,
    M3_RULE_LARGE = 9,
    M3_RULE_INTEGERS = 10,
    M3_RULE_SPECIAL = 11,
    M3_RULES = 12
} m3_rule;

/** "line", "rank", ... */
const char *m3_rule_name(m3_rule rule);

/** One line of the list: ops, attributes and inputs, each with alternatives between " | "; a case is one choice of
 * each, the inputs changing fastest. */
typedef struct m3_case_row {
    uint32_t layers;
    const char *ops, *attrs, *inputs;
} m3_case_row;

typedef struct m3_case {
    uint32_t layers;
    char op[64], attrs[128], inputs[512];
    char name[768];
    const m3_bound *bound;
    uint32_t rules; /**< bit 1 << m3_rule for each that asks for it */
    bool full;      /**< only in the full list */
} m3_case;

/** How many cases the quick list has, and the full one, which begins with it; and one by index.
 * Threads: any; the list is made when it is first asked for. */
uint32_t m3_case_count(void);
uint32_t m3_case_count_full(void);
/** One of the two. A pattern without * and ? is one case, whichever list has it, so that its name repeats it. */
uint32_t m3_case_count_of(bool full, const char *pattern);
m3_status m3_case_at(uint32_t index, m3_case *c, m3_error *err);
/** Does the case's name match a pattern of * and ?; the name itself always matches. */
bool m3_case_matches(const m3_case *c, const char *pattern);

/** A built case. Inputs are named in0, in1, ... in the graph and outputs out0, out1, ... */
typedef struct m3_case_graph {
    m3_graph *graph;
    uint32_t in_count, out_count;
    m3_notation in[M3_NOTATION_ARRAYS];
    m3_tensor *x[M3_NOTATION_ARRAYS]; /**< the inputs, NULL where absent */
    const m3_node *node;
} m3_case_graph;

typedef enum m3_case_form {
    M3_CASE_PLAIN = 0,
    M3_CASE_DOUBLE = 1,   /**< f64 in place of f32, and of 16 bits in its place (m3_op.halves), for the reference */
    M3_CASE_INPLACE = 2,  /**< inputs go through a temporary, on which an op may write its output, among other nodes */
    M3_CASE_FLUSHED = 3,  /**< as M3_CASE_DOUBLE, with 0 for denormals of f32 */
    M3_CASE_ABSOLUTE = 4, /**< as M3_CASE_DOUBLE, with the sizes of the numbers and no activation */
    M3_CASE_SHAKEN = 5    /**< as M3_CASE_DOUBLE, each number changed by half a unit in its last place of f32 */
} m3_case_form;

enum { M3_CASE_OTHER = 67 }; /* elements of the value that lives beside those of the case */

/** Build a case. Needs no device. M3_CASE_INPLACE has one more input for each type: the neutral element, in_one_TYPE;
 * and beside the case a value that lives through it: out_other = in_other * in_one_f32 * in_one_f32.
 * @param lookup  Custom ops, or NULL.
 * On failure nothing is left to free. */
m3_status m3_case_build(const m3_case *c, const m3_op_lookup *lookup, m3_case_form form, m3_case_graph *built,
                        m3_error *err);
void m3_case_graph_free(m3_case_graph *built);

typedef struct m3_case_result {
    m3_verdict verdict;
    bool native;    /**< the device runs the op itself and not its decomposition */
    double share;   /**< largest error as a share of what is allowed; above 1 fails */
    char text[768]; /**< what failed, with both values; or why it lacks */
    char ran[256];  /**< the ops that ran on the device, separated by blanks */
} m3_case_result;

/** Run a case on a device and compare it with the double-precision reference device: as it is, and with inputs that may
 * be overwritten in a program of several ops; in memory that holds NaNs wherever nothing was written and that is
 * watched (hostile.h); each time with runs over other data before and behind, which must give the same bits. Never
 * fails itself: whatever goes wrong is in the result.
 * @param lookup  Custom ops, or NULL. */
void m3_case_run(m3_device *device, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c, uint64_t seed,
                 m3_case_result *result);
/** Check the gradient graph of a case's op against central differences, in double precision on the reference; and, on
 * a device, the same graph in f32 against that of the reference.
 * @param device  NULL: the reference alone. */
void m3_case_run_gradient(m3_device *device, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c,
                          uint64_t seed, m3_case_result *result);

/* The tables. */
extern const m3_case_row m3_case_rows_core[];
extern const uint32_t m3_case_rows_core_count;
extern const m3_case_row m3_case_rows_fused[];
extern const uint32_t m3_case_rows_fused_count;

#endif
