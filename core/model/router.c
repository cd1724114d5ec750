/* router: one user vector from the common and the specific interests (MODEL.md 10).
 *   v = [h, s_0, ..., s_(G-1)], h = mean of c_g over the non-empty g; interests may leave out h or the s
 *   r = gate ReLU(hidden concat(v)), V the number of v
 *   softmax:  pi = softmax(r);   balanced: pi = (1 - floor) softmax(r) + floor / V
 *   normed:   pi = p / (sqrt(V) |p|), p = softmax(r)
 *   sigmoid:  pi = [g, (1-g)/G, ...], g = sigmoid(r)
 *   modality: of each modality m alone, h_m and s_m the means of its c and s over the non-empty behaviors,
 *             g_m = sigmoid(gate_m ReLU(hidden_m [h_m, s_m])), u_m = g_m h_m + (1-g_m) s_m, u = mean of u_m
 *   u = sum_i pi_i v_i;   fusion scores: u = [u_0, ..., u_K], u_m the part of the sum that modality m gives */
#include "core/model/model.h"

/* The mean of v [G, n, d] over the non-empty g of modalities first .. first + count - 1, [n, d]. */
static m3_tensor *mean_of(m3_model *m, const m3_forward *f, m3_tensor *v, uint64_t first, uint64_t count)
{
    m3_builder *b = m->b;
    m3_tensor *c = m3_reshape(b, v, M3_SHAPE(m->B, m->M, m->n, m->d));
    m3_tensor *there = m3_reshape(b, f->present, M3_SHAPE(m->B, m->M, m->n));
    c = m3_reshape(b, m3_slice(b, c, 1, first, count), M3_SHAPE(m->B * count, m->n, m->d));
    there = m3_reshape(b, m3_slice(b, there, 1, first, count), M3_SHAPE(m->B * count, m->n));
    there = m3_reshape(b, m3_reduce_sum(b, there, 0, M3_DROP), M3_SHAPE(m->n, 1));
    return m3_model_mean(m, m3_reduce_sum(b, c, 0, M3_DROP), there);
}

/* [n, V, d]: h first. */
static m3_tensor *candidates(m3_model *m, const m3_forward *f)
{
    static const int64_t by_user[] = {1, 0, 2};
    m3_builder *b = m->b;
    m3_tensor *v[2] = {0};
    uint32_t count = 0;
    if (f->common != NULL) v[count++] = m3_reshape(b, mean_of(m, f, f->common, 0, m->M), M3_SHAPE(m->n, 1, m->d));
    if (f->specific != NULL) v[count++] = m3_transpose(b, f->specific, by_user, 3);
    return count == 1 ? v[0] : m3_concat(b, v, count, 1);
}

static m3_tensor *softmax(m3_model *m, m3_tensor *r)
{
    bool yes = true;
    m3_shape one = M3_SHAPE(1);
    return m3_masked_softmax(m->b, r, m3_constant(m->b, M3_BOOL, &one, &yes));
}

/* p / (sqrt(V) |p|). A mean of vectors that differ is shorter than each of them, and the loss wants long ones, so that
 * weights that sum up to 1 end at one expert. Of these, the sum of squares is the same whatever they are. */
static m3_tensor *normed(m3_model *m, m3_tensor *p, uint64_t V)
{
    m3_builder *b = m->b;
    m3_tensor *squares = m3_reduce_sum(b, m3_mul(b, p, p), -1, M3_KEEP); /* at least 1 / V */
    return m3_div(b, p, m3_sqrt(b, m3_mul(b, squares, m3_scalar(b, (float)V))));
}

