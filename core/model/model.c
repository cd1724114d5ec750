/* model: the parts put together, from ids to a user vector (MODEL.md 4 to 10), and the graph for inference.
 *   ids [B, n, L] -> encode -> denoise modalities -> denoise behaviors -> specific and common interests -> router */
#include "core/model/model.h"

#include "core/base/alloc.h"
#include "core/passes/pass.h"

/* [G, n, L]: sequence (b, m) has the mask of behavior b. */
static m3_tensor *group_mask(m3_model *m)
{
    m3_tensor *mask = m3_reshape(m->b, m->mask, M3_SHAPE(m->B, 1, m->n, m->L));
    mask = m3_broadcast(m->b, mask, M3_SHAPE(m->B, m->M, m->n, m->L));
    return m3_reshape(m->b, mask, M3_SHAPE(m->G, m->n, m->L));
}

/* From modalities [B, n, L, d] to behaviors [M, n, L, d]. */
static void regroup(m3_model *m, m3_tensor *const *x, m3_tensor **rows)
{
    for (uint64_t i = 0; i < m->B; i++) {
        m3_tensor *each[M3_MAX_MODALITIES + 1] = {0};
        for (uint64_t k = 0; k < m->M; k++) each[k] = m3_slice(m->b, x[k], 0, i, 1);
        rows[i] = m3_concat(m->b, each, (uint32_t)m->M, 0);
    }
}

/* Tensors have [repeats, n, ...] or [n, ...]. */
static void set_dropout(m3_model *m, double rate, uint64_t repeats, uint32_t first_site)
{
    m3_builder_set_dropout(m->b, rate, m->rng, first_site);
    if (m->part) m3_builder_set_dropout_part(m->b, (uint32_t)repeats, m->n);
}

void m3_model_forward(m3_model *m, m3_forward *f)
{
    m3_builder *b = m->b;
    m3_tensor *x[M3_MAX_MODALITIES + 1] = {0}, *rows[M3_MAX_BEHAVIORS] = {0};
    double encoder_rate = m->c->dropout_encoder < 0 ? m->c->dropout : m->c->dropout_encoder;

    set_dropout(m, encoder_rate, m->B, M3_SITE_DROPOUT_ENCODER);
    for (uint64_t k = 0; k < m->M; k++) x[k] = m3_model_encode(m, k);
    regroup(m, x, rows);
    f->encoded = m3_concat(b, rows, (uint32_t)m->B, 0);
    m3_model_denoise_modalities(m, x, &f->loss_modality);
    regroup(m, x, rows);
    f->after_modality = m3_concat(b, rows, (uint32_t)m->B, 0);
    m3_model_denoise_behaviors(m, rows, &f->loss_behavior);
    f->after_behavior = m3_concat(b, rows, (uint32_t)m->B, 0);

    m3_tensor *mask = group_mask(m);
    set_dropout(m, m->c->dropout, m->G, M3_SITE_DROPOUT_EXPERTS);
    if (m->c->interests != M3_INTERESTS_COMMON) f->specific = m3_model_specific(m, f->after_behavior, mask);
    if (m->c->interests != M3_INTERESTS_SPECIFIC) f->common = m3_model_common(m, f->after_behavior, mask);
    m3_builder_set_dropout(b, 0.0, NULL, 0);
    f->present = m3_reshape(b, m3_block_any(b, mask, m->valid), M3_SHAPE(m->G, m->n));
    m3_model_route(m, f);
}

