/* window: rows on their way between windows and the tables that they are of: from the whole ones, or from and to the
 * rows of the item table that one of several ranks owns, where the step of the optimiser is (MODEL.md 11). */
#include "core/model/model.h"

/* window[i] = table[ids[i]]. */
static void take_rows(m3_builder *b, m3_tensor *window, m3_tensor *whole, m3_tensor *ids)
{
    m3_graph_update(b, window, m3_gather(b, whole, ids, -1));
}

m3_status m3_model_build_window(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                m3_graph **graph, m3_error *err)
{
    m3_graph *built = NULL;
    const uint64_t rows = m3_model_window(options), all = (uint64_t)config->items + 1, d = (uint64_t)config->width;
    const m3_init zero = m3_init_constant(0.0F);
    *graph = NULL;
    m3_status st = m3_graph_create(m3_engine_ops(engine), &built, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(built);
    m3_tensor *ids = m3_graph_input(b, "ids", M3_I32, M3_SHAPE(rows));
    take_rows(b, m3_graph_parameter(b, M3_WINDOW_TABLE, M3_SHAPE(rows, d), zero), m3_model_item_table(b, config), ids);
    for (int32_t k = 0; k < config->modality_count; k++) {
        char name[48], window[48];
        const uint64_t width = (uint64_t)config->modalities[k];
        (void)snprintf(name, sizeof name, "features%d", (int)k);
        (void)snprintf(window, sizeof window, "window.features%d", (int)k);
        take_rows(b, m3_graph_state(b, window, M3_F32, M3_SHAPE(rows, width), zero),
                  m3_graph_state(b, name, M3_F32, M3_SHAPE(all, width), zero), ids);
    }
    if ((st = m3_builder_status(b, err)) == M3_OK)
        *graph = built;
    else
        m3_graph_free(built);
    return st;
}

typedef struct shard {
    m3_graph *graph;
    m3_builder *b;
    m3_tensor *p, *m, *v;
    m3_shape rows; /* [batch, d] */
} shard;

/* Rows start as zeros here: which rows they are, who fills the store knows. */
static m3_status begin(shard *s, m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                       m3_error *err)
{
    const uint64_t d = (uint64_t)config->width;
    const m3_shape whole = M3_SHAPE(size->rows, d);
    const m3_status st = m3_graph_create(m3_engine_ops(engine), &s->graph, err);
    if (st != M3_OK) return st;
    s->b = m3_graph_builder(s->graph);
    s->rows = M3_SHAPE(size->batch, d);
    s->p = m3_graph_parameter(s->b, M3_ITEM_PARAMETER, whole, m3_init_constant(0.0F));
    s->m = m3_graph_state(s->b, "adam.m." M3_ITEM_PARAMETER, M3_F32, whole, m3_init_constant(0.0F));
    s->v = m3_graph_state(s->b, "adam.v." M3_ITEM_PARAMETER, M3_F32, whole, m3_init_constant(0.0F));
    return M3_OK;
}

static m3_status end(shard *s, m3_graph **graph, m3_error *err)
{
    const m3_status st = m3_builder_status(s->b, err);
    *graph = st == M3_OK ? s->graph : NULL;
    if (st != M3_OK) m3_graph_free(s->graph);
    return st;
}

m3_status m3_model_build_fetch(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                               m3_graph **graph, m3_error *err)
{
    shard s = {0};
    *graph = NULL;
    const m3_status st = begin(&s, engine, config, size, err);
    if (st != M3_OK) return st;
    m3_tensor *ids = m3_graph_input(s.b, "ids", M3_I32, M3_SHAPE(size->batch));
    m3_graph_output(s.b, "rows", m3_gather(s.b, s.p, ids, -1));
    return end(&s, graph, err);
}

m3_status m3_model_build_update(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                m3_graph **graph, m3_error *err)
{
    shard s = {0};
    *graph = NULL;
    const m3_status st = begin(&s, engine, config, size, err);
    if (st != M3_OK) return st;
    const bool lazy = m3_model_is_lazy(config);
    const m3_adamw_rates rates = {config->beta1, config->beta2, config->adam_eps, config->weight_decay};
    m3_tensor *step = m3_graph_input(s.b, "step", M3_F32, M3_SHAPE(3));
    m3_tensor *scale = m3_graph_input(s.b, "scale", M3_F32, m3_shape_of(0, NULL));
    m3_tensor *rows = m3_graph_input(s.b, "rows", M3_F32, lazy ? s.rows : M3_SHAPE(size->rows, s.rows.dim[1]));
    m3_tensor *pmvg[M3_ADAMW_EACH] = {s.p, s.m, s.v, rows}, *next[M3_ADAMW_STATES] = {0};
    if (lazy)
        m3_adamw_rows(s.b, &rates, step, scale, pmvg, m3_graph_input(s.b, "ids", M3_I32, M3_SHAPE(size->batch)), rows,
                      next);
    else
        m3_adamw(s.b, &rates, step, scale, pmvg, next);
    m3_graph_update(s.b, s.p, next[M3_ADAMW_NEXT_P]);
    m3_graph_update(s.b, s.m, next[M3_ADAMW_NEXT_M]);
    m3_graph_update(s.b, s.v, next[M3_ADAMW_NEXT_V]);
    return end(&s, graph, err);
}
