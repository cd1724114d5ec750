/* loss_shard: the full loss where the rows of the item table lie with several ranks (MODEL.md 11). Each scores the
 * users i of all ranks against its own items j, a tile at a time, with the same formula (items.c) for the scores s_ij.
 *   sums of a tile   top_i = max_j s_ij
 *                    sum_i = sum_j e^(s_ij - top_i)
 *                    own_i = s_ij of the target, where it is in the tile
 *   gradients        ds_ij = weight_i (e^(s_ij - l_i) - [j is the target of i])
 *                    l_i = log sum_j e^s_ij over all tiles of all ranks
 * Between the two the ranks tell each other their sums; the loss of a user is l_i less the score of the target. */
#include "core/model/model.h"
#include "core/passes/pass.h"

enum { SCORES = 1 << 22, ROWS = 1 << 20 }; /* most floats: of a tile's scores; of its rows with their features */

typedef struct tile {
    m3_model m;
    m3_graph *graph;
    m3_tensor *user, *scores;     /* [n, d or M d], [n, N] */
    m3_tensor *there, *is_target; /* bool [1, N], [n, N] */
} tile;

uint32_t m3_model_tile(const m3_model_config *c, uint32_t rows, uint32_t users)
{
    uint64_t width = (uint64_t)c->width;
    for (int32_t k = 0; k < c->modality_count; k++) width += (uint64_t)c->modalities[k];
    uint64_t most = SCORES / (uint64_t)users;
    if (most > ROWS / width) most = ROWS / width;
    if (most < 1) return 1;
    return most < rows ? (uint32_t)most : rows;
}

m3_status m3_model_build_users(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err)
{
    m3_model m;
    m3_forward f = {0};
    m3_graph *built = NULL;
    *graph = NULL;
    m3_status st = m3_model_begin(&m, engine, config, options, true, &built, err);
    if (st != M3_OK) return st;
    m3_model_forward(&m, &f);
    m3_model_publish(&m, &f, M3_PUBLISH_USER);
    if ((st = m3_builder_status(m.b, err)) == M3_OK)
        st = m3_passes_before_gradients(built, options->no_pass, graph, err);
    m3_graph_free(built);
    m3_model_end(&m);
    return st;
}

/* Scores of the users against a tile. The model's own ids are dead, and go with the passes. */
static m3_status begin(tile *t, m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                       m3_error *err)
{
    const m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, elsewhere), .batch = size->users};
    const m3_status st = m3_model_begin(&t->m, engine, config, &options, false, &t->graph, err);
    if (st != M3_OK) return st;
    m3_model *m = &t->m;
    m3_builder *b = m->b;
    m->N = size->tile;
    m3_tensor *shard = m3_graph_parameter(b, M3_ITEM_PARAMETER, M3_SHAPE(size->rows, m->d), m3_init_constant(0.0F));
    m3_tensor *ids = m3_graph_input(b, "tile", M3_I32, M3_SHAPE(m->N));
    m3_tensor *target = m3_graph_input(b, "target", M3_I32, M3_SHAPE(m->n));
    m->tile = m3_gather(b, shard, ids, -1);
    t->user =
        m3_graph_input(b, "user", M3_F32, M3_SHAPE(m->n, config->fusion == M3_FUSION_SCORES ? m->M * m->d : m->d));
    t->scores = m3_model_scores(m, t->user);
    m3_tensor *row = m3_reshape(b, ids, M3_SHAPE(1, m->N));
    t->there = m3_not(b, m3_equal(b, row, m3_scalar_i32(b, -1)));
    t->is_target = m3_equal(b, m3_reshape(b, target, M3_SHAPE(m->n, 1)), row);
    return M3_OK;
}

static m3_status end(tile *t, m3_graph **graph, m3_error *err)
{
    const m3_status st = m3_builder_status(t->m.b, err);
    *graph = st == M3_OK ? t->graph : NULL;
    if (st != M3_OK) m3_graph_free(t->graph);
    m3_model_end(&t->m);
    return st;
}

/* e^(score - less) of the tile's items, less [n, 1]. */
static m3_tensor *exponentials(tile *t, m3_tensor *less)
{
    m3_builder *b = t->m.b;
    return m3_where(b, t->there, m3_exp(b, m3_sub(b, t->scores, less)), m3_scalar(b, 0.0F));
}

m3_status m3_model_build_sums(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                              m3_graph **graph, m3_error *err)
{
    tile t = {0};
    *graph = NULL;
    const m3_status st = begin(&t, engine, config, size, err);
    if (st != M3_OK) return st;
    m3_builder *b = t.m.b;
    const m3_shape each = M3_SHAPE(t.m.n);
    m3_tensor *top = m3_reduce_max(b, m3_where(b, t.there, t.scores, m3_scalar(b, -FLT_MAX)), 1, M3_KEEP);
    m3_tensor *own = m3_where(b, t.is_target, t.scores, m3_scalar(b, 0.0F));
    m3_graph_output(b, "top", m3_reshape(b, top, each));
    m3_graph_output(b, "sum", m3_reduce_sum(b, exponentials(&t, top), 1, M3_DROP));
    m3_graph_output(b, "own", m3_reduce_sum(b, own, 1, M3_DROP));
    return end(&t, graph, err);
}

/* accum.NAME += the gradient of what scores read besides users and rows. */
static void add_others(tile *t, m3_tensor *const *parameters, m3_tensor *const *gradients, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[64];
        if (parameters[i] == NULL) return;
        (void)snprintf(name, sizeof name, "accum.%s", parameters[i]->name);
        m3_tensor *sum = m3_graph_state(t->m.b, name, M3_F32, parameters[i]->shape, m3_init_constant(0.0F));
        m3_graph_update(t->m.b, sum, m3_add(t->m.b, sum, gradients[i]));
    }
}

/* Parameters but the table. */
static uint32_t list_others(const m3_graph *graph, m3_tensor **to)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) {
        m3_tensor *p = m3_graph_tensor(graph, i);
        if (p->kind == M3_PARAMETER && strcmp(p->name, M3_ITEM_PARAMETER) != 0 && count < M3_MAX_MODALITIES + 1)
            to[count++] = p;
    }
    return count;
}

m3_status m3_model_build_gradients(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                   m3_graph **graph, m3_error *err)
{
    tile t = {0};
    m3_tensor *wrt[M3_MAX_MODALITIES + 3] = {0}, *by[M3_MAX_MODALITIES + 3] = {0};
    *graph = NULL;
    const m3_status st = begin(&t, engine, config, size, err);
    if (st != M3_OK) return st;
    m3_builder *b = t.m.b;
    const m3_shape column = M3_SHAPE(t.m.n, 1), each = M3_SHAPE(t.m.n);
    m3_tensor *log_sum = m3_reshape(b, m3_graph_input(b, "log_sum", M3_F32, each), column);
    m3_tensor *weight = m3_reshape(b, m3_graph_input(b, "weight", M3_F32, each), column);
    m3_tensor *off = m3_sub(b, exponentials(&t, log_sum), m3_cast(b, t.is_target, M3_F32));
    m3_tensor *along = m3_sum_all(b, m3_mul(b, t.scores, m3_detach(b, m3_mul(b, off, weight))));
    const uint32_t others = list_others(t.graph, wrt + 2);
    wrt[0] = t.user;
    wrt[1] = t.m.tile;
    m3_gradients(b, along, wrt, 2 + others, by);
    m3_graph_output(b, "user", by[0]);
    m3_graph_output(b, "rows", by[1]);
    add_others(&t, wrt + 2, by + 2, others);
    return end(&t, graph, err);
}
