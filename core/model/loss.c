/* loss: L = L_rec + w_modality L_mod + w_behavior L_beh + w_contrast L_con (MODEL.md 11).
 *   full:    L_rec = mean over the counting rows of the cross-entropy of the target among all items
 *   sampled: among the target and the given negatives
 * Where no graph sees all items, loss_shard.c has the full loss, and its value and gradient by the users come as
 * inputs. A padded row has target 0: its class is -1, and softmax_cross_entropy gives 0 for a class that is not there.
 */
#include "core/model/model.h"

static m3_tensor *full(m3_model *m, m3_tensor *user, m3_tensor *target)
{
    m3_builder *b = m->b;
    m3_tensor *class = m3_sub(b, target, m3_scalar_i32(b, 1));
    return m3_softmax_cross_entropy(b, m3_model_scores(m, user), class);
}

/* The target stands first, so the class is 0, or -1 where the row is padding. */
static m3_tensor *sampled(m3_model *m, m3_tensor *user, m3_tensor *target)
{
    m3_builder *b = m->b;
    uint64_t negatives = (uint64_t)m->c->negatives;
    m3_tensor *ids[2] = {m3_reshape(b, target, M3_SHAPE(m->n, 1)),
                         m3_graph_input(b, "negatives", M3_I32, M3_SHAPE(m->n, negatives))};
    m3_tensor *scores = m3_model_scores_of(m, user, m3_concat(b, ids, 2, 1)); /* [n, 1 + negatives] */
    m3_tensor *class = m3_sub(b, m3_min(b, target, m3_scalar_i32(b, 1)), m3_scalar_i32(b, 1));
    return m3_softmax_cross_entropy(b, scores, class);
}

/* Computed elsewhere (loss_shard.c): of this value, and of this gradient by the users. */
static m3_tensor *given(m3_model *m, m3_tensor *user)
{
    m3_builder *b = m->b;
    if (user == NULL) return NULL;
    m3_model_declare_scored(m);
    m3_tensor *value = m3_graph_input(b, "recommend", M3_F32, m3_shape_of(0, NULL));
    m3_tensor *gradient = m3_graph_input(b, "user_gradient", M3_F32, user->shape);
    m3_tensor *along = m3_sum_all(b, m3_mul(b, user, gradient));
    return m3_add(b, m3_sub(b, along, m3_detach(b, along)), value);
}

static m3_tensor *recommend(m3_model *m, m3_tensor *user, m3_tensor *target)
{
    m3_builder *b = m->b;
    if (m->loss_given) return given(m, user);
    m3_tensor *rows = m3_graph_input(b, "valid", M3_F32, m3_shape_of(0, NULL));
    m3_tensor *each = m->c->loss == M3_LOSS_FULL ? full(m, user, target) : sampled(m, user, target);
    return m3_model_step_mean(m, m3_sum_all(b, each), rows);
}

/* A weight of 0 leaves the term out of the gradient. */
static m3_tensor *plus(m3_model *m, m3_tensor *total, double weight, m3_tensor *term)
{
    if (weight == 0.0 || term == NULL) return total;
    return m3_add(m->b, total, m3_mul(m->b, term, m3_scalar(m->b, (float)weight)));
}

static void publish(m3_model *m, const char *name, m3_tensor *loss)
{
    m3_graph_output(m->b, name, loss != NULL ? loss : m3_scalar(m->b, 0.0F));
}

void m3_model_losses(m3_model *m, const m3_forward *f)
{
    m3_tensor *target = m3_graph_input(m->b, "target", M3_I32, M3_SHAPE(m->n));
    m3_push(m->b, "loss");
    m3_tensor *recommended = recommend(m, f->user, target);
    m3_pop(m->b);
    m3_tensor *contrast = m3_model_contrast(m, f, target);
    m3_push(m->b, "loss");
    m3_tensor *total = plus(m, recommended, m->c->w_modality, f->loss_modality);
    total = plus(m, total, m->c->w_behavior, f->loss_behavior);
    total = plus(m, total, m->c->w_contrast, contrast);
    m3_pop(m->b);
    publish(m, "loss", total);
    publish(m, "loss_recommend", recommended);
    publish(m, "loss_modality", f->loss_modality);
    publish(m, "loss_behavior", f->loss_behavior);
    publish(m, "loss_contrast", contrast);
}
