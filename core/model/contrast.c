/* contrast: what interests attract and repel (MODEL.md 9). P(v) = w / sqrt(|w|^2 + 1e-12), w = proj2 ReLU proj1 v.
 *   targets    every interest attracts the user's target and repels those of other users of the step
 *   interests  common interests of a user attract one another and repel the specific ones
 *   users      interests of a user attract one another and repel those of other users of the batch
 * As logarithms of sums, so that a small temperature neither overflows nor underflows: for interests, with
 * a_ij = P(c_i) P(c_j) / temperature and s_ik = P(c_i) P(s_k) / temperature, the mean over users and pairs i != j of
 * log(e^a_ij + sum_k e^s_ik) - a_ij. */
#include "core/model/model.h"

/* P of [G, n, d]. */
static m3_tensor *projected(m3_model *m, m3_tensor *v)
{
    m3_builder *b = m->b;
    m3_tensor *w = m3_block_linear(b, "proj1", v, m->d, M3_ACT_RELU);
    w = m3_block_linear(b, "proj2", w, m->d, M3_ACT_NONE);
    m3_tensor *square = m3_reduce_sum(b, m3_mul(b, w, w), -1, M3_KEEP);
    return m3_div(b, w, m3_sqrt(b, m3_add(b, square, m3_scalar(b, 1e-12F))));
}

/* P of [G, n, d], by user: [n, G, d]. */
static m3_tensor *directions(m3_model *m, m3_tensor *v)
{
    static const int64_t by_user[] = {1, 0, 2};
    return m3_transpose(m->b, projected(m, v), by_user, 3);
}

/* log sum_k e^s_ik over the non-empty k: s [n, G, G], here f32 [n, 1, G] -> [n, G, 1]. Finite for a user without
 * any, too: cosines over theta are at least -1/theta, and a sum over one non-empty k at its maximum is 1. */
static m3_tensor *log_sum(m3_model *m, m3_tensor *s, m3_tensor *here)
{
    m3_builder *b = m->b;
    m3_tensor *lowest = m3_scalar(b, (float)(-1.0 / m->c->temperature)), *none = m3_scalar(b, 0.0F);
    m3_tensor *top = m3_reduce_max(b, m3_where(b, m3_less(b, none, here), s, lowest), -1, M3_KEEP);
    m3_tensor *below = m3_min(b, m3_sub(b, s, top), none); /* an empty k may lie above: it is not summed */
    m3_tensor *sum = m3_reduce_sum(b, m3_mul(b, m3_exp(b, below), here), -1, M3_KEEP);
    return m3_add(b, top, m3_log(b, m3_max(b, sum, m3_scalar(b, 0.5F))));
}

/* 1 for i != j, [G, G]. */
static m3_tensor *off_diagonal(m3_model *m)
{
    m3_builder *b = m->b;
    m3_tensor *row = m3_iota(b, M3_SHAPE(m->G, m->G), 0), *column = m3_iota(b, M3_SHAPE(m->G, m->G), 1);
    return m3_cast(b, m3_not(b, m3_equal(b, row, column)), M3_F32);
}

/* How many there are, rank 0: p (p - 1) of a user with p = M q interests, q behaviors. */
static m3_tensor *pairs(m3_model *m, m3_tensor *pair)
{
    m3_builder *b = m->b;
    const float M = (float)m->M;
    if (m->parts == 1) return m3_sum_all(b, pair);
    m3_tensor *squares = m3_mul(b, m3_model_step_count(m, M3_COUNT_SQUARES), m3_scalar(b, M * M));
    return m3_sub(b, squares, m3_mul(b, m3_model_step_count(m, M3_COUNT_SEQUENCES), m3_scalar(b, M)));
}

