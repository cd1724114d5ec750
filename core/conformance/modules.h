/* modules: what the files of the layer modules share: the module at hand, and how a finding is told. */
#ifndef M3_CORE_CONFORMANCE_MODULES_H
#define M3_CORE_CONFORMANCE_MODULES_H

#include "core/conformance/trial.h"
#include "m3bsr/conformance.h"

enum { M3_SUBJECT_TEXT = 256, M3_FINDING_TEXT = 768 };

/** An encoder or expert under one setting of its options. */
typedef struct m3_subject {
    m3_device *device, *reference;
    const m3_modules_options *options;
    m3_modules_report *all;
    m3_plugin_kind kind;
    const char *name;             /**< of the plugin */
    char setting[M3_CONFIG_TEXT]; /**< "heads=4", or "" for the defaults */
    m3_module module;
    m3_trial_form form;                    /**< sizes of the first build */
    uint32_t setting_index, setting_count; /**< of those that are asked for */
    bool settled; /**< at the defaults, or with another choice: each parameter should have a use */
} m3_subject;

/** What a check found. Starts as {0}, which is a pass. */
typedef struct m3_finding {
    m3_verdict verdict;
    double error, bound;
    char text[M3_FINDING_TEXT];
} m3_finding;

/** Is this check asked for? */
bool m3_subject_wants(const m3_subject *s, const char *check);
/** Say that a check is made now, if it is asked for. */
void m3_subject_begin(const m3_subject *s, const char *check);
/** Count and tell a finding, if it is asked for. Returns whether it passed. */
bool m3_subject_tell(m3_subject *s, const char *check, const m3_finding *finding);
/** The first failure stays. */
M3_PRINTF(2, 3) void m3_finding_fail(m3_finding *finding, const char *format, ...);
/** What is too large to be tried here: it neither passed nor failed. */
M3_PRINTF(2, 3) void m3_finding_skip(m3_finding *finding, const char *format, ...);
/** An error that kept a check from its answer. M3_ERR_UNSUPPORTED: it lacks. */
void m3_finding_error(m3_finding *finding, const char *where, const m3_error *err);
/** Place `index` of a row-major array as "[1,0,3]". */
const char *m3_place_text(const m3_shape *shape, uint64_t index, char *text, size_t bytes);

/** Build: builds, result, scope, names, used. False: nothing further can be said. */
bool m3_subject_check_build(m3_subject *s);
/** Values on the device: finite, empty, padding, batch, group, values. False: they are no numbers. */
bool m3_subject_check_values(m3_subject *s);
/** Gradients: trains, slopes, gradients. */
void m3_subject_check_gradients(m3_subject *s);

/** Numbers for x and mask of a build's form. The first sequence is empty, the second full, the others between.
 * @param padding  x where padded: 0, or else as large as this. @param x, mask  As many doubles as there are elements.
 */
m3_status m3_subject_fill(const m3_subject *s, const m3_trial *trial, double padding, double *x, double *mask,
                          m3_error *err);

#endif