/* alpha_bar[t] = product of (1 - beta) over the first t steps. */
static m3_status make_schedule(m3_model *m, m3_error *err)
{
    const m3_model_config *c = m->c;
    int32_t steps = c->diffusion_steps;
    m->alpha_bar = m3_calloc((size_t)steps + 1, sizeof *m->alpha_bar);
    if (m->alpha_bar == NULL) return M3_FAIL_MEMORY(err, "diffusion", ((size_t)steps + 1) * sizeof *m->alpha_bar);
    m->alpha_bar[0] = 1.0;
    for (int32_t t = 1; t <= steps; t++) {
        double fraction = steps > 1 ? (double)(t - 1) / (steps - 1) : 0.0;
        double beta = c->beta_start + (c->beta_end - c->beta_start) * fraction;
        m->alpha_bar[t] = m->alpha_bar[t - 1] * (1.0 - beta);
    }
    return M3_OK;
}

uint64_t m3_model_sample_items(const m3_model_config *c)
{
    const uint64_t negatives = c->loss == M3_LOSS_SAMPLED ? (uint64_t)c->negatives : 0;
    return (uint64_t)c->behaviors * (uint64_t)c->length + 1 + negatives;
}

uint32_t m3_model_window_rows(const m3_model_config *c, uint64_t samples)
{
    const uint64_t all = (uint64_t)c->items + 1, most = 1 + samples * m3_model_sample_items(c);
    return (uint32_t)(most < all ? most : all);
}

bool m3_model_sees_all(const m3_model_config *c, uint32_t window)
{
    return window == (uint64_t)c->items + 1;
}

uint32_t m3_model_window(const m3_build_options *options)
{
    return M3_HAS(options, m3_build_options, elsewhere) ? options->window : 0;
}

uint32_t m3_model_parts(const m3_build_options *options)
{
    return M3_HAS(options, m3_build_options, parts) && options->parts > 1 ? options->parts : 1;
}

uint64_t m3_model_step_targets(const m3_model_config *c, uint64_t samples)
{
    return c->contrast == M3_CONTRAST_TARGETS ? samples : 0;
}

static void set_sizes(m3_model *m, const m3_build_options *options)
{
    const m3_model_config *c = m->c;
    const uint32_t batch = options->batch, window = m3_model_window(options);
    m->B = (uint64_t)c->behaviors;
    m->n = batch != 0 ? batch : (uint64_t)c->batch;
    m->L = (uint64_t)c->length;
    m->K = (uint64_t)c->modality_count;
    m->M = m->K + 1;
    m->G = m->B * m->M;
    m->window = window != 0 && (options->elsewhere || !m3_model_sees_all(c, window));
    m->loss_given = m->window && options->elsewhere && c->loss == M3_LOSS_FULL;
    m->N = m->window ? window - 1 : (uint64_t)c->items;
    m->d = (uint64_t)c->width;
}

m3_status m3_model_begin(m3_model *m, m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                         bool train, m3_graph **graph, m3_error *err)
{
    m3_status st;
    *m = (m3_model){.c = config, .train = train};
    *graph = NULL;
    if (!M3_HAS(options, m3_build_options, accumulate)) {
        (void)M3_FAIL(err, M3_ERR_INVALID, "options", "are %s; set their size",
                      options == NULL ? "missing" : "from an older version");
        return M3_ERR_INVALID;
    }
    m->no_pass = options->no_pass;
    if ((st = m3_model_check(engine, config, err)) != M3_OK) goto done;
    if ((st = m3_module_init(&m->encoder, engine, M3_PLUGIN_ENCODER, config, err)) != M3_OK) goto done;
    if ((st = m3_module_init(&m->expert, engine, M3_PLUGIN_EXPERT, config, err)) != M3_OK) goto done;
    if ((st = make_schedule(m, err)) != M3_OK) goto done;
    if ((st = m3_graph_create(m3_engine_ops(engine), graph, err)) != M3_OK) goto done;
    m3_builder *b = m->b = m3_graph_builder(*graph);
    set_sizes(m, options);
    m->given_draws = train && options->given_draws;
    m->ids = m3_graph_input(b, "ids", M3_I32, M3_SHAPE(m->B, m->n, m->L));
    m->mask = m3_not(b, m3_equal(b, m->ids, m3_scalar_i32(b, 0)));
    m->valid = m3_block_column(b, m3_cast(b, m->mask, M3_F32));
    m->part = options->accumulate;
    m->parts = train && m->part ? m3_model_parts(options) : 1;
    if (m->parts > 1) m->counts = m3_graph_input(b, "step_counts", M3_F32, M3_SHAPE(M3_COUNT_POSITIONS + m->B));
    if (train && !m->given_draws) m->rng = m3_graph_input(b, "rng", M3_U32, m->part ? M3_SHAPE(5) : M3_SHAPE(3));
    st = m3_builder_status(b, err);
done:
    if (st != M3_OK) {
        m3_graph_free(*graph);
        *graph = NULL;
        m3_model_end(m);
    }
    return st;
}

