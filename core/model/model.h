/* model: what the builders of the model's parts share. A part reads the letters, the batch and the builder from here
 * and gives tensors; nothing is kept besides. Letters as in MODEL.md 1; n, L, d also stand in shapes.
 *
 * Layouts inside: a modality is [B, n, L, d], so that what is shared over behaviors is one product; a behavior is
 * [M, n, L, d], so that what is shared over modalities is one; all sequences are [G, n, L, d] with g = b M + m. */
#ifndef M3_CORE_MODEL_MODEL_H
#define M3_CORE_MODEL_MODEL_H

#include "m3bsr/blocks.h"
#include "m3bsr/model.h"

/** An encoder or expert with its options resolved. */
typedef struct m3_module {
    const m3_module_api *api;
    m3_plugin_kind kind;
    char name[M3_CONFIG_NAME];
    m3_module_args args;
    m3_option *options; /* [args.options.count] */
    char (*values)[M3_CONFIG_TEXT];
} m3_module;

/** Find a plugin and fill its options: model keys, then the configuration's options, then the plugin's defaults.
 * Starts as {0}; ends with m3_module_fini, which takes a zeroed one. */
m3_status m3_module_init(m3_module *module, m3_engine *engine, m3_plugin_kind kind, const m3_model_config *config,
                         m3_error *err);
void m3_module_fini(m3_module *module);
/** Let a plugin append itself. Not called once the builder keeps an error. The builder fails, naming the plugin, when
 * what comes is not f32 of the right shape, or when scopes are left open or closed.
 * @param x, mask, group  As in m3_module_api.build; args.modality is set by the caller. NULL when an error is kept. */
m3_tensor *m3_module_build(const m3_module *module, m3_builder *b, m3_tensor *x, m3_tensor *mask, uint32_t group);
/** Every option of the configuration is one that a module declares. */
m3_status m3_modules_check_options(const m3_model_config *config, const m3_module *encoder, const m3_module *expert,
                                   m3_error *err);

/** What a denoiser's loss is, and what it would be if the network predicted 0; rank 0. */
typedef struct m3_compared {
    m3_tensor *loss, *nothing;
} m3_compared;

typedef struct m3_model {
    const m3_model_config *c;
    const char *const *no_pass;
    m3_module encoder, expert;
    m3_builder *b;
    uint64_t B, n, L, K, M, G, N, d;
    bool train, given_draws;
    bool part;         /* the batch is one part of a step's: a step in two halves */
    uint64_t parts;    /* whose means are those of the step's batches, so many at most; 1: of this batch alone */
    bool window;       /* tables are windows of N + 1 rows (m3_build_options) */
    bool loss_given;   /* of scores: the loss of all items, none of which this graph may have but a window's */
    m3_tensor *tile;   /* f32 [N, d]: rows in the place of the table, N items without the padding; NULL: there is one */
    double *alpha_bar; /* [T+1]: alpha_bar[0] = 1 */
    m3_tensor *ids;    /* i32 [B, n, L] */
    m3_tensor *mask;   /* bool [B, n, L] */
    m3_tensor *valid;  /* f32 [B, n, L, 1]: the mask as 0 and 1 */
    m3_tensor *rng;    /* u32 [3], of a part [5], NULL where nothing is drawn */
    m3_tensor *counts; /* f32 [2 + B]: "step_counts"; NULL where parts is 1 */
    bool compare;      /* fill compared, in the order in which denoisers are built */
    m3_compared compared[M3_MAX_MODALITIES + M3_MAX_BEHAVIORS];
    uint32_t compared_count;
} m3_model;

/** Numbers that tell the draws of a step apart. They never change: a resumed run draws the same again. */
enum {
    M3_SITE_T = 0,
    M3_SITE_NOISE_MODALITY = 0x100, /* + k */
    M3_SITE_NOISE_BEHAVIOR = 0x200, /* + b */
    M3_SITE_DROPOUT_ENCODER = 0x1000,
    M3_SITE_DROPOUT_EXPERTS = 0x2000
};

