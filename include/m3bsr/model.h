/* model: M3BSR's configuration, and the graphs that a configuration stands for: inference, a training step, and the
 * two halves of a step with accumulated gradients. MODEL.md, installed with the documentation, has the equations.
 * Threads: functions touch only what they are given; an engine is used by one thread at a time. */
#ifndef M3BSR_MODEL_H
#define M3BSR_MODEL_H

#include "m3bsr/graph.h"
#include "m3bsr/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Configuration. */

enum {
    M3_MAX_BEHAVIORS = 16,
    M3_MAX_MODALITIES = 16,
    M3_MAX_MODEL_OPTIONS = 64,
    M3_CONFIG_NAME = 48, /**< bytes of a name, its NUL included */
    M3_CONFIG_TEXT = 128 /**< bytes of an option's value, its NUL included */
};

/** An option of an encoder or expert plugin that the model itself does not read. */
typedef struct m3_model_option {
    char key[M3_CONFIG_NAME], value[M3_CONFIG_TEXT];
} m3_model_option;

/* Values of keys that choose, in the order of the choices (m3_model_find_key()->choices). */
typedef enum m3_objective { M3_OBJECTIVE_EPS = 0, M3_OBJECTIVE_X0 = 1 } m3_objective;
typedef enum m3_router {
    M3_ROUTER_SOFTMAX = 0,
    M3_ROUTER_SIGMOID = 1,
    M3_ROUTER_BALANCED = 2,
    M3_ROUTER_NORMED = 3,
    M3_ROUTER_MODALITY = 4
} m3_router;
typedef enum m3_interests { M3_INTERESTS_BOTH = 0, M3_INTERESTS_SPECIFIC = 1, M3_INTERESTS_COMMON = 2 } m3_interests;
typedef enum m3_denoise { M3_DENOISE_REPLACE = 0, M3_DENOISE_GATED = 1, M3_DENOISE_NEIGHBORS = 2 } m3_denoise;
typedef enum m3_contrast { M3_CONTRAST_INTERESTS = 0, M3_CONTRAST_USERS = 1, M3_CONTRAST_TARGETS = 2 } m3_contrast;
typedef enum m3_fusion { M3_FUSION_NONE = 0, M3_FUSION_TABLE = 1, M3_FUSION_SCORES = 2 } m3_fusion;
typedef enum m3_loss { M3_LOSS_FULL = 0, M3_LOSS_SAMPLED = 1 } m3_loss;
typedef enum m3_precision { M3_PRECISION_F32 = 0, M3_PRECISION_BF16 = 1, M3_PRECISION_F16 = 2 } m3_precision;
typedef enum m3_recompute { M3_RECOMPUTE_OFF = 0, M3_RECOMPUTE_LIGHT = 1, M3_RECOMPUTE_ON = 2 } m3_recompute;
typedef enum m3_lazy { M3_LAZY_AUTO = 0, M3_LAZY_ON = 1, M3_LAZY_OFF = 2 } m3_lazy;

/** A configuration is a plain value: copy it with =, nothing to free. Fill it with m3_model_defaults() and
 * m3_model_set(); the members are for reading. Names are the keys. */
typedef struct m3_model_config {
    uint32_t size;
    int32_t behaviors, length, items, width, heads, expert_layers, ffn_mult;
    int32_t modality_count, modalities[M3_MAX_MODALITIES]; /**< key "modalities": the dimensions D_k */
    char encoder[M3_CONFIG_NAME], expert[M3_CONFIG_NAME];
    int32_t diffusion_steps, infer_start, infer_steps;
    double beta_start, beta_end;
    m3_objective objective;
    m3_router router;
    m3_interests interests;
    m3_denoise denoise;
    m3_contrast contrast;
    m3_fusion fusion;
    m3_loss loss;
    m3_lazy lazy;
    m3_precision precision;
    m3_recompute recompute;
    int32_t trend;
    double router_floor, denoise_scale;
    double temperature;
    bool modality_denoise, behavior_denoise;
    double w_modality, w_behavior, w_contrast;
    double dropout, dropout_encoder;
    int32_t batch, negatives;
    double lr, beta1, beta2, adam_eps, weight_decay, clip;
    int32_t option_count;
    m3_model_option options[M3_MAX_MODEL_OPTIONS];
} m3_model_config;

/** All keys in a fixed order, as m3_option_desc. Static memory. */
M3_API m3_span m3_model_keys(void);
/** NULL when the model has no key of this name. */
M3_API const m3_option_desc *m3_model_find_key(const char *name);

