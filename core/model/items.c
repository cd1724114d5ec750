/* items: the vectors that stand for items, in histories and in scores (MODEL.md 4, 10).
 *   fusion none     e_j = E_j;                             score_j = u · e_j
 *   fusion table    e_j = E_j + Σ_k W_k F_k[j];            score_j = u · e_j
 *   fusion scores   e_j = E_j in histories;                score_j = u · [E_j, W_0 F_0[j], …, W_(K-1) F_(K-1)[j]]
 * u has d entries, with fusion scores M d. trend adds a z_j to score_j, z_j the recent popularity of item j. */
#include <math.h>

#include "core/model/model.h"

m3_init m3_model_item_start(void)
{
    m3_init start = m3_init_normal(0.02);
    start.zero_rows = 1;
    return start;
}

m3_tensor *m3_model_item_table(m3_builder *b, const m3_model_config *config)
{
    return m3_graph_parameter(b, M3_ITEM_PARAMETER, M3_SHAPE((uint64_t)config->items + 1, (uint64_t)config->width),
                              m3_model_item_start());
}

/* E, or a window or some rows of it. What a window starts with is overwritten before it is read. */
static m3_tensor *table(m3_model *m)
{
    if (m->tile != NULL) return m->tile;
    if (!m->window) return m3_model_item_table(m->b, m->c);
    return m3_graph_parameter(m->b, M3_WINDOW_TABLE, M3_SHAPE(m->N + 1, m->d), m3_init_constant(0.0F));
}

m3_tensor *m3_model_features(m3_model *m, uint64_t k)
{
    char name[48];
    (void)snprintf(name, sizeof name, "%sfeatures%llu", m->window ? "window." : "", (unsigned long long)k);
    uint64_t width = (uint64_t)m->c->modalities[k];
    if (m->tile != NULL) return m3_graph_input(m->b, name, M3_F32, M3_SHAPE(m->N, width));
    return m3_graph_state(m->b, name, M3_F32, M3_SHAPE(m->N + 1, width), m3_init_constant(0.0F));
}

/* W_k starts so that W_k F_k is as large as E. */
static m3_tensor *feature_weight(m3_model *m, uint64_t k)
{
    char name[48];
    (void)snprintf(name, sizeof name, "fusion.feature%llu.weight", (unsigned long long)k);
    const uint64_t width = (uint64_t)m->c->modalities[k];
    return m3_graph_parameter(m->b, name, M3_SHAPE(m->d, width), m3_init_normal(0.02 / sqrt((double)width)));
}

static m3_tensor *trend_weight(m3_model *m)
{
    return m3_graph_parameter(m->b, "trend.weight", M3_SHAPE(1), m3_init_constant(0.5F));
}

void m3_model_declare_scored(m3_model *m)
{
    for (uint64_t k = 0; m->c->fusion != M3_FUSION_NONE && k < m->K; k++) (void)feature_weight(m, k);
    if (m->c->trend != 0) (void)trend_weight(m);
}

/* W_k F_k[ids], or W_k F_k of all N + 1 rows where ids is NULL. */
static m3_tensor *mapped(m3_model *m, uint64_t k, m3_tensor *ids)
{
    m3_tensor *w = feature_weight(m, k);
    m3_tensor *rows = m3_model_features(m, k);
    return m3_linear(m->b, ids == NULL ? rows : m3_gather(m->b, rows, ids, 0), w, NULL);
}

/* E_j + Σ_k W_k F_k[j] where features are added, else E_j. */
static m3_tensor *added(m3_model *m, m3_tensor *e, m3_tensor *ids)
{
    if (m->c->fusion != M3_FUSION_TABLE) return e;
    for (uint64_t k = 0; k < m->K; k++) e = m3_add(m->b, e, mapped(m, k, ids));
    return e;
}

/* Are all rows made in every run? Then histories read them, too. */
static bool makes_all(const m3_model *m)
{
    return !m->train || m->c->loss == M3_LOSS_FULL;
}

m3_tensor *m3_model_item_rows(m3_model *m, m3_tensor *ids)
{
    if (m->c->fusion == M3_FUSION_TABLE && makes_all(m)) return m3_gather(m->b, added(m, table(m), NULL), ids, 0);
    return added(m, m3_gather(m->b, table(m), ids, 0), ids);
}

/* e of the items `ids`, or of all N where it is NULL, as scores want it: [..., d or M d]. */
static m3_tensor *scored(m3_model *m, m3_tensor *ids)
{
    m3_tensor *part[M3_MAX_MODALITIES + 1] = {0};
    part[0] = added(m, ids == NULL ? table(m) : m3_gather(m->b, table(m), ids, 0), ids);
    if (m->c->fusion != M3_FUSION_SCORES) return part[0];
    for (uint64_t k = 0; k < m->K; k++) part[k + 1] = mapped(m, k, ids);
    const int axis = ids == NULL ? 1 : (int)ids->shape.rank;
    return m3_concat(m->b, part, (uint32_t)m->M, axis);
}

/* scores [n, C] + a z, z the input `name` [n, C]. One weight for all users: weights by user learn the training samples
 * better and rank the others worse. */
static m3_tensor *with_trend(m3_model *m, const char *name, m3_tensor *scores)
{
    m3_builder *b = m->b;
    if (m->c->trend == 0 || scores == NULL) return scores;
    m3_tensor *z = m3_graph_input(b, name, M3_F32, scores->shape);
    return m3_add(b, scores, m3_mul(b, z, trend_weight(m)));
}

m3_tensor *m3_model_scores_of(m3_model *m, m3_tensor *user, m3_tensor *ids)
{
    m3_builder *b = m->b;
    m3_tensor *rows = scored(m, ids);
    if (rows == NULL || user == NULL) return NULL;
    m3_tensor *column = m3_reshape(b, user, M3_SHAPE(m->n, 1, user->shape.dim[1]));
    m3_tensor *scores = m3_matmul(b, rows, column, false, true);
    return with_trend(m, "trend_sampled", m3_reshape(b, scores, M3_SHAPE(m->n, ids->shape.dim[1])));
}

m3_tensor *m3_model_scores(m3_model *m, m3_tensor *user)
{
    m3_tensor *all = scored(m, NULL);
    if (m->tile == NULL) all = m3_slice(m->b, all, 0, 1, m->N); /* without the padding */
    return with_trend(m, "trend", m3_linear(m->b, user, all, NULL));
}