/* Interests against the user's specific ones. */
static m3_tensor *from_interests(m3_model *m, const m3_forward *f)
{
    m3_builder *b = m->b;
    m3_tensor *c = directions(m, f->common), *s = directions(m, f->specific);
    m3_tensor *scale = m3_scalar(b, (float)(1.0 / m->c->temperature));
    m3_tensor *common = m3_mul(b, m3_matmul(b, c, c, false, true), scale);   /* a, [n, G, G] */
    m3_tensor *specific = m3_mul(b, m3_matmul(b, c, s, false, true), scale); /* s, [n, G, G] */

    static const int64_t by_user[] = {1, 0};
    m3_tensor *present = m3_transpose(b, f->present, by_user, 2); /* [n, G] */
    m3_tensor *here_i = m3_reshape(b, present, M3_SHAPE(m->n, m->G, 1));
    m3_tensor *here_j = m3_reshape(b, present, M3_SHAPE(m->n, 1, m->G));

    m3_tensor *repelled = log_sum(m, specific, here_j);
    m3_tensor *top = m3_max(b, common, repelled); /* its derivative cancels, so a tie does no harm */
    m3_tensor *both = m3_add(b, m3_exp(b, m3_sub(b, common, top)), m3_exp(b, m3_sub(b, repelled, top)));
    m3_tensor *term = m3_add(b, m3_sub(b, top, common), m3_log(b, both));
    m3_tensor *pair = m3_mul(b, m3_mul(b, here_i, here_j), off_diagonal(m));
    return m3_model_step_mean(m, m3_sum_all(b, m3_mul(b, term, pair)), pairs(m, pair));
}

/* x with its first axis turned by r: row i becomes row i + r modulo G. */
static m3_tensor *turned(m3_model *m, m3_tensor *x, uint64_t r)
{
    m3_tensor *part[2] = {m3_slice(m->b, x, 0, r, m->G - r), m3_slice(m->b, x, 0, 0, r)};
    return m3_concat(m->b, part, 2, 0);
}

/* Interests against the same ones of other users: i against j = i + r, for all i at a time. The others are those of
 * this batch: what the step's other batches say of theirs is not here. */
static m3_tensor *from_users(m3_model *m, const m3_forward *f)
{
    m3_builder *b = m->b;
    m3_tensor *w = projected(m, f->common != NULL ? f->common : f->specific), *sum = NULL, *count = NULL;
    m3_tensor *scale = m3_scalar(b, (float)(1.0 / m->c->temperature));
    for (uint64_t r = 1; r < m->G; r++) {
        m3_tensor *other = turned(m, w, r), *there = turned(m, f->present, r);
        m3_tensor *all = m3_mul(b, m3_matmul(b, w, other, false, true), scale); /* [G, n, n] */
        m3_tensor *repelled = log_sum(m, all, m3_reshape(b, there, M3_SHAPE(m->G, 1, m->n)));
        m3_tensor *own = m3_mul(b, m3_reduce_sum(b, m3_mul(b, w, other), -1, M3_DROP), scale);
        m3_tensor *term = m3_sub(b, m3_reshape(b, repelled, M3_SHAPE(m->G, m->n)), own);
        m3_tensor *pair = m3_mul(b, f->present, there); /* [G, n] */
        m3_tensor *part = m3_sum_all(b, m3_mul(b, term, pair)), *pairs = m3_sum_all(b, pair);
        sum = sum == NULL ? part : m3_add(b, sum, part);
        count = count == NULL ? pairs : m3_add(b, count, pairs);
    }
    return m3_model_mean(m, sum, count);
}

/* Where there is a target; there is none in padded rows. */
static m3_tensor *is_there(m3_model *m, m3_tensor *target)
{
    return m3_not(m->b, m3_equal(m->b, target, m3_scalar_i32(m->b, 0)));
}

/* Targets of the step's samples, [S]: of n rows, or of those of all its batches. *row, [n]: where a's own stands. */
static m3_tensor *step_targets(m3_model *m, m3_tensor *target, m3_tensor **row)
{
    m3_builder *b = m->b;
    *row = m3_iota(b, M3_SHAPE(m->n), 0);
    if (m->parts == 1) return target;
    *row = m3_add(b, *row, m3_graph_input(b, "step_place", M3_I32, m3_shape_of(0, NULL)));
    return m3_graph_input(b, "step_target", M3_I32, M3_SHAPE(m->parts * m->n));
}