M3_API void m3_model_defaults(m3_model_config *config);
/** Give each key that a later version added the value that a configuration from before it stands for, which keeps the
 * formulas of that time; the other keys stay. For files that list their keys in full, such as vector files. */
M3_API void m3_model_before(m3_model_config *config);
/** Is this what a configuration from before the key stands for? False for a key of the first version. */
M3_API bool m3_model_key_is_before(const char *key, const char *value);
/** Set a key from text. The range is checked here, what concerns several keys in m3_model_check().
 * Returns M3_ERR_INVALID: no such key, not of the key's type, or out of range. */
M3_API m3_status m3_model_set(m3_model_config *config, const char *key, const char *value, m3_error *err);
/** Set an option that the encoder or the expert declares beyond the model's keys; the last setting counts.
 * Returns M3_ERR_INVALID: too many options or too long. */
M3_API m3_status m3_model_set_option(m3_model_config *config, const char *key, const char *value, m3_error *err);
/** The value of a key as text that m3_model_set() reads back to the same value. */
M3_API m3_status m3_model_get(const m3_model_config *config, const char *key, char *text, size_t bytes, m3_error *err);
/** Give each option that the encoder or the expert declares, and that is no key of the model, its canonical value, its
 * default where it is not set, in the order of declaration. One that both declare with different defaults stays out
 * unless it is set. Options that neither declares go last, as they are. */
M3_API m3_status m3_model_fill_options(m3_engine *engine, m3_model_config *config, m3_error *err);
/** Do the keys fit together, are the encoder and the expert there, and do they know the options and their values? */
M3_API m3_status m3_model_check(m3_engine *engine, const m3_model_config *config, m3_error *err);
/** The type that key "precision" names: of activations and of what products read (m3_compile_options.precision). */
M3_API m3_dtype m3_model_precision(const m3_model_config *config);
/** What key "recompute" allows: m3_compile_options.recompute. */
M3_API uint32_t m3_model_recompute(const m3_model_config *config);
/** Are the rows of the item table updated lazily? Key "lazy": on, off, or auto, which is on for the sampled loss.
 *
 * The lazy rule: a step updates row i of item.weight and of its two moments only when its batch used item i (in a
 * history, as target or as negative). Other rows stay as they are: their moments do not decay and they see no weight
 * decay until they are used again. The bias corrections follow the step number, not the row's own count of updates.
 * The gradient norm is the same as in the dense rule. A step with accumulated gradients, for which the batch is all of
 * them, needs a window for it (m3_build_options) and is dense without. */
M3_API bool m3_model_is_lazy(const m3_model_config *config);
/** Has the graph networks that denoise modalities, or behaviors (MODEL.md 5)? With `denoise: neighbors` it has none:
 * the set is denoised before training. */
M3_API bool m3_model_denoises_modalities(const m3_model_config *config);
M3_API bool m3_model_denoises_behaviors(const m3_model_config *config); /**< likewise */

/* Graphs.
 * Parameters have PyTorch's names (MODEL.md 3). Features are states "features0" ... f32 [N+1, D_k] with a zero row 0,
 * to be written into the store before an executable is made. */

/** What a graph publishes beside what it always does. Layouts and meaning are those of MODEL.md 13. */
enum {
    M3_PUBLISH_USER = 1u << 0,           /**< "user" f32 [n, d]; with fusion scores [n, M d] */
    M3_PUBLISH_SCORES = 1u << 1,         /**< "scores" f32 [n, N]: item j's is at j - 1 */
    M3_PUBLISH_GATE = 1u << 2,           /**< "gate" f32 [n, G+1] */
    M3_PUBLISH_AFTER_MODALITY = 1u << 3, /**< "after_modality" f32 [B, M, n, L, d] */
    M3_PUBLISH_AFTER_BEHAVIOR = 1u << 4, /**< "after_behavior" f32 [B, M, n, L, d] */
    M3_PUBLISH_SPECIFIC = 1u << 5,       /**< "specific" f32 [G, n, d] */
    M3_PUBLISH_COMMON = 1u << 6,         /**< "common" f32 [G, n, d] */
    M3_PUBLISH_GRADIENTS = 1u << 7,      /**< training: "grad.NAME" of every parameter, before clipping */
    M3_PUBLISH_ENCODED = 1u << 8         /**< "encoded" f32 [B, M, n, L, d], before any denoiser */
};