/** Everything that the forward pass gives. NULL where the builder keeps an error. */
typedef struct m3_forward {
    m3_tensor *encoded, *after_modality, *after_behavior; /* [G, n, L, d] */
    m3_tensor *specific, *common;                         /* [G, n, d] */
    m3_tensor *present;                                   /* f32 [G, n]: 1 where the sequence is not empty */
    m3_tensor *gate, *user;                               /* [n, G+1], [n, d]; user with fusion scores [n, M d] */
    m3_tensor *loss_modality, *loss_behavior; /* rank 0, NULL at inference or where there is nothing to denoise */
} m3_forward;

/** x at `index` of axis 0, without that axis. */
m3_tensor *m3_model_at(m3_model *m, m3_tensor *x, uint64_t index);
/** sum / max(count, 1): a mean over what may be nothing. */
m3_tensor *m3_model_mean(m3_model *m, m3_tensor *sum, m3_tensor *count);
/** A batch's sum over the samples' count, which is that of the step over its batches where there are parts: the mean
 * over the batches is that of the step. */
m3_tensor *m3_model_step_mean(m3_model *m, m3_tensor *sum, m3_tensor *count);
/** Entry `index` of counts, rank 0. */
m3_tensor *m3_model_step_count(m3_model *m, uint64_t index);
/** What counts has; from M3_COUNT_POSITIONS on one a behavior. */
enum { M3_COUNT_SEQUENCES, M3_COUNT_SQUARES, M3_COUNT_POSITIONS };
/** The item table's name, and that of a window of it, in the graphs that see one. */
#define M3_ITEM_PARAMETER "item.weight"
#define M3_WINDOW_TABLE   "window.item.weight"
/** How the item table starts. */
m3_init m3_model_item_start(void);
/** All of it, E [N+1, d]. */
m3_tensor *m3_model_item_table(m3_builder *b, const m3_model_config *config);
/** F_k, the state features`k` [N+1, D_k]. */
m3_tensor *m3_model_features(m3_model *m, uint64_t k);
/** MODEL.md 4: the vectors of items in histories, ids [...] -> [..., d]. */
m3_tensor *m3_model_item_rows(m3_model *m, m3_tensor *ids);

/** MODEL.md 4: modality `index` of all behaviors, [B, n, L, d]. */
m3_tensor *m3_model_encode(m3_model *m, uint64_t index);
/** MODEL.md 5.2: x[1 .. K] in place. *loss stays NULL at inference. */
void m3_model_denoise_modalities(m3_model *m, m3_tensor **x, m3_tensor **loss);
/** MODEL.md 5.3: rows[B-2 .. 0] in place, each [M, n, L, d]. */
void m3_model_denoise_behaviors(m3_model *m, m3_tensor **rows, m3_tensor **loss);
/** For instruments: inputs "ids" and "rng" as in training, outputs "denoise.NAME.loss" and "denoise.NAME.nothing",
 * f32 [], of every denoiser, such as denoise.modality0. M3_ERR_INVALID when there is none. */
m3_status m3_model_build_denoisers(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                   m3_graph **graph, m3_error *err);
/** MODEL.md 7: [G, n, d]. */
m3_tensor *m3_model_specific(m3_model *m, m3_tensor *z, m3_tensor *mask);
/** MODEL.md 8: [G, n, d]. */
m3_tensor *m3_model_common(m3_model *m, m3_tensor *z, m3_tensor *mask);
/** MODEL.md 10. */
void m3_model_route(m3_model *m, m3_forward *f);
/** MODEL.md 4 to 10. */
void m3_model_forward(m3_model *m, m3_forward *f);

/** MODEL.md 10: the scores of the items j = 1 .. N, [n, N]. */
m3_tensor *m3_model_scores(m3_model *m, m3_tensor *user);
/** The scores of the items ids [n, C]: [n, C]. */
m3_tensor *m3_model_scores_of(m3_model *m, m3_tensor *user, m3_tensor *ids);
/** Have the parameters that scores read besides the table, in a graph that computes none. */
void m3_model_declare_scored(m3_model *m);
/** MODEL.md 9, rank 0, or NULL where there is nothing to tell apart. target i32 [n], 0 in padded rows. */
m3_tensor *m3_model_contrast(m3_model *m, const m3_forward *f, m3_tensor *target);
/** MODEL.md 11: publish the losses as outputs. */
void m3_model_losses(m3_model *m, const m3_forward *f);