/* [n, V] from r [n, V], or from [n, 1] for sigmoid. */
static m3_tensor *weights(m3_model *m, m3_tensor *r, uint64_t V)
{
    m3_builder *b = m->b;
    double floor = m->c->router_floor;
    if (m->c->router == M3_ROUTER_SOFTMAX) return softmax(m, r);
    if (m->c->router == M3_ROUTER_NORMED) return normed(m, softmax(m, r), V);
    if (m->c->router == M3_ROUTER_BALANCED) {
        m3_tensor *free = m3_mul(b, softmax(m, r), m3_scalar(b, (float)(1.0 - floor)));
        return m3_add(b, free, m3_scalar(b, (float)(floor / (double)V)));
    }
    m3_tensor *g = m3_sigmoid(b, r); /* [n, 1] */
    m3_tensor *rest = m3_mul(b, m3_sub(b, m3_scalar(b, 1.0F), g), m3_scalar(b, (float)(1.0 / (double)m->G)));
    m3_tensor *both[2] = {g, m3_broadcast(b, rest, M3_SHAPE(m->n, m->G))};
    return m3_concat(b, both, 2, 1);
}

/* pi, [n, V]; of one interest alone it is 1. */
static m3_tensor *choose(m3_model *m, m3_tensor *v, uint64_t V)
{
    m3_builder *b = m->b;
    if (V == 1) return m3_broadcast(b, m3_scalar(b, 1.0F), M3_SHAPE(m->n, 1));
    m3_tensor *joined = m3_reshape(b, v, M3_SHAPE(m->n, V * m->d));
    m3_tensor *hidden = m3_block_linear(b, "hidden", joined, m->d, M3_ACT_RELU);
    uint64_t outputs = m->c->router == M3_ROUTER_SIGMOID ? 1 : V;
    return weights(m, m3_block_linear(b, "gate", hidden, outputs, M3_ACT_NONE), V);
}

/* pi of all G + 1 interests, 0 for those that are left out. */
static m3_tensor *all_weights(m3_model *m, const m3_forward *f, m3_tensor *pi)
{
    m3_builder *b = m->b;
    uint64_t missing = m->G + 1 - pi->shape.dim[1];
    if (missing == 0) return pi;
    m3_tensor *none = m3_broadcast(b, m3_scalar(b, 0.0F), M3_SHAPE(m->n, missing));
    m3_tensor *both[2] = {f->common == NULL ? none : pi, f->common == NULL ? pi : none};
    return m3_concat(b, both, 2, 1);
}

/* u_m = pi_0 h_m + sum_b pi_(b, m) s_(b, m), [n, d]. */
static m3_tensor *of_modality(m3_model *m, const m3_forward *f, uint64_t index)
{
    static const int64_t by_user[] = {1, 0, 2};
    m3_builder *b = m->b;
    m3_tensor *u = NULL, *part = NULL;
    if (f->common != NULL) u = m3_mul(b, m3_slice(b, f->gate, 1, 0, 1), mean_of(m, f, f->common, index, 1));
    if (f->specific != NULL) {
        m3_tensor *s = m3_reshape(b, f->specific, M3_SHAPE(m->B, m->M, m->n, m->d));
        m3_tensor *pi = m3_reshape(b, m3_slice(b, f->gate, 1, 1, m->G), M3_SHAPE(m->n, m->B, m->M));
        s = m3_transpose(b, m3_reshape(b, m3_slice(b, s, 1, index, 1), M3_SHAPE(m->B, m->n, m->d)), by_user, 3);
        part = m3_reduce_sum(b, m3_mul(b, s, m3_slice(b, pi, 2, index, 1)), 1, M3_DROP);
    }
    if (u == NULL || part == NULL) return u == NULL ? part : u;
    return m3_add(b, u, part);
}

/* g_m [n, 1]; 1 or 0 where one kind of interests is all there is. */
static m3_tensor *gate_of_modality(m3_model *m, uint64_t index, m3_tensor *h, m3_tensor *s)
{
    m3_builder *b = m->b;
    m3_tensor *both[2] = {h, s};
    char name[32];
    if (h == NULL || s == NULL) return m3_broadcast(b, m3_scalar(b, h != NULL ? 1.0F : 0.0F), M3_SHAPE(m->n, 1));
    (void)snprintf(name, sizeof name, "modality%llu", (unsigned long long)index);
    m3_push(b, name);
    m3_tensor *hidden = m3_block_linear(b, "hidden", m3_concat(b, both, 2, 1), m->d, M3_ACT_RELU);
    m3_tensor *g = m3_sigmoid(b, m3_block_linear(b, "gate", hidden, 1, M3_ACT_NONE));
    m3_pop(b);
    return g;
}