typedef struct m3_build_options {
    uint32_t size;
    uint32_t batch;             /**< n; 0: the configuration's */
    uint32_t publish;           /**< M3_PUBLISH bits; unknown ones are ignored */
    const char *const *no_pass; /**< names of passes to leave out, ended by NULL; NULL: none */
    bool given_draws;           /**< training: draws are inputs, see m3_model_build_train() */
    bool accumulate;            /**< training: add gradients up instead of a step, see m3_model_build_apply() */
    uint32_t window;            /**< rows of the item table and of features that the graph sees; 0: all N + 1 */
    bool elsewhere;             /**< with a window: who updates the item table is not m3_model_build_apply() */
    uint32_t parts;             /**< with accumulate: losses are of a step of so many batches at most; 0, 1: of each */
} m3_build_options;

/* A graph with a window has the parameter "window.item.weight" [window, d] and the states "window.features0", … in the
 * place of the whole tables, and ids are places in it: whoever runs it puts the rows there that the ids want. Row 0 is
 * that of the padding, as in the whole. One of N + 1 rows that is not elsewhere is the whole table itself. For a step
 * with accumulated gradients and the sampled loss, so that its cost does not grow with the table; and for inference,
 * whose scores are then those of places 1 .. window - 1. */

/** Inference (MODEL.md 4 to 10, without noise): input "ids" i32 [B, n, L], histories left-padded with 0. A row of
 * zeros is a user without history. With trend and M3_PUBLISH_SCORES also "trend" f32 [n, N].
 * @param options  publish says the outputs; at least one.
 * @param graph    The caller's on success, NULL on failure. */
M3_API m3_status m3_model_build_infer(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                      m3_graph **graph, m3_error *err);

/** The whole training step: draws, forward, losses, backward, clipping by global norm, AdamW (MODEL.md 11).
 * Inputs: "ids" i32 [B, n, L]; "target" i32 [n]; "negatives" i32 [n, negatives] for the sampled loss; with trend
 *   "trend" f32 [n, N], for the sampled loss "trend_sampled" [n, 1 + negatives], the target first; "rng" u32 [3] =
 *   {seed low, seed high, step}; "step" f32 [3] = {lr, 1 - beta1^t, 1 - beta2^t} for the t-th step, t = 1, 2, …;
 *   "valid" f32 [] the number of rows that count. Rows from there on are padding: ids, target and negatives all 0;
 *   they contribute to no loss. With given_draws, instead of rng: "t_modality", "t_behavior" i32 [n],
 *   "noise_modality" f32 [K, B, n, L, d], "noise_behavior" f32 [B-1, M, n, L, d], and no dropout. An executable may
 *   lack inputs that the configuration does not use.
 * Outputs, f32 []: "loss", "loss_recommend", "loss_modality", "loss_behavior", "loss_contrast", "grad_norm" (before
 *   clipping), and what publish says.
 * States: "adam.m.NAME", "adam.v.NAME".
 * With accumulate: no step and no "grad_norm"; the gradients are added to the states "accum.NAME". "rng" is u32 [5] =
 *   {seed low, seed high, step, part, parts}: the batch is part `part` of the `parts` of a step, and draws what one
 *   batch of them all would draw for its rows. Each batch has means of its own; with `parts` above 1 the mean over the
 *   step's k batches, of which there may be fewer in the end, is that of one batch of them all (but for contrast users,
 *   which compares within a batch): "valid" is the step's rows over k, and there are the inputs
 *   "step_target" i32 [parts n], the targets of all, 0 where there is none; "step_place" i32 [], the row there that the
 *   batch begins with; "step_counts" f32 [2 + B], over k: what the step's rows have of sequences that are not empty,
 *   of one modality; the sum of their squares over the rows; valid positions of each behavior. */
M3_API m3_status m3_model_build_train(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                      m3_graph **graph, m3_error *err);

/** The second half of a step with accumulated gradients, over the same store: mean over the k accumulated batches,
 * clipping, AdamW, and the sums back to zero.
 * Inputs: "count" f32 [] = k; "step" as in m3_model_build_train(). Output: "grad_norm" of the mean.
 * With a window also "ids" i32 [window]: which rows of the item table its rows are, different ones, -1 where it has
 * none. These alone are updated (the lazy rule). With `elsewhere` it is instead the norm of the mean of the window's
 * gradient, "rows_norm" f32 [], and the output "scale" f32 [] is what gradients are to be multiplied by, below 0 for a
 * step that does not count. */
M3_API m3_status m3_model_build_apply(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                      m3_graph **graph, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