void m3_model_end(m3_model *m)
{
    m3_module_fini(&m->encoder);
    m3_module_fini(&m->expert);
    m3_free(m->alpha_bar);
    *m = (m3_model){0};
}

void m3_model_publish(m3_model *m, const m3_forward *f, uint32_t publish)
{
    m3_shape all = M3_SHAPE(m->B, m->M, m->n, m->L, m->d);
    m3_builder *b = m->b;
    if (publish & M3_PUBLISH_USER) m3_graph_output(b, "user", f->user);
    if (publish & M3_PUBLISH_SCORES) m3_graph_output(b, "scores", m3_model_scores(m, f->user));
    if (publish & M3_PUBLISH_GATE) m3_graph_output(b, "gate", f->gate);
    if (publish & M3_PUBLISH_ENCODED) m3_graph_output(b, "encoded", m3_reshape(b, f->encoded, all));
    if (publish & M3_PUBLISH_AFTER_MODALITY)
        m3_graph_output(b, "after_modality", m3_reshape(b, f->after_modality, all));
    if (publish & M3_PUBLISH_AFTER_BEHAVIOR)
        m3_graph_output(b, "after_behavior", m3_reshape(b, f->after_behavior, all));
    if ((publish & M3_PUBLISH_SPECIFIC) && f->specific != NULL) m3_graph_output(b, "specific", f->specific);
    if ((publish & M3_PUBLISH_COMMON) && f->common != NULL) m3_graph_output(b, "common", f->common);
}

m3_status m3_model_build_infer(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err)
{
    m3_model m;
    m3_forward f = {0};
    m3_graph *built = NULL;
    *graph = NULL;
    m3_status st = m3_model_begin(&m, engine, config, options, false, &built, err);
    if (st != M3_OK) return st;
    m3_model_forward(&m, &f);
    m3_model_publish(&m, &f, options->publish);
    if ((st = m3_builder_status(m.b, err)) != M3_OK) goto done;
    if (m3_graph_output_count(built) == 0) {
        st = M3_FAIL(err, M3_ERR_INVALID, "publish", "asks for no output of inference; give one of M3_PUBLISH_USER …");
        goto done;
    }
    st = m3_passes_before_gradients(built, options->no_pass, graph, err);
done:
    m3_graph_free(built);
    m3_model_end(&m);
    return st;
}

/* The graph's ids are dead, and go with the passes. */
m3_status m3_model_build_scores(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                m3_graph **graph, m3_error *err)
{
    m3_model m;
    m3_graph *built = NULL;
    *graph = NULL;
    m3_status st = m3_model_begin(&m, engine, config, options, false, &built, err);
    if (st != M3_OK) return st;
    const uint64_t width = config->fusion == M3_FUSION_SCORES ? m.M * m.d : m.d;
    m3_tensor *user = m3_graph_input(m.b, "user", M3_F32, M3_SHAPE(m.n, width));
    m3_graph_output(m.b, "scores", m3_model_scores(&m, user));
    if ((st = m3_builder_status(m.b, err)) == M3_OK)
        st = m3_passes_before_gradients(built, options->no_pass, graph, err);
    m3_graph_free(built);
    m3_model_end(&m);
    return st;
}
