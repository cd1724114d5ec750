/* trial: an encoder or expert built alone, outside of any model, so that what it is may be checked.
 *   encoder  x f32 [(lead,) n, L, D] -> y [(lead,) n, L, d]
 *   expert   x f32 [(lead,) n, L, d] -> y [(lead,) n, d]; grouped, lead is G
 * The plugin is given a builder of ours that passes everything on to the graph's own. It watches the scopes, and in the
 * wide form everything that would be f32 is f64, parameters too, so that slopes are those of the plugin's own formula.
 */
#ifndef M3_CORE_CONFORMANCE_TRIAL_H
#define M3_CORE_CONFORMANCE_TRIAL_H

#include "core/model/model.h"

/** What is built. */
typedef struct m3_trial_form {
    m3_plugin_kind kind;
    const m3_module *module;
    const m3_op_lookup *lookup;
    uint64_t lead; /**< 0: no such axis */
    uint64_t n, L, D, d;
    uint32_t group; /**< G: parameters are grouped; 0: they are not */
    int64_t index;  /**< with group: -1 all of it, else parameters are slices of this one */
    bool wide;      /**< f64 in place of f32; parameters are inputs */
    bool dropout;   /**< at half rate, as in training */
    bool start;     /**< parameters have the values that training starts with */
    bool gradients; /**< of sum(y w), w of y's shape, by x and by each parameter */
} m3_trial_form;

/** Built, and after m3_trial_compile() ready to run. Starts as {0}. */
typedef struct m3_trial {
    m3_trial_form form;
    m3_graph *graph;
    m3_store *store;
    m3_executable *executable;
    m3_tensor *x, *mask, *y, *w, *loss; /**< y: what the plugin gave; NULL without an error when it gave nothing */
    uint32_t count;                     /**< of parameters */
    m3_tensor **parameter;              /**< in the order in which they were declared */
    m3_tensor **gradient;               /**< [count + 1], the last one x's */
    double **value;                     /**< [count], after compiling */
    bool too_many;                      /**< nodes, so that building was given up; kept when it fails */
    int32_t open, lowest;               /**< scopes that build left open; how far it went below where it began */
} m3_trial;

/** Shape of the result that is wanted. */
m3_shape m3_trial_wants(const m3_trial_form *form);
/** Let the plugin append itself to a graph. The error is the builder's: the plugin's own, or that of an op. What it
 * gave is not checked, but that without the right shape nothing is published and there are no gradients. */
m3_status m3_trial_build(m3_trial *trial, const m3_trial_form *form, m3_error *err);
/** Compile for a device; `fallback` takes what it refuses. Parameters get numbers that depend on seed, name and place
 * alone, biases and norms too, which would hide much with the values that they start with; with `start` those. In the
 * wide form these are not known: m3_trial_take_values(). */
m3_status m3_trial_compile(m3_trial *trial, m3_device *device, m3_device *fallback, uint64_t seed, m3_error *err);
/** Give the parameters the values that they have in another build, compiled, of the same module. */
m3_status m3_trial_take_values(m3_trial *trial, const m3_trial *from, m3_error *err);
/** Write an input: x, mask, w, or in the wide form a parameter. One that the passes removed is skipped. */
void m3_trial_write(m3_trial *trial, const m3_tensor *x, const double *value);
m3_status m3_trial_run(m3_trial *trial, m3_error *err);
/** Read "y", "loss" or "grad0" …, into as many doubles as the tensor has elements. */
m3_status m3_trial_read(m3_trial *trial, const char *name, const m3_tensor *x, double *value, m3_error *err);
/** Is parameter `index` on a path to the result? */
m3_status m3_trial_uses(const m3_trial *trial, uint32_t index, bool *uses, m3_error *err);
/** How often an element of the graph's results was rounded on the longest path to it, at most. */
m3_status m3_trial_roundings(const m3_trial *trial, double *count, m3_error *err);
void m3_trial_free(m3_trial *trial);

#endif