/** Items that a sample names: in histories, as target and as negatives. */
uint64_t m3_model_sample_items(const m3_model_config *config);
/** The largest window that samples need: all that they name, or the whole table. */
uint32_t m3_model_window_rows(const m3_model_config *config, uint64_t samples);
/** Is a window as large as the table? */
bool m3_model_sees_all(const m3_model_config *config, uint32_t window);
/** Of options that may be older. */
uint32_t m3_model_window(const m3_build_options *options);
uint32_t m3_model_parts(const m3_build_options *options); /**< at least 1 */
/** How many targets of the step a batch names besides its own: those of all its samples, or none. */
uint64_t m3_model_step_targets(const m3_model_config *config, uint64_t samples);
/** Check the configuration and start a graph with ids and mask. Ends with m3_model_end, which takes a zeroed one. */
m3_status m3_model_begin(m3_model *m, m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                         bool train, m3_graph **graph, m3_error *err);
void m3_model_end(m3_model *m);
/** Scores alone, of users that another graph has made: input "user" f32 [n, d], with fusion scores [n, M d], and with
 * trend "trend" f32 [n, N]; output "scores" [n, N]. */
m3_status m3_model_build_scores(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                m3_graph **graph, m3_error *err);

/* window.c: rows on their way between windows and the tables. */

/** Fill a window from the whole tables, in the same store: input "ids" i32 [window], -1 where it has none. */
m3_status m3_model_build_window(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                m3_graph **graph, m3_error *err);

/** The rows of the item table that one of several ranks owns, [rows, d], under the table's own names.
 * @param rows   Of the shard. @param batch  Rows at a time.
 * @param users  That are scored against a tile of `tile` rows: those of a batch of each rank. */
typedef struct m3_shard_size {
    uint32_t rows, batch, users, tile;
} m3_shard_size;

/** Input "ids" i32 [batch], -1 where there is none; output "rows" f32 [batch, d]. */
m3_status m3_model_build_fetch(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                               m3_graph **graph, m3_error *err);
/** The optimiser's step of the shard: inputs "step" as in m3_model_build_train(), "scale" f32 [] that
 * m3_model_build_apply() gave, and gradients: lazily "ids" i32 [batch], different ones, -1 where there is none, and
 * "rows" f32 [batch, d]; else "rows" of the whole shard. */
m3_status m3_model_build_update(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                m3_graph **graph, m3_error *err);

/* loss_shard.c: the loss of all items where each of several ranks scores those that it owns, a tile at a time. */

/** The forward pass of training: inputs "ids" and "rng" as in m3_model_build_train(), output "user" as of inference. */
m3_status m3_model_build_users(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err);
/** Rows of a shard that are scored at a time, so that memory is bounded. */
uint32_t m3_model_tile(const m3_model_config *config, uint32_t rows, uint32_t users);
/** Inputs "user" f32 [users, d or M d]; "tile" i32 [tile], rows of the shard, -1 where there is none; "features0", …
 * f32 [tile, D_k] and "trend" f32 [users, tile], of the same items; "target" i32 [users], a row of the shard, -2 where
 * it is another's. One may be lacking that the configuration does not use.
 * Outputs f32 [users]: "top", the largest score; "sum" of e^(score - top); "own", the target's score, 0 without. */
m3_status m3_model_build_sums(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                              m3_graph **graph, m3_error *err);
/** With the same inputs, and f32 [users] "log_sum", log sum e^score over the items of all ranks, and "weight", what
 * each user's loss counts: the gradients "user" and "rows" f32 [tile, d]. Those of what scores read besides are added
 * to the states "accum.NAME". */
m3_status m3_model_build_gradients(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                   m3_graph **graph, m3_error *err);

/** Publish what the bits ask for. */
void m3_model_publish(m3_model *m, const m3_forward *f, uint32_t publish);

#endif