/* Which targets x user a is to tell from the own one, itself among them, bool [1, n, S]: x = a, and where another item
 * is the target. */
static m3_tensor *told_apart(m3_model *m, m3_tensor *target, m3_tensor *all, m3_tensor *row)
{
    m3_builder *b = m->b;
    const uint64_t S = m->parts * m->n;
    const m3_shape of_user = M3_SHAPE(1, m->n, 1), of_target = M3_SHAPE(1, 1, S);
    m3_tensor *column = m3_iota(b, of_target, 2);
    m3_tensor *same = m3_equal(b, m3_reshape(b, target, of_user), m3_reshape(b, all, of_target));
    m3_tensor *apart = m3_or(b, m3_not(b, same), m3_equal(b, m3_reshape(b, row, of_user), column));
    return m3_and(b, apart, m3_reshape(b, is_there(m, all), of_target));
}

/* How many there are, rank 0: of the batch, or of the step. */
static m3_tensor *terms(m3_model *m, m3_tensor *counts, bool both)
{
    if (m->parts == 1) return m3_sum_all(m->b, m3_cast(m->b, counts, M3_F32));
    const float each = (float)(both ? 2 * m->M : m->M);
    return m3_mul(m->b, m3_model_step_count(m, M3_COUNT_SEQUENCES), m3_scalar(m->b, each));
}

/* Every interest against the targets of the step, X the number of interests: the cross-entropy of the own one among
 * those that it is told from. */
static m3_tensor *from_targets(m3_model *m, const m3_forward *f, m3_tensor *target)
{
    static const float never = -1e30F; /* e^never is 0, whatever the largest */
    m3_builder *b = m->b;
    m3_tensor *v[2] = {f->common, f->specific}, *present[2] = {f->present, f->present};
    const bool both = f->common != NULL && f->specific != NULL;
    m3_tensor *interests = both ? m3_concat(b, v, 2, 0) : f->common != NULL ? f->common : f->specific;
    m3_tensor *here = both ? m3_concat(b, present, 2, 0) : f->present; /* [X, n] */
    const uint64_t X = both ? 2 * m->G : m->G, S = m->parts * m->n;

    m3_tensor *row = NULL, *targets = step_targets(m, target, &row);
    m3_tensor *w = projected(m, interests), *wanted = projected(m, m3_model_item_rows(m, targets)); /* [S, d] */
    m3_tensor *scale = m3_scalar(b, (float)(1.0 / m->c->temperature));
    m3_tensor *all = m3_mul(b, m3_linear(b, w, wanted, NULL), scale); /* [X, n, S] */
    m3_tensor *among = m3_where(b, told_apart(m, target, targets, row), all, m3_scalar(b, never));
    m3_tensor *counts = m3_and(b, m3_less(b, m3_scalar(b, 0.0F), here), is_there(m, target));
    m3_tensor *class = m3_where(b, counts, row, m3_scalar_i32(b, -1));
    m3_tensor *term = m3_softmax_cross_entropy(b, m3_reshape(b, among, M3_SHAPE(X * m->n, S)),
                                               m3_reshape(b, class, M3_SHAPE(X * m->n)));
    return m3_model_step_mean(m, m3_sum_all(b, term), terms(m, counts, both));
}

/* Is there nothing to tell apart? */
static bool is_idle(const m3_model *m, const m3_forward *f)
{
    if (m->c->contrast == M3_CONTRAST_TARGETS) return false;
    return m->c->contrast == M3_CONTRAST_USERS ? m->G == 1 : f->common == NULL || f->specific == NULL;
}

m3_tensor *m3_model_contrast(m3_model *m, const m3_forward *f, m3_tensor *target)
{
    m3_tensor *loss = NULL;
    if (is_idle(m, f)) return NULL;
    m3_push(m->b, "contrast");
    if (m->c->contrast == M3_CONTRAST_TARGETS) loss = from_targets(m, f, target);
    if (m->c->contrast == M3_CONTRAST_USERS) loss = from_users(m, f);
    if (m->c->contrast == M3_CONTRAST_INTERESTS) loss = from_interests(m, f);
    m3_pop(m->b);
    return loss;
}
