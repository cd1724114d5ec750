/* run: what running a case and checking its gradient share: a compiled graph of a case with its numbers. */
#ifndef M3_CORE_CONFORMANCE_RUN_H
#define M3_CORE_CONFORMANCE_RUN_H

#include "core/conformance/cases.h"

enum { M3_CASE_OUTPUTS = M3_NOTATION_ARRAYS };

/** Half a unit in the last place of an f32 near 1: what one rounding changes. */
#define M3_CASE_UNIT 0x1p-24

/** A graph compiled for a device, with a store of its own. Starts as {0}. */
typedef struct m3_case_exec {
    m3_store *store;
    m3_executable *executable;
} m3_case_exec;

/** Compile strictly: a node that the device does not run is M3_ERR_UNSUPPORTED. */
m3_status m3_case_exec_init(m3_case_exec *exec, m3_device *device, const m3_graph *graph, m3_error *err);
void m3_case_exec_fini(m3_case_exec *exec);
/** Put values under an input's name; an input that the passes removed is skipped. */
void m3_case_exec_write(m3_case_exec *exec, const char *name, const m3_tensor *x, const double *value);
/** The values of an output. M3_ERR_INTERNAL when it is not there. */
m3_status m3_case_exec_read(m3_case_exec *exec, const char *name, const m3_tensor *x, double *value, m3_error *err);

/** "kind of case: message [subject]" into the result, with the verdict that the error's code means. */
void m3_case_result_error(m3_case_result *result, const char *where, const m3_error *err);
/** The seed of a case's numbers: by its name, so that they do not depend on its place in the list. */
uint64_t m3_case_seed(const m3_case *c, uint64_t seed);
/** Memory for the values of all inputs, filled. Freed with m3_free(value[0]); {0} when there are none. */
m3_status m3_case_values(const m3_case *c, const m3_case_graph *built, uint64_t seed, double *value[M3_NOTATION_ARRAYS],
                         m3_error *err);
/** Give the values what the form takes instead of them. @param shake  M3_CASE_SHAKEN: which of several, from 0. */
void m3_case_change_values(const m3_case_graph *built, m3_case_form form, uint32_t shake, double *const *value);
/** The error as a share of what is allowed: above 1 is wrong. NaN wants NaN, an infinity the same one. */
double m3_case_error_share(double have, double want, double limit);
/** Roundings of a sum of n terms in any fixed order: n at most, and hardly ever more than some square roots of n. */
double m3_case_growth(uint64_t n);

#endif