/* pi of all G + 1 interests from the g_m: their mean, then (1 - g_m)/M in equal parts for the non-empty b. */
static m3_tensor *spread(m3_model *m, const m3_forward *f, m3_tensor *const *g)
{
    static const int64_t by_user[] = {2, 0, 1};
    m3_builder *b = m->b;
    m3_tensor *all = m3_concat(b, g, (uint32_t)m->M, 1); /* [n, M] */
    m3_tensor *there =
        m3_transpose(b, m3_reshape(b, f->present, M3_SHAPE(m->B, m->M, m->n)), by_user, 3); /* [n, B, M] */
    m3_tensor *count = m3_max(b, m3_reduce_sum(b, there, 1, M3_KEEP), m3_scalar(b, 1.0F));
    m3_tensor *rest = m3_mul(b, m3_sub(b, m3_scalar(b, 1.0F), all), m3_scalar(b, (float)(1.0 / (double)m->M)));
    rest = m3_div(b, m3_mul(b, there, m3_reshape(b, rest, M3_SHAPE(m->n, 1, m->M))), count);
    m3_tensor *own = m3_mul(b, m3_reduce_sum(b, all, 1, M3_KEEP), m3_scalar(b, (float)(1.0 / (double)m->M)));
    m3_tensor *both[2] = {own, m3_reshape(b, rest, M3_SHAPE(m->n, m->G))};
    return m3_concat(b, both, 2, 1);
}

static void route_modalities(m3_model *m, m3_forward *f)
{
    m3_builder *b = m->b;
    m3_tensor *u[M3_MAX_MODALITIES + 1] = {0}, *g[M3_MAX_MODALITIES + 1] = {0};
    for (uint64_t k = 0; k < m->M; k++) {
        m3_tensor *h = f->common != NULL ? mean_of(m, f, f->common, k, 1) : NULL;
        m3_tensor *s = f->specific != NULL ? mean_of(m, f, f->specific, k, 1) : NULL;
        g[k] = gate_of_modality(m, k, h, s);
        u[k] = h == NULL ? s : h;
        if (h != NULL && s != NULL) u[k] = m3_add(b, s, m3_mul(b, g[k], m3_sub(b, h, s)));
    }
    f->gate = spread(m, f, g);
    f->user = m3_concat(b, u, (uint32_t)m->M, 1);
    if (m->c->fusion == M3_FUSION_SCORES) return;
    m3_tensor *each = m3_reshape(b, f->user, M3_SHAPE(m->n, m->M, m->d));
    f->user = m3_mul(b, m3_reduce_sum(b, each, 1, M3_DROP), m3_scalar(b, (float)(1.0 / (double)m->M)));
}

void m3_model_route(m3_model *m, m3_forward *f)
{
    m3_builder *b = m->b;
    m3_push(b, "router");
    if (m->c->router == M3_ROUTER_MODALITY) {
        route_modalities(m, f);
        m3_pop(b);
        return;
    }
    m3_tensor *v = candidates(m, f);
    uint64_t V = v != NULL ? v->shape.dim[1] : 1;
    m3_tensor *pi = choose(m, v, V);
    f->gate = pi != NULL ? all_weights(m, f, pi) : NULL;
    if (m->c->fusion == M3_FUSION_SCORES) {
        m3_tensor *u[M3_MAX_MODALITIES + 1] = {0};
        for (uint64_t k = 0; k < m->M; k++) u[k] = of_modality(m, f, k);
        f->user = m3_concat(b, u, (uint32_t)m->M, 1);
    } else {
        f->user = m3_reduce_sum(b, m3_mul(b, v, m3_block_column(b, pi)), 1, M3_DROP);
    }
    m3_pop(b);
}
