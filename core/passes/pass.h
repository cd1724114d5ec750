/* pass: rewrites of a graph, one file each. A pass makes a new graph and leaves the old one alone.
 *
 * Before differentiation:  sink, fold, dedupe, pack, dead.   (m3_passes_before_gradients)
 * At compile time:         fold, dedupe, dead, multi_tensor, fuse, precision, chain, then what the device refuses is
 * decomposed, again fold, dedupe, dead, and where they are wanted overlap and recompute.  (m3_passes_run) Row sinking
 * comes before differentiation, so that the backward pass works on the few rows too. */
#ifndef M3_CORE_PASSES_PASS_H
#define M3_CORE_PASSES_PASS_H

#include "core/graph/rewrite.h"
#include "core/passes/buckets.h"

typedef struct m3_pass_context {
    const char *const *no_pass;                        /* names to leave out, ended by NULL; NULL: none */
    bool (*supports)(void *user, const m3_node *node); /* does the chosen device run it? NULL: everything */
    void *user;
    m3_dtype precision;        /* of activations: f16 or bf16; else f32 */
    uint32_t recompute;        /* 1/N of the work may be done twice; 0: none */
    const m3_buckets *buckets; /* of states that are wanted early; NULL: none */
} m3_pass_context;

typedef struct m3_pass {
    const char *name;
    m3_status (*run)(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err);
} m3_pass;

extern const m3_pass m3_pass_fold;         /* computes nodes over constants; x*1, x+0, reshape of reshape */
extern const m3_pass m3_pass_dedupe;       /* equal nodes over equal inputs become one */
extern const m3_pass m3_pass_dead;         /* nodes that no output or update needs go */
extern const m3_pass m3_pass_sink;         /* row sinking: a slice of a result computes only the sliced rows */
extern const m3_pass m3_pass_pack;         /* products of one input that are read together become one */
extern const m3_pass m3_pass_fuse;         /* residual, activation and gate into an epilogue */
extern const m3_pass m3_pass_chain;        /* elementwise nodes that read each other become one */
extern const m3_pass m3_pass_multi_tensor; /* one update over many tensors */
extern const m3_pass m3_pass_overlap;      /* new values of states that are wanted early as early as can be */
extern const m3_pass m3_pass_precision;    /* activations in 16 bits; cannot be turned off here, but by the key */
extern const m3_pass m3_pass_recompute;    /* what lies in memory for long is made again; off unless wanted */
extern const m3_pass m3_pass_decompose;    /* what the device refuses, by its meaning; cannot be turned off */

/** Is a pass left on? "grouping", which the model asks for while it builds, is one of the names. */
bool m3_pass_enabled(const char *const *no_pass, const char *name);
m3_status m3_passes_before_gradients(const m3_graph *in, const char *const *no_pass, m3_graph **out, m3_error *err);
m3_status m3_passes_run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err);

/** How many nodes, outputs and updates read each tensor, by id; NULL without memory. The caller frees it. */
uint32_t *m3_count_readers(const m3_graph *graph);

#endif
