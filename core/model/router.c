/* router: one user vector from the common and the specific interests, and the scores of all items (MODEL.md 10).
 *   v = [h, s_0, ..., s_(G-1)], h = mean of c_g over the non-empty g;  r = gate ReLU(hidden concat(v))
 *   softmax: pi = softmax(r);  sigmoid: pi = [g, (1-g)/G, ...], g = sigmoid(r);   u = sum_i pi_i v_i
 *   score_j = u E_j */
#include "core/model/model.h"

/* [n, G+1, d]: h first. */
static m3_tensor *candidates(m3_model *m, const m3_forward *f)
{
    static const int64_t by_user[] = {1, 0, 2};
    m3_builder *b = m->b;
    m3_tensor *there = m3_reshape(b, m3_reduce_sum(b, f->present, 0, M3_DROP), M3_SHAPE(m->n, 1));
    m3_tensor *h = m3_model_mean(m, m3_reduce_sum(b, f->common, 0, M3_DROP), there, 1.0F);
    m3_tensor *v[2] = {m3_reshape(b, h, M3_SHAPE(m->n, 1, m->d)), m3_transpose(b, f->specific, by_user, 3)};
    return m3_concat(b, v, 2, 1);
}

static m3_tensor *weights(m3_model *m, m3_tensor *r)
{
    m3_builder *b = m->b;
    if (m->c->router == M3_ROUTER_SOFTMAX) {
        bool yes = true;
        m3_shape one = M3_SHAPE(1);
        return m3_masked_softmax(b, r, m3_constant(b, M3_BOOL, &one, &yes));
    }
    m3_tensor *g = m3_sigmoid(b, r); /* [n, 1] */
    m3_tensor *rest = m3_mul(b, m3_sub(b, m3_scalar(b, 1.0F), g), m3_scalar(b, (float)(1.0 / (double)m->G)));
    m3_tensor *both[2] = {g, m3_broadcast(b, rest, M3_SHAPE(m->n, m->G))};
    return m3_concat(b, both, 2, 1);
}

void m3_model_route(m3_model *m, m3_forward *f)
{
    m3_builder *b = m->b;
    uint64_t outputs = m->c->router == M3_ROUTER_SOFTMAX ? m->G + 1 : 1;
    m3_push(b, "router");
    m3_tensor *v = candidates(m, f);
    m3_tensor *joined = m3_reshape(b, v, M3_SHAPE(m->n, (m->G + 1) * m->d));
    m3_tensor *hidden = m3_block_linear(b, "hidden", joined, m->d, M3_ACT_RELU);
    f->gate = weights(m, m3_block_linear(b, "gate", hidden, outputs, M3_ACT_NONE));
    f->user = m3_reduce_sum(b, m3_mul(b, v, m3_block_column(b, f->gate)), 1, M3_DROP);
    m3_pop(b);
}

m3_tensor *m3_model_scores(m3_model *m, m3_tensor *user)
{
    m3_tensor *items = m3_slice(m->b, m3_model_items(m), 0, 1, m->N);
    return m3_linear(m->b, user, items, NULL);
}
